"""Every ``-S`` in the documentation works as printed."""

import re
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from segkit.base import params
from tests.pipeline.import_graph import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "params.yaml", *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENTS.remove(ROOT / "docs/how-to/extend.md")  # sets keys that it adds; test_extend.py follows it
DOCUMENTS.remove(ROOT / "docs/reference/commands.md")  # names the option, with a placeholder
SETTING = re.compile(r"(?:-S|--set-param)[ =](?:'([^']+)'|([^\s`'\"]+))")

# One command a line, since its settings are checked together.
SHOWN = [
    pytest.param([quoted or plain for quoted, plain in settings], id=f"{path.relative_to(ROOT)}:{number}")
    for path in DOCUMENTS
    if path.is_file()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    if (settings := SETTING.findall(line))
]


@pytest.mark.parametrize("settings", SHOWN)
def test_shown_settings_are_accepted_by_dvc_and_by_the_stages(settings: list[str], tmp_path: Path):
    copy = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", copy)
    before = params.load(copy)
    # What `dvc exp run -S` does to the file.
    apply_overrides(copy, [setting.rstrip(",") for setting in settings])
    assert params.load(copy) != before or all(_is_default(setting, before) for setting in settings)


def _is_default(setting: str, before: params.Params) -> bool:
    """Whether a setting repeats what params.yaml says already, as the first run of a comparison may."""
    key, _, value = setting.lstrip("+").partition("=")
    section = before
    for name in key.split("."):
        section = getattr(section, name)
    return type(section)(value) == section
