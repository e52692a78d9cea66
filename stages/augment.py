"""Write the training plan and its preview: ``python -m stages.augment``."""

from pathlib import Path

from segkit.base.stage import run_stage

KEYS = ("seed", "augment")


def work(params):
    """``data/processed`` to ``data/augmented``."""
    from segkit.augment.preview import augment

    plan = augment(Path("data/processed"), Path("data/augmented"), params.augment, params.seed)
    copies = f"{params.augment.n_aug} {params.augment.type} copies" if params.augment.n_aug else "no copies"
    return f"{len(plan):,} samples an epoch, {copies} a picture; look at data/augmented/preview.png"


if __name__ == "__main__":
    run_stage("augment", work, KEYS)
