"""Long, coverage-guided runs over everything that reads bytes from outside: ``python -m tests.fuzz``."""
