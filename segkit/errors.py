"""The one exception that means "the input is at fault, not the program"."""


class InputError(Exception):
    """Bad input, parameters or files.

    The message is one line: what is wrong, where, and how to mend it. Commands print it to stderr and
    leave with exit code 2 (see ``segkit.command``).
    """
