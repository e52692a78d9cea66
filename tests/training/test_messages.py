"""What a training says of itself before and after."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from segkit.base.packed import Split
from segkit.training.distributed import World
from segkit.training.messages import first_lines, last_words, listed
from tests.tiny import small_params

FLIPS = {"augment__type": "flip", "augment__n_aug": 2}  # all that there are


def lines(samples: int, name: str = "unet", processes: int = 1, **changes) -> list[str]:
    """The first lines of a training with so many samples an epoch."""
    params = small_params(**changes)
    recipe = getattr(params, name).train
    world = World(0, processes)
    engine = SimpleNamespace(model=nn.Linear(2, 1), device=torch.device("cpu"), precision="fp32", world=world)
    fit = SimpleNamespace(name=name, engine=engine, recipe=recipe, epoch=0, totals=[])
    return first_lines(fit, Batches(samples, -(-samples // recipe.batch_size)), params).splitlines()


class Batches:
    def __init__(self, samples: int, steps: int) -> None:
        self.plan, self.steps, self.normalizer = range(samples), steps, SimpleNamespace(kind="image")

    def __len__(self) -> int:
        return self.steps


def test_the_first_line_says_how_many_steps_an_epoch_has():
    assert lines(4320, train__batch_size=15) == [
        "unet: 3 parameters, 4,320 samples per epoch in 288 steps, cpu, fp32",
    ]


def test_another_normalisation_than_the_one_set_gets_a_line_before_that_of_few_steps():
    said = "unet: normalised as its pretrained weights need it (image), not as preprocess.normalize says"
    assert lines(40, preprocess__normalize="dataset")[1:] == [said]
    assert lines(36, preprocess__normalize="dataset")[1] == said


def test_ten_steps_are_enough():
    assert len(lines(40)) == 1 and len(lines(36)) == 2


@pytest.mark.parametrize(
    ("samples", "changes", "said"),
    [
        (
            28,
            {"train__batch_size": 15},
            "2 steps per epoch are few; lower train.batch_size (now 15) or raise augment.n_aug",
        ),
        (3, {}, "1 step per epoch is too few; lower train.batch_size (now 4) or raise augment.n_aug"),
        (
            28,
            {"unet__train": {"batch_size": 7}},
            "4 steps per epoch are few; lower unet.train.batch_size (now 7) or raise augment.n_aug",
        ),
        (8, {"train__batch_size": 2}, "4 steps per epoch are few; raise augment.n_aug"),
        (
            12,
            {"augment__type": "flip", "augment__n_aug": 2},
            "3 steps per epoch are few; lower train.batch_size (now 4)",
        ),
        (
            12,
            FLIPS | {"train__batch_size": 2},
            "6 steps per epoch are few; add training images",
        ),
    ],
)
def test_few_steps_get_advice_that_can_be_followed(samples, changes, said):
    assert lines(samples, **changes)[1:] == [f"unet: {said}"]


def test_a_batch_is_not_to_be_smaller_than_the_number_of_processes():
    assert lines(12, processes=4)[1] == "unet: 3 steps per epoch are few; raise augment.n_aug"


def split(*masks: list[int]) -> Split:
    return Split(np.zeros((len(masks), 1, 4, 3), np.uint8), np.array(masks, np.uint8)[:, None])


@pytest.mark.parametrize(
    ("dice", "masks", "said"),
    [
        (0.5, [[0, 0, 0, 1]], ""),
        (0.4, [[0, 0, 0, 1]], "; no better than predicting everything (Dice 0.4000)"),
        (0.67, [[255, 0, 255, 1]], ""),
        (0.66, [[255, 0, 255, 1]], "; no better than predicting everything (Dice 0.6667)"),
        (0.5, [[0, 0, 0, 0], [0, 0, 0, 1]], "; no better than predicting nothing (Dice 0.5000)"),
        (1.0, [[255] * 4], "; no better than predicting nothing (Dice 1.0000)"),
    ],
)
def test_the_last_line_says_if_no_network_is_needed(dice, masks, said):
    assert last_words(dice, split(*masks)) == said


def test_a_list_of_names_is_short_and_names_each_once():
    assert listed(["b", "a", "b"]) == "b, a"
    assert listed([str(number) for number in range(20)]).endswith(", 14, 15 and 4 more")
