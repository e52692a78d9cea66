"""Threads that run ahead: all items in order, no more than a few, and they end when the reader leaves."""

import threading

import pytest

from segkit.base.prefetch import bounded_map, run_ahead


def test_run_ahead_yields_all_in_order():
    assert list(run_ahead(range(20))) == list(range(20))
    assert list(run_ahead([])) == []
    assert list(run_ahead([None, None])) == [None, None]


def test_run_ahead_raises_what_its_items_raise_after_the_items_before_it():
    def items():
        yield 1
        raise ZeroDivisionError("in the thread")

    seen = []
    with pytest.raises(ZeroDivisionError, match="in the thread"):
        for item in run_ahead(items()):
            seen.append(item)
    assert seen == [1]


def test_run_ahead_ends_its_thread_when_the_reader_leaves():
    before = set(threading.enumerate())
    reader = run_ahead(iter(int, 1))  # zeros for ever
    assert next(reader) == 0
    assert len(set(threading.enumerate()) - before) == 1
    reader.close()
    assert set(threading.enumerate()) == before


def test_run_ahead_ends_its_thread_when_the_reader_fails():
    before = set(threading.enumerate())
    with pytest.raises(KeyError):
        for _ in run_ahead(iter(int, 1)):
            raise KeyError
    assert set(threading.enumerate()) == before


def test_run_ahead_does_not_run_away():
    taken = []
    reader = run_ahead((taken.append(i) or i for i in range(100)), depth=2)
    for item in range(10):
        assert next(reader) == item
        assert len(taken) <= item + 1 + 2 + 1  # read, waiting in the queue, in the hand of the thread
    reader.close()


def test_nothing_starts_before_the_first_item_is_asked_for():
    before = set(threading.enumerate())
    reader = run_ahead(iter(int, 1))
    assert set(threading.enumerate()) == before
    reader.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_than_two_items_a_worker_are_in_flight(workers):
    taken = most = 0

    def items():
        nonlocal taken
        for item in range(50):
            taken += 1
            yield item

    results = []
    for given, result in enumerate(bounded_map(lambda item: item * item, items(), workers), start=1):
        most = max(most, taken - given)
        results.append(result)
    assert sorted(results) == [item * item for item in range(50)]
    assert most <= 2 * workers


def test_a_bug_in_a_worker_is_raised_and_its_threads_end():
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(bounded_map(lambda item: 1 // item, iter([1, 0, 1]), 2))
    assert threading.active_count() == before
