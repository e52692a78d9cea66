"""Signals: raised at once, or put off until the work is in a state to be left."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from segkit.base import interrupts
from segkit.base.interrupts import Interrupted


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_signal_is_raised_and_the_former_handlers_come_back(number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught, interrupts.raised():
        send(number)
    assert caught.value.status == 128 + number
    assert signal.getsignal(number) == before


def test_a_deferred_signal_only_marks_and_the_first_one_counts():
    with interrupts.raised(), interrupts.deferred(patient=True) as stop:
        assert stop.number == 0
        send(signal.SIGTERM)
        send(signal.SIGINT)
        assert stop.number == signal.SIGTERM


def test_a_second_signal_acts_at_once():
    with pytest.raises(Interrupted) as caught, interrupts.raised(), interrupts.deferred() as stop:
        send(signal.SIGINT)
        assert stop.number == signal.SIGINT
        send(signal.SIGTERM)
        pytest.fail("the second signal was put off, too")
    assert caught.value.status == 128 + signal.SIGTERM


def test_a_second_signal_ends_a_process_that_had_no_handler_of_its_own():
    code = "import os, signal, time\nfrom segkit.base import interrupts\nwith interrupts.deferred():\n"
    code += "    os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == -signal.SIGTERM


def test_what_was_ignored_stays_ignored_as_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.raised(), interrupts.deferred() as stop:
            send(signal.SIGHUP)
        assert stop.number == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_nothing_is_handled_and_nothing_fails():
    seen = []

    def work() -> None:
        with interrupts.raised(), interrupts.deferred() as stop:
            seen.append(stop.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0]
