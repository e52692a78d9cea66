"""The command: what it writes, and when it writes nothing."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from segkit.base.files import digest, read_json, write_json
from segkit.cli import main
from tests.dataset.own import disc, scene
from tests.packing import pack
from tests.reporting.page.conftest import ODD, evaluated, write_checkpoint

pytestmark = pytest.mark.slow
PANELS = (
    *("verdict", "scores", "distribution", "paired", "gallery", "boundary", "probabilities", "slices", "mistakes"),
    *("training", "data", "cost", "provenance"),
)
VOID = {"meta", "link", "img", "input", "br"}


class Outline(HTMLParser):
    """Tags that are open, headings, and texts of a page; fails on a tag that is closed in the wrong place."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.headings, self.tags, self.words = [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def written(*arguments: str) -> str:
    assert main(["report", "--no-timing", *arguments]) == 0
    with open("reports/index.html", encoding="utf-8") as file:
        return file.read()


@pytest.fixture(scope="module")
def page(project):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        return written()


def test_all_panels_are_there_in_order(page):
    outline = Outline(page)
    assert [values["id"] for tag, values in outline.tags if tag == "section"] == list(PANELS)
    links = [values["href"] for tag, values in outline.tags if tag == "a"]
    assert links == ["#main", *(f"#{panel}" for panel in PANELS)]
    assert outline.headings[0] == 1 and outline.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))


def test_nothing_is_loaded_from_elsewhere(page):
    addresses = [value for _, values in Outline(page).tags for key, value in values.items() if key in ("src", "href")]
    assert not [address for address in addresses if not address.startswith(("#", "data:"))]
    assert "@import" not in page and not re.findall(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_images_and_tables_are_described(page):
    outline = Outline(page)
    pictures = [values for tag, values in outline.tags if tag == "img"]
    assert len(pictures) > 100 and all("alt" in values for values in pictures)
    assert all(values["alt"] for values in pictures if values.get("class") != "layer")
    assert page.count("<table>") == page.count("<caption>") > 10
    assert page.count('<div role="img" aria-label="') == page.count("<svg ") > 12


def test_names_are_shown_as_they_are_and_never_as_html(page):
    assert ODD in Outline(page).words
    assert ODD not in page and "<b>&amp;" not in page


def test_the_same_results_give_the_same_bytes(page, project, monkeypatch):
    monkeypatch.chdir(project)
    assert written() == page


def test_the_page_says_how_to_make_it_again(page):
    assert "python -m segkit report --out reports/index.html --no-timing" in page
    assert "no git repository" in page


def test_seconds_and_memory_are_measured_in_a_process_of_their_own(copy, capsys):
    assert main(["report", "--out", "page.html"]) == 0
    assert capsys.readouterr().out.startswith("page.html: U-Net on 31 test images, ")
    (table,) = re.findall(r"Cost of a prediction</span>.*?</table>", (copy / "page.html").read_text(), re.S)
    parameters, flops, seconds, memory = re.findall(r'class="number">([^<]+)</td>', table)
    assert int(parameters.replace(",", "")) > 10_000 and float(flops) >= 0
    assert 0 < float(seconds) < 10 and 50 < float(memory.replace(",", "")) < 20_000


def test_robustness_is_shown_where_it_was_measured(copy, capsys):
    assert "Robustness is not measured here" in written()
    write_json("reports/robustness.json", {
        "checkpoints": ["a", "b"], "sha256": ["0" * 64, digest("models/unet.safetensors")], "images": 7, "seed": 0,
        "dice": {"clean": [0.1, 0.9], "rotated": [0.2, 0.625]}, "difference_and_half_interval": {},
    })  # fmt: skip
    page = written()
    assert "U-Net loses most by “rotated”. 7 images." in page and "0.6250" in page and "0.2000" not in page
    write_json("reports/robustness.json", read_json("reports/robustness.json") | {"sha256": ["0" * 64, "1" * 64]})
    assert "The robustness file is of other checkpoints." in written()
    write_json("reports/robustness.json", {"dice": {"clean": [0.9]}, "checkpoints": ["models/unet"], "images": 7})
    assert "The robustness file is of other checkpoints." in written()
    write_json("reports/robustness.json", {"dice": {"clean": [0.9, 0.8]}, "sha256": ["0" * 64], "images": 7})
    assert main(["report"]) == 2
    assert "reports/robustness.json is not what benchmarks.robustness --json writes" in capsys.readouterr().err


def test_images_of_a_folder_cut_into_windows(tmp_path, monkeypatch):
    """Names with blanks and of any script, no groups, images of several windows."""
    monkeypatch.chdir(tmp_path)
    images = [(name, np.asarray(scene(disc(n, 70, 50), n)), disc(n, 70, 50).astype(np.uint8)) for n, name in
              enumerate(("猫 & <i>犬", "plain"))]  # fmt: skip
    pack(tmp_path / "data/processed", "tile", (32, 32), valid=images, test=images)
    evaluated(tmp_path, ("unet",), resize="tile")
    outline = Outline(written())
    assert "test_猫 & <i>犬" in outline.words
    assert "The images have no groups such as breeds or patients." in outline.words
    shown = [values for tag, values in outline.tags if tag == "img" and values["alt"].startswith("test_plain")]
    assert (shown[0]["width"], shown[0]["height"]) == ("70", "50")


@pytest.mark.parametrize(("arguments", "fault"), [
    (["--out", "page.htm"], "not the name of a HTML file, NAME.html: 'page.htm'"),
    (["--out", "data"], "not a file to write: 'data'"),
    (["--out", "folder.html"], "not a file to write: 'folder.html'"),
    (["--out", "params.yaml/page.html"], "there is no folder 'params.yaml' to write 'page.html' to"),
    (["--compare", "main"], "--compare main: this folder is no git repository"),
    (["--seed-rev", "main"], "--seed-rev main: this folder is no git repository"),
    (["--defaults", "main"], "--defaults main: this folder is no git repository"),
    (["--robustness", "none.json"], "--robustness none.json: there is no such file"),
])  # fmt: skip
def test_a_wrong_option_is_named_in_one_line(copy, capsys, arguments, fault):
    (copy / "folder.html").mkdir()
    before = sorted(copy.rglob("*"))
    try:
        status = main(["report", "--no-timing", *arguments])
    except SystemExit as exit:
        status = exit.code
    error = capsys.readouterr().err
    assert status == 2 and fault in error and error.count("\n") == 1
    assert sorted(copy.rglob("*")) == before


def test_a_damaged_file_leaves_the_former_page(copy, capsys):
    former = written()
    path = copy / "metrics/scores/unet.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"test": {}}))
    assert main(["report"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (copy / "reports/index.html").read_text(encoding="utf-8") == former
    assert not [file.name for file in (copy / "reports").iterdir() if file.suffix != ".html"]


def test_a_checkpoint_of_another_training_is_refused(copy, capsys):
    write_checkpoint(copy, "unet", seed=1)
    assert main(["report"]) == 2
    assert "unet: the checkpoint does not predict what was evaluated" in capsys.readouterr().err


def test_the_preview_of_the_augmentation_is_shrunk(copy, capsys):
    path = copy / "data/augmented/preview.png"
    path.parent.mkdir()
    Image.new("RGB", (1500, 300), "white").save(path)
    assert 'width="1000" height="200"' in written()
    path.write_bytes(path.read_bytes()[:50])
    assert main(["report"]) == 2
    assert "data/augmented/preview.png cannot be read" in capsys.readouterr().err
