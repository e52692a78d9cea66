"""The list of audited samples with a verdict each, for a person to edit; ``data.exclude`` reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.base.files import csv_rows, write_csv
from segkit.dataset.excluded import read_verdicts

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

    Verdicts of an existing list stay as they are, and so do its lines about samples that are not among ``findings``,
    because it leaves them out. Returns the number of verdicts taken over. Raises InputError if that list is faulty.
    """
    earlier = read_verdicts(path) if path.exists() else {}
    known = {finding.name for finding in findings}
    lines = [
        (
            earlier.get(finding.name, "drop" if finding.flagged else "keep"),
            finding.name,
            finding.split,
            rank,
            f"{finding.contradiction:.4f}",
            "yes" if finding.flagged else "no",
            finding.reading,
        )
        for rank, finding in enumerate(findings, start=1)
    ]
    if earlier:
        others = [row for row in csv_rows(path) if row["name"] not in known]
        lines += [tuple(row.get(column) or "" for column in COLUMNS) for row in others]
    write_csv(path, COLUMNS, lines)
    return len(earlier)
