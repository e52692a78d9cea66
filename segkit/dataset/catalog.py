"""The samples of a raw data set, and the split of each.

All sources have the layout of Oxford-IIIT Pet, so one reader serves them: ``images/NAME.jpg``, ``annotations/`` with
``trainval.txt`` and ``test.txt``, and the masks: ``trimaps/`` (1 pet, 2 background, 3 border), or ``masks/`` of a
user's own folder (0 background, else foreground).
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from segkit.base.errors import InputError
from segkit.base.names import name_fault

SPLITS = ("train", "valid", "test")
LARGEST_LIST = 2**28  # bytes, ten million names


@dataclass(frozen=True)
class Sample:
    """One image with its mask, a trimap or not; ``group`` is the breed, or empty without a ``list.txt``."""

    name: str
    split: str
    group: str
    picture: Path
    mask: Path
    trimap: bool = True


def read_catalog(raw: Path, valid_every: int) -> list[Sample]:
    """All samples that ``trainval.txt`` and ``test.txt`` name, training first, then validation, then test.

    ``test.txt`` is the test set; of ``trainval.txt``, in file order, every ``valid_every``-th entry starting with the
    first is validation, the rest training. Whether the files exist is not checked here. Raises InputError if a list is
    missing, empty or not a text file, or a name is invalid or listed more than once.
    """
    own = (raw / "annotations" / "masks").is_dir()
    trainval, test = (_names(raw / "annotations" / file, own) for file in ("trainval.txt", "test.txt"))
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
                f"{raw}/annotations: the {split} set is empty; trainval.txt needs at least 2 names and test.txt 1 "
                "(for your own folder data.folder.test_share sets the share): add samples, or change that share"
            )
    breeds = (raw / "annotations" / "list.txt").is_file()
    return [_sample(raw, name, split, breeds, own) for split in SPLITS for name in splits[split]]


def _sample(raw: Path, name: str, split: str, breeds: bool, own: bool) -> Sample:
    return Sample(
        name=name,
        split=split,
        group=name.rpartition("_")[0] if breeds else "",
        picture=raw / "images" / f"{name}.jpg",
        mask=raw / "annotations" / ("masks" if own else "trimaps") / f"{name}.png",
        trimap=not own,
    )


def _names(path: Path, whole_lines: bool) -> list[str]:
    """The names of a list, one per line: whole lines, or first words without comments and blank lines."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a regular file")  # reading a named pipe would block
        if path.stat().st_size > LARGEST_LIST:
            raise OSError(f"larger than {LARGEST_LIST:,} bytes")
        lines = path.read_text(encoding="utf-8" if whole_lines else "utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason}); run 'dvc repro download' again") from None
    if whole_lines:
        names = lines
    else:
        names = [line.split(maxsplit=1)[0] for line in lines if line.strip() and not line.startswith("#")]
    for name in names:
        if fault := name_fault(name):
            raise InputError(f"{path}: the name {name[:40]!r} {fault}; rename its files and edit the list")
    return names
