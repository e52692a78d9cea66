"""How ``segkit predict`` knows the files that it wrote: near its start, each names what it was made by."""

import re
from pathlib import Path

HEAD = 400  # bytes of a file, among which the mark is
MARK = re.compile(rb"segkit predict ([0-9a-f]{16})")


def text(digits: str) -> str:
    """What a file must hold to be known; ``digits``: 16 hexadecimal ones that stand for image, model and settings."""
    return f"segkit predict {digits}"


def read(path: str | Path) -> str:
    """The digits in a file; empty if it is not there, or by another program."""
    try:
        if not Path(path).is_file():  # opening a named pipe would block
            return ""
        with open(path, "rb") as file:
            found = MARK.search(file.read(HEAD))
    except OSError:
        return ""
    return found[1].decode() if found else ""
