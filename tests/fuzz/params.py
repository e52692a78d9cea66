"""Any bytes as params.yaml."""

from pathlib import Path

import yaml

from segkit.base.errors import InputError
from segkit.base.params import Params, load
from tests.fuzz.target import Target

ROOT = Path(__file__).resolve().parents[2]


def _seeds() -> list[bytes]:
    real = (ROOT / "params.yaml").read_bytes()
    values = yaml.safe_load(real)
    return [real, yaml.safe_dump(values).encode(), yaml.safe_dump(values, default_flow_style=True).encode()]


def _run(content: bytes, folder: Path) -> None:
    path = folder / "params.yaml"
    path.write_bytes(content)
    assert isinstance(load(path), Params)


WORDS = (
    *("---", "...", "%YAML 1.2", "!!binary ", "&a ", "*a", "<<: ", "? ", "- ", ": ", "{}", "[]", "|", ">-", "~"),
    *("1e999", "1_0", "0x1", ".nan", "true", "null", "auto", "dataset", "folder", "lr: 1", "train: ", "unet: "),
)
TARGET = Target(_seeds, _run, InputError, longest=10_000, max_len=8000, memory=1024, words=WORDS)
