"""What the pipeline made, for a person: the scores and where to look."""

from pathlib import Path

from segkit.errors import InputError
from segkit.files import read_json
from segkit.params import MODEL_NAMES

COLUMNS = {"dice": "Dice", "iou": "IoU", "precision": "precision", "recall": "recall", "pixel_accuracy": "accuracy"}
ROWS = {"valid": "validation", "test": "test", "test_original": "test, original size"}


def results(metrics: Path = Path("metrics")) -> str:
    """A Markdown table of ``metrics/evaluate_*.json`` and the places of pictures and logs.

    Raises InputError where no model has been evaluated.
    """
    found = {name: read_json(path) for name in MODEL_NAMES if (path := metrics / f"evaluate_{name}.json").is_file()}
    if not found:
        raise InputError(f"no {metrics}/evaluate_*.json here; run 'make repro' from the repository's root")
    lines = [
        "| model | pictures | " + " | ".join(COLUMNS.values()) + " |",
        "| --- | --- |" + " --- |" * len(COLUMNS),
    ]
    for name, scores in found.items():
        for split, label in ROWS.items():
            block = scores[name][split]
            values = " | ".join(f"{block[key]:.4f}" for key in COLUMNS)
            lines.append(f"| {name} | {block['images']:,} {label} | {values} |")
    return "\n".join([*lines, "", *_places(metrics, list(found))])


def _places(metrics: Path, names: list[str]) -> list[str]:
    return [
        f"Metrics      {metrics}/evaluate_*.json    dvc metrics show, dvc exp show",
        *(f"Pictures     {metrics}/pictures/{name}/sample_overview.png, worst_overview.png" for name in names),
        "Curves       dvc plots show    (writes dvc_plots/index.html)",
        "TensorBoard  runs/    make tensorboard, then open http://localhost:6006",
        *(f"Weights      models/{name}.safetensors" for name in names),
        "For dvc:     source .venv/bin/activate",
    ]
