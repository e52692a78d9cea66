"""The command line: ``python -m segkit COMMAND``. What a command needs is imported when it runs."""

import argparse
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from segkit.base.command import run_command
from segkit.base.errors import InputError
from segkit.base.params import MODEL_NAMES

SHEET = "where to draw masks on their images, the most suspicious first; default: runs/contact_sheet.png"


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(2, f"{self.prog}: {message}; see 'python -m {self.prog} --help'\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    parser = Parser(prog="segkit", description="Use and measure what the pipeline makes.")
    parser.set_defaults(again="run the same command again")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser("results", help="print both models' scores and where to find everything")
    command.set_defaults(work=_results)
    command = commands.add_parser("bench", help="measure training: loading alone, computing alone, the real loop")
    command.add_argument("--model", choices=MODEL_NAMES, help="default: both")
    command.add_argument("--size", type=_size, help="128 or 96x128, height by width; default: preprocess.size")
    command.add_argument("--batch", type=_positive(int), help="images per step; default: train.batch_size")
    command.add_argument("--seconds", type=_positive(float), default=4.0, help="seconds per measurement; default: 4")
    command.add_argument("--profile", action="store_true", help="also print where the time of a step goes")
    command.add_argument("--json", type=_json, metavar="FILE", help="also write the result to this file")
    command.set_defaults(work=_bench)
    command = commands.add_parser("validate", help="check images and masks before training: a dry run in seconds")
    command.add_argument("--images", metavar="DIR", help="a folder of images; default: the source in params.yaml")
    command.add_argument("--masks", metavar="DIR", help="its masks; needed with --images")
    command.add_argument("--sheet", type=_file, metavar="FILE", help=SHEET)
    command.add_argument("--json", type=_json, metavar="FILE", help="also write everything to this file")
    command.set_defaults(work=_validate)
    _add_predict(commands)
    _add_export(commands)
    _add_demo(commands)
    _add_evaluate(commands)
    options = parser.parse_args(arguments)
    return run_command(f"segkit {options.command}", lambda: options.work(options), options.again)


def _add_predict(commands: Any) -> None:
    command = commands.add_parser("predict", help="masks of your own images, overlays, cutouts")
    command.add_argument("model", type=Path, metavar="MODEL", help="a checkpoint, or an ONNX file of segkit export")
    command.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders with all below them, or patterns")
    command.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where to write NAME_mask.png (0 and 255)"
    )
    command.add_argument("--overlay", action="store_true", help="also NAME_overlay.png: the mask drawn on the image")
    command.add_argument(
        "--cutout", action="store_true", help="also NAME_cutout.png: the foreground, transparent around"
    )
    command.add_argument(
        "--probability", type=int, choices=(8, 16), default=0, help="also NAME_probability.png, in 8 or 16 bits"
    )
    command.add_argument("--json", action="store_true", help="also NAME.json: foreground share, box, confidence, time")
    command.add_argument(
        "--threshold", type=_share, metavar="P", help="a pixel is foreground from here on; default: the model's"
    )
    command.add_argument(
        "--tta",
        action=argparse.BooleanOptionalAction,
        help="mean over the image and its mirror image, half as fast; default: as the model was evaluated",
    )
    command.add_argument("--tile", action="store_true", help="cut large images into windows at their own resolution")
    command.add_argument(
        "--range", nargs=2, type=float, dest="scale", metavar=("LOW", "HIGH"), help="black and white of 16-bit images"
    )
    command.add_argument("--resume", action="store_true", help="skip images that are done")
    command.add_argument(
        "--batch",
        type=_positive(int),
        metavar="N",
        help="rows the network computes at once; default: 2 at 256 px, more of smaller",
    )
    command.add_argument(
        "--device", type=_device, default="auto", help="auto | cpu | cuda | cuda:1 | mps; default: auto"
    )
    command.add_argument("--precision", choices=("fp32", "bf16", "auto"), default="fp32", help="default: fp32")
    command.set_defaults(work=_predict, again="run it again with --resume to go on")


def _add_export(commands: Any) -> None:
    command = commands.add_parser("export", help="a trained network for other runtimes: ONNX, or a torch program")
    command.add_argument("model", type=Path, metavar="MODEL", help="a checkpoint")
    command.add_argument("--format", choices=("onnx", "torch"), required=True, help="NAME.onnx or NAME.pt2")
    command.add_argument("--out", type=_file, metavar="FILE", help="default: beside the checkpoint")
    command.add_argument("--images", metavar="DIR", help="images to check it on; default: the packed test set")
    command.set_defaults(work=_export)


def _add_demo(commands: Any) -> None:
    command = commands.add_parser("demo", help="a local web page to try trained networks on your own images")
    command.add_argument("models", nargs="*", metavar="MODEL", help="checkpoints; default: models/*.safetensors")
    command.add_argument("--examples", metavar="DIR", help="pictures to click on; default: some of data/raw/download")
    command.add_argument("--host", default="127.0.0.1", help="0.0.0.0: other machines may connect; default: 127.0.0.1")
    command.add_argument("--port", type=_port, metavar="N", help="default: 7860, or a free one if that is taken")
    command.set_defaults(work=_demo)


def _add_evaluate(commands: Any) -> None:
    command = commands.add_parser("evaluate", help="score a trained network on images and masks of your own")
    command.add_argument("model", type=Path, metavar="MODEL", help="a checkpoint, or an ONNX file of segkit export")
    command.add_argument("--images", required=True, metavar="DIR", help="a folder of images")
    command.add_argument("--masks", required=True, metavar="DIR", help="its masks; data.folder says how they match")
    command.add_argument(
        "--threshold", type=_share, metavar="P", help="a pixel is foreground from here on; default: the model's"
    )
    command.add_argument("--json", type=_json, metavar="FILE", help="also write all scores, and those of each image")
    command.add_argument(
        "--device", type=_device, default="auto", help="auto | cpu | cuda | cuda:1 | mps; default: auto"
    )
    command.set_defaults(work=_evaluate)


def _results(options: argparse.Namespace) -> None:
    from segkit.reporting.results import results

    print(results())


def _bench(options: argparse.Namespace) -> None:
    from segkit.base import params

    configuration = params.load()  # before torch, so that a fault is reported at once
    from segkit.base.files import write_json
    from segkit.reporting.bench import Workload, bench, describe

    results = {}
    for name in [options.model] if options.model else MODEL_NAMES:
        batch = options.batch or getattr(configuration, name).train.batch_size
        work = Workload(options.size or configuration.preprocess.size, batch, options.seconds, options.profile)
        results[name] = bench(name, configuration, work)
        print(describe(results[name]), flush=True)
    if options.json:
        write_json(options.json, results[options.model] if options.model else results)


def _validate(options: argparse.Namespace) -> None:
    from segkit.base import params

    if bool(options.images) != bool(options.masks):
        raise InputError("--images and --masks belong together; give both, or none for the source in params.yaml")
    configuration = params.load()
    folders = {key: str(Path(path).absolute()) for key in ("images", "masks") if (path := getattr(options, key))}
    if folders:
        folder = configuration.data.folder.model_copy(update=folders)
        data = configuration.data.model_copy(update={"source": "folder", "folder": folder})
        configuration = configuration.model_copy(update={"data": data})
    from segkit.reporting.validate import validate

    validate(configuration, options.sheet or Path("runs/contact_sheet.png"), options.json)


def _demo(options: argparse.Namespace) -> None:
    from segkit.demo.server import serve

    serve(options.models, options.examples, options.host, options.port)


def _predict(options: argparse.Namespace) -> None:
    from segkit.inference.finding import find, refuse_output

    refuse_output(options.out)
    images = find(options.images, options.out)  # before torch, so that a fault is reported at once
    from segkit.inference.predict import Settings, predict

    settings = Settings(**{key: getattr(options, key) for key in Settings.__dataclass_fields__})
    print(f"segkit predict: {predict(images, settings)}")


def _evaluate(options: argparse.Namespace) -> None:
    from segkit.base import params
    from segkit.base.workspace import cores

    folders = {key: str(Path(getattr(options, key)).absolute()) for key in ("images", "masks")}
    configuration = params.load() if Path("params.yaml").exists() else None
    from segkit.inference.networks import open_network
    from segkit.models.device import make_deterministic
    from segkit.reporting.labelled_set import any_folder, evaluate_folder

    make_deterministic(seed=0)  # nothing here is drawn at random
    folder = configuration.data.folder.model_copy(update=folders) if configuration else any_folder(**folders)
    workers = configuration.runtime.workers if configuration else 0
    network = open_network(options.model, options.device)
    evaluate_folder(network, folder, workers or cores(), options.threshold, options.json)


def _export(options: argparse.Namespace) -> None:
    from segkit.inference.export import export
    from segkit.inference.samples import samples

    export(options.model, options.format, options.out, samples(options.model, options.images))


def _file(text: str) -> Path:
    path = Path(text)
    if not path.name or path.is_dir():
        raise argparse.ArgumentTypeError(f"not a file to write: {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r} to write {path.name!r} to")
    return path


def _json(text: str) -> Path:
    """Of no other kind, so that no checkpoint is replaced."""
    path = _file(text)
    if path.suffix.lower() != ".json":
        raise argparse.ArgumentTypeError(f"not the name of a JSON file, NAME.json: {text!r}")
    return path


def _positive(kind: type) -> Callable[[str], int | float]:
    def number(text: str) -> int | float:
        with suppress(ValueError):
            if 0 < (value := kind(text)) < 1e6:
                return value
        raise argparse.ArgumentTypeError(f"not a positive {kind.__name__}: {text!r}")

    return number


def _port(text: str) -> int:
    with suppress(ValueError):
        if 0 < (port := int(text)) < 65536:
            return port
    raise argparse.ArgumentTypeError(f"not a port from 1 to 65535: {text!r}")


def _share(text: str) -> float:
    with suppress(ValueError):
        if 0 < (value := float(text)) <= 1:
            return value
    raise argparse.ArgumentTypeError(f"not a number above 0 and at most 1: {text!r}")


def _device(text: str) -> str:
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        return text
    raise argparse.ArgumentTypeError(f"not auto, cpu, cuda, cuda:1 or mps: {text!r}")


def _size(text: str) -> tuple[int, int]:
    with suppress(ValueError):
        sides = [int(side) for side in text.split("x")]
        if len(sides) in (1, 2) and all(16 <= side <= 8192 for side in sides):
            return sides[0], sides[-1]
    raise argparse.ArgumentTypeError(f"not a size from 16 to 8192: {text!r}")
