"""One image and its trimap, a pure function of (seed, index) and the range of sizes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from segkit.sources.synthetic import difficulty
from segkit.sources.synthetic.breeds import BREEDS, Breed
from segkit.sources.synthetic.camera import blurred, light, photograph
from segkit.sources.synthetic.coat import choose
from segkit.sources.synthetic.pose import animal
from segkit.sources.synthetic.props import occluder
from segkit.sources.synthetic.render import render
from segkit.sources.synthetic.scene import background
from segkit.sources.synthetic.shapes import Shape
from segkit.sources.synthetic.texture import Field

Generator = np.random.Generator
Mask = NDArray[np.bool_]

PET, BACKGROUND, BORDER = 1, 2, 3

POSES = ("sit_front", "sit_side", "stand", "lie", "loaf", "bust")
POSE_SHARES = (0.20, 0.17, 0.20, 0.14, 0.13, 0.16)
POSE_ASPECTS = {"sit_front": 0.85, "sit_side": 0.95, "stand": 1.25, "lie": 1.4, "loaf": 1.2, "bust": 1.0}
BUST_CUT = 2.2
"""Where the image's lower edge cuts a bust off, in half-widths of the head."""

_CUMULATIVE_SHARES = np.cumsum(POSE_SHARES)


@dataclass(frozen=True)
class Picture:
    """``image`` RGB and ``trimap`` L (1 pet, 2 background, 3 border), of one size, and what is on them."""

    image: Image.Image
    trimap: Image.Image
    breed: Breed
    pose: str


def generator(seed: int, index: int) -> Generator:
    """The random numbers of one image, whatever was drawn for others."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index])))


def paint(seed: int, index: int, min_side: int, max_side: int) -> Picture:
    """Image number ``index``; its longer side is within [min_side, max_side] pixels."""
    rng = generator(seed, index)
    breed = BREEDS[index % len(BREEDS)]
    coat = choose(breed, rng)
    pose = POSES[int(np.searchsorted(_CUMULATIVE_SHARES, rng.random() * _CUMULATIVE_SHARES[-1], side="right"))]
    height, width = _size(rng, pose, min_side, max_side)
    shapes = _placed(animal(breed, coat, rng, pose), rng, pose, height, width)

    scene = background(rng, height, width, coat.base)
    radius = rng.uniform(*difficulty.BACKGROUND_BLUR) / 100 * min(height, width)
    scene = blurred(scene, radius) if radius > 0.3 else scene
    body, alpha = render(shapes, rng, height, width, coat)
    scene *= ((1 - _contact_shadow(alpha)) * (1 - alpha))[..., None]
    scene += body
    hidden = np.zeros((height, width), dtype=bool)
    if rng.random() < difficulty.OCCLUDER:
        front, cover = render(occluder(rng, height, width), rng, height, width, None)
        if _is_fair(cover > 0.5, alpha > 0.5, shapes):
            scene = scene * (1 - cover[..., None]) + front
            hidden = cover > 0.5
    image = photograph(scene, light(rng, height, width), rng)
    return Picture(image, _trimap(alpha > 0.5, hidden), breed, pose)


def _size(rng: Generator, pose: str, min_side: int, max_side: int) -> tuple[int, int]:
    """(height, width) with an aspect ratio that loosely follows the pose."""
    long = int(rng.integers(min_side, max_side + 1))
    aspect = min(max(POSE_ASPECTS[pose] * float(np.exp(rng.normal(0, 0.22))), 0.62), 1.6)
    short = round(long * min(aspect, 1 / aspect))
    return (short, long) if aspect >= 1 else (long, short)


def _placed(shapes: list[Shape], rng: Generator, pose: str, height: int, width: int) -> list[Shape]:
    """The shapes in pixels: mirrored by chance, scaled to the share of the image wanted, moved."""
    solid = np.concatenate([shape.points for shape in shapes if shape.relief is not None])
    low, high = solid.min(axis=0), solid.max(axis=0)
    if pose == "bust":
        high[1] = BUST_CUT
    extent, frame = high - low, np.array((width, height))
    share = rng.uniform(*difficulty.AREA_SHARE)
    scale = float(np.sqrt(share * height * width / _area(shapes, low, extent)))
    scale = min(scale, *(difficulty.MAX_OVERHANG * frame / extent))
    room = frame - extent * scale
    slack = np.abs(room) * 0.5 + 0.04 * min(height, width)
    centre = frame / 2 + rng.uniform(-1, 1, 2) * slack * (0.9, 0.75) + (0, 0.12 * max(room[1], 0))
    if pose == "bust":
        centre[1] = height + 1 - extent[1] * scale / 2
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    # Where the animal exceeds the frame, its tail end is cut off rather than its head.
    ahead = max(0.0, mirror * (centre[0] - frame[0] / 2) + (extent[0] * scale - frame[0]) / 2)
    centre[0] -= mirror * max(0.0, ahead - 0.02 * frame[0])
    centre[1] = max(centre[1], extent[1] * scale / 2 - 0.04 * frame[1])
    return _moved(shapes, (low + high) / 2, np.array((mirror * scale, scale)), centre)


def _moved(shapes: list[Shape], middle: np.ndarray, scale: np.ndarray, centre: np.ndarray) -> list[Shape]:
    """Shapes scaled around ``middle``, which is moved to ``centre``; all points at once, for speed."""
    lines = [line for shape in shapes for line in (shape.points, shape.edge) if line is not None]
    points = (np.concatenate(lines) - middle) * scale + centre
    size = float(scale[1])
    start, moved = 0, []
    for shape in shapes:
        middle_end = start + len(shape.points)
        end = middle_end if shape.edge is None else middle_end + len(shape.edge)
        edge = None if shape.edge is None else points[middle_end:end]
        ink, line = shape.ink * size, shape.line * size
        moved.append(Shape(points[start:middle_end], shape.colour, shape.relief, ink, shape.fur, line, edge))
        start = end
    return moved


def _area(shapes: list[Shape], low: np.ndarray, extent: np.ndarray) -> float:
    """Area of the silhouette within the box, in the shapes' unit, counted on a coarse grid."""
    cells = 40
    grid = Image.new("L", (cells, cells))
    draw = ImageDraw.Draw(grid)
    for shape in shapes:
        if shape.ink and shape.fur:
            draw.polygon(((shape.points - low) * (cells / extent)).ravel().tolist(), 1)
    return float(np.count_nonzero(np.asarray(grid))) / cells**2 * float(extent.prod())


def _is_fair(cover: Mask, solid: Mask, shapes: list[Shape]) -> bool:
    """Whether what is in front leaves enough of the animal and of its face (eyes, nose, ears) to see."""
    if (solid & cover).sum() > difficulty.MAX_OCCLUDED * solid.sum():
        return False
    features = np.array([shape.points.mean(axis=0) for shape in shapes if shape.relief and not shape.fur])
    x, y = np.clip(features.astype(np.intp), 0, (solid.shape[1] - 1, solid.shape[0] - 1)).T
    return float(cover[y, x].mean()) <= difficulty.MAX_FACE_HIDDEN


def _contact_shadow(alpha: Field) -> Field:
    """A soft shadow below the animal, 0..1."""
    reach = 0.03 * alpha.shape[0]
    drop = max(1, round(reach))
    shifted = np.zeros(alpha.shape, dtype=np.uint8)
    shifted[drop:] = alpha[:-drop] * 255
    soft = Image.fromarray(shifted).filter(ImageFilter.BoxBlur(reach))
    return np.asarray(soft, dtype=np.float32) * np.float32(0.42 / 255)


def _trimap(solid: Mask, hidden: Mask) -> Image.Image:
    """1 inside the visible animal, 3 along its outline, 2 elsewhere and on what hides it."""
    visible = solid & ~hidden
    reach = max(1, round(0.012 * min(solid.shape)))
    trimap = np.full(solid.shape, BACKGROUND, dtype=np.uint8)
    trimap[_dilated(visible, reach) & ~hidden] = BORDER
    trimap[~_dilated(~visible, reach)] = PET
    return Image.fromarray(trimap)


def _dilated(mask: Mask, reach: int) -> Mask:
    """The pixels with a set one in the square of ``2 * reach + 1`` pixels around them."""
    for _ in range(2):  # along x, then along y
        grown = mask.copy()
        for step in range(1, reach + 1):
            grown[:, step:] |= mask[:, :-step]
            grown[:, :-step] |= mask[:, step:]
        mask = grown.T
    return mask
