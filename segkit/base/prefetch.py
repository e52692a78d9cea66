"""Prepare the next items in threads while the caller works on the current one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
Result = TypeVar("Result")


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


def bounded_map(function: Callable[[T], Result], items: Iterable[T], workers: int) -> Iterator[Result]:
    """Results in order, from ``workers`` threads, with at most two items per thread in flight."""
    items = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        pending = deque(pool.submit(function, item) for item in islice(items, 2 * workers))
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, item) for item in islice(items, 1))
                yield result
        finally:
            pool.shutdown(cancel_futures=True)
