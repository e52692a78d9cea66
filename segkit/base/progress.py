"""Progress bars on a terminal; silence elsewhere, where stages print their own lines."""

import sys
import threading
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

# tqdm's default lock is shared between processes, and a killed process would leak its semaphore
tqdm.set_lock(threading.RLock())


def bar(
    items: Iterable[T] | None = None,
    *,
    label: str,
    total: int | None = None,
    unit: str = "it",
    hidden: bool = False,
    **kwargs,
) -> tqdm:
    """A tqdm bar on stderr, shown only on a terminal and unless ``hidden``, and cleared when it is done."""
    return tqdm(
        items,
        desc=label,
        total=total,
        unit=unit,
        leave=False,
        dynamic_ncols=True,
        disable=hidden or not sys.stderr.isatty(),
        **kwargs,
    )
