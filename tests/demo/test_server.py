"""The server: where it listens, what it refuses, how it ends."""

import json
import os
import re
import signal
import socket
import sys
import urllib.error
import urllib.request

import pytest

from segkit.base.errors import InputError
from segkit.cli import main
from segkit.demo.server import PORT, serve
from tests.demo.conftest import running, write_model
from tests.tiny import pet


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    """``serve`` sets variables for its process."""
    monkeypatch.setattr(os, "environ", dict(os.environ))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors", seed=0))


def test_without_models_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 2
    message = "no models/*.safetensors here; run 'dvc repro', or name a checkpoint"
    assert capsys.readouterr().err == f"segkit demo: {message}\n"


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match=r"x\.safetensors was not written by"):
        serve([str(tmp_path / "x.safetensors")], None, "127.0.0.1", None)


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_cannot_be_used_is_refused(model, host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--host {host}, --port {port}: .*; name another"):
            serve([model], None, host, port)


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_a_wrong_port_is_refused(port, capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--port", port])
    assert capsys.readouterr().err.startswith(f"segkit demo: argument --port: not a port from 1 to 65535: '{port}'")


def test_without_gradio_it_says_what_to_install(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=r"needs the package gradio; run '\S+ -m pip install gradio'"):
        serve([model], None, "127.0.0.1", None)


@pytest.fixture(scope="module")
def demo(model, tmp_path_factory):
    """A demo that finds its usual port taken."""
    pytest.importorskip("gradio", reason="gradio is not installed (the extra 'demo')")
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", PORT))
            taken.listen()
        except OSError:
            pass  # by somebody else
        with running(folder, model) as demo:
            yield demo


def get(url: str) -> tuple[int, str]:
    """Status and text."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.slow
def test_another_port_than_the_taken_one(demo):
    assert not demo.url.endswith(f":{PORT}")
    status, page = get(demo.url)
    assert status == 200
    assert "<script" in page
    assert not re.findall(r"<(?:script|link|iframe|img)[^>]*(?:src|href)=.?https?:", page)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        *("gradio_api/file=params.yaml", "gradio_api/file=/etc/hostname", "gradio_api/file=http://127.0.0.1:1/x"),
        *("gradio_api/file=../params.yaml", "gradio_api/proxy=https://example.org/x", "gradio_api/runs", "docs"),
        *(
            "gradio_api/info",
            "gradio_api/openapi.json",
            "monitoring",
            "config",
            "openapi.json",
            "static/../../params.yaml",
        ),
    ],
)
def test_other_files_and_services_are_refused(demo, path):
    (demo.folder / "work/params.yaml").write_text("secret")
    status, text = get(f"{demo.url}/{path}")
    assert status in (403, 404)
    assert "secret" not in text


@pytest.mark.slow
def test_a_file_that_was_not_uploaded_is_not_looked_at(demo):
    picture = demo.folder / "private.png"
    pet(0)[0].save(picture)
    page = get(demo.url)[1]
    configuration = json.JSONDecoder().raw_decode(page, page.index("window.gradio_config = ") + 23)[0]
    (event,) = [each for each in configuration["dependencies"] if each["targets"][0][1] == "upload"]
    file = {"path": str(picture), "orig_name": "x.png", "meta": {"_type": "gradio.FileData"}}
    body = {"data": [file, "tiny", 0.5], "fn_index": event["id"], "session_hash": "abc", "trigger_id": 1}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{demo.url}/gradio_api/queue/join", json.dumps(body).encode(), headers)
    urllib.request.urlopen(request, timeout=10).close()
    stream = get(f"{demo.url}/gradio_api/queue/data?session_hash=abc")[1]
    assert '"process_completed"' in stream
    assert '"success":false' in stream.replace(" ", "")
    assert "data:image" not in stream


@pytest.mark.slow
def test_sigterm_ends_it_and_nothing_is_left(demo):
    status, out, err = demo.stop(signal.SIGTERM)
    assert (status, out) == (143, "")
    assert "SIGTERM" in err.splitlines()[-1]
    assert not [*(demo.folder / "temporary").iterdir(), *(demo.folder / "home").iterdir()]
