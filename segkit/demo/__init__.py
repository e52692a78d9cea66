"""A local web page to try trained networks on own pictures."""
