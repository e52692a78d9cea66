"""Small networks run best on one thread; torch's global switches are restored after each test."""

from segkit.training.state import snapshot
from tests.tiny import quiet_torch  # noqa: F401


class Recorder:
    """A saver that keeps the state before the first step and after every step and epoch in memory."""

    def __init__(self) -> None:
        self.states = []

    def due(self) -> bool:
        return True

    def save(self, state) -> None:
        self.states.append(snapshot(state))

    def wait(self) -> None:
        pass
