"""segkit: train, evaluate, compare and use two networks for binary semantic segmentation."""

__version__ = "0.1.0"
