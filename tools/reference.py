"""Write docs/reference/commands.md and stages.md from the command line's parser, the Makefile and dvc.yaml.

    python -m tools.reference
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from segkit.base.params import MODEL_NAMES
from segkit.cli import parser

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs/reference"
MADE = "<!-- Written by `python -m tools.reference`; a test compares. -->"


def commands() -> str:
    """The page of commands, in Markdown."""
    targets = re.findall(r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    sections = [
        "# Commands",
        MADE,
        "## make",
        "`make` builds `.venv` where it is missing, so these work in a fresh clone.",
        _table(("command", "what it does"), [(f"`make {name}`", text) for name, text in targets]),
        "## python -m segkit",
        "Run these in the activated environment (`source .venv/bin/activate`). Exit status: 0 on success; 2 on bad "
        "input, with one line on stderr; 130 after Ctrl-C. `SEGKIT_DEBUG=1` shows the traceback.",
        *(block for name, command in _subcommands(parser()) for block in _command(f"segkit {name}", command)),
    ]
    return "\n\n".join(sections) + "\n"


def stages() -> str:
    """The page of stages: what each reads and writes."""
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    sections = [
        "# Stages",
        MADE,
        "`dvc repro` runs those whose inputs changed; `dvc repro NAME` stops after one. A folder of code is an input "
        "as well: [design](../explanation/design.md#folders-are-dependencies) says why.",
    ]
    for name, body in pipeline["stages"].items():
        if "foreach" in body:
            name, body = f"{name}@NAME", body["do"]
        description = body["desc"].replace("${item}", "NAME")
        rows = [
            ("command", f"`{body['cmd']}`"),
            ("reads", ", ".join(f"`{path}`" for path in map(str, body.get("deps", [])))),
            ("parameters", ", ".join(f"`{key}`" for key in body["params"])),
            ("writes", ", ".join(f"`{path}`{where}" for path, where in _outs(body))),
        ]
        cells = [(label, text.replace("${item}", "NAME").replace("${", "").replace("}", "")) for label, text in rows]
        sections += [f"## {name}", f"{description}.", _table(("", ""), cells)]
    names = " and ".join(f"`{name}`" for name in MODEL_NAMES)
    sections.append(f"`NAME` is {names}. What is not marked as being in git is in DVC's cache.")
    return "\n\n".join(sections) + "\n"


def _outs(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for entry in [*body.get("outs", []), *body.get("metrics", []), *body.get("plots", [])]:
        path, options = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        yield path, " (in git)" if options.get("cache") is False else ""


def _subcommands(command: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            for name, inner in action.choices.items():
                inner.description = inner.description or helps[name]
            return list(action.choices.items())
    return []


def _command(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    inner = _subcommands(command)
    level = "###" if name.count(" ") == 1 else "####"
    yield f"{level} {name}"
    yield f"{command.description[0].upper()}{command.description[1:].rstrip('.')}."
    for below, each in inner:
        yield from _command(f"{name} {below}", each)
    rows = [_option(action) for action in command._actions if not isinstance(action, argparse._SubParsersAction)]
    if rows := [row for row in rows if row]:
        yield _table(("option", "meaning"), rows)


def _option(action: argparse.Action) -> tuple[str, str] | None:
    if isinstance(action, argparse._HelpAction):
        return None
    value = ""
    if action.nargs != 0 and not isinstance(action, argparse.BooleanOptionalAction):
        names = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
        value = " ".join(names) if isinstance(names, tuple) else names
    more = " ..." if action.nargs in ("+", "*") else ""
    written = " ".join(filter(None, [", ".join(action.option_strings), value])) + more
    words = (action.help or "").replace("|", "\\|")
    words += " (required)" * bool(action.option_strings and action.required)
    return f"`{written}`".replace("|", "\\|"), words


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    return "\n".join([f"| {head[0]} | {head[1]} |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows)])


PAGES = {"commands.md": commands, "stages.md": stages}

if __name__ == "__main__":
    for file, page in PAGES.items():
        (REFERENCE / file).write_text(page(), encoding="utf-8")
