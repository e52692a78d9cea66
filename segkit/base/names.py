"""Valid names of samples; a name is part of file names and of lines in lists."""

import unicodedata

LONGEST_NAME = 250  # bytes; a file name, which adds an extension, may have 255


def name_fault(name: str) -> str | None:
    """Why ``name`` is not a valid name of a sample; None if it is."""
    if not name:
        return "is empty"
    if "/" in name or "\\" in name or name in (".", ".."):
        return "points to another folder"
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        return "contains unprintable characters"
    if len(name.encode(errors="replace")) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    return None
