"""The table of results and the benchmark of the training loop."""
