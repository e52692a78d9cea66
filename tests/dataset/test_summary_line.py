"""What preprocess says."""

from segkit.dataset.findings import describe, remarks


def summary(**changes):
    """What preprocess returns, as far as its line tells."""
    sizes = {"train": 1800, "valid": 200, "test": 500}
    splits = {name: {"images": images, "windows": images, "foreground": 0.4} for name, images in sizes.items()}
    lists = {
        key: [] for key in ("notes", "vanished", "reversed", "framed", "no_background", "leakage", "contradictions")
    }
    nothing = {"skipped": {}, "duplicates": 0, "best_dice": None}
    return {"size": [64, 96], "splits": splits} | lists | nothing | changes


SOUND = "1,800 train, 200 valid, 500 test at 96x64 px, 40% foreground"


def test_the_line_of_a_sound_set_is_short():
    assert describe(summary(duplicates=3)) == SOUND


def test_remarks_name_the_first_of_what_was_found():
    pairs = [[f"a{i}", "train", f"b{i}", "test"] for i in range(1000)]
    found = summary(skipped={"x": "the file is empty"}, leakage=pairs, contradictions=pairs[:1])
    assert remarks(found) == [
        "skipped: 1 sample (x: the file is empty; all in summary.json)",
        "leakage: 1,000 images in two splits (a0 in train = b0 in test, a1 in train = b1 in test, a2 in train = b2 in "
        "test, ...; all in summary.json)",
        "contradiction: 1 image with two different masks (a0 in train = b0 in test; all in summary.json)",
    ]


def test_remarks_say_what_the_masks_mean_and_what_resizing_costs():
    best = {"mean": 0.741, "worst": 0.519, "worst_name": "a7"}
    found = summary(
        notes=["masks hold 0 and 255"], best_dice=best, vanished=["a1"], skipped={"a1": "lost"}
    )  # named once
    assert remarks(found) == [
        "masks hold 0 and 255",
        "best possible Dice at 96x64 px: 0.74, worst 0.52 (a7)",
        "1 of 2,501 masks lose all foreground at 96x64 px (a1); raise preprocess.size or set preprocess.resize to tile",
    ]


def test_the_line_counts_windows_where_images_were_cut():
    splits = {name: {"images": 2, "windows": 8, "foreground": 0.4} for name in ("train", "valid", "test")}
    assert describe(summary(splits=splits)).startswith("2 train (8 windows), 2 valid (8 windows), 2 test (8 windows)")


def test_remarks_name_masks_that_look_wrong():
    assert remarks(summary(reversed=["a", "b", "c", "d"], no_background=["e"])) == [
        "foreground and background may be reversed: 4 masks (a, b, c, ...; all in summary.json)",
        "no background: 1 mask (e; all in summary.json)",
    ]
