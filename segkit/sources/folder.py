"""A user's own images and masks: found, matched, split, and copied unchanged.

``segkit.dataset`` decides what the values of images and masks mean.
"""

import os
import re
import shutil
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from segkit.base.errors import InputError, brief, counted, few
from segkit.base.files import visible_files, write_json
from segkit.base.names import name_fault
from segkit.base.params import Folder
from segkit.base.progress import bar
from segkit.base.workspace import user_path
from segkit.sources.advice import no_pair
from segkit.sources.matching import Files, Match, match
from segkit.sources.patterns import ENDINGS, NAME, File
from segkit.sources.splitting import aliases_of, assign, grouped_names, groups_of

# Of JPEG, PNG, GIF, BMP, TIFF and BigTIFF, WebP, PPM and its relatives.
SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM.{4}\0\0\0\0|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP|P[1-6][\s#]", re.DOTALL
)


@dataclass(frozen=True)
class Pair:
    """One image with its masks, which are united where there are several.

    ``name``: place below the folder of images, without ending, NFC, with ``/`` between sub-folders. ``split``: train,
    valid or test. ``group``: what ``data.folder.group`` captures, or empty.
    """

    name: str
    split: str
    group: str
    image: Path
    masks: tuple[Path, ...]


@dataclass(frozen=True)
class Understood:
    """What is in the folders, in words and as pairs in the order of their names."""

    pairs: list[Pair]
    rule: str
    images_without_mask: list[str]
    masks_without_image: list[str]
    other_files: int
    notes: list[str]

    def line(self) -> str:
        """``412 pairs by {name}_mask; 3 images without a mask (a, b, c); 25 other files ignored; ...``"""
        parts = [f"{counted(len(self.pairs), 'pair')} by {brief(self.rule, 200)}"]
        if groups := len({pair.group for pair in self.pairs} - {""}):
            parts.append(f"{groups:,} groups")
        if left := self.images_without_mask:
            parts.append(f"{counted(len(left), 'image')} without a mask ({few(left)})")
        if left := self.masks_without_image:
            parts.append(f"{counted(len(left), 'mask')} without an image ({few(left)})")
        if self.other_files:
            parts.append(f"{counted(self.other_files, 'other file')} ignored")
        return "; ".join(parts + self.notes)


def understand(options: Folder, divide: bool = True) -> Understood:
    """Match the images and masks of ``options`` and split them; reads names and a few bytes, and writes nothing.

    ``divide``: false to put all into the test set, so that one pair is enough. Raises InputError for folders that are
    missing or hold no images, for names that do not match or match by two rules, for invalid names, and for splits or
    groups that are not possible.
    """
    return _understand(options, divide)[0]


def bring(target: Path, options: Folder, seed: int, workers: int) -> str:
    """Copy what matches unchanged to ``target/images`` and ``target/masks``, and list it in ``target/samples.json``.

    ``samples.json``: ``{"samples": [{"name", "split", "group", "image", "masks"}, ...]}`` with paths relative to
    ``target``. Pipes and broken links are listed and not copied, so that preprocessing reports them. Returns where the
    data are from and what was understood. Raises InputError as ``understand``. ``seed``, ``workers``: not used.
    """
    found, places = _understand(options)
    for folder in ("images", "masks"):
        (target / folder).mkdir(parents=True)
    samples = []
    for pair in bar(found.pairs, label="copying", unit="img"):
        image, *masks = copies = [f"images/{places[pair.image]}", *(f"masks/{places[mask]}" for mask in pair.masks)]
        for source, copy in zip((pair.image, *pair.masks), copies, strict=True):
            (target / copy).parent.mkdir(parents=True, exist_ok=True)
            if source.is_file():
                shutil.copyfile(source, target / copy)
        samples.append(asdict(pair) | {"image": image, "masks": masks})
    write_json(target / "samples.json", {"samples": samples})
    return f"from {options.images}: {found.line()}"


def _understand(options: Folder, divide: bool = True) -> tuple[Understood, dict[Path, str]]:
    """What was understood, and the place of each file."""
    folder = user_path(options.images)
    lists = {folder / value for value in (options.split.test, options.split.valid) if isinstance(value, str)}
    files, others = _files(options, lists)
    if files.same and options.match == NAME:
        raise InputError(
            'data.folder.match: "{name}" would make each image its own mask, since images and masks are in one folder; '
            'set it to how names of masks differ, for example "{name}_mask"'
        )
    matched = match(files, options.match)
    if not matched.pairs:
        raise no_pair(files, options.match)
    names, notes = _names(matched), _notes(matched)
    groups, splits = dict.fromkeys(names, ""), dict.fromkeys(names, "test")
    if divide:
        groups = groups_of(names, options.group)
        left = {file.name: file.place for file in matched.images_left if file.name not in names}
        aliases = aliases_of({name: image.place for name, (image, _) in names.items()} | left)
        splits = assign(groups, options.split, folder, aliases, left.keys())
        if not options.group:
            feasible = partial(_works, options=options, folder=folder, aliases=aliases, left=left)
            notes += filter(None, [grouped_names(list(splits), splits, feasible)])
    understood = Understood(
        pairs=[
            Pair(name, splits[name], groups[name], image.path, tuple(mask.path for mask in masks))
            for name, (image, masks) in names.items()
        ],
        rule=matched.text,
        images_without_mask=[file.name for file in matched.images_left],
        masks_without_image=[file.name for file in matched.masks_left],
        other_files=others,
        notes=notes,
    )
    return understood, {file.path: file.place for file in (*files.images, *files.masks)}


def _names(matched: Match) -> dict[str, tuple[File, tuple[File, ...]]]:
    """Pairs by name in the order of the names; with endings if there are both a.png and a.jpg."""
    unique = len({image.name for image, _ in matched.pairs}) == len(matched.pairs)
    return dict(sorted((image.name if unique else image.place, (image, masks)) for image, masks in matched.pairs))


def _notes(matched: Match) -> list[str]:
    masks = sum(len(masks) for _, masks in matched.pairs)
    if masks == len(matched.pairs):
        return []
    return [
        f"{masks:,} masks, those of an image are united; if they are opinions of several people, choose one with "
        "data.folder.match"
    ]


def _works(groups: dict[str, str], options: Folder, folder: Path, aliases: dict, left: dict) -> bool:
    try:
        assign(groups, options.split, folder, aliases, left.keys())
    except InputError:
        return False
    return True


def _files(options: Folder, lists: set[Path]) -> tuple[Files, int]:
    """Images and masks, and how many other files there are. Of a folder in the other one, files have its role only."""
    folders = {key: user_path(getattr(options, key)) for key in ("images", "masks")}
    for key, folder in folders.items():
        if not os.path.isdir(folder):  # False for a name too long, at which Path.is_dir raises
            raise InputError(f"data.folder.{key}: {brief(folder, 300)} is not a folder")
    same = folders["images"].samefile(folders["masks"])
    sides, others = {}, 0
    for key, folder in folders.items():
        inner = folders["masks" if key == "images" else "images"]
        if key == "masks" and same:
            sides[key] = sides["images"]
        else:
            sides[key], ignored = _side(key, folder, inner, lists)
            others += ignored
    return Files(sides["images"], sides["masks"], same), others


def _side(key: str, folder: Path, inner: Path, lists: set[Path]) -> tuple[list[File], int]:
    """The images below a folder in the order of their places, without those in ``inner``; and the number of other files
    without ``lists``."""
    files: dict[str, File] = {}
    endings: Counter[str] = Counter()
    for place in _walk(key, folder, inner):
        path, ending = folder / place, os.path.splitext(place)[1].lower()
        if not _is_image(path, ending):
            endings[ending] += path not in lists
            continue
        file = File(path, unicodedata.normalize("NFC", place))
        for part in (*file.name.split("/"), *filter(None, [file.ending])):
            if fault := name_fault(part):
                raise InputError(f"data.folder.{key}: the name {part[:40]!r} {fault}; rename it")
        if other := files.get(file.place):
            same = f"{str(other.path)!a} and {str(path)!a}"
            raise InputError(f"data.folder.{key}: {same} are one name in two Unicode forms; rename one")
        files[file.place] = file
    if not files:
        kinds = f" ({few([ending or 'no ending' for ending, _ in endings.most_common()])})"
        held = f" but {endings.total():,} other files{kinds}" if endings else ""
        raise InputError(
            f"data.folder.{key}: {brief(folder, 300)} holds no images{held}; save the {key} there as PNG, JPEG or TIFF"
        )
    return [files[place] for place in sorted(files)], endings.total()


def _walk(key: str, top: Path, inner: Path) -> Iterator[str]:
    """Places of files below a folder, without hidden ones; each folder once, also where links lead back to it."""

    def refuse(error: OSError) -> None:
        raise InputError(f"data.folder.{key}: {brief(error.filename, 300)} cannot be read: {error.strerror}")

    for folder, names in visible_files(top, refuse, without=[inner]):
        above = folder[len(str(top)) :].strip("/")
        yield from (f"{above}/{name}".lstrip("/") for name in names)


def _is_image(path: Path, ending: str) -> bool:
    """By its ending, so that damaged files, broken links and pipes are reported later; or by its first bytes."""
    if ending in ENDINGS:
        return True
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would block
            return False
        with open(path, "rb") as file:
            return bool(SIGNATURE.match(file.read(16)))
    except OSError:
        return False
