"""Which images are for training, validation and test: exact numbers, whole groups, or lists."""

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from segkit.base.errors import InputError, brief, few
from segkit.base.params import FolderSplit

LARGEST_LIST = 2**26  # bytes
LEAST = {"test": 2, "valid": 1, "train": 2}  # images
SPLIT_WORDS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
CANDIDATES = (r"^(.+)/[^/]+$", r"^(.+)_[^_/]+$", r"^(.+)-[^-/]+$", r"^(.+)\.[^./]+$", r"^(.+) [^ /]+$")


def groups_of(names: Iterable[str], pattern: str) -> dict[str, str]:
    """The group of each name: what the parentheses of ``pattern`` capture; "" without a pattern.

    Raises InputError for names without a group.
    """
    if not pattern:
        return dict.fromkeys(names, "")
    found = {name: re.search(pattern, name) for name in names}
    groups = {name: (hit[1] or "") if hit else "" for name, hit in found.items()}
    if without := [name for name, group in groups.items() if not group]:
        raise InputError(
            f"data.folder.group: {brief(repr(pattern))} captures nothing in {len(without):,} of {len(groups):,} names "
            f"({few(without)}); change it so that every name has a group"
        )
    return groups


def assign(
    groups: Mapping[str, str], split: FolderSplit, folder: Path, aliases: Mapping[str, str], without: Collection[str]
) -> dict[str, str]:
    """The split of each name.

    ``groups``: the group of each name, or "". A share is that part of all names, rounded, in the order of the SHA-256
    of the name; with groups, of whole groups that come as close to it as possible without exceeding it. A list is a
    file below ``folder``. ``aliases``: what a list may write for a name. ``without``: images without a mask, which
    lists may name. Raises InputError if the sets would be too small, and for lists that do not fit.
    """
    splits: dict[str, str] = {}
    for kind in ("test", "valid"):
        value = getattr(split, kind)
        if isinstance(value, str):
            for name in _listed(folder, kind, value, aliases, without):
                if name in splits:
                    raise InputError(f"data.folder.split: {brief(name)} is in the lists of both test and valid")
                splits[name] = kind
    _refuse_divided(groups, splits)
    for kind in ("test", "valid"):
        if not isinstance(getattr(split, kind), str):
            free = {name: group for name, group in groups.items() if name not in splits}
            number = max(LEAST[kind], round(getattr(split, kind) * len(groups)))
            later = 1 + (kind == "test" and not isinstance(split.valid, str))
            splits |= dict.fromkeys(_choose(free, number, later), kind)
    splits |= dict.fromkeys(groups.keys() - splits.keys(), "train")
    _refuse_small(splits, groups, split)
    return splits


def _by_hash(texts: Iterable[str]) -> list[str]:
    return sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())


def _choose(free: Mapping[str, str], number: int, later: int) -> list[str]:
    """``number`` of the names, or whole groups of about so many that leave ``later`` groups for other sets."""
    if not any(free.values()):
        return _by_hash(free)[:number]
    members = defaultdict(list)
    for name, group in free.items():
        members[group].append(name)
    ordered = _by_hash(members)
    # Taking the large ones first leaves more groups.
    for order in (ordered, sorted(ordered, key=lambda group: -len(members[group]))):
        chosen = _closest({group: len(members[group]) for group in order}, number)
        if chosen and len(members) - len(chosen) >= later:
            break
    else:
        chosen = [min(ordered, key=lambda group: len(members[group]))] if len(members) > later else []
    return [name for group in chosen for name in members[group]]


def _closest(sizes: Mapping[str, int], number: int) -> list[str]:
    """The groups whose sum of sizes is the largest that does not exceed ``number``, early ones where there is a choice.

    Bit ``s`` of ``reached`` is set if some groups so far have the sum ``s``, so each sum is looked at once.
    """
    reached, last = 1, {}
    for group, size in sizes.items():
        new = (reached << size) & ((2 << number) - 1) & ~reached
        reached |= new
        while new:
            total = new.bit_length() - 1
            last[total] = group
            new ^= 1 << total
        if number in last:
            break
    total, chosen = reached.bit_length() - 1, []
    while total:
        chosen.append(last[total])
        total -= sizes[last[total]]
    return chosen


def _refuse_divided(groups: Mapping[str, str], splits: Mapping[str, str]) -> None:
    """Refuse groups of which a list takes a part."""
    kinds = defaultdict(set)
    for name, group in groups.items():
        kinds[group].add(splits.get(name, "train"))
    if divided := sorted(group for group, found in kinds.items() if group and len(found) > 1):
        raise InputError(
            f"data.folder.split: the lists divide {len(divided):,} groups of data.folder.group between splits "
            f"({few(divided)}); list all images of a group or none"
        )


def _refuse_small(splits: Mapping[str, str], groups: Mapping[str, str], split: FolderSplit) -> None:
    counts = Counter(splits.values())
    small = [kind for kind, least in LEAST.items() if counts[kind] < least]
    if not small:
        return
    sizes = f"{counts['train']} for training, {counts['valid']} for validation and {counts['test']} for the test set"
    start = f"data.folder: {len(splits)} image{'s' * (len(splits) != 1)} with masks"
    least = "at least 2 for training, 1 for validation and 2 for the test set are needed"
    if number := len({group for group in groups.values() if group}):
        raise InputError(
            f"{start} in {number} group{'s' * (number != 1)} give {sizes}; {least}, and at least 3 groups: add images, "
            "or change data.folder.group or data.folder.split"
        )
    shares = [value for value in (split.test, split.valid) if not isinstance(value, str)]
    if len(shares) < 2:
        raise InputError(f"{start} give {sizes}; {least}: add images, or change data.folder.split")
    fewest = sum(LEAST.values())
    if len(splits) < fewest:
        raise InputError(f"{start} are too few: {least}; add {fewest - len(splits)} or more")
    # The shares leave a tenth, less up to one image for rounding, so 30 images are always enough.
    needed = 1 + max(n for n in range(30) if n - sum(_numbers(split, n)) < LEAST["train"])
    raise InputError(
        f"{start} are too few for data.folder.split, which needs at least {needed}: add images, or lower the shares"
    )


def _numbers(split: FolderSplit, images: int) -> list[int]:
    return [max(LEAST[kind], round(getattr(split, kind) * images)) for kind in ("test", "valid")]


def _listed(folder: Path, kind: str, file: str, aliases: Mapping[str, str], without: Collection[str]) -> Sequence[str]:
    """The names that a list holds, one per line, without comments and blank lines."""
    lines = [unicodedata.normalize("NFC", line.strip()) for line in _lines(folder, kind, file)]
    read = [line for line in lines if line and (not line.startswith("#") or line in aliases)]
    written = {line: line.replace("\\", "/").removeprefix("./") for line in read}
    key = f"data.folder.split.{kind}: {brief(file)}"
    if unknown := [line for line in read if written[line] not in aliases]:
        raise InputError(
            f"{key} names {len(unknown):,} images that do not exist or are ambiguous ({few(unknown)}); write one "
            f"name per line as it is in the folder of images, for example {brief(min(aliases))}"
        )
    names = [aliases[written[line]] for line in read]
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise InputError(
            f"{key} names {len(repeated):,} images more than once ({few(repeated)}); remove the repetitions"
        )
    return [name for name in names if name not in without]


def _lines(folder: Path, kind: str, file: str) -> list[str]:
    key = f"data.folder.split.{kind}"
    path = folder / file
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{key}: {brief(file)} is not in the folder of images, {brief(folder)}; put it there")
        if not path.is_file():  # reading a named pipe would block
            raise OSError("no such file")
        if path.stat().st_size > LARGEST_LIST:
            raise OSError(f"larger than {LARGEST_LIST:,} bytes")
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{key}: {brief(path, 300)} cannot be read ({brief(reason)}); write one name per line in UTF-8"
        ) from None


def aliases_of(places: Mapping[str, str]) -> dict[str, str]:
    """What may stand for each name: the name, its place (with an ending), and either without folders if that is
    unambiguous. ``places``: the place of each name."""
    short: dict[str, set[str]] = defaultdict(set)
    for name, place in places.items():
        for text in (place, name.rpartition("/")[2], place.rpartition("/")[2]):
            short[text].add(name)
    return {text: next(iter(names)) for text, names in short.items() if len(names) == 1} | {
        name: name for name in places
    }


def grouped_names(
    names: Sequence[str], splits: Mapping[str, str], feasible: Callable[[dict[str, str]], bool]
) -> str | None:
    """A note if names without groups look grouped, by sub-folder or by what is before the last separator.

    ``feasible``: whether groups can be divided into splits.
    """
    notes = []
    for pattern in CANDIDATES:
        found = [re.search(pattern, name) for name in names]
        groups = {name: hit[1] for name, hit in zip(names, found, strict=True) if hit}
        sizes = Counter(groups.values())
        if not all(found) or not 2 <= len(sizes) <= len(names) / 2:
            continue
        if SPLIT_WORDS.issuperset(map(str.lower, sizes)):
            return (
                f"names begin with {' and '.join(sorted(sizes))}, but the splits do not follow them; to use these, "
                "list the names of the test set in a file and set data.folder.split.test to it, and likewise valid"
            )
        kinds = defaultdict(set)
        for name, group in groups.items():
            kinds[group].add(splits[name])
        divided = sum(len(kind) > 1 for kind in kinds.values())
        note = (
            f"names look like {len(sizes):,} groups of about {round(len(names) / len(sizes))} ({few(sorted(sizes))}), "
            f"and {divided:,} of them are in more than one split; if images of a group show the same person or object, "
        )
        if divided and feasible(groups):
            return f"{note}set data.folder.group to '{pattern}'"
        notes += [f"{note}the scores say too little; data.folder.group can keep them apart with more groups"] * (
            divided > 0
        )
    return notes[0] if notes else None
