"""Heads of cats and dogs, which carry most of what makes an animal recognisable.

A head is built around (0, 0) with half-width about 1. Features have a depth ``z`` towards the viewer, so
turning the head by ``yaw`` and ``pitch`` moves the muzzle further than the eyes, and those further than the
skull.
"""

from dataclasses import dataclass

import numpy as np

from segkit.sources.synthetic.breeds import Breed
from segkit.sources.synthetic.coat import Coat, blend, hairy, shade
from segkit.sources.synthetic.shapes import Limb, Points, Shape, ellipse, mirrored, smooth, turn

Generator = np.random.Generator

INK = 0.075
CAT_SKULL = ((0, -0.74), (0.42, -0.68), (0.8, -0.34), (0.98, 0.14), (0.8, 0.52), (0.4, 0.76), (0, 0.82))
DOG_SKULL = ((0, -0.84), (0.44, -0.76), (0.8, -0.42), (0.86, 0.06), (0.7, 0.48), (0.4, 0.8), (0, 0.88))


@dataclass(frozen=True)
class Face:
    """Where a feature at (x, y, z) of the head appears in the image plane."""

    yaw: float
    pitch: float

    def at(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Projected position."""
        return (
            x * float(np.cos(self.yaw)) + z * float(np.sin(self.yaw)),
            y * float(np.cos(self.pitch)) + z * float(np.sin(self.pitch)),
        )

    def line(self, *points: tuple[float, float, float]) -> Points:
        """Projected points."""
        return np.array([self.at(*point) for point in points])

    def spot(self, x: float, y: float, z: float, rx: float, ry: float, angle: float = 0.0) -> Points:
        """An ellipse on the face, narrower on the side that turns away."""
        slant = self.yaw * 0.8 + (0.5 * x * abs(self.yaw) if x * self.yaw > 0 else 0.0)
        cx, cy = self.at(x, y, z)
        return ellipse(cx, cy, rx * max(0.35, float(np.cos(slant))), ry, angle)


def head(breed: Breed, coat: Coat, rng: Generator, yaw: float, tilt: float, place: tuple[float, float]) -> list[Shape]:
    """A head at ``place``, turned by ``yaw`` and tilted by ``tilt`` radians, in drawing order."""
    face = Face(yaw, rng.uniform(-0.12, 0.22))
    parts = _cat(breed, coat, rng, face) if breed.species == "cat" else _dog(breed, coat, rng, face)
    matrix = turn(tilt)
    return [part.moved(matrix, place) for part in parts]


def _cat(breed: Breed, coat: Coat, rng: Generator, face: Face) -> list[Shape]:
    parts = _pointed_ears(breed, coat, rng, face, tip=0.0)
    skull = mirrored(np.array(CAT_SKULL) * (breed.face, 1.0))
    parts.append(Shape(hairy(skull, breed, rng, 1.1), coat.base, 205, INK))
    parts += _mask(coat, face, rng, muzzle_y=0.36)
    for side in (-1, 1):
        parts.append(Shape(face.spot(side * 0.19, 0.42, 0.72 + breed.snout, 0.27, 0.2), coat.muzzle, 225))
    parts.append(Shape(face.spot(0, 0.62, 0.62 + breed.snout, 0.2, 0.13), coat.muzzle, 222))
    for side in (-1, 1):
        parts += _cat_eye(breed, coat, face, side)
    z = 0.78 + breed.snout
    nose = smooth(face.line((-0.13, 0.22, z), (0, 0.19, z), (0.13, 0.22, z), (0.03, 0.35, z), (-0.03, 0.35, z)))
    parts.append(Shape(nose, coat.nose, 245, fur=False))
    parts.append(Shape(face.line((0, 0.34, z), (0, 0.46, z)), coat.outline, line=0.05))
    for side in (-1, 1):
        mouth = face.line((0, 0.45, z), (side * 0.12, 0.53, z), (side * 0.26, 0.5, z - 0.1))
        parts.append(Shape(mouth, coat.outline, line=0.05))
        for k in range(3):
            start = (side * 0.3, 0.38 + 0.06 * k, z - 0.05)
            stop = (side * 1.25, 0.2 + 0.2 * k, z - 0.25)
            middle = (side * 0.8, 0.24 + 0.14 * k, z - 0.12)
            parts.append(Shape(face.line(start, middle, stop), (244, 242, 238), line=0.028))
    return parts


def _cat_eye(breed: Breed, coat: Coat, face: Face, side: int) -> list[Shape]:
    x, y, size = side * 0.42, -0.06, breed.eye
    rim = face.spot(x, y, 0.62, size * 1.28, size * 1.12, side * 0.2)
    iris = face.spot(x, y, 0.62, size * 1.05, size * 0.92, side * 0.2)
    pupil = face.spot(x, y, 0.63, size * 0.42, size * 0.86)
    glint = face.spot(x - 0.06, y - 0.07, 0.64, size * 0.24, size * 0.24)
    return [
        Shape(rim, (30, 26, 26), 190, fur=False),
        Shape(iris, coat.eye, 200, fur=False),
        Shape(pupil, (14, 12, 14), 200, fur=False),
        Shape(glint, (255, 255, 255), 200, fur=False),
    ]


def _dog(breed: Breed, coat: Coat, rng: Generator, face: Face) -> list[Shape]:
    parts: list[Shape] = []
    if breed.ears == "prick":
        parts += _pointed_ears(breed, coat, rng, face, tip=0.12)
    elif breed.ears == "folded":
        parts += _folded_ears(breed, coat, face)
    hanging = _floppy_ears(breed, coat, rng, face) if breed.ears == "floppy" else []
    behind = [] if abs(face.yaw) < 0.35 else hanging[: len(hanging) // 2]
    parts += behind
    skull = mirrored(np.array(DOG_SKULL) * (breed.face * 1.06, 1.0))
    parts.append(Shape(hairy(skull, breed, rng), coat.base, 200, INK))
    parts += _mask(coat, face, rng, muzzle_y=0.34)
    parts += _snout(breed, coat, rng, face)
    for side in (-1, 1):
        parts += _dog_eye(breed, coat, face, side)
    parts += hanging[len(behind) :]
    return parts


def _snout(breed: Breed, coat: Coat, rng: Generator, face: Face) -> list[Shape]:
    z = 0.75 + breed.snout
    tip = face.at(0, 0.36, z)
    root = face.at(0, 0.22, 0.45)
    bridge = Limb.through([root, ((root[0] + tip[0]) / 2, (root[1] + tip[1]) / 2), tip], (0.5, 0.45, 0.38))
    parts = []
    if rng.random() < 0.45:  # an open mouth with the tongue out
        jaw = face.at(0, 0.76, z - 0.25)
        parts.append(Shape(ellipse(*jaw, 0.3, 0.27), coat.muzzle, 205, INK * 0.8))
        parts.append(Shape(ellipse(jaw[0], jaw[1] - 0.03, 0.22, 0.2), (70, 32, 34), 190, fur=False))
        tongue = ellipse(jaw[0] + rng.uniform(-0.06, 0.06), jaw[1] + 0.14, 0.15, 0.27)
        parts.append(Shape(tongue, (222, 112, 118), 205, INK * 0.5, fur=False))
    parts.append(Shape(bridge.outline(), coat.muzzle, 232, INK * 0.55))
    lip = face.at(0, 0.56, z)
    for side in (-1, 1):
        corner = face.at(side * 0.34, 0.6, z - 0.32)
        middle = (lip[0] * 0.5 + corner[0] * 0.5, max(lip[1], corner[1]) + 0.07)
        parts.append(Shape(np.array([lip, middle, corner]), coat.outline, line=0.055))
    parts.append(Shape(np.array([(tip[0], tip[1]), lip]), coat.outline, line=0.055))
    nose_x, nose_y = face.at(0, 0.22, z + 0.12)
    nose = smooth(np.array([(-0.2, -0.08), (0, -0.13), (0.2, -0.08), (0.13, 0.1), (0, 0.15), (-0.13, 0.1)]))
    parts.append(Shape(nose + np.array((nose_x, nose_y)), (36, 29, 31), 250, fur=False))
    parts.append(Shape(ellipse(nose_x - 0.04, nose_y - 0.06, 0.07, 0.03), (150, 144, 148)))
    return parts


def _dog_eye(breed: Breed, coat: Coat, face: Face, side: int) -> list[Shape]:
    x, y, size = side * 0.38, -0.14, breed.eye
    brow = face.spot(x, y - 0.24, 0.6, 0.13, 0.07, -side * 0.3)
    return [
        Shape(brow, shade(blend(coat.base, coat.muzzle, 0.5), 1.12)),
        Shape(face.spot(x, y, 0.6, size * 1.25, size * 1.15), (26, 21, 22), 185, fur=False),
        Shape(face.spot(x, y, 0.61, size * 0.92, size * 0.9), coat.eye, 195, fur=False),
        Shape(face.spot(x, y, 0.62, size * 0.5, size * 0.5), (12, 10, 10), 195, fur=False),
        Shape(face.spot(x - 0.05, y - 0.05, 0.63, size * 0.27, size * 0.27), (255, 255, 255), 195, fur=False),
    ]


def _pointed_ears(breed: Breed, coat: Coat, rng: Generator, face: Face, tip: float) -> list[Shape]:
    """Triangular ears behind the skull; ``tip`` rounds them off."""
    parts = []
    size, spread = breed.ear_size, rng.uniform(-0.08, 0.1)
    for side in (-1, 1):
        top = (side * (0.74 + spread), -0.42 - 0.98 * size, -0.1)
        outer, inner = (side * 0.94 * breed.face, -0.12, -0.1), (side * 0.12, -0.62, -0.05)
        bulge = (side * (0.98 + spread) * breed.face, -0.28 - 0.52 * size, -0.1)
        shoulder = (side * (0.74 + spread - 0.14 - tip), -0.42 - (0.92 - 0.3 * tip) * size, -0.1)
        ear = face.line(outer, bulge, top, shoulder, inner)
        parts.append(Shape(hairy(smooth(ear), breed, rng, 0.4), coat.ears, 150, INK))
        centre = np.array(face.at(side * 0.6, -0.55, -0.05))
        shell = centre + (smooth(ear) - centre) * 0.6 + (0, 0.03)
        parts.append(Shape(shell, coat.skin, 130, fur=False))
    return parts


def _folded_ears(breed: Breed, coat: Coat, face: Face) -> list[Shape]:
    """Ears that stand up and whose tips fall forwards."""
    parts = []
    size = breed.ear_size
    for side in (-1, 1):
        stand = face.line(
            (side * 0.9, -0.3, 0),
            (side * 0.98, -0.5 - 0.45 * size, 0),
            (side * 0.62, -0.62 - 0.5 * size, 0),
            (side * 0.25, -0.66, 0),
        )
        fold = face.line(
            (side * 0.5, -0.7 - 0.42 * size, 0.1),
            (side * 0.98, -0.62 - 0.42 * size, 0.1),
            (side * 1.16, -0.3, 0.1),
            (side * 1.0, -0.2, 0.1),
        )
        parts.append(Shape(smooth(stand), coat.ears, 150, INK))
        parts.append(Shape(smooth(fold), shade(coat.ears, 0.8), 185, INK))
    return parts


def _floppy_ears(breed: Breed, coat: Coat, rng: Generator, face: Face) -> list[Shape]:
    """Ears that hang down at the sides; the one on the far side comes first."""
    parts = []
    size, swing = breed.ear_size, rng.uniform(-0.1, 0.15)
    for side in (1, -1) if face.yaw > 0 else (-1, 1):
        z = -0.15
        ear = face.line(
            (side * 0.5, -0.68, z),
            (side * 0.92, -0.62, z),
            (side * (1.18 + swing), -0.05, z),
            (side * (1.2 + swing), 0.35 + 0.3 * size, z),
            (side * (0.98 + swing), 0.42 + 0.45 * size, z),
            (side * 0.76, 0.3 + 0.25 * size, z),
            (side * 0.74, -0.15, z),
        )
        colour = shade(coat.ears, 0.82) if coat.ears == coat.base else coat.ears
        parts.append(Shape(hairy(smooth(ear), breed, rng), colour, 225, INK))
    return parts


def _mask(coat: Coat, face: Face, rng: Generator, muzzle_y: float) -> list[Shape]:
    """Markings of the face, under the eyes and the muzzle."""
    marks: list[Shape] = []
    if coat.striped or coat.pattern == "spots":
        for x in (-0.26, 0.0, 0.26):
            top, low = face.at(x * 1.25, -0.72, 0.2), face.at(x * 0.8, -0.26 - abs(x) * 0.3, 0.6)
            marks.append(Shape(np.array([top, low]), coat.dark, line=0.1))
        for side in (-1, 1):
            for k in range(2):
                outer = face.at(side * 0.95, 0.02 + 0.3 * k, 0.05)
                inner = face.at(side * 0.6, 0.16 + 0.22 * k, 0.4)
                marks.append(Shape(np.array([outer, inner]), coat.dark, line=0.09))
    if coat.pattern in ("bicolour", "tabby_white", "patches", "eye_patch"):
        width = rng.uniform(0.1, 0.2)
        blaze = face.line(
            (0, -0.8, 0.3),
            (width * 0.5, -0.4, 0.6),
            (width, 0.0, 0.7),
            (0.42, muzzle_y, 0.55),
            (0.3, 0.78, 0.3),
            (-0.3, 0.78, 0.3),
            (-0.42, muzzle_y, 0.55),
            (-width, 0.0, 0.7),
            (-width * 0.5, -0.4, 0.6),
        )
        marks.append(Shape(smooth(blaze), coat.light))
    if coat.pattern == "points":
        marks.append(Shape(face.spot(0, 0.2, 0.6, 0.58, 0.56), blend(coat.base, coat.dark, 0.6)))
    if coat.pattern == "eye_patch":
        side = 1 if rng.random() < 0.5 else -1
        marks.append(Shape(face.spot(side * 0.42, -0.16, 0.5, 0.36, 0.42, 0.3), coat.dark))
    if coat.pattern == "urajiro":
        for side in (-1, 1):
            marks.append(Shape(face.spot(side * 0.55, 0.42, 0.4, 0.36, 0.36), coat.light))
    return marks
