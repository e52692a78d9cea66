"""One file per command of ``python -m segkit``: its options, and the call of what it does."""
