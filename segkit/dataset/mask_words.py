"""What messages say about the values of masks."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from segkit.base.errors import InputError, few
from segkit.dataset.mask_values import Found

NAMED, MOST = 3, 8  # examples of names and of values
WHITE = 0xFFFFFF

Masks = Sequence[tuple[str, Found]]  # names and values


def refuse_ambiguous(said: str, held: Sequence[tuple[str, tuple[float, ...]]], unit: str) -> None:
    """Raise InputError that lists which masks hold what; no values stands for very many."""
    holders = defaultdict(list)
    for name, values in held:
        holders[values].append(name)
    groups = sorted(holders.items(), key=lambda item: (-len(item[1]), item[0]))
    shown = [
        f"{len(names):,} {'hold' if len(names) > 1 else 'holds'} {listed(values, unit, most=5)} ({few(names)})"
        for values, names in groups[:NAMED]
    ]
    more = [f"{len(groups) - NAMED:,} other combinations"] if len(groups) > NAMED else []
    union = sorted(set().union(*holders))
    ground = WHITE if unit == "colour" and union[0] and WHITE in union else union[0]
    lit = [value for value in union if value != ground] or union
    dark = unit != "colour" or union[0] == 0
    conventions = dark and len(lit) <= MOST and all(len(values) == 2 for values in holders)  # 0 and 1, 0 and 255
    example = listed(lit if conventions else lit[-1:], unit, quote=True).replace(" and ", ", ")
    nonzero = ", or to nonzero if every value but 0 is" if 0 in union else ""
    raise InputError(
        f"data.folder.foreground: {said}, which does not tell what is foreground: {', '.join(shown + more)}; correct "
        f"the masks that are wrong, or set it to the values that are foreground, such as [{example}]{nonzero}; set "
        "data.folder.ignore to values that do not count"
    )


def say(masks: Masks, union: list[float], many: bool, unit: str) -> str:
    """``masks hold 0 and 255``, or ``masks hold 0…255, 33 values``."""
    noun = "palette masks" if unit == "index" else "masks"
    distinct = max(len(union), max(found.distinct for _, found in masks))
    if unit == "colour" and many:
        return f"{noun} hold up to {distinct:,} colours"
    if many:
        union = [min(found.low for _, found in masks), max(found.high for _, found in masks)]
    if many or (unit != "colour" and len(union) > 8):
        return f"{noun} hold {_shown(union[0])}…{_shown(union[-1])}, {distinct:,} values"
    return f"{noun} hold {listed(union, unit)}"


def also(said: str, ignored: Sequence[float], unit: str) -> str:
    """What was said, and which values are ignored."""
    return f"{said}; {listed(ignored, unit)} {'is' if len(ignored) == 1 else 'are'} ignored" if ignored else said


def listed(values: Sequence[float], unit: str, quote: bool = False, most: int = MOST) -> str:
    """``0, 1 and 255``, or colours ``#ff0000``, which YAML needs in quotes."""
    if not values:
        return "more values than that"
    shown = [f"#{int(value):06x}" if unit == "colour" else _shown(value) for value in list(values)[:most]]
    shown = [f"'{text}'" if quote and unit == "colour" else text for text in shown]
    more = [f"{len(values) - most} more"] if len(values) > most else []
    *first, last = shown + more
    return f"{', '.join(first)} and {last}" if first else last


def _shown(value: float) -> str:
    """A number in the fewest digits that give it back, as masks hold 32-bit floats."""
    return str(int(value)) if value == int(value) else str(np.float32(value))


def as_number(value: float | str) -> float:
    """A value of params.yaml as masks hold it: a number, or a colour ``#rrggbb`` as 0xRRGGBB."""
    if isinstance(value, str):
        return int(value[1:], 16)
    return value if value == int(value) else float(np.float32(value))
