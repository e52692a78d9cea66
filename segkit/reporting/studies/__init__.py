"""Studies: named runs of one file that are queued in DVC, read back from it, and compared."""
