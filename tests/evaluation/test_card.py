"""The model card: what it says is in the metadata or the scores, and it is Markdown that renders."""

import re
from typing import get_args

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from segkit.base.params import Data, Evaluate
from segkit.evaluation.card import SOURCES, card
from segkit.evaluation.scores import SCORES, scores
from segkit.models import build
from segkit.models.checkpoint import Checkpoint
from tests.tiny import few, usable

COUNTS = np.array([[40, 10, 5, 45], [30, 20, 10, 40]])
FOUND = {block: scores(COUNTS + number) for number, block in enumerate(("valid", "test", "test_original"))}
UNET = build("unet", width=4)


def written(summary=None, found=None, at: float = 0.5, tta: str = "none", **more) -> str:
    checkpoint = Checkpoint(UNET, usable("unet", {"width": 4}, **more))
    return card("unet", checkpoint, summary or {}, found or FOUND, Evaluate(threshold=at, tta=tta))


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    return [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block] for block in blocks]


def test_the_sections_are_those_that_readers_of_cards_expect():
    text = written()
    assert re.findall("^## (.*)", text, re.MULTILINE) == [
        *("Model details", "Intended use", "How to use it", "Training data", "Training procedure", "Evaluation"),
        *("Limitations", "Licence"),
    ]
    assert "python -m segkit predict models/unet.safetensors PHOTO --out DIR" in text
    assert 'model = segkit.load("unet.safetensors")' in text
    assert f"| parameters | {sum(weight.numel() for weight in UNET.parameters()):,} |" in text


def test_every_score_of_every_block_is_there_with_its_definition():
    found = FOUND | {"test_original_no_border": scores(COUNTS * 2)}
    text = written(found=found, at=0.3)
    (table,) = [table for table in tables(text) if table[0][0].strip() == "score"]
    rows = {name.strip(" `"): [cell.strip() for cell in cells] for name, *cells in table[2:]}
    for score in SCORES:
        assert rows[score.__name__] == [f"{block[score.__name__]:.4f}" for block in found.values()]
        assert re.search(f"^- `{score.__name__}`: .*[a-z]", text, re.MULTILINE)
    assert rows["images"] == ["2"] * 4
    assert "from a probability of 0.3 on" in text
    assert "border: the masks are trimaps, whose border counts as foreground" in text
    assert "border" not in written()


@pytest.mark.parametrize(
    ("source", "pretrained", "licence"),
    [
        ("synthetic", False, "mit"),
        ("synthetic", True, "unknown"),
        ("oxford_pet", False, "unknown"),
        ("folder", False, "unknown"),
        ("mine", True, "unknown"),
        ("synthetic", {"file": "mine.safetensors", "sha256": "a1" * 32}, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_no_licence_and_no_source_is_invented(source, pretrained, licence):
    text, known = written(source=source, pretrained=pretrained), source in ("synthetic", "oxford_pet")
    matter = yaml.safe_load(text.split("---\n")[1])
    found = (matter["license"], matter["library_name"], matter["pipeline_tag"])
    assert found == (licence, "segkit", "image-segmentation")
    assert ("licence of the weights is not recorded" in text) == (licence == "unknown")
    assert ("licence of the training images is not recorded" in text) == (not known)
    assert ("ImageNet" in text) == (pretrained is True)
    assert ("weights in a file of its trainer's own" in text) == isinstance(pretrained, dict)
    assert ("pets" in text) == known


def test_each_source_of_the_settings_has_its_words():
    assert set(get_args(Data.model_fields["source"].annotation)) == set(SOURCES)


def test_what_the_numbers_say_about_limits():
    useless = FOUND["test_original"] | {"dice": 0.2, "dice_of_everything": 0.2}
    summary = {"best_dice": {"mean": 0.91, "worst": 0.5}, "leakage": [["a", "test", "b", "train"]]}
    text = written(summary, FOUND | {"test_original": useless}, input_size=[32, 48])
    assert "no better than a baseline that needs no network** (Dice 0.2000)" in text
    assert "At 48x32 px" in text and "a mean Dice of 0.91" in text
    assert "1 image in two splits" in text
    assert not any(words in written() for words in ("no better", "in two splits", "scaled back"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def test_weights_of_the_trainer_s_own_are_named_by_file_and_content():
    text = written(pretrained={"file": "mine.safetensors", "sha256": "a1" * 32}, encoder_lr=0.1)
    assert "| `pretrained.file` | mine.safetensors |" in text and f"| `pretrained.sha256` | {'a1' * 32} |" in text
    assert "| `encoder_lr` | 0.1 |" in text and "encoder_lr" not in written()


@few
@given(
    st.dictionaries(
        st.sampled_from(
            ["pretrained", "encoder_lr", "train", "samples", "version", "seed", "data_fingerprint", "source"]
        ),
        JSON,
    )
)
def test_any_metadata_renders_as_the_same_tables(more):
    text = written(**more)
    assert [table[0] for table in tables(text)] == [table[0] for table in tables(written())]
    assert all(len(row) == len(table[0]) for table in tables(text) for row in table)
    assert text.replace("\n", "").isprintable()
