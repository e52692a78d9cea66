"""segkit: train, evaluate, compare and use two networks for binary semantic segmentation."""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """``segkit.load``, imported on its first use: stages do without it, and reading parameters without torch."""
    if name == "load":
        from segkit.inference.model import load

        return load
    raise AttributeError(f"module 'segkit' has no attribute {name!r}")
