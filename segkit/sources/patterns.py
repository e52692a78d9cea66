"""Patterns of file names: ``{name}_mask``, ``mask_{name}``, ``{name}/*``, and the words that make a pattern likely."""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

NAME, FILE = "{name}", "{file}"
ENDINGS = frozenset(
    f".{ending}" for ending in ("jpg", "jpeg", "jpe", "jfif", "png", "gif", "bmp", "tif", "tiff", "webp")
)
ENDINGS |= {".ppm", ".pgm", ".pbm", ".pnm"}
IMAGE_WORDS = "images?|imgs?|im|photos?|pictures?|pics?|sat|frames?|inputs?|rgb|orig(?:inals?)?"
MASK_WORDS = (
    "masks?|msks?|segmentations?|segs?|labels?|lbls?|gts?|ground[ _-]?truths?|annotations?|annots?|anns?|trimaps?"
    "|targets?|truths?|m"
)


@dataclass(frozen=True)
class File:
    """A file: its path, and its place below the folder of images or masks, NFC, with ``/`` between folders."""

    path: Path
    place: str

    @cached_property
    def name(self) -> str:
        """Its place without the ending."""
        return self.place.removesuffix(self.ending)

    @cached_property
    def ending(self) -> str:
        """With the dot; one of digits alone, as in ``scan.001``, belongs to the name."""
        ending = os.path.splitext(self.place)[1]
        return "" if ending[1:].isdigit() or ending == "." else ending

    @property
    def folder(self) -> str:
        """The folders of its place."""
        return self.place.rpartition("/")[0]


@dataclass(frozen=True)
class Form:
    """How names of files are made from ``{name}``: upper and lower case are the same, ``*`` is any text but ``/``.

    A pattern describes the last parts of a place without its ending, or with it where the pattern has one
    (``{name}.jpg``). The key of a file is its place without what the pattern adds: ``a/mask_7`` has the key ``a/7`` in
    ``mask_{name}``. ``{file}`` is the place with its ending.
    """

    text: str

    @property
    def many(self) -> bool:
        """Whether several files may have one key."""
        return "*" in self.text

    @cached_property
    def open(self) -> bool:
        """Whether the end of ``{name}`` is known only from the names that there are, as in ``{name}_*``."""
        head, _, tail = self.text.partition(NAME)
        return "*" in head.rpartition("/")[2] or "*" in tail.partition("/")[0]

    @cached_property
    def _parts(self) -> tuple[str, str, str]:
        """Folder, prefix and tail."""
        head, _, tail = self.text.partition(NAME)
        folder, _, prefix = head.rpartition("/")
        return folder, prefix, tail

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        folder, prefix, tail = map(_glob, self._parts)
        above = rf"((?:.*/)?){folder}/" if folder else "()"
        return re.compile(rf"{above}((?:.*/)?){prefix}([^/]+){tail}", re.IGNORECASE | re.DOTALL)

    def key(self, file: File) -> str | None:
        """The key of a file, None if the pattern does not describe it; for patterns that are not ``open``."""
        if self.text == NAME:
            return file.name
        if self.text == FILE:
            return file.place
        found = self._regex.fullmatch(file.name)
        if not found and has_ending(self.text):
            found = self._regex.fullmatch(file.place)
        return "".join(found.groups()) if found else None

    @cached_property
    def _open_regexes(self) -> tuple[re.Pattern[str], ...]:
        folder, prefix, tail = map(_glob, self._parts)
        flags = re.IGNORECASE | re.DOTALL
        above = rf"((?:.*/)?){folder}/(.*)" if folder else "()(.*)"
        return re.compile(above, flags), re.compile(prefix, flags), re.compile(tail, flags)

    def keys(self, file: File, lengths: Sequence[int]) -> Iterator[str]:
        """What the key of a file may be, where its last part has one of these lengths; in their order."""
        above, prefix, tail = self._open_regexes
        found = above.fullmatch(file.name)
        parts = found[2].split("/") if found else []
        depth = self.text.partition(NAME)[2].count("/") + 1
        if len(parts) < depth:
            return
        base = "/".join(parts[-depth:])
        folders = found[1] + "".join(f"{part}/" for part in parts[:-depth])
        stop = len(parts[-depth])
        fixed = len(self._parts[1])
        starts = range(stop) if "*" in self._parts[1] else [fixed]
        for length in lengths:
            for start in starts:
                end = start + length
                if end > stop or (base[end - 1].isdigit() and base[end : end + 1].isdigit()):
                    continue  # 10_a is no mask of 1
                if prefix.fullmatch(base, 0, start) and tail.fullmatch(base, end):
                    yield folders + base[start:end]


def _glob(text: str) -> str:
    return "[^/]*".join(map(re.escape, text.split("*")))


def has_ending(text: str) -> bool:
    """Whether a name or pattern ends as file names of images do."""
    return f".{text.rpartition('.')[2].lower()}" in ENDINGS


def fold(text: str) -> str:
    """Equal for names that differ in upper and lower case only."""
    return text.casefold()


class Words:
    """Finds the forms that the names of one side may have, by the words that people use."""

    def __init__(self, words: str, many: bool) -> None:
        separator = r"[_\-. ]"
        self._many = many
        self._word = re.compile(rf"(?:{words})", re.IGNORECASE)
        self._prefix = re.compile(rf"(?i:{words})(?:{separator}|(?=\d)|(?<=[a-z])(?=[A-Z]))(?=[^/])")
        self._suffix = re.compile(rf"(?<=.)(?:{separator}|(?<=\d)|(?<=[a-z0-9])(?=[A-Z]))(?i:{words})$")

    def is_word(self, text: str) -> bool:
        """Whether it is one of the words."""
        return bool(self._word.fullmatch(text))

    def forms(self, name: str) -> list[str]:
        """Texts of the forms; the first is ``{name}``."""
        *folders, base = name.split("/")
        affixes = [NAME]
        if (found := self._prefix.match(base)) and found.end() < len(base):
            affixes.append(found[0] + NAME)
        if found := self._suffix.search(base):
            affixes.append(NAME + found[0])
        texts = list(affixes)
        if not folders:
            return texts
        inner = [folder for folder in folders if self.is_word(folder)]
        texts += [f"{inner[-1]}/{affix}" for affix in affixes if inner]
        if self.is_word(base):
            texts.append(f"{NAME}/{base}")
        if len(folders) > 1 and self.is_word(folders[-1]):
            texts.append(f"{NAME}/{folders[-1]}/*")
        if self._many:
            texts.append(f"{NAME}/*")
        return texts


IMAGES, MASKS = Words(IMAGE_WORDS, many=False), Words(MASK_WORDS, many=True)


@dataclass(frozen=True)
class Rule:
    """How the name of a mask follows from that of its image."""

    image: Form
    mask: Form

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """A rule from ``MASK`` or ``IMAGE -> MASK``."""
        image, arrow, mask = unicodedata.normalize("NFC", text).partition(" -> ")
        return cls(Form(image), Form(mask)) if arrow else cls(Form(NAME), Form(image))

    @property
    def text(self) -> str:
        """As in params.yaml."""
        return self.mask.text if self.image.text == NAME else f"{self.image.text} -> {self.mask.text}"

    def order(self) -> tuple[bool, int, int, str]:
        """Simpler rules first: one mask an image, and of these ``{name}``, double endings, an affix of the masks alone,
        then affixes of both sides."""
        kind = 1 if self.image.text == FILE else 0 if self.text == NAME else 2 if self.image.text == NAME else 3
        return self.mask.many, kind, len(self.text), self.text
