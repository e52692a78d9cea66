"""Prepare the next items in a thread while the caller works on the current one."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield ``items`` while a thread prepares up to ``depth`` more.

    An exception in ``items`` is raised here; leaving early ends the thread.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        ready = deque(pool.submit(next, iterator, end) for _ in range(depth))
        try:
            while (item := ready.popleft().result()) is not end:
                ready.append(pool.submit(next, iterator, end))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
