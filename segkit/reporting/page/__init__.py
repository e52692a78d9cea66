"""The report: one page about the trained networks that needs no network, no server and no script to be read."""
