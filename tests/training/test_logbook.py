"""The end of a log on a disk that is full."""

import threading

import pytest

from segkit.training import logbook
from segkit.training.logbook import Logbook


class Full:
    """A writer whose thread fails when it is closed, and then itself."""

    def close(self) -> None:
        thread = threading.Thread(target=self.fail)
        thread.start()
        thread.join()
        self.fail()

    def fail(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_at_the_end_is_one_error_without_a_traceback(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(logbook, "_writer", lambda folder: Full())
    hook = threading.excepthook
    with pytest.raises(OSError, match="No space left") as caught, Logbook(tmp_path, tmp_path / "x.csv", epochs=1):
        pass
    assert caught.value.filename == str(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert threading.excepthook is hook
