"""Things in front of the animal: leaves, fence bars, cushions, hands."""

from collections.abc import Callable

import numpy as np

from segkit.sources.synthetic.coat import coat_colour, pick, shade
from segkit.sources.synthetic.shapes import Colour, Limb, Shape, ellipse, smooth, turn

Generator = np.random.Generator
Prop = Callable[[Generator, float, float], list[Shape]]

LEAF_COLOURS: tuple[Colour, ...] = ((96, 126, 74), (128, 140, 82), (150, 112, 66), (84, 108, 92))
SKIN_COLOURS: tuple[Colour, ...] = ((226, 180, 152), (196, 142, 108), (146, 98, 70), (98, 66, 50))


def occluder(rng: Generator, height: int, width: int) -> list[Shape]:
    """One thing in front of the animal, as shapes in pixels of an image of ``(height, width)``."""
    return pick(rng, PROPS)(rng, float(height), float(width))


def _leaves(rng: Generator, height: float, width: float) -> list[Shape]:
    """A plant that reaches into the image from a lower corner or a side."""
    side = min(height, width)
    root = np.array((pick(rng, (-0.02, 1.02)) * width, rng.uniform(0.55, 1.05) * height))
    inward = 1.0 if root[0] < 0 else -1.0
    colour = pick(rng, LEAF_COLOURS)
    shapes = []
    for _ in range(int(rng.integers(3, 7))):
        angle = rng.uniform(-1.5, 0.35)
        length, thick = side * rng.uniform(0.22, 0.46), side * rng.uniform(0.025, 0.05)
        leaf = smooth([(0, 0), (0.35, -1), (0.75, -0.7), (1, 0), (0.75, 0.55), (0.35, 0.9)]) * (length, thick)
        leaf = (leaf @ turn(angle)) * (inward, 1) + root
        tone = shade(colour, rng.uniform(0.75, 1.25))
        shapes.append(Shape(leaf, tone, 200, side * 0.008, fur=False))
        tip = root + np.array((np.cos(angle) * inward, np.sin(angle))) * length
        shapes.append(Shape(np.array([root, tip]), shade(tone, 0.75), line=side * 0.008))
    return shapes


def _bars(rng: Generator, height: float, width: float) -> list[Shape]:
    """Bars of a fence, a cot or a chair's back."""
    side = min(height, width)
    colour = coat_colour(rng, spread=14)
    step, thick, slant = (
        side * rng.uniform(0.28, 0.5),
        side * rng.uniform(0.02, 0.045),
        rng.uniform(-0.1, 0.1),
    )
    top = pick(rng, (-0.1, rng.uniform(0.3, 0.6))) * height
    shapes = []
    for x in np.arange(rng.uniform(0, step), width, step):
        lean = slant * height
        bar = [(x + lean, top), (x + lean + thick, top), (x + thick, height * 1.05), (x, height * 1.05)]
        shapes.append(Shape(np.array(bar), colour, 200, side * 0.008, fur=False))
    if top > 0:
        rail = [(-5, top), (width + 5, top), (width + 5, top + thick * 1.3), (-5, top + thick * 1.3)]
        shapes.append(Shape(np.array(rail), shade(colour, 1.1), 210, side * 0.008, fur=False))
    return shapes


def _cushion(rng: Generator, height: float, width: float) -> list[Shape]:
    """A cushion or blanket at the lower edge."""
    side = min(height, width)
    colour = coat_colour(rng, spread=14)
    wide, tall = side * rng.uniform(0.2, 0.38), side * rng.uniform(0.12, 0.22)
    centre = np.array((rng.uniform(0.05, 0.95) * width, height - tall * rng.uniform(0.0, 0.5)))
    points = smooth([(-1, -0.8), (0, -0.95), (1, -0.8), (0.95, 0), (1, 0.9), (0, 1), (-1, 0.9), (-0.95, 0)])
    shapes = [Shape(points * (wide, tall) + centre, colour, 200, side * 0.01)]
    for share in (-0.4, 0.1, 0.5):
        x = centre[0] + wide * share
        fold = smooth([(x, centre[1] - tall * 0.8), (x + wide * 0.06, centre[1]), (x, centre[1] + tall)], closed=False)
        shapes.append(Shape(fold, shade(colour, 0.72), line=side * 0.012))
    return shapes


def _hand(rng: Generator, height: float, width: float) -> list[Shape]:
    """A forearm and a hand from one side, stroking the animal."""
    side = min(height, width)
    colour = shade(pick(rng, SKIN_COLOURS), rng.uniform(0.9, 1.08))
    sleeve = coat_colour(rng, spread=14)
    angle, size = rng.uniform(-0.4, 0.6), side * rng.uniform(0.08, 0.11)
    inward = pick(rng, (-1.0, 1.0))
    wrist = np.array((width * (0.5 - inward * rng.uniform(0.27, 0.42)), height * rng.uniform(0.3, 0.85)))
    matrix = turn(angle) * (inward, 1.0) * size
    ink = side * 0.008

    def part(path: list[tuple[float, float]], widths: tuple[float, ...], tone: Colour, relief: int) -> Shape:
        outline = Limb.through(path, widths).outline() @ matrix + wrist
        return Shape(outline, tone, relief, ink, fur=False)

    shapes = [part([(-8, 0.2), (-3.5, 0.1), (-1.4, 0.0)], (1.0, 0.95, 0.85), sleeve, 190)]
    shapes.append(part([(-1.6, 0), (-0.5, 0)], (0.5, 0.5), colour, 195))
    shapes.append(part([(0.1, 0.4), (0.7, 0.95), (1.2, 1.1)], (0.3, 0.24, 0.2), colour, 200))
    shapes.append(Shape(ellipse(0.3, 0, 0.85, 0.72) @ matrix + wrist, colour, 205, ink, fur=False))
    for k, y in enumerate((-0.5, -0.17, 0.16, 0.47)):
        long = (1.75, 2.0, 1.95, 1.6)[k]
        shapes.append(part([(0.6, y * 0.9), (1.2, y * 1.1), (long, y * 1.15)], (0.22, 0.2, 0.17), colour, 212))
    return shapes


PROPS: tuple[Prop, ...] = (_leaves, _bars, _cushion, _hand)
