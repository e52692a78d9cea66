"""The README's numbers are the committed metrics', links point to existing files, and figures are small."""

import json
import re
from pathlib import Path

import pytest

from segkit.reporting.results import results

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
