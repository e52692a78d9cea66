"""The model card of a checkpoint, in Markdown: what it is, how to use it, what it was trained on, how good it is.

The headings are those of Mitchell et al., "Model Cards for Model Reporting", 2019, as model hubs use them. Everything
is from the checkpoint's metadata, the summary of the packed data, and the scores; what these do not say, the card says
is not recorded.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from segkit.base.errors import brief, counted
from segkit.base.params import Evaluate
from segkit.evaluation.scores import SCORES
from segkit.models.checkpoint import Checkpoint

UNKNOWN = "not recorded"
BLOCKS = {
    "valid": "validation",
    "test": "test",
    "test_original": "test, original size",
    "test_original_no_border": "test, original size, border ignored",
}
NORMALIZE = {
    "image": "per-image z-score",
    "dataset": "mean and standard deviation of each channel over the training set",
    "imagenet": "mean and standard deviation of each channel over ImageNet",
}
RESIZE = {
    "stretch": "the whole image, scaled to this size",
    "fit": "the whole image, scaled in proportion and padded to this size",
    "tile": "overlapping windows of this size, at the image's own resolution",
}
TRAINING = ("train", "combine", "samples", "pretrained", "precision", "seed")  # keys of the metadata
CELL = 64  # characters, as many as a SHA-256 has


class Source(NamedTuple):
    """What is known about a source of training images."""

    name: str
    subject: str
    text: str
    limit: str
    licence: str
    identifier: str = "unknown"  # of the licence, as hubs abbreviate it


OTHER = Source(
    "images whose origin is not recorded",
    "foreground",
    "The source of the training images is not recorded.",
    "What the training images show is not recorded, so compare yours with them before you rely on a result.",
    "The licence of the training images is not recorded.",
)
SOURCES = {
    "synthetic": Source(
        "synthetic pets, which are drawn",
        "pets",
        "Synthetic pets: animals of several breeds and poses in front of clutter, drawn by segkit together with their "
        "exact masks. There are no photographs among them.",
        "The network has seen drawn images only. It has not been tested on photographs; expect it to fail there.",
        "The training images are drawn by segkit, which is under the MIT licence, and contain nothing of others.",
        "mit",
    ),
    "oxford_pet": Source(
        "Oxford-IIIT Pet",
        "pets",
        "Photographs of cats and dogs with hand-drawn trimaps, from the archives of [Oxford-IIIT "
        "Pet](https://www.robots.ox.ac.uk/~vgg/data/pets/) (Parkhi et al., Cats and Dogs, 2012) or from a mirror that "
        "may hold fewer of its 37 breeds.",
        "The training images show one cat or dog each, mostly large and in the middle. Other animals, several animals "
        "and small ones in the distance have not been tested.",
        "Oxford-IIIT Pet is under CC BY-SA 4.0; the copyright of the photographs remains with their owners. Whether "
        "that extends to trained weights is not settled.",
    ),
    "folder": OTHER._replace(
        name="images of its trainer's own",
        text="Images and masks of the person who trained the network. What they show, where they are from and whether "
        "the people in them, if any, consented is not recorded.",
    ),
}
USE = """\
In a checkout of segkit, which writes `PHOTO_mask.png` into `DIR`:

```
python -m segkit predict models/{name}.safetensors PHOTO --out DIR
```

In Python, `mask` being `bool` and `probabilities` `float32`, both of the size of the image:

```python
import segkit
model = segkit.load("{name}.safetensors")
mask, probabilities = model.predict("photo.jpg")
```

The file is all that is needed: input size, normalisation and threshold are in its metadata."""
FLIPS = "; the probability is the mean over an image and its mirror image"
LIMITS = (
    "The scores hold for images like those of the test set, which has the same source as the training set.",
    "They are of one training with one seed. Another seed gives other scores; by how much was not measured.",
    "The probabilities were not checked for calibration: 0.9 does not mean right in 9 of 10 cases.",
)


def card(name: str, checkpoint: Checkpoint, summary: Mapping[str, Any], found: Mapping[str, Any], at: Evaluate) -> str:
    """The card of ``models/NAME.safetensors``.

    ``summary``: of the packed data. ``found``: ``metrics/scores/NAME.json``, scored as ``at`` says.
    """
    metadata = checkpoint.metadata
    source = SOURCES.get(str(metadata.get("source")), OTHER)
    sections = {
        "Model details": _details(checkpoint),
        "Intended use": _use(source),
        "How to use it": USE.format(name=name),
        "Training data": _data(metadata, source, "test_original_no_border" in found),
        "Training procedure": _procedure(metadata),
        "Evaluation": _evaluation(found, at, metadata.get("resize") == "tile"),
        "Limitations": _bullets([source.limit, *LIMITS, *_measured_limits(metadata, summary, found)]),
        "Licence": _licence(metadata, source),
    }
    dice, images = found["test_original"]["dice"], counted(found["test_original"]["images"], "test image")
    first = (
        f"Separates {source.subject} from background: one probability and one label per pixel. Trained on "
        f"{source.name}. Mean Dice {dice:.4f} on {images} at original size ([all scores](#evaluation))."
    )
    body = [f"# {name}", first, *(f"## {title}\n\n{text}" for title, text in sections.items())]
    return f"---\n{_front_matter(name, metadata, source)}---\n\n" + "\n\n".join(body) + "\n"


def _front_matter(name: str, metadata: Mapping[str, Any], source: Source) -> str:
    """What model hubs search by."""
    return yaml.safe_dump(
        {
            "library_name": "segkit",
            "pipeline_tag": "image-segmentation",
            "license": "unknown" if metadata.get("pretrained") else source.identifier,
            "tags": ["image-segmentation", "semantic-segmentation", "binary-segmentation", name],
            "metrics": [score.__name__ for score in SCORES[:7]],
        },
        sort_keys=False,
    )


def _details(checkpoint: Checkpoint) -> str:
    metadata, model = checkpoint.metadata, checkpoint.model
    height, width = metadata["input_size"]
    valid = metadata["valid"]
    architecture = ", ".join(f"{key} {value}" for key, value in metadata["architecture"].items())
    rows = {
        "network": f"`{metadata['model']}`: {_paragraph(type(model))}" + f" Here: {architecture}." * bool(architecture),
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "input": f"RGB, {width}x{height} px (width x height): {RESIZE[metadata.get('resize', 'stretch')]}",
        "normalisation": NORMALIZE[metadata["normalize"]["kind"]],
        "output": "probability of foreground of each pixel, at the original size of the image",
        "threshold": f"foreground from a probability of {metadata['threshold']:g} on",
        "weights": f"of epoch {_cell(valid.get('epoch', UNKNOWN))}, with {_kept(metadata)}; validation loss "
        f"{valid['loss']:.4f}",
        "file": "safetensors, with everything else as JSON in its metadata",
        "written by": f"segkit {_cell(metadata.get('version', UNKNOWN))}",
    }
    return _table(["property", "value"], rows.items())


def _use(source: Source) -> str:
    return "\n\n".join([
        f"To separate {source.subject} from background in images like those it was trained on, and as a baseline to "
        "compare other networks with.",
        "Out of scope:",
        _bullets([
            "images of another kind, camera or subject than the training data, unless you measure the result on some "
            "of your own that are labelled (`python -m segkit evaluate`)",
            "telling objects apart that touch: all foreground is one region",
            "decisions about people or their health, which need a validation of their own",
        ]),
    ])  # fmt: skip


def _data(metadata: Mapping[str, Any], source: Source, has_border: bool) -> str:
    samples = metadata.get("samples")
    originals = samples.get("none") if isinstance(samples, Mapping) else None
    noun = "windows, cut from the training images" if metadata.get("resize") == "tile" else "training images"
    border = {
        "foreground": "counts as foreground",
        "background": "counts as background",
        "ignore": "is ignored",
    }[metadata["border"]]
    return "\n\n".join([
        source.text,
        _bullets([
            f"size: {_cell(UNKNOWN if originals is None else originals)} {noun}",
            *[f"border: the masks are trimaps, whose border {border}"] * has_border,
            f"fingerprint (SHA-256 of the packed data and of the training plan): "
            f"`{_cell(metadata.get('data_fingerprint', UNKNOWN))}`",
        ]),
    ])  # fmt: skip


def _procedure(metadata: Mapping[str, Any]) -> str:
    keys = (*TRAINING, *["encoder_lr"] * ("encoder_lr" in metadata))  # only networks with an encoder have it
    settings = dict(row for key in keys for row in _leaves(key, metadata.get(key, UNKNOWN)))
    return (
        f"The weights with {_kept(metadata)} were kept. The settings are those of `params.yaml`; `combine` are "
        "the strengths of the random transforms, and `samples` says how many samples an epoch has of which kind.\n\n"
        + _table(["setting", "value"], [(f"`{_cell(key)}`", _cell(value)) for key, value in settings.items()])
    )


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """``train.lr`` and its value, and so on."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}", inner)
    else:
        yield key, value


def _kept(metadata: Mapping[str, Any]) -> str:
    """Which weights of a training are in the checkpoint."""
    by_dice = isinstance(train := metadata.get("train"), Mapping) and train.get("select") == "dice"
    return "the highest validation Dice" if by_dice else "the lowest validation loss"


def _evaluation(found: Mapping[str, Any], at: Evaluate, tiled: bool) -> str:
    blocks = [block for block in BLOCKS if block in found]
    names = [score.__name__ for score in SCORES]
    rows = [(f"`{name}`", *(f"{found[block][name]:.4f}" for block in blocks)) for name in names]
    rows.append(("images", *(f"{found[block]['images']:,}" for block in blocks)))
    original = found["test_original"]
    size = "All images are cut into windows, and scored as a whole at original size."
    if not tiled:
        size = (
            "`validation` and `test` are scored at the input size of the network. At original size the probabilities "
            "are resized bilinearly and compared with the masks as they were drawn."
        )
    return "\n\n".join([
        "Counted in whole pixels of each image, in fp32. A pixel is predicted as foreground from a probability of "
        f"{at.threshold:g} on{FLIPS if at.tta == 'flip' else ''}.",
        _table(["score", *(BLOCKS[block] for block in blocks)], rows),
        size,
        "With TP, FP, FN, TN the true and false positives and negatives, foreground being positive:",
        _bullets(f"`{score.__name__}`: {_paragraph(score)}" for score in SCORES),
        "An image without foreground in mask and prediction has a Dice and an IoU of 1; with foreground in one of them "
        "only, of 0.",
        f"Baselines, test set at original size: a Dice of {original['dice_of_nothing']:.4f} takes no network, only an "
        f"empty mask for every image; {original['dice_of_everything']:.4f} takes a full one.",
    ])  # fmt: skip


def _measured_limits(metadata: Mapping[str, Any], summary: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What the numbers say about the limits of this network."""
    limits, original = [], found["test_original"]
    baseline = max(original["dice_of_nothing"], original["dice_of_everything"])
    if round(original["dice"], 4) <= round(baseline, 4):
        limits.append(
            f"**It is no better than a baseline that needs no network** (Dice {baseline:.4f}). Do not use it."
        )
    if best := summary.get("best_dice"):
        height, width = metadata["input_size"]
        limits.append(
            f"At {width}x{height} px small objects and fine detail are lost: even perfect masks of this size, scaled "
            f"back, reach a mean Dice of {best['mean']:.2f}."
        )
    if leaks := summary.get("leakage"):
        limits.append(f"{counted(len(leaks), 'image')} in two splits make the scores look better than they are.")
    return limits


def _licence(metadata: Mapping[str, Any], source: Source) -> str:
    texts = ["The code of segkit is under the MIT licence.", source.licence]
    if metadata.get("pretrained") is True:
        texts.append(
            "The encoder started from torchvision's ImageNet weights; ImageNet gives access for non-commercial "
            "research and education."
        )
    elif metadata.get("pretrained"):
        texts.append("The encoder started from weights in a file of its trainer's own, whose licence is not recorded.")
    if source.identifier == "unknown" or metadata.get("pretrained"):
        texts.append("The licence of the weights is not recorded: ask whoever published them.")
    return " ".join(texts)


def _paragraph(documented: type | Callable) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(inspect.cleandoc(documented.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")


def _bullets(texts: Sequence[str] | Iterator[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _table(titles: Sequence[str], rows: Any) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *rows))


def _cell(value: Any) -> str:
    """A value of the metadata, whatever it is, in one cell of a table."""
    text = value if isinstance(value, str) else json.dumps(value)
    return brief(text, CELL).replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
