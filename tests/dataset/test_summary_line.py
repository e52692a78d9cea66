"""What preprocess says in its one line."""

from segkit.dataset.findings import describe


def summary(**changes):
    """What preprocess returns, as far as its line tells."""
    sizes = {"train": 1800, "valid": 200, "test": 500}
    splits = {name: {"images": images, "foreground": 0.4} for name, images in sizes.items()}
    nothing = {"skipped": {}, "leakage": [], "contradictions": [], "duplicates": 0}
    return {"size": [64, 96], "splits": splits} | nothing | changes


SOUND = "1,800 train, 200 valid, 500 test at 96x64 px, 40% foreground"


def test_the_line_of_a_sound_set_is_short():
    assert describe(summary(duplicates=3)) == SOUND


def test_the_line_names_the_first_of_what_was_found():
    pairs = [[f"a{i}", "train", f"b{i}", "test"] for i in range(1000)]
    line = describe(summary(skipped={"x": "the file is empty"}, leakage=pairs, contradictions=pairs[:1]))
    assert line == (
        f"{SOUND}; skipped: 1 samples (x: the file is empty; all in summary.json); leakage: 1,000 images are in two "
        "splits (a0 in train = b0 in test, a1 in train = b1 in test, a2 in train = b2 in test, ...; all in summary.json"
        "); contradiction: 1 images have two different masks (a0 in train = b0 in test; all in summary.json)"
    )
