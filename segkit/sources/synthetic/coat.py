"""Coats: the colours of an animal's parts, and markings painted on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.sources.synthetic.breeds import COAT_COLOURS, EYE_COLOURS, WHITE, Breed
from segkit.sources.synthetic.shapes import Colour, Limb, Shape, ellipse, fluffy

Generator = np.random.Generator


def pick(rng: Generator, choices: Sequence[Any]) -> Any:
    """One of ``choices``, all equally likely (a faster Generator.choice that keeps the type)."""
    return choices[int(rng.integers(len(choices)))]


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (factor below 1) or lighter."""
    return tuple(min(255, max(0, round(channel * factor))) for channel in colour)


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """``share`` of the way from one colour to the other."""
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))


def luma(colour: Colour) -> float:
    """Perceived brightness, 0..255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def coat_colour(rng: Generator, index: int | None = None, spread: float = 9.0) -> Colour:
    """A colour of COAT_COLOURS (any, or the one at ``index``) with some variation."""
    base = pick(rng, COAT_COLOURS) if index is None else COAT_COLOURS[index]
    common, own = rng.normal(0, spread), rng.normal(0, spread / 3, 3)
    return tuple(min(250, max(14, round(channel + common + d))) for channel, d in zip(base, own, strict=True))


@dataclass(frozen=True)
class Coat:
    """The colours of one animal: where the markings are dark, light or as the rest."""

    pattern: str
    base: Colour
    dark: Colour
    light: Colour
    chest: Colour
    muzzle: Colour
    paws: Colour
    ears: Colour
    tail_tip: Colour
    eye: Colour
    nose: Colour
    skin: Colour

    @property
    def striped(self) -> bool:
        """Whether bands go across its body, legs and tail."""
        return self.pattern in ("tabby", "tabby_white")

    @property
    def outline(self) -> Colour:
        """The colour of fine lines on it: mouth, toes."""
        return shade(self.base, 0.38) if luma(self.base) > 70 else (22, 20, 22)


def choose(breed: Breed, rng: Generator) -> Coat:
    """One animal's coat."""
    pattern = pick(rng, breed.patterns)
    base = coat_colour(rng, pick(rng, breed.coats))
    if pattern in ("points", "eye_patch", "urajiro", "tabby", "tabby_white", "saddle"):
        base = base if luma(base) > 95 else coat_colour(rng, pick(rng, (5, 6, 7, 11)))
    dark = shade(base, rng.uniform(0.42, 0.6)) if luma(base) > 80 else shade(base, 0.6)
    light = blend(WHITE, base, rng.uniform(0.0, 0.16))
    if pattern in ("points", "saddle", "eye_patch"):
        dark = coat_colour(rng, pick(rng, (0, 1, 10, 9)))
    if pattern == "patches":
        dark = coat_colour(rng, pick(rng, (0, 1, 7, 8, 9, 10, 6)))
    white_parts = pattern in ("bicolour", "tabby_white", "urajiro", "patches", "eye_patch")
    soft = blend(base, WHITE, 0.35 if luma(base) < 215 else 0.0)
    paws = light if white_parts and rng.random() < 0.8 else base
    tips = dark if pattern == "points" else base
    return Coat(
        pattern=pattern,
        base=base,
        dark=dark,
        light=light,
        chest=light if white_parts else (soft if rng.random() < 0.5 else base),
        muzzle=light if white_parts else (dark if pattern == "points" else soft),
        paws=dark if pattern == "points" else paws,
        ears=dark if pattern in ("points", "saddle", "eye_patch") else base,
        tail_tip=light if white_parts and rng.random() < 0.5 else (dark if pattern != "solid" else tips),
        eye=pick(rng, EYE_COLOURS[breed.species]),
        nose=(196, 120, 116) if breed.species == "cat" and rng.random() < 0.7 else (40, 32, 34),
        skin=blend((214, 150, 142), base, 0.35),
    )


def stripes(limb: Limb, coat: Coat, rng: Generator, count: int, reach: tuple[float, float]) -> list[Shape]:
    """Tabby bands across a limb from its edge at ``reach[0]`` to about ``reach[1]`` of its half-width."""
    marks = []
    step = 1.0 / (count + 1)
    for k in range(1, count + 1):
        at = k * step + rng.uniform(-0.2, 0.2) * step
        end = reach[1] + rng.uniform(-0.25, 0.25)
        width = rng.uniform(0.16, 0.26) * step * limb_length(limb)
        marks.append(Shape(limb.stripe(at, width, reach[0], end), coat.dark))
    return marks


def limb_length(limb: Limb) -> float:
    """Length of its centre line."""
    return float(np.hypot(*np.diff(limb.centre, axis=0).T).sum())


def trunk_marks(limb: Limb, coat: Coat, rng: Generator, back: float) -> list[Shape]:
    """Markings on a trunk whose back is the edge ``back`` (-1 or 1) of the limb, from rump to chest."""
    marks: list[Shape] = []
    if coat.chest != coat.base:
        marks.append(Shape(limb.band(0.15, 1.0, -0.55 * back, -1.0 * back), coat.chest))
    if coat.striped:
        marks += stripes(limb, coat, rng, int(rng.integers(5, 8)), (1.0 * back, -0.35 * back))
    if coat.pattern == "saddle":
        marks.append(Shape(limb.band(0.06, 0.84, 1.0 * back, -0.05 * back), coat.dark))
    if coat.pattern == "spots":
        marks += rosettes(limb, coat, rng)
    return marks


def rosettes(limb: Limb, coat: Coat, rng: Generator) -> list[Shape]:
    """Small dark spots all over a limb."""
    marks = []
    for k in range(1, len(limb.centre) - 1, 2):
        for side in (-0.6, 0.0, 0.6):
            x, y = limb.centre[k] + limb.normal[k] * limb.width[k] * (side + rng.uniform(-0.2, 0.2))
            size = limb.width[k] * rng.uniform(0.08, 0.17)
            marks.append(Shape(ellipse(x, y, size * 1.3, size, rng.uniform(-0.5, 0.5)), coat.dark))
    return marks


def hairy(points: np.ndarray, breed: Breed, rng: Generator, more: float = 1.0) -> np.ndarray:
    """The outline of a part with the breed's tufts of hair."""
    return fluffy(points, breed.fluff * more, rng)
