"""Where the numbers come from, and how to make them again."""

from segkit.reporting.page.collect import Run
from segkit.reporting.page.content import Code, Panel, Table, Text
from segkit.reporting.page.origin import Origin

UNCOMMITTED = (
    "Not all that this page is made of is in a commit. Once it is, these commands make the page again, with that "
    "commit in the first line:"
)


def panel(run: Run, origin: Origin) -> Panel:
    """Settings that differ from the defaults, data, code, machine, and the commands."""
    differences = [[key, before, after] for key, (before, after) in origin.differences.items()]
    number = f"{len(differences)} of {len(origin.settings)} settings differ" if differences else "No setting differs"
    finding = f"{number} from the defaults, which are params.yaml of {origin.defaults}."
    blocks = [Table("Settings that differ", ["setting", "default", "here"], differences, numbers=3)] * bool(differences)
    prints = [
        [each.title, str(each.checkpoint.metadata.get("data_fingerprint", "not recorded"))] for each in run.networks
    ]
    return Panel("provenance", "Provenance", finding, [
        *blocks,
        Table("Code and machine", ["what", "value"], list(origin.facts.items()), numbers=2),
        Table("Fingerprint of the data and the plan of each training", ["network", "SHA-256"], prints, numbers=2),
        Table("All settings", ["setting", "value"], list(origin.settings.items()), numbers=2, folded=True),
        Text("The same page again:" if origin.committed else UNCOMMITTED),
        Code(origin.again),
    ])  # fmt: skip
