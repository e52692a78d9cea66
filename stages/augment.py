"""Write the training plan and its preview: ``python -m stages.augment``."""

from pathlib import Path

from segkit.base.stage import run_stage

KEYS = ("seed", "augment")


def work(params):
    """``data/processed`` to ``data/augmented``."""
    from segkit.augment.preview import augment

    plan = augment(Path("data/processed"), Path("data/augmented"), params.augment, params.seed)
    n, kind = plan.augmented_per_image, params.augment.type
    copies = f"{n} augmented {'copy' if n == 1 else 'copies'} per image ({kind})" if n else "no augmented copies"
    return f"{len(plan):,} samples per epoch, {copies}; see data/augmented/preview.png"


if __name__ == "__main__":
    run_stage("augment", work, KEYS)
