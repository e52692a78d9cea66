"""Poses: bodies built around the head, in units of the head's half-width."""

from collections.abc import Callable

import numpy as np

from segkit.sources.synthetic.breeds import Breed
from segkit.sources.synthetic.coat import Coat, blend, hairy, shade, stripes, trunk_marks
from segkit.sources.synthetic.head import INK, head
from segkit.sources.synthetic.shapes import Limb, Shape, ellipse, mirrored, smooth

Generator = np.random.Generator
Pose = Callable[[Breed, Coat, Generator], list[Shape]]

FAR = 0.72


def animal(breed: Breed, coat: Coat, rng: Generator, pose: str) -> list[Shape]:
    """An animal in a pose of POSES as shapes in drawing order; those seen from the side face right."""
    return POSES[pose](breed, coat, rng)


def _head_at(breed: Breed, coat: Coat, rng: Generator, x: float, y: float, yaw: tuple[float, float]) -> list[Shape]:
    most = 0.5 if breed.species == "cat" else 0.85
    turned = float(np.clip(rng.uniform(*yaw), -most, most))
    return head(breed, coat, rng, turned, float(rng.normal(0, 0.13)), (x, y))


def _leg(
    coat: Coat,
    rng: Generator,
    path: list[tuple[float, float]],
    widths: tuple[float, ...],
    far: bool = False,
    toe: float = 1.0,
) -> list[Shape]:
    """A leg from its root to the paw, which points to ``toe`` (1 right, -1 left, 0 to the viewer)."""
    limb = Limb.through(path, widths)
    tone = FAR if far else 1.0
    relief = 90 if far else 165
    x, y = path[-1]
    width = widths[-1]
    # Without ink at its root a near leg grows out of the body instead of being pinned to it.
    shapes = [Shape(limb.outline(), shade(coat.base, tone), relief, INK, edge=limb.edge(0.0 if far else 0.42))]
    if coat.striped:
        marks = stripes(limb, coat, rng, 4, (1.0, -0.9))
        shapes += [Shape(mark.points, shade(mark.colour, tone)) for mark in marks]
    if coat.paws != coat.base:
        shapes.append(Shape(limb.band(0.6, 1.0), shade(coat.paws, tone)))
    paw = ellipse(x + toe * width * 0.35, y, width * 1.3, width * 0.85)
    shapes.append(Shape(paw, shade(coat.paws, tone), relief + 10, INK))
    for k in (-0.35, 0.35):
        centre = x + width * (k + 0.6 * toe)
        line = np.array([(centre, y + width * 0.05), (centre, y + width * 0.7)])
        shapes.append(Shape(line, shade(coat.paws, tone * 0.5), line=0.045))
    return shapes


def _tail(breed: Breed, coat: Coat, rng: Generator, x: float, y: float, low: bool) -> list[Shape]:
    """A tail rooted at (x, y), going left; ``low`` along the ground, otherwise raised."""
    long = rng.uniform(0.85, 1.15)
    wag = rng.uniform(-0.35, 0.35)
    paths = {
        "cat": (
            [(0, 0), (-0.7, -0.3), (-1.0, -1.2), (-0.85 + wag, -2.1), (-1.2 + wag, -2.6)],
            (0.25, 0.21, 0.18),
        ),
        "plume": ([(0, 0), (-0.7, -0.2), (-1.1, -1.0), (-1.0 + wag, -1.9)], (0.28, 0.45, 0.52, 0.3)),
        "whip": ([(0, 0), (-0.7, -0.35), (-1.3, -1.0), (-1.6, -1.7 + wag)], (0.24, 0.17, 0.1)),
        "short": ([(0, 0), (-0.3, -0.5), (-0.45 + wag, -1.1)], (0.28, 0.24, 0.16)),
        "curl": (
            [(0, 0), (-0.5, -0.75), (0.1, -1.25), (0.65, -0.85), (0.4, -0.4)],
            (0.34, 0.42, 0.45, 0.4, 0.25),
        ),
    }
    grounded = {
        "cat": ([(0, 0), (-0.8, 0.15), (-1.6, 0.0), (-2.2, -0.35 + wag)], (0.25, 0.21, 0.17)),
        "plume": ([(0, 0), (-0.8, 0.05), (-1.5, -0.1), (-1.9, -0.4 + wag)], (0.3, 0.45, 0.5, 0.25)),
        "whip": ([(0, 0), (-0.8, 0.15), (-1.7, 0.0), (-2.2, -0.3 + wag)], (0.24, 0.17, 0.09)),
    }
    path, widths = (grounded if low else paths).get(breed.tail, paths[breed.tail])
    limb = Limb.through(np.array(path) * long + (x, y), widths)
    shapes = [Shape(hairy(limb.outline(), breed, rng, 1.2), shade(coat.base, 0.93), 120, INK)]
    if coat.striped:
        shapes += stripes(limb, coat, rng, 6, (1.0, -1.0))
    if coat.tail_tip != coat.base:
        shapes.append(Shape(limb.band(0.76, 1.0), coat.tail_tip))
    return shapes


def sit_front(breed: Breed, coat: Coat, rng: Generator) -> list[Shape]:
    """Sitting and facing the viewer."""
    tall, wide = 3.3 * rng.uniform(0.92, 1.08), 1.35 * breed.girth / 0.86
    shapes = _tail(breed, coat, rng, -wide * 0.7, tall - 0.25, low=True)
    for side in (-1, 1):  # haunches
        haunch = ellipse(side * wide * 0.78, tall - 0.75, wide * 0.52, 0.86, side * 0.25)
        shapes.append(Shape(hairy(haunch, breed, rng), shade(coat.base, 0.88), 125, INK))
        paw = ellipse(side * wide * 0.92, tall - 0.06, 0.42, 0.24)
        shapes.append(Shape(paw, shade(coat.paws, 0.92), 150, INK))
    body = mirrored(
        [
            (0, 0.1),
            (wide * 0.55, 0.4),
            (wide * 0.72, 1.2),
            (wide * 0.82, tall - 1.2),
            (wide * 0.7, tall - 0.3),
            (0, tall - 0.12),
        ]
    )
    shapes.append(Shape(hairy(body, breed, rng), coat.base, 150, INK))
    shapes += _front_marks(coat, rng, tall, wide)
    for side in (-1, 1):
        path = [(side * 0.5, 1.3), (side * 0.46, tall - 1.1), (side * 0.42, tall)]
        shapes += _leg(coat, rng, path, (0.4, 0.32, 0.3), toe=0.0)
    if coat.chest != coat.base or breed.fluff > 0.1:
        bib = mirrored([(0, 0.4), (0.52, 0.6), (0.5, 1.25), (0.2, 1.85), (0, 2.05)])
        tone = coat.chest if coat.chest != coat.base else blend(coat.base, coat.light, 0.25)
        shapes.append(Shape(hairy(bib, breed, rng, 1.4), tone, 185))
    return shapes + _head_at(breed, coat, rng, rng.uniform(-0.12, 0.12), -0.25, (-0.5, 0.5))


def _front_marks(coat: Coat, rng: Generator, tall: float, wide: float) -> list[Shape]:
    marks: list[Shape] = []
    if coat.striped or coat.pattern == "spots":
        for side in (-1, 1):
            for k in range(4):
                y = 1.0 + k * (tall - 1.6) / 4 + rng.uniform(-0.1, 0.1)
                outer = (side * wide * 0.7, y - 0.1)
                marks.append(Shape(np.array([outer, (side * wide * 0.3, y + 0.14), (outer[0], y + 0.2)]), coat.dark))
    if coat.pattern == "saddle":
        for side in (-1, 1):
            marks.append(Shape(ellipse(side * wide * 0.52, 1.55, wide * 0.18, 0.85), coat.dark))
    return marks


def sit_side(breed: Breed, coat: Coat, rng: Generator) -> list[Shape]:
    """Sitting, seen from the side, chest to the right."""
    tall = 3.2 * rng.uniform(0.92, 1.08)
    girth = breed.girth
    shapes = _tail(breed, coat, rng, -1.75, tall - 0.3, low=True)
    shapes += _leg(coat, rng, [(0.75, 1.3), (0.85, tall - 1.0), (0.98, tall - 0.12)], (0.36, 0.29, 0.26), far=True)
    trunk = Limb.through(
        [(-1.35, tall - 0.85), (-0.75, tall - 1.45), (0.05, 1.1), (0.3, 0.25)],
        (0.95 * girth, 1.12 * girth, 0.98 * girth, 0.7 * girth),
    )
    shapes.append(Shape(hairy(trunk.outline(), breed, rng), coat.base, 150, INK))
    shapes += trunk_marks(trunk, coat, rng, back=-1.0)
    haunch = ellipse(-0.95, tall - 0.85, 0.95, 0.88, -0.3)
    shapes.append(Shape(hairy(haunch, breed, rng), coat.base, 178, INK * 0.7))
    if coat.striped:
        thigh = Limb.through([(-1.5, tall - 1.2), (-0.95, tall - 0.85), (-0.4, tall - 0.5)], (0.6, 0.7, 0.5))
        shapes += stripes(thigh, coat, rng, 3, (-0.9, 0.5))
    foot = Limb.through([(-1.05, tall - 0.16), (-0.4, tall - 0.12)], (0.27, 0.24))
    shapes.append(Shape(foot.outline(), coat.paws, 185, INK))
    shapes += _leg(coat, rng, [(0.4, 1.2), (0.48, tall - 1.0), (0.52, tall)], (0.44, 0.33, 0.28))
    return shapes + _head_at(breed, coat, rng, 0.5, -0.35, (-0.1, 0.85))


def stand(breed: Breed, coat: Coat, rng: Generator) -> list[Shape]:
    """Standing or walking, seen from the side, head to the right."""
    half, girth, legs = breed.body / 2, breed.girth, breed.legs * rng.uniform(0.9, 1.1)
    ground = girth + legs
    step = rng.uniform(-0.45, 0.45)
    shapes = _tail(breed, coat, rng, -half - girth * 0.35, -girth * 0.35, low=False)
    for x, lean in ((-half + 0.05, step), (half - 0.2, -step)):
        knee = (x + lean * 0.4 + 0.08, ground * 0.66)
        shapes += _leg(coat, rng, [(x, 0.1), knee, (x + lean, ground - 0.14)], (0.42, 0.26, 0.22), far=True)
    trunk = Limb.through(
        [(-half - 0.1, -0.02), (-half * 0.4, 0.0), (half * 0.4, 0.05), (half, -0.05)],
        (0.82 * girth, 0.85 * girth, 0.98 * girth, 0.86 * girth),
    )
    neck_x, neck_y = half + 0.75 + 0.25 * girth, -1.3 * rng.uniform(0.75, 1.2)
    neck = Limb.through([(half - 0.25, -0.1), (half + 0.3, neck_y * 0.55), (neck_x, neck_y)], (0.8 * girth, 0.62, 0.55))
    shapes.append(Shape(hairy(neck.outline(), breed, rng), coat.base, 140, INK))
    shapes.append(Shape(hairy(trunk.outline(), breed, rng), coat.base, 150, INK))
    shapes += trunk_marks(trunk, coat, rng, back=-1.0)
    shapes.append(Shape(ellipse(half * 0.9, -0.25, 0.62 * girth, 0.62 * girth), coat.base, 150))
    thigh = Limb.through([(-half, -0.2), (-half - 0.1, 0.5), (-half + 0.15 - step, ground * 0.62)], (0.6, 0.58, 0.27))
    shapes.append(Shape(hairy(thigh.outline(), breed, rng), coat.base, 168, INK * 0.7))
    hock = (-half - 0.22 - step, ground * 0.78)
    shapes += _leg(
        coat, rng, [(-half + 0.1 - step, ground * 0.58), hock, (-half - step * 1.1, ground)], (0.3, 0.2, 0.24)
    )
    front = [(half - 0.15, 0.25), (half - 0.05 + step * 0.5, ground * 0.6), (half + step, ground)]
    shapes += _leg(coat, rng, front, (0.42, 0.27, 0.24))
    return shapes + _head_at(breed, coat, rng, neck_x + 0.12, neck_y - 0.35, (0.0, 0.85))


def lie(breed: Breed, coat: Coat, rng: Generator) -> list[Shape]:
    """Lying on the belly, fore legs stretched out, head to the right."""
    half, girth = breed.body / 2 * 1.05, breed.girth
    ground = girth * 1.05
    shapes = _tail(breed, coat, rng, -half - 0.55 * girth, ground - 0.35, low=True)
    far = Limb.through(
        [(half - 0.3, ground - 0.4), (half + 0.9, ground - 0.32), (half + 1.55, ground - 0.3)],
        (0.3, 0.26, 0.27),
    )
    shapes.append(Shape(far.outline(), shade(coat.paws, FAR), 100, INK))
    trunk = Limb.through(
        [(-half, 0.2), (-half * 0.35, 0.02), (half * 0.35, -0.02), (half, -0.1)],
        (0.86 * girth, 0.98 * girth, 0.98 * girth, 0.9 * girth),
    )
    neck_y = -1.05 * rng.uniform(0.8, 1.2)
    shapes.append(Shape(hairy(trunk.outline(), breed, rng), coat.base, 150, INK))
    shapes += trunk_marks(trunk, coat, rng, back=-1.0)
    neck = Limb.through(
        [(half - 0.2, 0.0), (half + 0.3, neck_y * 0.6), (half + 0.5, neck_y)], (0.85 * girth, 0.72, 0.6)
    )
    shapes.append(Shape(hairy(neck.outline(), breed, rng), coat.base, 152))
    haunch = ellipse(-half + 0.25, ground - 0.72, 0.95, 0.72, -0.2)
    shapes.append(Shape(hairy(haunch, breed, rng), coat.base, 172, INK * 0.8))
    foot = Limb.through([(-half + 0.1, ground - 0.18), (-half + 1.15, ground - 0.16)], (0.24, 0.24))
    shapes.append(Shape(foot.outline(), coat.paws, 182, INK))
    fore = [(half - 0.35, ground - 0.45), (half + 0.2, ground - 0.25), (half + 1.3, ground - 0.2)]
    shapes += _leg(coat, rng, fore, (0.42, 0.33, 0.27), toe=1.0)
    return shapes + _head_at(breed, coat, rng, half + 0.6, neck_y - 0.4, (-0.25, 0.85))


def loaf(breed: Breed, coat: Coat, rng: Generator) -> list[Shape]:
    """Lying towards the viewer, paws in front, the body a mound behind the head."""
    wide = 2.0 * breed.girth / 0.86 * rng.uniform(0.92, 1.12)
    shapes = _tail(breed, coat, rng, -wide * 0.8, 1.35, low=True)
    mound = smooth(
        [
            (-wide, 1.55),
            (-wide * 1.02, 0.6),
            (-wide * 0.62, -0.3),
            (0.2, -0.45),
            (wide * 0.7, 0.2),
            (wide * 0.85, 1.2),
            (wide * 0.5, 1.7),
            (-wide * 0.6, 1.75),
        ]
    )
    shapes.append(Shape(hairy(mound, breed, rng), coat.base, 140, INK))
    if coat.striped or coat.pattern == "spots":
        for k in range(3, 20, 3):  # along the back, from the rump to the neck
            tip = mound[k] + (np.array((-wide * 0.15, 0.9)) - mound[k]) * rng.uniform(0.4, 0.6)
            marks = np.array([mound[k], mound[k + 1], tip])
            shapes.append(Shape(marks, coat.dark))
    if coat.pattern == "saddle":
        shapes.append(Shape(ellipse(-wide * 0.45, 0.2, wide * 0.42, 0.55, -0.3), coat.dark))
    haunch = ellipse(-wide * 0.66, 1.1, 0.78, 0.66)
    shapes.append(Shape(hairy(haunch, breed, rng), coat.base, 165, INK * 0.7))
    chest = ellipse(0.45, 0.9, 0.9, 0.85)
    shapes.append(Shape(hairy(chest, breed, rng), coat.chest, 180, INK * 0.5))
    for x in (0.05, 0.9):
        shapes += _leg(coat, rng, [(x, 1.0), (x, 1.45), (x, 1.72)], (0.34, 0.34, 0.36), toe=0.0)
    return shapes + _head_at(breed, coat, rng, 0.45, -0.05, (-0.5, 0.5))


def bust(breed: Breed, coat: Coat, rng: Generator) -> list[Shape]:
    """Head and shoulders; the image's lower edge cuts the body off."""
    wide = 1.28 * breed.girth / 0.86 * rng.uniform(0.95, 1.2)
    lean = rng.uniform(-0.3, 0.3)
    body = smooth(
        [
            (-0.55, 0.2),
            (0.55, 0.2),
            (wide * 0.8 + lean, 0.95),
            (wide + lean, 2.2),
            (wide + lean, 4.2),
            (-wide + lean, 4.2),
            (-wide + lean, 2.2),
            (-wide * 0.8 + lean, 0.95),
        ]
    )
    shapes = [Shape(hairy(body, breed, rng), coat.base, 150, INK)]
    if coat.striped:
        for side in (-1, 1):
            for y in (1.3, 1.75, 2.2):
                x = side * wide * (0.66 + 0.14 * y) + lean
                shapes.append(Shape(np.array([(x, y - 0.12), (x * 0.4, y + 0.2), (x, y + 0.2)]), coat.dark))
    bib = mirrored([(0, 0.3), (0.62, 0.75), (0.6, 1.6), (0.3, 2.4), (0, 2.7)]) + np.array((lean * 0.5, 0))
    tone = coat.chest if coat.chest != coat.base else blend(coat.base, coat.light, 0.18)
    shapes.append(Shape(hairy(bib, breed, rng, 1.5), tone, 170))
    return shapes + _head_at(breed, coat, rng, 0.0, -0.2, (-0.6, 0.6))


POSES: dict[str, Pose] = {
    "sit_front": sit_front,
    "sit_side": sit_side,
    "stand": stand,
    "lie": lie,
    "loaf": loaf,
    "bust": bust,
}
