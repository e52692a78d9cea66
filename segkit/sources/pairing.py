"""Join images and masks by one given rule."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from segkit.sources.patterns import FILE, NAME, File, Form, Rule, fold

Keyed = tuple[str, File]


class Files(NamedTuple):
    """The files of both sides; ``same`` if they are the same files, of which some are images and some are masks."""

    images: Sequence[File]
    masks: Sequence[File]
    same: bool


@dataclass
class Match:
    """What a rule makes of the files. ``twice``: files of one side with one key, which therefore are in no pair.
    ``flat``: names were compared without their sub-folders."""

    rule: Rule
    flat: bool = False
    pairs: list[tuple[File, tuple[File, ...]]] = field(default_factory=list)
    twice: list[tuple[File, File]] = field(default_factory=list)
    images_left: list[File] = field(default_factory=list)
    masks_left: list[File] = field(default_factory=list)

    @property
    def pattern(self) -> str:
        """The rule as ``data.folder.match`` takes it; it has none for double endings of several kinds."""
        if self.rule.image.text != FILE:
            return self.rule.text
        endings = {(image.ending, mask.ending) for image, (mask,) in self.pairs}
        return "".join(f"{NAME}{image} -> {NAME}{image}{mask}" for image, mask in endings) if len(endings) == 1 else ""

    @property
    def text(self) -> str:
        """The rule, for messages."""
        return (self.pattern or "{name}.ENDING -> {name}.ENDING.ENDING") + ", without sub-folders" * self.flat

    @property
    def found(self) -> int:
        """Images for which the rule finds masks, also where it finds too many."""
        return len(self.pairs) + len(self.twice)


def by_rule(rule: Rule, files: Files, flat: bool = False) -> Match:
    """The pairs by one rule alone."""
    if rule.mask.open:
        return pair_open(rule, files, flat)
    return pair_keyed(rule, files, _keyed(rule.image, files.images), _keyed(rule.mask, files.masks), flat)


def _keyed(form: Form, files: Iterable[File]) -> list[Keyed]:
    return [(key, file) for file in files if (key := form.key(file)) is not None]


def last_part(key: str, flat: bool) -> str:
    """A key without regard to case, and for ``flat`` to folders."""
    return fold(key.rpartition("/")[2] if flat else key)


def pair_keyed(rule: Rule, files: Files, images: list[Keyed], masks: list[Keyed], flat: bool) -> Match:
    """Join two sides by their keys."""
    if files.same and rule.mask.text == NAME:
        taken = {file.path for _, file in images} if rule.image.text != FILE else set()
        masks = [(key, file) for key, file in masks if file.path not in taken]
    elif files.same:
        taken = {file.path for _, file in masks}
        images = [(key, file) for key, file in images if file.path not in taken]
    result = Match(rule, flat)
    classes = _classes(images, flat)
    for name, found in _classes(masks, flat).items():
        if name in classes:
            _join(result, classes[name], found)
    return _with_leftovers(result, files, {file.path for _, file in masks})


def _classes(keyed: Iterable[Keyed], flat: bool) -> dict[str, list[Keyed]]:
    """By key without regard to case, or for ``flat`` by the last part of it."""
    classes: dict[str, list[Keyed]] = defaultdict(list)
    for key, file in keyed:
        classes[last_part(key, flat)].append((key.rpartition("/")[2] if flat else key, file))
    return classes


def _join(result: Match, images: list[Keyed], masks: list[Keyed]) -> None:
    """Pair files whose keys are equal, or differ only in case where that leaves one possibility."""
    many = result.rule.mask.many
    if len({key for key, _ in images}) == 1 and (many or len({key for key, _ in masks}) == 1):
        groups = [(images, masks)]
    else:
        keys = sorted({key for key, _ in images} & {key for key, _ in masks})
        groups = [([each for each in images if each[0] == key], [m for m in masks if m[0] == key]) for key in keys]
    for own, found in groups:
        own_files, found_files = [file for _, file in own], [file for _, file in found]
        if len(own) > 1:
            result.twice.append((own_files[0], own_files[1]))
        elif len(found) > 1 and not many:
            result.twice.append((found_files[0], found_files[1]))
        else:
            result.pairs.append((own_files[0], tuple(found_files)))


def _with_leftovers(result: Match, files: Files, masks: Collection) -> Match:
    """Add what the rule leaves over; of one folder, ``masks`` are the paths that are masks by their name."""
    if result.flat and result.twice:  # 001 of one patient may be 001 of another
        result.pairs, result.twice = [], []
    paired = {image.path for image, _ in result.pairs} | {mask.path for _, found in result.pairs for mask in found}
    left = [file for file in files.images if file.path not in paired]
    if files.same:
        result.images_left = [file for file in left if file.path not in masks or result.rule.mask.text == NAME]
        result.masks_left = [file for file in left if file.path in masks and result.rule.mask.text != NAME]
    else:
        result.images_left = left
        result.masks_left = [file for file in files.masks if file.path not in paired]
    return result


def pair_open(rule: Rule, files: Files, flat: bool) -> Match:
    """Pairs by a rule like ``{name}_*``: a mask belongs to the longest name of an image that it begins with."""
    images = _keyed(rule.image, files.images)
    found = _resolve(rule.mask, images, files.masks, flat)
    if files.same:  # what is a mask of another file is no image
        taken = {file.path for _, file in found}
        images = [(key, file) for key, file in images if file.path not in taken]
        found = _resolve(rule.mask, images, [file for _, file in found], flat)
    result = Match(rule, flat)
    classes = _classes(images, flat)
    for name, masks in _classes(found, flat).items():
        _join(result, classes[name], masks)
    return _with_leftovers(result, files, {file.path for _, file in found})


def _resolve(form: Form, images: list[Keyed], masks: Iterable[File], flat: bool) -> list[Keyed]:
    known = {last_part(key, flat): file.path for key, file in images}
    lengths = sorted({len(key.rpartition("/")[2]) for key, _ in images}, reverse=True)
    found = []
    for file in masks:
        for key in form.keys(file, lengths):
            if known.get(last_part(key, flat), file.path) != file.path:
                found.append((key, file))
                break
    return found
