"""What messages say about the values of masks."""

from collections import defaultdict
from collections.abc import Sequence

from segkit.base.errors import InputError
from segkit.dataset.mask_values import Found

NAMED = 3
BLACK, WHITE = 0, 0xFFFFFF

Masks = Sequence[tuple[str, Found]]  # names and values


def refuse_ambiguous(said: str, values: dict[str, tuple[float, ...]], unit: str) -> None:
    """Raise InputError that lists which masks hold what."""
    holders = defaultdict(list)
    for name, held in values.items():
        holders[held].append(name)
    groups = sorted(holders.items(), key=lambda item: (-len(item[1]), item[0]))
    shown = [f"{len(names):,} hold {listed(held, unit, most=5)} ({named(names)})" for held, names in groups[:NAMED]]
    more = [f"{len(groups) - NAMED:,} other combinations"] if len(groups) > NAMED else []
    union = set().union(*values.values())
    lit = sorted(union - ({BLACK, WHITE} if unit == "colour" else {min(union)}))
    few = all(len(held) <= 2 for held in values.values())
    example = listed(lit if few else lit[-1:], unit, quote=True).replace(" and ", ", ")
    nonzero = ", or to nonzero if every value but 0 is" if 0 in union else ""
    raise InputError(
        f"data.folder.foreground: {said}, which does not tell what is foreground: {', '.join(shown + more)}; correct "
        f"the masks that are wrong, or set it to the values that are foreground, such as [{example}]{nonzero}; set "
        "data.folder.ignore to values that do not count"
    )


def say(masks: Masks, union: list[float], many: bool, unit: str) -> str:
    """``masks hold 0 and 255``, or ``masks hold 0…255, 33 values``."""
    noun = {"grey": "masks", "index": "palette masks", "colour": "masks"}[unit]
    if unit == "colour" and many:
        return f"{noun} hold up to {max(found.distinct for _, found in masks):,} colours"
    if many or (unit != "colour" and len(union) > 8):
        low, high = min(found.low for _, found in masks), max(found.high for _, found in masks)
        distinct = max(len(union), max(found.distinct for _, found in masks))
        return f"{noun} hold {low:g}…{high:g}, {distinct:,} values"
    return f"{noun} hold {listed(union, unit)}"


def also(said: str, ignored: Sequence[float], unit: str) -> str:
    """What was said, and which values are ignored."""
    return f"{said}; {listed(ignored, unit)} is ignored" if ignored else said


def listed(values: Sequence[float], unit: str, quote: bool = False, most: int = 8) -> str:
    """``0, 1 and 255``, or colours ``#ff0000``, which YAML needs in quotes."""
    shown = [f"#{int(value):06x}" if unit == "colour" else f"{value:g}" for value in list(values)[:most]]
    shown = [f"'{text}'" if quote and unit == "colour" else text for text in shown]
    more = [f"{len(values) - most} more"] if len(values) > most else []
    *first, last = shown + more
    return f"{', '.join(first)} and {last}" if first else last


def named(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def as_number(value: float | str) -> float:
    """A value of params.yaml: a number, or a colour ``#rrggbb`` as 0xRRGGBB."""
    return int(value[1:], 16) if isinstance(value, str) else value
