"""The one exception that means "the input is at fault, not the program"."""

from collections.abc import Sequence


class InputError(Exception):
    """Bad input, parameters or files.

    The message is one line: what is wrong, where, and how to fix it. Commands print it to stderr and exit with status 2
    (see ``segkit.base.command``). Whatever it quotes, a file name for example, is made printable.
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(message))


def one_line(text: object) -> str:
    """``text`` in one printable line."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(str(text).split()))


def brief(text: object, limit: int = 100) -> str:
    """A quotation for messages: one printable line of at most ``limit`` characters."""
    line = one_line(text)
    return line if len(line) <= limit else line[: limit - 3] + "..."


def few(texts: Sequence[str], limit: int = 60) -> str:
    """The first three, each in at most ``limit`` characters."""
    return ", ".join(brief(text, limit) for text in texts[:3]) + (", ..." if len(texts) > 3 else "")


def counted(number: int, noun: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
