"""The list of audited samples with a verdict each, for a person to edit; ``data.exclude`` reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.base.files import write_csv
from segkit.dataset.excluded import read_list

COLUMNS = ("verdict", "name", "split", "rank", "contradiction", "flagged", "reading")


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
    are not among ``findings``, because the list leaves them out. Returns the number of verdicts that stay. Raises
    InputError if that list is faulty.
    """
    rows = read_list(path, "--list") if path.exists() else []
    earlier = {row["name"]: row for row in rows}
    known = {finding.name for finding in findings}
    added = [column for column in (rows[0] if rows else ()) if column not in COLUMNS]
    changed = {name: row["verdict"] for name, row in earlier.items() if row["verdict"] != _unedited(row)}
    lines = [
        [changed.get(finding.name, _verdict(finding.flagged)), *_line(finding, rank)]
        + [earlier.get(finding.name, {}).get(column, "") for column in added]
        for rank, finding in enumerate(findings, start=1)
    ]
    lines += [[row.get(column, "") for column in (*COLUMNS, *added)] for row in rows if row["name"] not in known]
    write_csv(path, [*COLUMNS, *added], lines)
    return len(changed)


def _line(finding: Finding, rank: int) -> list[str]:
    """The columns after the verdict."""
    flagged = "yes" if finding.flagged else "no"
    return [finding.name, finding.split, str(rank), f"{finding.contradiction:.4f}", flagged, finding.reading]


def _verdict(flagged: bool) -> str:
    return "drop" if flagged else "keep"


def _unedited(row: dict[str, str]) -> str:
    """The verdict that an audit gave; nothing in a list that no audit wrote."""
    return _verdict(row["flagged"] == "yes") if row.get("flagged") else ""
