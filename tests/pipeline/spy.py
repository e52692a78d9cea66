"""Which parameters each stage reads: runs all of them in this process, on parameters that note who looks.

``python -m tests.pipeline.spy`` in a reproduced workspace; the last line printed is a JSON object.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from segkit.base import params, stage
from segkit.base.params import MODEL_NAMES
from tests.pipeline.declarations import declared
from tests.pipeline.scripts import script


def spied(section: Any, read: set[str], prefix: str = "") -> Any:
    """A copy of a section of the parameters that adds the dotted key of every value read to ``read``."""
    kind = type(section)
    names = set(kind.model_fields)

    def getattribute(self: Any, name: str) -> Any:
        value = kind.__getattribute__(self, name)
        if name in names and not isinstance(value, BaseModel):
            read.add(prefix + name)
        if name == "model_dump":
            read.update(prefix + name for name in names)
        return value

    values = {name: getattr(section, name) for name in names}
    fields = {
        name: spied(value, read, f"{prefix}{name}.") if isinstance(value, BaseModel) else value
        for name, value in values.items()
    }
    return type(f"Spied{kind.__name__}", (kind,), {"__getattribute__": getattribute}).model_construct(**fields)


def keys_read(cmd: str) -> list[str]:
    """Run a stage's work and return the keys it read, also those that a model's own recipe inherits."""
    read: set[str] = set()
    stage.refuse_edited = lambda before, keys: None  # it looks at whole sections
    script(cmd)[1](spied(params.load(), read))
    inherited = {key.partition(".")[2] for key in read if key.split(".")[0] in MODEL_NAMES and ".train." in key}
    return sorted(read | inherited)


if __name__ == "__main__":
    print(json.dumps({name: keys_read(stage.cmd) for name, stage in declared(Path()).items()}))
