"""The web server of the demo: nothing leaves this machine, and nothing stays behind on it."""

import errno
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segkit.base import interrupts
from segkit.base.errors import InputError, brief

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from segkit.inference.model import Model

HOST, PORT = "127.0.0.1", 7860
MAX_BYTES = 50 * 2**20  # of an upload
SESSIONS = 32  # kept in memory; of more, those unused for longest are forgotten
# What the page asks for. gradio serves more: its documents, other servers' files, monitoring, a history of runs.
SERVED = re.compile(
    r"/|/(assets|static)/.*|/(theme\.css|favicon\.ico)"
    r"|/gradio_api/(queue/(join|data)|upload|upload_progress|cancel|reset|heartbeat/\w+|file=/.*)"
)
POLICY = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"  # the browser asks no other server


def serve(checkpoints: Sequence[str], examples: str | None, host: str, port: int | None) -> None:
    """Serve the page until Ctrl-C. ``checkpoints``: none for those of the pipeline; ``examples``: a folder of images.

    ``port``: None for 7860, or a free one if that is taken. Raises InputError for a checkpoint, a folder or an address
    that cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="segkit-demo-") as folder, _listen(host, port) as listener:
        # Libraries read these when they are imported: where to write, and to call nobody.
        os.environ |= {"GRADIO_TEMP_DIR": folder, "TORCHINDUCTOR_CACHE_DIR": f"{folder}/torch"}
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        server = _server(_load(checkpoints), examples, Path(folder))
        address = f"[{host}]" if ":" in host else host
        print(f"Open http://{address}:{listener.getsockname()[1]} (Ctrl-C ends)", flush=True)
        try:
            server.run(sockets=[listener])
        except interrupts.Interrupted as interrupted:
            if interrupted.status != 128 + signal.SIGINT:
                raise


def _load(checkpoints: Sequence[str]) -> "dict[str, Model]":
    """Models by name: that of the file, or its path where two files share it."""
    paths = [Path(each) for each in checkpoints] or sorted(Path("models").glob("*.safetensors"))
    if not paths:
        raise InputError("no models/*.safetensors here; run 'dvc repro', or name a checkpoint")
    from segkit.inference.model import load

    unique = len({path.stem for path in paths}) == len(paths)
    return {path.stem if unique else str(path): load(path) for path in paths}


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, PORT if port is None else port), family=family)
    except OSError as error:
        if port is None and error.errno == errno.EADDRINUSE:
            return _listen(host, 0)
        where = f"--host {brief(host)}, --port {PORT if port is None else port}"
        raise InputError(f"{where}: {error.strerror}; name another, or leave both out") from None


def _server(models: "dict[str, Model]", examples: str | None, folder: Path) -> "uvicorn.Server":
    """A server whose files all lie in ``folder``."""
    try:
        import gradio
    except ModuleNotFoundError:
        raise InputError(f"the demo needs the package gradio; run '{sys.executable} -m pip install gradio'") from None
    import uvicorn
    from fastapi import FastAPI

    from segkit.demo.examples import icon, thumbnails
    from segkit.demo.page import Page

    blocks = Page(models, thumbnails(examples, folder), folder).blocks
    blocks.state_session_capacity = SESSIONS
    app = FastAPI(openapi_url=None)
    app.add_middleware(Gate)
    gradio.mount_gradio_app(
        app,
        blocks,
        "/",
        max_file_size=MAX_BYTES,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        favicon_path=str(icon(folder)),
        theme=gradio.themes.Base(primary_hue="sky", font="sans-serif", font_mono="monospace"),
        css_paths=Path(__file__).with_name("page.css"),
    )
    # Else gradio would accept any file of this machine as an upload.
    blocks.has_launched = True
    configuration = uvicorn.Config(
        app, log_config=None, log_level="critical", access_log=False, timeout_graceful_shutdown=1
    )
    return uvicorn.Server(configuration)


class Gate:
    """Lets through what the page asks for, and forbids the browser to ask other servers."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def with_policy(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY)]
            await send(message)

        if scope["type"] == "http" and not SERVED.fullmatch(scope["path"]):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body"})
        else:
            await self.app(scope, receive, with_policy)
