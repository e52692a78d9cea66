"""The README's numbers are the committed metrics', links point to existing files, and figures are small."""

import json
import re
from pathlib import Path

import pytest

from segkit.evaluation.scores import SCORES
from segkit.reporting.results import results
from tests.pipeline.declarations import leaves, read_yaml
from tools.reference import PAGES as PAGES_MADE

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_readme_shows_the_table_of_the_committed_metrics():
    table = [line for line in results(ROOT / "metrics").splitlines() if line.startswith("|")]
    assert len(table) == 8
    assert "\n".join(table) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_compares_with_the_committed_metrics():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^metrics/(\w+)\.json +(\w+) +([\d.]+) +([\d.]+) +(-?[\d.]+)$", readme, re.MULTILINE)
    assert len(rows) == 10
    for name, key, before, after, change in rows:
        committed = json.loads((ROOT / f"metrics/{name}.json").read_text())
        assert float(before) == pytest.approx(committed[key], abs=5.1e-6), (name, key)
        assert float(change) == pytest.approx(float(after) - float(before), abs=1.1e-5), (name, key)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_figures_load_fast():
    assert {path.name for path in (ROOT / "docs/images").iterdir() if path.stat().st_size > 300_000} == set()


@pytest.mark.parametrize("file", PAGES_MADE)
def test_the_reference_is_what_the_code_says(file: str):
    found = (ROOT / "docs/reference" / file).read_text(encoding="utf-8")
    assert found == PAGES_MADE[file](), "run: python -m tools.reference"


def test_every_parameter_and_every_score_is_in_the_reference():
    keys = {key.rpartition(".")[2] for key in leaves(read_yaml(ROOT / "params.yaml"))}
    parameters = (ROOT / "docs/reference/params.md").read_text(encoding="utf-8")
    assert {key for key in keys if not re.search(rf"`[\w.]*\b{key}`", parameters)} == set()
    metrics = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    assert {score.__name__ for score in SCORES if f"`{score.__name__}`" not in metrics} == set()
