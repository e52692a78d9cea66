"""Files to pairs of an image and its masks, by one rule for all names.

A rule is chosen only where it is the only one: files that another rule would pair are a mixture, and refused.
Among rules with equally many pairs the simplest is chosen, in this order: ``{name}``, ``NAME.jpg.png``, an affix of the
masks alone (the shorter first), affixes of both sides. Rules for several masks of an image come after all others.
"""

from collections import defaultdict
from collections.abc import Iterable

from segkit.base.errors import InputError, brief
from segkit.sources.pairing import Files, Keyed, Match, by_rule, last_part, pair_keyed, pair_open
from segkit.sources.patterns import FILE, IMAGES, MASKS, NAME, File, Form, Rule, Words, fold

SEPARATORS = ("_", "-", ".", " ")
MOST_FORMS = 3  # forms of images, the most frequent ones, that are tried with ``{name}_*``


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


def _best(files: Files) -> Match:
    """The rule with the most pairs, if no other pairs a file that it leaves over; without sub-folders if no rule that
    compares them gives a pair."""
    images, masks = _by_form(files.images, IMAGES), _by_form(files.masks, MASKS)
    images[Form(FILE)] = [(file.place, file) for file in files.images]
    for flat in (False, True):
        one, several = [], []
        for rule in _candidates(images, masks, flat, files.same):
            matched = pair_keyed(rule, files, images[rule.image], masks[rule.mask], flat)
            (several if rule.mask.many else one).append(matched)
        first = _most(one)
        if first and not (first.images_left or first.masks_left):
            return first
        if not files.same:
            rest = files._replace(masks=first.masks_left) if first else files
            several += [pair_open(rule, rest, flat) for rule in _open_rules(images, masks)]
        if best := first or _most(several):
            if not best.twice:
                _refuse_mixture(best, [*one, *several])
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
            form = forms.get(fold(text)) or forms.setdefault(fold(text), Form(text))
            if (key := form.key(file)) is not None:
                keyed[form].append((key, file))
    return keyed


def _candidates(images: dict, masks: dict, flat: bool, same: bool) -> list[Rule]:
    """Rules by which at least one image has the key of a mask."""
    forms: dict[str, set[Form]] = defaultdict(set)
    for form, keyed in masks.items():
        for key, _ in keyed:
            forms[last_part(key, flat)].add(form)
    rules = set()
    for form, keyed in images.items():
        for key, _ in keyed:
            rules.update((form, other) for other in forms.get(last_part(key, flat), ()))
    return [Rule(*pair) for pair in rules if _is_possible(*pair, same)]


def _is_possible(image: Form, mask: Form, same: bool) -> bool:
    """In one folder an image must not be its own mask, and there ``{name}/*`` would be a guess."""
    if image.text == FILE:
        return mask.text == NAME
    return not (same and (image == mask or mask.text == f"{NAME}/*"))


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
    ends = {_ending(best.rule, image, mask) for image, (mask,) in best.pairs}
    if len(ends) != 1 or "*" in "".join(ends):
        return best
    form = Form(best.rule.mask.text.replace("*", *ends))
    narrow = by_rule(Rule(best.rule.image, form), files, best.flat)
    return narrow if narrow.pairs and _paired(narrow) == _paired(best) else best


def _ending(rule: Rule, image: File, mask: File) -> str:
    """The text that ``*`` stands for."""
    base = mask.name.rpartition("/")[2]
    if not rule.mask.open:
        return base
    core = (rule.image.key(image) or "").rpartition("/")[2]
    return base[len(rule.mask.text.rpartition("/")[2]) - len(f"{NAME}*") + len(core) :]


def _paired(result: Match) -> set[tuple]:
    return {(image.path, *(mask.path for mask in masks)) for image, masks in result.pairs}


def _refuse_mixture(best: Match, others: Iterable[Match]) -> None:
    left = {file.path for file in (*best.images_left, *best.masks_left)}
    more = []
    for other in others:
        pairs = [pair for pair in other.pairs if pair[0].path in left or any(mask.path in left for mask in pair[1])]
        if pairs:
            more.append((-len(pairs), other.rule.order(), pairs[0], other))
    if more:
        negative, _, example, other = min(more, key=lambda each: each[:2])
        patterns = [f'"{each.pattern}"' for each in (best, other) if each.pattern]
        raise InputError(
            f"data.folder: the names follow two rules: {best.found:,} images match by {best.text} "
            f"({_shown(best.pairs[0])}), {-negative:,} by {other.text} ({_shown(example)}); name masks by one rule, "
            f"or set data.folder.match to the right one, {' or '.join(patterns)}"
        )


def _shown(pair: tuple[File, tuple[File, ...]]) -> str:
    return f"{brief(pair[0].place)} and {brief(pair[1][0].place)}"


def _refuse_misplaced(best: Match) -> None:
    """Refuse leftovers of both sides that match by name, where only one of the two lies in a sub-folder."""
    rule = best.rule
    if best.flat or rule.mask.open or not best.images_left or not best.masks_left:
        return
    flat = by_rule(rule, Files(best.images_left, best.masks_left, same=False), flat=True)
    for image, masks in flat.pairs:
        own, other = ({*file.folder.split("/")} - {""} for file in (image, masks[0]))
        if own != other and (own < other or other < own):
            raise InputError(
                f"data.folder: image {brief(image.place)} and mask {brief(masks[0].place)} match by name but are in "
                "different sub-folders, while other pairs are in equal ones; move one of them"
            )
