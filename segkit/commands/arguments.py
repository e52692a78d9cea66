"""Types of command-line arguments; each raises ArgumentTypeError that says what is wrong."""

import argparse
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def file(text: str) -> Path:
    """A file to write, in a folder that exists."""
    path = Path(text)
    if not path.name or path.is_dir():
        raise argparse.ArgumentTypeError(f"not a file to write: {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r} to write {path.name!r} to")
    return path


def file_of(kind: str, made: str = "") -> Callable[[str], Path]:
    """A file to write with the extension ``kind`` and no other, so that no checkpoint is replaced; ``made``: a folder
    that need not exist yet."""

    def path(text: str) -> Path:
        path = Path(text) if made and Path(text).parent == Path(made) else file(text)
        if path.suffix.lower() != f".{kind}":
            raise argparse.ArgumentTypeError(f"not the name of a {kind.upper()} file, NAME.{kind}: {text!r}")
        return path

    return path


json_file = file_of("json")
html_file = file_of("html", made="reports")
csv_file = file_of("csv")


def positive(kind: type) -> Callable[[str], int | float]:
    """An ``int`` or ``float`` above 0 and below a million."""

    def number(text: str) -> int | float:
        with suppress(ValueError):
            if 0 < (value := kind(text)) < 1e6:
                return value
        raise argparse.ArgumentTypeError(f"not a positive {kind.__name__}: {text!r}")

    return number


def at_least(lowest: int) -> Callable[[str], int]:
    """An integer from ``lowest`` on, below a million."""

    def number(text: str) -> int:
        with suppress(ValueError):
            if lowest <= (value := int(text)) < 1e6:
                return value
        raise argparse.ArgumentTypeError(f"not a number from {lowest} to 999,999: {text!r}")

    return number


def port(text: str) -> int:
    """A TCP port."""
    with suppress(ValueError):
        if 0 < (port := int(text)) < 65536:
            return port
    raise argparse.ArgumentTypeError(f"not a port from 1 to 65535: {text!r}")


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    with suppress(ValueError):
        if 0 < (value := float(text)) <= 1:
            return value
    raise argparse.ArgumentTypeError(f"not a number above 0 and at most 1: {text!r}")


def device(text: str) -> str:
    """The name of a device, which need not be there."""
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        return text
    raise argparse.ArgumentTypeError(f"not auto, cpu, cuda, cuda:1 or mps: {text!r}")


def size(text: str) -> tuple[int, int]:
    """Height and width in pixels: ``128``, or ``96x128``."""
    with suppress(ValueError):
        sides = [int(side) for side in text.split("x")]
        if len(sides) in (1, 2) and all(16 <= side <= 8192 for side in sides):
            return sides[0], sides[-1]
    raise argparse.ArgumentTypeError(f"not a size from 16 to 8192: {text!r}")
