"""The samples of a raw data set, and the split of each.

A data set has one of two layouts. That of Oxford-IIIT Pet: ``images/NAME.jpg`` and ``annotations/`` with
``trainval.txt``, ``test.txt`` and ``trimaps/NAME.png`` (1 pet, 2 background, 3 border). That of a user's own folder:
``samples.json``, which names the files and the split of each sample (``segkit.sources.folder``).
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from segkit.base.errors import InputError, brief
from segkit.base.files import read_json
from segkit.base.names import name_fault
from segkit.base.validation import FROM_LIST, Section, validate
from segkit.base.values import Text

SPLITS = ("train", "valid", "test")
LARGEST_LIST = 2**28  # bytes, ten million names


@dataclass(frozen=True)
class Sample:
    """One image with its mask, which several files may make up; ``group`` is the breed, the patient, or empty.

    ``trimap``: whether the mask is one of Oxford-IIIT Pet, and not a user's own. ``page``: of files with several.
    """

    name: str
    split: str
    group: str
    picture: Path
    masks: tuple[Path, ...]
    trimap: bool = True
    page: int = 0


class Listed(Section):
    """One sample of ``samples.json``; paths are relative to the file."""

    name: Text
    split: Literal["train", "valid", "test"]
    group: Text
    image: Text
    masks: Annotated[tuple[Text, ...], FROM_LIST, Field(min_length=1)]


class Listing(Section):
    """``samples.json``."""

    samples: Annotated[tuple[Listed, ...], FROM_LIST]


def read_catalog(raw: Path, valid_every: int) -> list[Sample]:
    """All samples that ``trainval.txt`` and ``test.txt`` name, training first, then validation, then test.

    ``test.txt`` is the test set; of ``trainval.txt``, in file order, every ``valid_every``-th entry starting with the
    first is validation, the rest training. A user's own folder lists the split of each sample. Whether the files exist
    is not checked here. Raises InputError if a list is missing, empty or not a text file, or a name is invalid or
    listed more than once.
    """
    if (raw / "samples.json").exists():
        return _own_samples(raw)
    trainval, test = (_names(raw / "annotations" / file) for file in ("trainval.txt", "test.txt"))
    repeated = sorted(name for name, times in Counter(trainval + test).items() if times > 1)
    if repeated:
        raise InputError(
            f"{raw}/annotations: {len(repeated)} names are listed more than once in trainval.txt and test.txt "
            f"({', '.join(repeated[:5])}): a test image must not be trained on; remove the duplicates"
        )
    splits = {
        "train": [name for i, name in enumerate(trainval) if i % valid_every],
        "valid": trainval[::valid_every],
        "test": test,
    }
    for split, names in splits.items():
        if not names:
            raise InputError(
                f"{raw}/annotations: the {split} set is empty; trainval.txt needs at least 2 names and test.txt 1; "
                "add samples"
            )
    breeds = (raw / "annotations" / "list.txt").is_file()
    return [_sample(raw, name, split, breeds) for split in SPLITS for name in splits[split]]


def _own_samples(raw: Path) -> list[Sample]:
    path = raw / "samples.json"
    if not path.is_file() or path.stat().st_size > LARGEST_LIST:  # reading a named pipe would block
        raise InputError(f"{path} is not a regular file, or far too large; run 'dvc repro download' again")
    try:
        listed = validate(Listing, read_json(path)).samples
    except ValueError as error:
        raise InputError(f"{path} is damaged ({brief(error, 500)}); run 'dvc repro download' again") from None
    outside = [file for sample in listed for file in (sample.name, sample.image, *sample.masks) if _leaves(file)]
    if outside:
        raise InputError(f"{path}: {brief(repr(outside[0]))} leads out of {raw}; run 'dvc repro download' again")
    repeated = [name for name, times in Counter(sample.name for sample in listed).items() if times > 1]
    if repeated or not listed:
        fault = f"lists {brief(repeated[0])} more than once" if repeated else "lists no sample"
        raise InputError(f"{path} {fault}; run 'dvc repro download' again")
    samples = [
        Sample(s.name, s.split, s.group, raw / s.image, tuple(raw / mask for mask in s.masks), trimap=False)
        for s in listed
    ]
    return sorted(samples, key=lambda sample: SPLITS.index(sample.split))


def _leaves(file: str) -> bool:
    path = PurePosixPath(file)
    return path.is_absolute() or ".." in path.parts or not path.parts


def _sample(raw: Path, name: str, split: str, breeds: bool) -> Sample:
    return Sample(
        name=name,
        split=split,
        group=name.rpartition("_")[0] if breeds else "",
        picture=raw / "images" / f"{name}.jpg",
        masks=(raw / "annotations" / "trimaps" / f"{name}.png",),
    )


def _names(path: Path) -> list[str]:
    """The names of a list: the first word of each line, without comments and blank lines."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a regular file")  # reading a named pipe would block
        if path.stat().st_size > LARGEST_LIST:
            raise OSError(f"larger than {LARGEST_LIST:,} bytes")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason}); run 'dvc repro download' again") from None
    names = [line.split(maxsplit=1)[0] for line in lines if line.strip() and not line.startswith("#")]
    for name in names:
        if fault := name_fault(name):
            raise InputError(f"{path}: the name {name[:40]!r} {fault}; rename its files and edit the list")
    return names
