"""Small networks run best on one thread; torch's global switches are restored after each test."""

from tests.tiny import quiet_torch  # noqa: F401
