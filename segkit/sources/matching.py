"""Files to pairs of an image and its masks, by one rule for all names.

A rule is chosen only where it is the only one: files that another rule would pair are a mixture, and refused.
Among rules with equally many pairs the simplest is chosen, in this order: ``{name}``, ``NAME.jpg.png``, an affix of the
masks alone (the shorter first), affixes of both sides. Rules for several masks of an image come after all others.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from segkit.base.errors import InputError, brief
from segkit.sources.patterns import FILE, IMAGES, MASKS, NAME, File, Form, Rule, Words, fold

Keyed = tuple[str, File]
SEPARATORS = ("_", "-", ".", " ")
MOST_FORMS = 4  # forms of images, the most frequent ones, that are tried with ``{name}_*``


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
    def text(self) -> str:
        """The rule, for messages."""
        text = self.rule.text
        if self.rule.image.text == FILE:
            endings = {image.path.suffix for image, _ in self.pairs}, {mask.path.suffix for _, (mask,) in self.pairs}
            if all(map((1).__eq__, map(len, endings))):
                (image,), (mask,) = endings
                text = f"{NAME}{image} -> {NAME}{image}{mask}"
        return text + ", without sub-folders" * self.flat

    @cached_property
    def found(self) -> int:
        """Images for which the rule finds masks."""
        return len(self.pairs) + len(self.twice)


def match(files: Files, pattern: str) -> Match:
    """The pairs by ``pattern``, or for ``auto`` by the one rule that explains all names.

    Raises InputError if two rules are needed, or if two files of one side have one name. A result without pairs is
    possible.
    """
    if pattern == "auto":
        best = _best(files)
    else:
        rule = Rule.parse(pattern)
        best = next((found for flat in (False, True) if (found := by_rule(rule, files, flat)).found), Match(rule))
    if best.twice:
        one, other = best.twice[0]
        raise InputError(
            f"data.folder: {brief(one.place)} and {brief(other.place)} have the same name by the rule {best.text} "
            f"({len(best.twice):,} such cases); rename or remove one of them"
        )
    return best


def by_rule(rule: Rule, files: Files, flat: bool = False) -> Match:
    """The pairs by one rule alone."""
    if rule.mask.open:
        return _pair_open(rule, files, flat)
    return _pair(rule, files, _keyed(rule.image, files.images), _keyed(rule.mask, files.masks), flat)


def _keyed(form: Form, files: Iterable[File]) -> list[Keyed]:
    return [(key, file) for file in files if (key := form.key(file)) is not None]


def _best(files: Files) -> Match:
    """The rule with the most pairs, if no other pairs a file that it leaves over; without sub-folders if no rule that
    compares them gives a pair."""
    images, masks = _by_form(files.images, IMAGES), _by_form(files.masks, MASKS)
    images[Form(FILE)] = [(file.place, file) for file in files.images]
    for flat in (False, True):
        one, several = [], []
        for rule in _candidates(images, masks, flat, files.same):
            (several if rule.mask.many else one).append(_pair(rule, files, images[rule.image], masks[rule.mask], flat))
        first = _most(one)
        if first and not (first.images_left or first.masks_left):
            return first
        if not files.same:
            several += [_pair_open(rule, files, flat) for rule in _open_rules(images, masks)]
        if best := first or _most(several):
            _refuse_mixture(best, [*one, *several])
            if not flat:
                _refuse_misplaced(best)
            return _without_star(best, files)
    return Match(Rule.parse(NAME), images_left=list(files.images), masks_left=list(files.masks))


def _most(matches: Iterable[Match]) -> Match | None:
    found = [each for each in matches if each.found]
    return min(found, key=lambda each: (-each.found, each.rule.order())) if found else None


def _by_form(files: Iterable[File], words: Words) -> dict[Form, list[Keyed]]:
    """Files and their keys by the forms that their names may have."""
    forms: dict[str, Form] = {}  # by the text in lower case; spelled as in the first file
    keyed: dict[Form, list[Keyed]] = defaultdict(list)
    for file in files:
        for text in words.forms(file.name):
            form = forms.setdefault(fold(text), Form(text))
            if (key := form.key(file)) is not None:
                keyed[form].append((key, file))
    return keyed


def _last(key: str, flat: bool) -> str:
    return fold(key.rpartition("/")[2] if flat else key)


def _candidates(images: dict, masks: dict, flat: bool, same: bool) -> list[Rule]:
    """Rules by which at least one image has the key of a mask."""
    forms: dict[str, set[Form]] = defaultdict(set)
    for form, keyed in masks.items():
        for key, _ in keyed:
            forms[_last(key, flat)].add(form)
    rules = {
        (form, other) for form, keyed in images.items() for key, _ in keyed for other in forms.get(_last(key, flat), ())
    }
    return [Rule(*pair) for pair in rules if _is_possible(*pair, same)]


def _is_possible(image: Form, mask: Form, same: bool) -> bool:
    """In one folder an image must not be its own mask, and there ``{name}/*`` would be a guess."""
    if image.text == FILE:
        return mask.text == NAME
    return not (same and (image == mask or mask.text == f"{NAME}/*"))


def _pair(rule: Rule, files: Files, images: list[Keyed], masks: list[Keyed], flat: bool) -> Match:
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
        classes[_last(key, flat)].append((key.rpartition("/")[2] if flat else key, file))
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


def _pair_open(rule: Rule, files: Files, flat: bool) -> Match:
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
    known = {_last(key, flat): file.path for key, file in images}
    lengths = sorted({len(key.rpartition("/")[2]) for key, _ in images}, reverse=True)
    found = []
    for file in masks:
        for key in form.keys(file, lengths):
            if known.get(_last(key, flat), file.path) != file.path:
                found.append((key, file))
                break
    return found


def _open_rules(images: dict[Form, list[Keyed]], masks: dict[Form, list[Keyed]]) -> list[Rule]:
    """``{name}_*`` and the like, also behind a prefix or folder of the masks."""
    frequent = sorted((form for form in images if form.text != FILE), key=lambda form: -len(images[form]))
    heads = [form for form in masks if form.text.endswith(NAME)]
    used = [mark for mark in SEPARATORS if any(mark in file.place for _, file in masks.get(Form(NAME), ()))]
    return [
        Rule(image, Form(f"{head.text}{mark}*"))
        for image in frequent[:MOST_FORMS]
        for head in sorted(heads, key=lambda form: -len(masks[form]))[:MOST_FORMS]
        for mark in used
    ]


def _without_star(best: Match, files: Files) -> Match:
    """``{name}_L`` in place of ``{name}_*`` if that pairs the same files."""
    masks = [mask for _, found in best.pairs for mask in found]
    if "*" not in best.rule.mask.text or len(masks) != len(best.pairs):
        return best
    ends = Counter(_ending(best.rule.mask, image, mask, best) for image, (mask,) in best.pairs)
    if len(ends) != 1:
        return best
    form = Form(best.rule.mask.text.replace("*", next(iter(ends))))
    narrow = by_rule(Rule(best.rule.image, form), files, best.flat)
    return narrow if narrow.pairs and _paired(narrow) == _paired(best) else best


def _ending(form: Form, image: File, mask: File, best: Match) -> str:
    """The text that ``*`` stands for."""
    if not form.open:
        return mask.name.rpartition("/")[2]
    core = (best.rule.image.key(image) or "").rpartition("/")[2]
    return mask.name.rpartition("/")[2][len(form.text.rpartition("/")[2]) - len(NAME) - 1 + len(core) :]


def _paired(result: Match) -> set[tuple]:
    return {(image.path, *(mask.path for mask in masks)) for image, masks in result.pairs}


def _refuse_mixture(best: Match, others: Iterable[Match]) -> None:
    left = {file.path for file in (*best.images_left, *best.masks_left)}
    more = []
    for other in others:
        pairs = [pair for pair in other.pairs if pair[0].path in left or any(mask.path in left for mask in pair[1])]
        if pairs and left:
            more.append((-len(pairs), other.rule.order(), other, pairs[0]))
    if not more:
        return
    negative, _, other, (image, masks) = min(more, key=lambda each: each[:2])
    image_of, masks_of = (best.pairs or [(best.twice[0][0], best.twice[0][1:])])[0]
    raise InputError(
        f"data.folder: the names follow two rules: {best.found:,} images match by {best.text} "
        f"({brief(image_of.place)}: {brief(masks_of[0].place)}), {-negative:,} by {other.text} "
        f"({brief(image.place)}: {brief(masks[0].place)}); name all masks by one rule, or choose one: set "
        f'data.folder.match to "{best.rule.text}" or to "{other.rule.text}"'
    )


def _refuse_misplaced(best: Match) -> None:
    """Refuse leftovers of both sides that match by name, where only one of the two lies in a sub-folder."""
    rule = best.rule
    if rule.mask.open or not best.images_left or not best.masks_left:
        return
    flat = by_rule(rule, Files(best.images_left, best.masks_left, same=False), flat=True)
    for image, masks in flat.pairs:
        own, other = ({*file.folder.split("/")} - {""} for file in (image, masks[0]))
        if own != other and (own < other or other < own):
            raise InputError(
                f"data.folder: image {brief(image.place)} and mask {brief(masks[0].place)} match by name but are in "
                "different sub-folders, while other pairs are in equal ones; move one of them"
            )
