"""``segkit predict``: many images, some of them bad, interrupted and repeated."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segkit
from segkit.cli import main
from segkit.inference import predict as module
from segkit.inference.finding import find
from segkit.inference.model import Model
from segkit.inference.outputs import Outputs
from segkit.inference.predict import Room, Settings, predict
from tests.inference.conftest import write_checkpoint
from tests.tiny import ROOT, pet


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Six images in three folders, four of one name; the working directory holds them as ``photos``."""
    sizes = {"a/x.jpg": (50, 40), "a/x.png": (20, 30), "a/y.png": (1, 1), "b/x.jpg": (33, 24), "b/z.bmp": (300, 10)}
    for number, (name, size) in enumerate((sizes | {"c/x.jpg": (64, 48)}).items()):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        pet(number, *size)[0].save(tmp_path / "photos" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def run(checkpoint: Path, *arguments: str, status: int = 0) -> None:
    assert main(["predict", str(checkpoint), "--device", "cpu", "--out", "out", *arguments]) == status


def written(folder: str = "out") -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }


PLACES = ["a/x.jpg", "a/x.png", "a/y", "b/x", "b/z", "c/x"]


def test_every_image_has_its_mask_at_its_size(checkpoint, photos, capsys):
    run(checkpoint, "photos")
    assert sorted(written()) == sorted(f"{place}_mask.png" for place in PLACES)
    model = segkit.load(checkpoint, "cpu")
    for image in find(["photos"], Path("out")):
        with Image.open(f"out/{image.place}_mask.png") as mask:
            assert np.array_equal(mask, model.predict(image.path).mask * np.uint8(255))
    assert capsys.readouterr().out.startswith("segkit predict: 6 images in out (")


@pytest.mark.parametrize("options", [["--tile"], ["--tta", "--threshold", "0.3"]])
def test_batches_and_workers_change_nothing(checkpoint, photos, monkeypatch, options):
    results = []
    for workers, batch in ((1, "1"), (3, "2"), (2, "100")):
        monkeypatch.setattr(module, "cores", lambda workers=workers: workers)
        run(checkpoint, "photos", "--probability", "16", "--batch", batch, *options)
        results.append({name: np.asarray(Image.open(f"out/{name}"), float) for name in written()})
    for other in results[1:]:
        for name, expected in results[0].items():
            assert np.abs(other[name] - expected).max() <= (1 if "probability" in name else 0), name


def test_what_cannot_be_used_is_reported_and_the_rest_is_done(checkpoint, photos, capsys):
    (photos / "empty.jpg").touch()
    (photos / "text.png").write_text("hello")
    (photos / "half.jpg").write_bytes((photos / "c/x.jpg").read_bytes()[:700])
    (photos / "loop.jpg").symlink_to("loop.jpg")
    (photos / "gone.jpg").symlink_to("nowhere")
    (photos / "a\nb.png").write_bytes(b"\x89PNG")
    os.mkfifo(photos / "pipe.jpg")
    run(checkpoint, "photos", status=2)
    lines = capsys.readouterr().err.splitlines()
    assert lines.pop() == "segkit predict: 7 of 13 images could not be used, see above; the others are done"
    assert {line.split(": ", 2)[1].rpartition("/")[2]: line.split(": ", 2)[2].split(":")[0] for line in lines} == {
        "a b.png": "not one of JPEG, PNG, GIF, BMP, TIFF, WEBP, PPM, or damaged",
        "empty.jpg": "the file is empty",
        "gone.jpg": "no such file",
        "half.jpg": "cannot be decoded",
        "loop.jpg": "cannot be opened",
        "pipe.jpg": "not a regular file",
        "text.png": "not one of JPEG, PNG, GIF, BMP, TIFF, WEBP, PPM, or damaged",
    }
    assert len(written()) == 6


def test_an_image_that_cannot_be_read_is_its_own_fault(checkpoint, photos, monkeypatch, capsys):
    """As on a disk with bad sectors, or without permission."""
    real = open

    def refuse(path, *arguments, **options):
        if str(path).endswith("z.bmp"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", refuse)
    run(checkpoint, "photos", status=2)
    assert "photos/b/z.bmp: cannot be read: Permission denied\n" in capsys.readouterr().err
    assert len(written()) == 5


def test_resume_skips_what_the_same_model_and_settings_made(checkpoint, photos, tmp_path, capsys):
    def said(*arguments: str, status: int = 0, model: Path = checkpoint) -> str:
        run(model, "photos", *arguments, status=status)
        return capsys.readouterr().out.partition(" in out")[0].removeprefix("segkit predict: ")

    assert said("--resume") == "0 images done before, 6 images"
    before = written()
    assert said("--resume") == "6 images done before, 0 images"
    Path("out/b/x_mask.png").unlink()
    assert said("--resume") == "5 images done before, 1 image"
    assert written() == before
    assert said("--resume", "--json") == "0 images done before, 6 images"
    assert said("--resume") == "6 images done before, 0 images"
    for change in (["--threshold", "0.4"], ["--tta"], ["--tile"], ["--range", "0", "9"], ["--probability", "8"]):
        assert said("--resume", *change) == "0 images done before, 6 images"
        assert said("--resume", *change) == "6 images done before, 0 images"
    assert said("--resume", "--probability", "16") == "0 images done before, 6 images"
    pet(77, 50, 40)[0].save(photos / "a/x.jpg")
    assert said("--resume", "--probability", "16") == "5 images done before, 1 image"
    other = write_checkpoint(tmp_path / "other.safetensors", threshold=0.5, note="other")
    assert said("--resume", model=other) == "0 images done before, 6 images"
    assert said() == "6 images"


def test_images_of_one_place_from_two_commands_are_not_taken_for_each_other(checkpoint, photos):
    run(checkpoint, "photos/b/x.jpg")
    first = written()
    run(checkpoint, "photos/c/x.jpg", "--resume")
    assert list(written()) == list(first) == ["x_mask.png"]
    with Image.open("out/x_mask.png") as mask:
        assert mask.size == (64, 48)


def test_files_of_others_stay(checkpoint, photos, capsys):
    Path("out/b").mkdir(parents=True)
    Path("out/b/x_mask.png").write_text("drawn by hand")
    run(checkpoint, "photos", "--json", status=2)
    assert Path("out/b/x_mask.png").read_text() == "drawn by hand"
    assert "out/b/x_mask.png is there and not by 'segkit predict'; move it, or change --out" in capsys.readouterr().err
    assert len(written()) == 11


def test_sources_stay(checkpoint, photos, capsys):
    before = written("photos")
    (photos / "a/x.jpg").rename(photos / "a/y_mask.png")
    run(checkpoint, "photos/a/y.png", "photos/a/y_mask.png", "--out", "photos/a", status=2)
    assert "photos/a/y_mask.png is itself one of the images; choose another folder" in capsys.readouterr().err
    (photos / "a/y_mask.png").rename(photos / "a/x.jpg")
    assert written("photos") == before


def test_results_among_the_images_are_none_the_next_time(checkpoint, photos, capsys):
    for _ in range(2):
        for arguments in (["photos"], ["photos/*"], [str(path) for path in sorted(photos.iterdir())]):
            run(checkpoint, *arguments, "--out", "photos/out")
            assert "segkit predict: 6 images in photos/out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["photos", "--out", "photos"], "--out photos is the folder of the images; choose another"),
        (["photos", "--out", "photos/b/z.bmp"], "photos/b/z.bmp is no folder"),
        (["photos", "--out", "photos/b/z.bmp/x"], "photos/b/z.bmp is no folder"),
        (["none.jpg"], "none.jpg: no such file or folder"),
        (["photos/*.gif"], "photos/*.gif holds no images"),
        (["photos", "--range", "5", "1"], "range [5.0, 1.0]: give the values of black and of white, such as 0 4095"),
        (["photos", "--range", "nan", "1"], "range [nan, 1.0]: give"),
    ],
)
def test_bad_input_is_one_line(checkpoint, photos, capsys, arguments, said):
    run(checkpoint, *arguments, status=2)
    line = capsys.readouterr().err
    assert line.startswith("segkit predict: ") and said in line and line.count("\n") == 1
    assert not written()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--threshold", value) for value in ("0", "2", "nan", "half")),
        *(("--batch", value) for value in ("0", "-1", "x")),
        *(("--device", value) for value in ("meta", "gpu", "cuda:x")),
        *(("--precision", "fp8"), ("--probability", "12"), ("--range", "a")),
    ],
)
def test_a_bad_option_is_one_line(checkpoint, photos, capsys, option, value):
    with pytest.raises(SystemExit) as left:
        run(checkpoint, "photos", option, value)
    line = capsys.readouterr().err
    assert left.value.code == 2 and option in line and line.count("\n") == 1


def test_a_model_that_is_none_is_one_line(photos, capsys):
    Path("text.safetensors").write_text("hello")
    for model in (Path("photos"), Path("text.safetensors"), Path("none.safetensors"), photos / "a/x.jpg"):
        run(model, "photos", status=2)
        line = capsys.readouterr().err
        assert str(model) in line and line.count("\n") == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "out/b/x_mask.png"), MemoryError()])
@pytest.mark.parametrize("resize", ["--tile", "--batch=2"])
def test_an_error_in_a_worker_ends_the_run_or_is_reported_but_never_hangs(
    checkpoint, photos, monkeypatch, capsys, error, resize
):
    real = Outputs.write

    def write(self, image, *rest):
        if image.place == "b/x":
            raise error
        real(self, image, *rest)

    monkeypatch.setattr(Outputs, "write", write)
    before = threading.active_count()
    run(checkpoint, "photos", resize, status=2)
    assert threading.active_count() == before
    said = capsys.readouterr().err
    if isinstance(error, MemoryError):
        assert "photos/b/x.jpg: memory ran out\n" in said and len(written()) == 5
    else:
        assert said == (
            "segkit predict: out/b/x_mask.png: No space left on device; free space there or fix its permissions, then "
            "run the same command again\n"
        )


@pytest.mark.parametrize("said", ["DefaultCPUAllocator: can't allocate memory: you", "CUDA out of memory. Tried to"])
def test_a_device_without_memory_is_one_line(checkpoint, photos, monkeypatch, capsys, said):
    def rows(*_):
        raise RuntimeError(said)

    monkeypatch.setattr(Model, "rows", rows)
    run(checkpoint, "photos", "--batch", "7", status=2)
    assert capsys.readouterr().err == "segkit predict: the device is out of memory; lower --batch, which was 7\n"


def test_a_bug_in_a_worker_is_raised(checkpoint, photos, monkeypatch):
    monkeypatch.setattr(Model, "assemble", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run(checkpoint, "photos")


@pytest.mark.parametrize("resize", ["--tile", "--batch=1"])
def test_a_signal_ends_the_run_after_the_rows_in_work_and_what_is_there_is_whole(
    checkpoint, photos, monkeypatch, capsys, resize
):
    real, calls = Model.assemble, []

    def assemble(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)  # the main thread sees it
        return real(self, *arguments)

    monkeypatch.setattr(Model, "assemble", assemble)
    monkeypatch.setattr(module, "cores", lambda: 1)
    before = threading.active_count()
    run(checkpoint, "photos", resize, status=143)
    assert threading.active_count() == before
    said = capsys.readouterr().err
    assert said.strip() == (
        "segkit predict: ended by SIGTERM; finished files are kept; run it again with --resume to go on"
    )
    assert 1 <= len(written()) <= 2
    for name in written():
        Image.open(f"out/{name}").load()


def test_progress_where_there_is_no_terminal(checkpoint, photos, monkeypatch, capsys):
    monkeypatch.setattr(module, "LINE_SECONDS", 0)
    run(checkpoint, "photos", "--batch", "1")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" images,")[0] for line in lines[:-1]] == [f"predict: {n} of 6" for n in range(1, 7)]


def test_an_image_that_vanishes_is_reported(checkpoint, photos, capsys):
    images = find(["photos"], Path("out"))
    (photos / "b/x.jpg").unlink()
    with pytest.raises(segkit.inference.predict.InputError, match="1 of 6 images could not be used"):
        predict(images, Settings(checkpoint, Path("out"), overlay=True, device="cpu", resume=True))
    assert "photos/b/x.jpg: no such file" in capsys.readouterr().err


def test_room_is_never_exceeded_and_given_back():
    room, held, faults, lock = Room(100), [], [], threading.Lock()

    def work(number: int) -> None:
        pixels = 130 if number == 7 else 10 + number
        with suppress(KeyError), room.reserved() as reserve:
            reserve(Image.new("1", (1, pixels)))
            with lock:
                held.append(pixels)
                if sum(held) > 100 and held != [130]:  # what there is no room for is alone
                    faults.append(held.copy())
            time.sleep(0.001)
            with lock:
                held.remove(pixels)
            if number % 5 == 0:
                raise KeyError

    threads = [threading.Thread(target=work, args=[number], daemon=True) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive(), "a thread waits for ever"
    assert not faults and not held


START = """
import os, resource, sys
from pathlib import Path
from segkit.cli import main
model, images, out = sys.argv[1:]
for limit in (0, 60, 200, 3000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    options = ["--overlay", "--cutout", "--json", "--probability", "16", "--device", "cpu"]
    print(limit, main(["predict", model, images, "--out", out, *options]), flush=True)
    partial = [path for path in Path(out).rglob("*") if "partial" in path.name]
    assert not partial, partial
"""


def python(*arguments: str, **options) -> subprocess.Popen:
    command = [sys.executable, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_no_half_file(checkpoint, photos):
    process = python("-c", START, str(checkpoint), "photos", "out")
    out, errors = process.communicate(timeout=120)
    assert out.split() == ["0", "2", "60", "2", "200", "2", "3000", "2"], errors
    lines = errors.splitlines()
    assert len(lines) == 4 and all("File too large; free space there" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_after_a_signal_no_file_is_half_and_resume_ends_the_work(checkpoint, tmp_path, monkeypatch, capsys, number):
    (tmp_path / "in").mkdir()
    for place in range(300):
        pet(place, 200, 150)[0].save(tmp_path / f"in/{place}.bmp")
    options = ["predict", str(checkpoint), "in", "--out", "out", "--overlay", "--json", "--device", "cpu"]
    process = python("-m", "segkit", *options, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("out/*_mask.png"))) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    start = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert time.monotonic() - start < 10
    if number != signal.SIGKILL:
        said = "segkit predict: interrupted; finished files are kept; run it again with --resume to go on"
        assert errors.strip() == said and not list(tmp_path.glob("out/.*"))
    for path in tmp_path.glob("out/[!.]*"):
        Image.open(path).load() if path.suffix == ".png" else json.loads(path.read_text())
    monkeypatch.chdir(tmp_path)
    assert main([*options, "--resume"]) == 0
    before, left = (int(part.split()[0]) for part in capsys.readouterr().out.split(": ")[1].split(", ")[:2])
    assert before >= 10 and before + left == 300
    assert sorted(os.listdir("out")) == sorted(
        f"{place}{end}" for place in range(300) for end in ("_mask.png", "_overlay.png", ".json")
    )


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_fault_and_dvc_is_not_needed(checkpoint, photos):
    code = "import sys; sys.modules['dvc'] = None; from segkit.cli import main; sys.exit(main(sys.argv[1:]))"
    process = python("-c", code, "predict", str(checkpoint), "photos", "--out", "out", "--device", "cpu")
    process.stdout.close()
    assert process.wait(timeout=60) == 0 and len(written()) == 6
    assert process.stderr.read() == ""
