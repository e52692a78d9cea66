"""How well the label audit finds planted faults, beside cleanlab's score on the same probabilities.

    python -m benchmarks.label_audit --raw data/raw/download [--model unet] [--size 64] [--width 16] [--epochs 30]
                                     [--folds 4] [--seeds 0 1 2] [--share 0.05] [--set KEY=VALUE ...] [--retrain]
                                     --work FOLDER [--json FILE]

In each seed, faults of six kinds (``benchmarks.label_faults``) are planted into ``--share`` of the packed training
masks. All training and validation masks are audited; a planted fault that is found is a hit, and whatever else is
flagged counts as a false alarm, also where it is a genuine fault. Prints average precision, recall among the worst 10 %
of the masks, and precision and recall of the flagged ones; and the same for cleanlab's label quality score of a
segmentation mask (softmin; Lad and Mueller, "Estimating label quality and errors in semantic segmentation data via any
model", 2023) and for 1 minus the Dice of mask and prediction. cleanlab is in the extra ``bench``.

With ``--retrain`` the network is then trained on the right masks, on the planted ones, and on the planted ones without
those that the audit flags, and scored on the test set, whose masks are right. ``--work`` keeps the probabilities, so an
interrupted call resumes.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from benchmarks.common import params_with, report
from benchmarks.label_faults import plant
from segkit.augment.preview import augment
from segkit.base.command import run_command
from segkit.base.files import digest, read_json, write_csv, write_json
from segkit.base.packed import read_samples, read_summary, summary_digest
from segkit.base.params import MODEL_NAMES, Params
from segkit.base.workspace import Paths
from segkit.dataset.preprocess import preprocess
from segkit.evaluation.evaluate import evaluate
from segkit.models.device import choose_device
from segkit.reporting.audit.contradiction import FLAGGED, contradiction
from segkit.reporting.audit.held_out import HeldOut
from segkit.training.run import train

REVIEWED = 0.1  # of the masks


Planted = dict[str, tuple[str, np.ndarray]]  # kind of fault and mask, by name


def choose_faults(raw: Path, folder: Path, params: Params, share: float) -> Planted:
    """Faults in ``share`` of the training masks, as ``preprocess`` packs them."""
    preprocess(raw, folder, params.preprocess)
    planted, faults = plant(np.load(folder / "train/masks.npy"), share, np.random.default_rng(params.seed))
    names = [row["name"] for row in read_samples(folder, "train")]
    return {names[row]: (kind, planted[row]) for row, kind in faults.items()}


def pack(raw: Path, folder: Path, params: Params, planted: Planted, left_out: Sequence[str] = ()) -> None:
    """Pack and augment ``raw`` into ``folder`` with the masks of ``planted``; ``left_out``: by ``data.exclude``."""
    processed, exclude = folder / "processed", folder / "exclude.csv"
    write_csv(exclude, ("name", "verdict"), [(name, "drop") for name in left_out])
    preprocess(raw, processed, params.preprocess, exclude=exclude)
    path, masks = "train/masks.npy", np.load(processed / "train/masks.npy")
    for row in read_samples(processed, "train"):
        if row["name"] in planted:
            masks[row["row"]] = planted[row["name"]][1]
    np.save(processed / path, masks)
    summary = read_summary(processed)
    summary["files"][path] = digest(processed / path)
    write_json(processed / "summary.json", summary | {"sha256": summary_digest(summary)})
    augment(processed, folder / "augmented", params.augment, params.seed)


def scored(held_out: HeldOut) -> Iterator[tuple[str, dict[str, float]]]:
    """Name and scores of each sample; higher is more suspicious."""
    from cleanlab.segmentation.rank import get_label_quality_scores

    for image, probabilities in held_out:
        mask = held_out.audited.mask(image)
        p, foreground = probabilities.numpy(), mask == 1
        both = np.stack([1 - p, p])[None]  # (1, 2, h, w)
        quality, _ = get_label_quality_scores(mask[None].astype(int), both, method="softmin", verbose=False)
        predicted = p >= 0.5
        dice = 2 * (predicted & foreground).sum() / max(1, predicted.sum() + foreground.sum())
        yield image.name, {
            "contradiction": contradiction(probabilities, mask, held_out.audited.picture(image)).score,
            "cleanlab_softmin": 1 - float(quality[0]),
            "one_minus_dice": 1 - float(dice),
        }


def measures(faulty: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Average precision, and recall among the worst tenth: ``faulty`` ``bool (N,)``, ``scores`` ``float (N,)``."""
    worst = np.argsort(-scores, kind="stable")[: round(len(scores) * REVIEWED)]
    return {
        "average_precision": float(average_precision_score(faulty, scores)),
        "recall_at_10_percent": float(faulty[worst].sum() / faulty.sum()),
    }


def audited(folder: Path, params: Params, planted: Planted, options: argparse.Namespace) -> dict[str, Any]:
    """Audit the data packed in ``folder``: the measures of each score, and of what is flagged."""
    found = dict(scored(HeldOut(options.model, params, folder / "processed", options.folds)))
    faulty = np.array([name in planted for name in found])
    kinds = list(next(iter(found.values())))
    flagged = [name for name, each in found.items() if each["contradiction"] >= FLAGGED]
    hits = sum(name in planted for name in flagged)
    ranks = {name: rank for rank, name in enumerate(sorted(found, key=lambda n: -found[n]["contradiction"]), start=1)}
    return {
        "scores": {kind: measures(faulty, np.array([each[kind] for each in found.values()])) for kind in kinds},
        "flagged": flagged,
        "precision_of_flagged": hits / max(1, len(flagged)),
        "recall_of_flagged": hits / len(planted),
        "faults": [[kind, ranks[name], round(found[name]["contradiction"], 2)] for name, (kind, _) in planted.items()],
    }


def retrained(raw: Path, folder: Path, params: Params, planted: Planted, left_out: Sequence[str], model: str) -> float:
    """Test Dice of the network trained on these masks."""
    pack(raw, folder, params, planted, left_out)
    paths = Paths(folder / "processed", folder / "augmented/plan.csv", folder / "models", folder / "metrics")
    train(model, params, choose_device(params.runtime.device), paths).saved.remove()
    evaluate(model, params, paths)
    return read_json(paths.metrics / f"{model}.json")["dice"]


def one_seed(seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one seed, in a folder of its own."""
    settings = {"preprocess.size": options.size, "unet.width": options.width, "train.epochs": options.epochs}
    params = params_with(settings | {"seed": seed}, options.set)
    folder = options.work / str(seed)
    os.environ["DVC_ROOT"] = str(folder.resolve())  # where saved states and probabilities are kept
    planted = choose_faults(options.raw, folder / "right", params, options.share)
    pack(options.raw, folder / "planted", params, planted)
    result = {"seed": seed} | audited(folder / "planted", params, planted, options)
    if options.retrain:
        conditions = {"right": ({}, []), "planted": (planted, []), "audited": (planted, result["flagged"])}
        result["dice"] = {
            name: retrained(options.raw, folder / f"train_{name}", params, *condition, options.model)
            for name, condition in conditions.items()
        }
    return result


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Mean ± standard deviation over the seeds."""

    def cell(values: list[float]) -> str:
        return f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")

    lines = ["| score | average precision | recall in the worst 10 % |", "| --- | --- | --- |"]
    for kind in runs[0]["scores"]:
        cells = [cell([run["scores"][kind][key] for run in runs]) for key in runs[0]["scores"][kind]]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    for key in ("precision_of_flagged", "recall_of_flagged"):
        lines.append(f"\n{key.replace('_', ' ')}: {cell([run[key] for run in runs])}")
    if "dice" in runs[0]:
        lines += ["", *(f"test Dice, {name}: {cell([run['dice'][name] for run in runs])}" for name in runs[0]["dice"])]
    return "\n".join(lines)


def main() -> int:
    """Audit each seed, print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=Path("data/raw/download"))
    parser.add_argument("--model", choices=MODEL_NAMES, default="unet")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=int, default=16, help="of the U-Net")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--share", type=float, default=0.05, help="of the training masks that get a fault")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of params.yaml")
    parser.add_argument("--retrain", action="store_true")
    parser.add_argument("--work", type=Path, required=True, help="folder for data and probabilities")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        runs = []
        for seed in options.seeds:
            runs.append(one_seed(seed, options))
            settings = {key: str(value) for key, value in vars(options).items() if key not in ("raw", "work", "json")}
            report(settings | {"runs": runs}, options.json)
        print(table(runs))

    return run_command("label_audit", work)


if __name__ == "__main__":
    sys.exit(main())
