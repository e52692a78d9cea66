"""Learning-rate schedules: ``train.schedule`` names a function of this file.

A schedule is a function of the fraction of ``train.epochs`` that is done, 0 to 1, before every step; it returns the
factor for ``train.lr``. It keeps no state, so that a resumed training needs none.
"""

import math


def constant(progress: float) -> float:
    """The same rate throughout."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 down to 0 (Loshchilov and Hutter, "SGDR", 2017, equation 5, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * progress))
