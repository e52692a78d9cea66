"""Which names a sample may have, whose files and lines in lists bear it."""

import unicodedata

LONGEST_NAME = 250  # bytes; with an ending it is a file's name, which may have 255


def name_fault(name: str) -> str | None:
    """Why ``name`` cannot be the name of a sample; None where it can."""
    if not name:
        return "is empty"
    if "/" in name or "\\" in name or name in (".", ".."):
        return "leads to another folder"
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        return "holds characters that are not printed"
    if len(name.encode(errors="replace")) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    return None
