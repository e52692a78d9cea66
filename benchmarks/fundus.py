"""Draw pictures of thin branching vessels, like photographs of a retina, with their masks.

Two trees, arteries and veins, grow from the optic disc. A vessel wanders, thins, and gives off branches; it ends where
it meets another of its own tree, near the fovea, and at the edge of the field. The widest grow first, until the vessels
have the drawn share of the picture. Lesions, a mottled ground, uneven light and noise are there to mislead a threshold.
"""

import heapq
import math
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 512  # pixels
FINE = 3  # drawn at this multiple and averaged
FIELD = 0.485  # radius of the round field as a fraction of the side
STEP = 3.0  # pixels
CELL = 6  # pixels: vessels of one tree keep about this distance
WIDEST, THINNEST = 7.0, 1.2  # pixels
# Vessels that leave the disc, upwards and downwards: towards the fovea or away from it, degrees from the horizontal,
# width in pixels, and how they bow towards it, as a turn in radians over the side.
ROOTS = ((1, 72, WIDEST, 2.6), (1, 20, 2.4, 0.0), (-1, 42, 4.2, 0.3), (-1, 10, 2.4, 0.0))
MOST_TURN = 1.5  # radians
SHARE = (0.066, 0.077)  # foreground of the picture


class Tip(NamedTuple):
    """The growing end of a vessel; ``turn``: change of direction in radians per pixel; ``life``: steps left."""

    x: float
    y: float
    heading: float
    width: float
    turn: float
    tree: int
    life: float


@dataclass
class Vessels:
    """Segments ``(x, y, x, y, width, tree)`` in pixels, and which cells each tree occupies, by vessel."""

    disc: tuple[float, float]
    fovea: tuple[float, float]
    segments: list[tuple[float, float, float, float, float, int]] = field(default_factory=list)
    cells: dict[tuple[int, int, int], int] = field(default_factory=dict)
    area: float = 0.0


def draw(numbers: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """A picture, RGB, and its mask, L of 0 and 255; both ``SIDE`` x ``SIDE``."""
    side = numbers.choice((-1, 1))  # the left eye or the right one
    middle = SIDE / 2
    disc = middle + side * numbers.uniform(0.27, 0.32) * SIDE, middle + numbers.uniform(-0.05, 0.05) * SIDE
    fovea = middle - side * numbers.uniform(0.02, 0.07) * SIDE, disc[1] + numbers.uniform(0, 0.06) * SIDE
    vessels = _grow(Vessels(disc, fovea), -side, numbers)
    depth, mask = _rasterise(vessels, numbers)
    return _photograph(vessels, depth, numbers), mask


def _grow(vessels: Vessels, temporal: int, numbers: np.random.Generator) -> Vessels:
    """``temporal``: 1 if the fovea is to the right of the disc, else -1."""
    target = numbers.uniform(*SHARE) * SIDE**2
    order, waiting = count(), []

    def push(tip: Tip) -> None:
        heapq.heappush(waiting, (-tip.width, next(order), tip))

    for tree in (0, 1):
        for down in (-1, 1):
            for towards, degrees, width, bow in ROOTS:
                angle = math.radians(numbers.normal(degrees + 12 * tree, 7))
                heading = math.atan2(down * math.sin(angle), towards * temporal * math.cos(angle))
                turn = -down * towards * temporal * bow * numbers.uniform(0.9, 1.2) / SIDE
                x, y = (centre + numbers.normal(0, 3) for centre in vessels.disc)
                thick = width * numbers.uniform(0.85, 1) * (0.8, 1)[tree]
                push(Tip(x, y, heading, thick, turn, tree, 400))
    while vessels.area < target:
        if not waiting:
            x, y, _, _, width, tree = vessels.segments[numbers.integers(len(vessels.segments))]
            heading, thin = numbers.uniform(0, 2 * math.pi), numbers.uniform(1.4, 2.4)
            push(Tip(x, y, heading, min(thin, width), 0.0, tree, numbers.uniform(12, 40)))
        for branch in _extend(vessels, heapq.heappop(waiting)[2], next(order), numbers):
            push(branch)
    return vessels


def _extend(vessels: Vessels, tip: Tip, name: int, numbers: np.random.Generator) -> list[Tip]:
    """Let one vessel grow to its end; returns its branches."""
    x, y, heading, width, turn, tree, life = tip
    branches, drift, sign = [], 0.0, numbers.choice((-1, 1))
    until_branch = numbers.uniform(6, 16)
    for step in range(int(life)):
        drift = 0.93 * drift + numbers.normal(0, 0.06 if width > 3 else 0.085)
        heading += turn * STEP * (abs(turn) * STEP * step < MOST_TURN)
        end = x + STEP * math.cos(heading + drift), y + STEP * math.sin(heading + drift)
        if not _is_free(vessels, end, tree, name, first=step < 5):
            break
        vessels.segments.append((x, y, *end, width, tree))
        vessels.area += STEP * width
        x, y = end
        width = max(THINNEST, width * numbers.uniform(0.990, 1))
        until_branch -= 1
        if until_branch <= 0 and width > 1.5:
            sign = -sign if numbers.random() < 0.75 else sign
            ratio, angle = numbers.uniform(0.45, 0.8), math.radians(numbers.uniform(25, 65))
            left = numbers.uniform(25, 60) if width < 4 else numbers.uniform(50, 110)
            branches.append(Tip(x, y, heading + drift + sign * angle, max(THINNEST, width * ratio), 0.0, tree, left))
            heading, width = heading - sign * angle * ratio * 0.2, max(THINNEST, width * 0.94)
            until_branch = numbers.uniform(6, 18)
    return branches


def _is_free(vessels: Vessels, place: tuple[float, float], tree: int, name: int, first: bool) -> bool:
    """Whether a vessel may grow to ``place``, which it then occupies."""
    x, y = place
    if math.hypot(x - SIDE / 2, y - SIDE / 2) > FIELD * SIDE - 1:
        return False
    near_disc = math.dist(place, vessels.disc) < 0.08 * SIDE
    if math.dist(place, vessels.fovea) < 0.05 * SIDE:
        return False
    cell = tree, int(x) // CELL, int(y) // CELL
    owner = vessels.cells.setdefault(cell, name)
    return owner == name or first or near_disc


def _rasterise(vessels: Vessels, numbers: np.random.Generator) -> tuple[np.ndarray, Image.Image]:
    """How much darker the vessels are, ``float32 (h, w)`` from 0 to 1, and their mask."""
    size = SIDE * FINE, SIDE * FINE
    depth, shape = Image.new("L", size), Image.new("L", size)
    strength = numbers.uniform(0.85, 1.15)
    pens = [(ImageDraw.Draw(shape), False), (ImageDraw.Draw(depth), True)]
    for x, y, to_x, to_y, width, tree in sorted(vessels.segments, key=lambda segment: segment[4]):
        contrast = strength * ((0.12, 0.155)[tree] + (0.02, 0.03)[tree] * width)
        half = width * FINE / 2
        for pen, is_depth in pens:
            value = int(255 * contrast) if is_depth else 255
            pen.line([x * FINE, y * FINE, to_x * FINE, to_y * FINE], fill=value, width=max(1, round(2 * half)))
            pen.ellipse([to_x * FINE - half, to_y * FINE - half, to_x * FINE + half, to_y * FINE + half], fill=value)
            if is_depth and tree == 0 and width > 3.5:  # the light reflex of an artery
                pen.line(
                    [x * FINE, y * FINE, to_x * FINE, to_y * FINE], fill=int(value * 0.6), width=max(1, round(half / 2))
                )
    smooth = depth.resize((SIDE, SIDE), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.7))
    mask = shape.resize((SIDE, SIDE), Image.Resampling.BOX).point([255 * (value >= 128) for value in range(256)])
    return np.asarray(smooth, dtype=np.float32) / 255, mask


def _photograph(vessels: Vessels, depth: np.ndarray, numbers: np.random.Generator) -> Image.Image:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    radius = np.hypot(x - SIDE / 2, y - SIDE / 2) / (FIELD * SIDE)
    light = (1 + 0.18 * _field(numbers, 4)) * (1 - numbers.uniform(0.3, 0.45) * radius**2)
    light *= 1 + 0.03 * _field(numbers, 14) + 0.022 * _field(numbers, 33) + 0.012 * _field(numbers, 120)
    to_fovea = np.hypot(x - vessels.fovea[0], y - vessels.fovea[1]) / SIDE
    light *= 1 - numbers.uniform(0.2, 0.32) * np.exp(-((to_fovea / 0.075) ** 2))
    colour = np.array([numbers.normal(205, 12), numbers.normal(112, 8), numbers.normal(62, 6)], np.float32)
    pixels = light[..., None] * colour
    disc = _soft(np.hypot((x - vessels.disc[0]) / 0.92, y - vessels.disc[1]), numbers.uniform(30, 37), 4)
    cup = _soft(np.hypot(x - vessels.disc[0], y - vessels.disc[1]), 15, 6)
    pixels += (disc * 0.85 + cup * 0.35)[..., None] * (np.array([245, 205, 135], np.float32) - pixels)
    for _ in range(numbers.integers(6, 22)):  # bleedings
        pixels *= 1 - _blob(numbers, x, y, (1.5, 7))[..., None] * np.array([0.15, 0.38, 0.3]) * numbers.uniform(0.6, 1)
    for _ in range(numbers.integers(4, 18)):  # exudates
        spot = _blob(numbers, x, y, (1.5, 6))[..., None] * numbers.uniform(0.4, 0.8)
        pixels += spot * (np.array([240, 205, 110], np.float32) * light[..., None] - pixels)
    pixels *= 1 - depth[..., None] * np.array([0.55, 1.0, 0.8], np.float32)
    inside = _soft(radius * FIELD * SIDE, FIELD * SIDE, 1.5)[..., None]
    pixels = inside * pixels + (1 - inside) * 6
    pixels += numbers.normal(0, 1, pixels.shape) * np.array([4.5, 4.8, 5.2]) * (0.3 + 0.7 * inside)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def _field(numbers: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise of about unit spread, ``float32 (h, w)``."""
    grid = Image.fromarray(numbers.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(grid.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _soft(distance: np.ndarray, radius: float, edge: float) -> np.ndarray:
    """1 within ``radius``, 0 outside, over about ``edge`` pixels."""
    return 1 / (1 + np.exp(((distance - radius) / edge * 2).clip(-30, 30)))


def _blob(numbers: np.random.Generator, x: np.ndarray, y: np.ndarray, radii: tuple[float, float]) -> np.ndarray:
    """An uneven spot somewhere in the field, 0 to 1."""
    angle, distance = numbers.uniform(0, 2 * math.pi), FIELD * SIDE * 0.9 * math.sqrt(numbers.random())
    across, along = x - SIDE / 2 - distance * math.cos(angle), y - SIDE / 2 - distance * math.sin(angle)
    radius = radii[0] * (radii[1] / radii[0]) ** numbers.random()
    around = np.arctan2(along, across)
    lobes = 1 + sum(numbers.uniform(0, 0.12) * np.sin(k * around + numbers.uniform(0, 6)) for k in (1, 2, 3, 5))
    return _soft(np.hypot(across * numbers.uniform(0.7, 1.3), along) / lobes, radius, 1.5)
