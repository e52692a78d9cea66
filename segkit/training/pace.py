"""How long an epoch of training takes, and how much of that it waits for data."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from segkit.training.batches import Batch


class Pace:
    """Wall seconds of one epoch's training, over all runs that took part in it: all, and those spent waiting for
    batches. Measured on the host alone, so no step waits for a GPU."""

    def __init__(self, seconds: float = 0.0, data_seconds: float = 0.0) -> None:
        self._seconds, self.data_seconds = seconds, data_seconds
        self._start: float | None = None

    @property
    def seconds(self) -> float:
        """Up to now."""
        return self._seconds + (0.0 if self._start is None else time.perf_counter() - self._start)

    def state(self) -> dict[str, float]:
        """All that ``__init__`` needs."""
        return {"seconds": self.seconds, "data_seconds": self.data_seconds}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time counts inside."""
        self._start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds, self._start = self.seconds, None

    def waiting(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """``batches``; the time until each is there counts as waiting for data."""
        iterator, end = iter(batches), object()
        while True:
            started = time.perf_counter()
            batch = next(iterator, end)
            self.data_seconds += time.perf_counter() - started
            if batch is end:
                return
            yield batch
