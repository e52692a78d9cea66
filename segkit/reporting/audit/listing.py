"""The list of audited samples with a verdict each, for a person to edit; ``data.exclude`` reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.base.files import write_csv
from segkit.dataset.excluded import read_list

COLUMNS = ("verdict", "name", "split", "rank", "contradiction", "flagged", "edited", "reading")


@dataclass(frozen=True)
class Finding:
    """What the audit says about one sample; ``reading``: in words, how mask and prediction differ."""

    name: str
    split: str
    contradiction: float
    flagged: bool
    reading: str


def write_list(path: Path, findings: Sequence[Finding]) -> int:
    """Write ``findings``, the most contradicted first, flagged ones with the verdict ``drop`` and the rest ``keep``.

    Of an existing list stay: verdicts that a person changed, columns that a person added, and the lines of samples that
    are not among ``findings``, because the list leaves them out. The column ``edited`` remembers which verdicts are a
    person's, also when a later audit would give the same. Returns the number of verdicts that stay. Raises InputError
    if that list is faulty.
    """
    rows = read_list(path, "--list") if path.exists() else []
    earlier = {row["name"]: row for row in rows}
    known = {finding.name for finding in findings}
    added = [column for column in (rows[0] if rows else ()) if column not in COLUMNS]
    changed = {name: row["verdict"] for name, row in earlier.items() if _is_edited(row)}
    lines = [
        [changed.get(finding.name, _verdict(finding.flagged)), *_line(finding, rank, finding.name in changed)]
        + [earlier.get(finding.name, {}).get(column, "") for column in added]
        for rank, finding in enumerate(findings, start=1)
    ]
    for row in (row | {"edited": _yes(_is_edited(row))} for row in rows if row["name"] not in known):
        lines.append([row.get(column, "") for column in (*COLUMNS, *added)])
    write_csv(path, [*COLUMNS, *added], lines)
    return len(changed)


def _line(finding: Finding, rank: int, edited: bool) -> list[str]:
    """The columns after the verdict."""
    numbers = (str(rank), f"{finding.contradiction:.4f}", _yes(finding.flagged), _yes(edited))
    return [finding.name, finding.split, *numbers, finding.reading]


def _verdict(flagged: bool) -> str:
    return "drop" if flagged else "keep"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _is_edited(row: dict[str, str]) -> bool:
    """Whether the verdict is not the one that an audit gave, or once was not; all are in a list that no audit wrote."""
    return row.get("edited") == "yes" or not row.get("flagged") or row["verdict"] != _verdict(row["flagged"] == "yes")
