"""Which samples a raw data set holds, and which split each belongs to.

All sources lie in the layout of Oxford-IIIT Pet, so one reader serves them.
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from segkit.errors import InputError

SPLITS = ("train", "valid", "test")
VALIDATION_EVERY = 10
LONGEST_NAME = 250  # bytes; with an ending it is a file's name, which may have 255
LARGEST_LIST = 2**28  # bytes, ten million names


@dataclass(frozen=True)
class Sample:
    """One picture with its mask; ``group`` is the breed, or empty where there is no ``list.txt`` of breeds."""

    name: str
    split: str
    group: str
    picture: Path
    mask: Path


def read_catalog(raw: Path) -> list[Sample]:
    """All samples that ``trainval.txt`` and ``test.txt`` name, training first, then validation, then test.

    ``test.txt`` is the test set; of ``trainval.txt``, in file order, every tenth entry starting with the first is
    validation, the rest training. Whether the files exist is not looked at here. Raises InputError where a list is
    missing, empty or no list, or a name is none, or stands in both lists or twice.
    """
    trainval = _names(raw / "annotations" / "trainval.txt")
    test = _names(raw / "annotations" / "test.txt")
    twice = sorted(name for name, times in Counter(trainval + test).items() if times > 1)
    if twice:
        raise InputError(
            f"{raw}/annotations: {len(twice)} names stand more than once in trainval.txt and test.txt "
            f"({', '.join(twice[:5])}): a test picture must not be trained on; remove the doubles"
        )
    splits = {
        "train": [name for i, name in enumerate(trainval) if i % VALIDATION_EVERY],
        "valid": trainval[::VALIDATION_EVERY],
        "test": test,
    }
    for split, names in splits.items():
        if not names:
            raise InputError(
                f"{raw}/annotations: the {split} set is empty; trainval.txt needs at least 2 names and test.txt 1 "
                "(of a folder of your own about a fifth of the names goes to test.txt): add samples"
            )
    breeds = (raw / "annotations" / "list.txt").is_file()
    return [_sample(raw, name, split, breeds) for split in SPLITS for name in splits[split]]


def _sample(raw: Path, name: str, split: str, breeds: bool) -> Sample:
    return Sample(
        name=name,
        split=split,
        group=name.rpartition("_")[0] if breeds else "",
        picture=raw / "images" / f"{name}.jpg",
        mask=raw / "annotations" / "trimaps" / f"{name}.png",
    )


def name_fault(name: str) -> str | None:
    """Why ``name`` cannot be the name of a sample, which becomes that of files; None where it can."""
    if "/" in name or "\\" in name or name in (".", ".."):
        return "leads to another folder"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "holds characters that are not printed"
    if len(name.encode()) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    return None


def _names(path: Path) -> list[str]:
    """First word of each line, comments and blank lines left out."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a regular file")  # a pipe would be waited for
        if path.stat().st_size > LARGEST_LIST:
            raise OSError(f"larger than {LARGEST_LIST:,} bytes")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); run 'dvc repro download' again") from None
    names = [line.split(maxsplit=1)[0] for line in lines if line.strip() and not line.startswith("#")]
    for name in names:
        if fault := name_fault(name):
            raise InputError(f"{path}: the name {name[:40]!r} {fault}; give its files and the list another one")
    return names
