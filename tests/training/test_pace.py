"""The seconds of an epoch, by a clock that the test sets."""

import pytest

from segkit.training import pace
from segkit.training.pace import Pace


class Clock:
    """Stands still until it is told to go on."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def slow_batches(clock, seconds: float, number: int = 3):
    for batch in range(number):
        clock.now += seconds
        yield batch
    clock.now += seconds  # also what it takes to find that there are no more


def test_waiting_for_batches_is_told_from_computing(clock):
    epoch = Pace()
    clock.now += 50  # before it begins
    with epoch.running():
        for _ in epoch.waiting(slow_batches(clock, 2.0)):
            clock.now += 5
    clock.now += 50
    assert (epoch.seconds, epoch.data_seconds) == (4 * 2 + 3 * 5, 4 * 2)


def test_it_goes_on_from_a_state_saved_in_the_middle(clock):
    first, states = Pace(), []
    with first.running():
        for _ in first.waiting(slow_batches(clock, 2.0)):
            clock.now += 5
            states.append(first.state())
    assert states == [{"seconds": 7 * steps, "data_seconds": 2 * steps} for steps in (1, 2, 3)]
    clock.now += 1000
    rest = Pace(**states[1])
    with rest.running():
        for _ in rest.waiting(slow_batches(clock, 2.0, number=1)):
            clock.now += 5
    assert rest.state() == first.state()


def test_time_counts_until_a_failure(clock):
    epoch = Pace()
    with pytest.raises(KeyboardInterrupt), epoch.running():
        clock.now += 3
        raise KeyboardInterrupt
    clock.now += 50
    assert epoch.seconds == 3
