"""What to set where no known rule matches the names of images and masks."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from segkit.base.errors import InputError, brief, one_line
from segkit.sources.matching import Files, by_rule, match
from segkit.sources.patterns import MASKS, NAME, File, Form, Rule

LOOKED_AT = 1000  # names of each side
TRIED = 5  # rules
FREQUENT = 0.2  # of the names must have an affix
EXAMPLE = 'set data.folder.match to how they correspond, for example "{name}_mask" or "img_{name} -> mask_{name}"'

Affixes = tuple[str, str]


def no_pair(files: Files, pattern: str) -> InputError:
    """Names of each side, and what to set so that they match, as far as that can be derived."""
    if files.same:
        shown = f"in one folder {_names(files.images)}"
    else:
        shown = f"images {_names(files.images)}, masks {_names(files.masks)}"
    rule = "" if pattern == "auto" else f" by data.folder.match {brief(pattern)}"
    return InputError(f"data.folder: no image matches a mask{rule}: {shown}; {_advice(files)}")


def _names(files: Sequence[File]) -> str:
    more = f", and {len(files) - 3:,} more" if len(files) > 3 else ""
    return ", ".join(brief(file.place, 60) for file in files[:3]) + more


def _advice(files: Files) -> str:
    if not files.same and _look_swapped(files):
        return "the folders look swapped: exchange data.folder.images and data.folder.masks"
    for endings in (False, True):
        if rule := derived(files, endings):
            return f'set data.folder.match to "{rule.text}"'
    return f"{EXAMPLE}; where both are in one folder, their names must differ" if files.same else EXAMPLE


def _look_swapped(files: Files) -> bool:
    """Whether the names of the images are made from those of the masks, with a word for masks."""
    try:
        swapped = match(Files(files.masks, files.images, same=False), "auto")
    except InputError:
        return False
    return _mask_words(swapped.rule.mask.text) > 0 and swapped.found > len(files.images) / 2


def derived(files: Files, endings: bool) -> Rule | None:
    """A rule that pairs at least half of the smaller side, made of texts that many names begin or end with."""
    sides = [_cores(side[:LOOKED_AT], endings) for side in (files.images, files.masks)]
    counts: Counter[tuple[Affixes, Affixes]] = Counter()
    for core, affixes in sides[0].items():
        counts.update((own, other) for own in affixes for other in sides[1].get(core, ()))
    ranked = sorted(
        (pair for pair in counts if not (files.same and pair[0] == pair[1])), key=lambda p: _rank(p, counts)
    )
    for own, other in ranked[:TRIED]:
        rule = Rule(*(Form(f"{prefix}{NAME}{suffix}") for prefix, suffix in (own, other)))
        needed = min(len(files.images), len(files.masks)) / (4 if files.same else 2)
        if len(by_rule(rule, files).pairs) >= max(1, needed) and Rule.parse(one_line(rule.text)) == rule:
            return rule
    return None


def _rank(pair: tuple[Affixes, Affixes], counts: Counter) -> tuple:
    """The most pairs first; then PNG for masks, whole words, few texts at images, words for masks, short affixes."""
    own, other = pair
    lossy = other[1].lower().endswith((".jpg", ".jpeg"))
    torn = sum(prefix[-1:].isalnum() + suffix[:1].isalnum() for prefix, suffix in pair)
    return -counts[pair], lossy, torn, len("".join(own)), -_mask_words("_".join(other)), len("".join(other)), pair


def _mask_words(text: str) -> int:
    return sum(map(MASKS.is_word, re.findall("[A-Z]?[a-z]+|[A-Z]+", text)))


def _cores(files: Sequence[File], endings: bool) -> dict[str, list[Affixes]]:
    """By key, the affixes that leave it: both ends of a name are cut where words, numbers and separators meet."""
    names = [file.place if endings else file.name for file in files]
    prefixes, suffixes = (Counter(part for name in names for part in parts(name)) for parts in (_starts, _ends))
    least = max(1, len(names) * FREQUENT)
    cores = defaultdict(list)
    for name in names:
        folder, slash, base = name.rpartition("/")
        for prefix in (part for part in _starts(name) if prefixes[part] >= least):
            for suffix in (part for part in _ends(name) if suffixes[part] >= least):
                core = base[len(prefix) : len(base) - len(suffix)]
                if len(prefix) + len(suffix) < len(base) and "*" not in prefix + suffix:
                    cores[folder + slash + core].append((prefix, suffix))
    return cores


def _starts(name: str) -> Iterator[str]:
    base = name.rpartition("/")[2]
    return (base[:cut] for cut in _cuts(base)[:-1])


def _ends(name: str) -> Iterator[str]:
    base = name.rpartition("/")[2]
    return (base[cut:] for cut in _cuts(base)[1:])


def _cuts(base: str) -> list[int]:
    kinds = ["0" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in base]
    inner = [i + 1 for i, (one, other) in enumerate(pairwise(kinds)) if one != other and (one, other) != ("A", "a")]
    return [0, *inner, len(base)]
