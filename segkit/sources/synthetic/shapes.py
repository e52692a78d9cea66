"""Curves, limbs and blobs as polygons, and the canvas that draws them.

Points are float64 arrays ``(n, 2)`` of (x, y), with y pointing down, in whatever unit the caller uses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]
Colour = tuple[int, int, int]

_STEPS = 6
_T = np.arange(_STEPS)[:, None] / _STEPS
# Catmull-Rom weights of the four neighbouring control points at each step of a segment, (steps, 4).
_SPLINE = 0.5 * np.hstack(
    [
        -_T + 2 * _T**2 - _T**3,
        2 - 5 * _T**2 + 3 * _T**3,
        _T + 4 * _T**2 - 3 * _T**3,
        -(_T**2) + _T**3,
    ]
)
_ANGLES = np.linspace(0, 2 * np.pi, 32, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_CAP = np.linspace(np.pi / 2, -np.pi / 2, 7)[1:-1, None]


@dataclass(frozen=True, slots=True)
class Shape:
    """One filled polygon or open line of the animal, in drawing order.

    ``relief`` 0..255 is how far the part rises towards the viewer; None marks paint on a part already
    drawn. ``ink`` is the width of its dark outline, drawn along the open line ``edge`` where that is given,
    and ``line`` the width of an open line, both in the unit of ``points``. ``fur`` says whether coat patches
    and hair texture may cover it.
    """

    points: Points
    colour: Colour
    relief: int | None = None
    ink: float = 0.0
    fur: bool = True
    line: float = 0.0
    edge: Points | None = None

    def moved(self, matrix: NDArray[np.float64], offset: ArrayLike) -> "Shape":
        """The shape with ``points @ matrix + offset`` and its widths scaled by the matrix's scale."""
        scale = float(np.hypot(*matrix[0]))
        edge = None if self.edge is None else self.edge @ matrix + offset
        points = self.points @ matrix + offset
        return Shape(points, self.colour, self.relief, self.ink * scale, self.fur, self.line * scale, edge)


def ellipse(x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> Points:
    """A polygon of 32 points around (x, y), turned by ``angle`` radians."""
    points = _CIRCLE * (rx, ry)
    if angle:
        points = points @ turn(angle)
    return points + np.array((x, y))


def turn(angle: float) -> NDArray[np.float64]:
    """The ``(2, 2)`` matrix that turns row vectors by ``angle`` radians (clockwise on screen)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin], [-sin, cos]])


@lru_cache(maxsize=64)
def _neighbours(count: int) -> NDArray[np.intp]:
    """For each of ``count`` points on a ring, the indices of the one before, itself and the two after."""
    return (np.arange(count)[:, None] + (-1, 0, 1, 2)) % count


def smooth(points: ArrayLike, closed: bool = True) -> Points:
    """A smooth curve through control points, six points a segment."""
    points = np.asarray(points, dtype=np.float64)
    if closed:
        return (_SPLINE @ points[_neighbours(len(points))]).reshape(-1, 2)
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    windows = padded[_neighbours(len(padded))[1:-2]]
    return np.concatenate([(_SPLINE @ windows).reshape(-1, 2), points[-1:]])


def mirrored(points: ArrayLike) -> Points:
    """A closed smooth curve from the right half of a symmetric outline, listed from top to bottom."""
    right = np.asarray(points, dtype=np.float64)
    left = right[::-1] * (-1, 1)
    inner = left[np.abs(left[:, 0]) > 1e-9]
    return smooth(np.vstack([right, inner]))


@dataclass(frozen=True)
class Limb:
    """A smooth centre line with a half-width at each of its points: a leg, a tail, a neck, a trunk."""

    centre: Points
    width: NDArray[np.float64]
    normal: Points

    @classmethod
    def through(cls, path: ArrayLike, widths: Sequence[float]) -> "Limb":
        """Through the control points ``path`` with a half-width at each."""
        centre = smooth(path, closed=False)
        count, given = len(centre), len(widths)
        width = np.interp(np.arange(count) * ((given - 1) / (count - 1)), np.arange(given), widths)
        tangent = np.empty_like(centre)
        tangent[1:-1] = centre[2:] - centre[:-2]
        tangent[0], tangent[-1] = centre[1] - centre[0], centre[-1] - centre[-2]
        return cls(centre, width, _normals(tangent))

    def side(self, share: float, first: int = 0, last: int | None = None) -> Points:
        """The line at ``share`` of the half-width, -1 left edge to 1 right edge, of points first to last."""
        part = slice(first, last)
        return self.centre[part] + self.normal[part] * (share * self.width[part, None])

    def outline(self) -> Points:
        """The closed outline, with round ends."""
        ends = []
        for k, sign in ((-1, 1), (0, -1)):
            forward = sign * np.array([self.normal[k, 1], -self.normal[k, 0]])
            across = sign * self.normal[k]
            ends.append(self.centre[k] + self.width[k] * (np.sin(_CAP) * across + np.cos(_CAP) * forward))
        return np.concatenate([self.side(1.0), ends[0], self.side(-1.0)[::-1], ends[1]])

    def edge(self, start: float) -> Points:
        """The outline without the root: open, it leaves out the first ``start`` of the length."""
        first = round(start * (len(self.centre) - 1))
        return np.concatenate([self.side(1.0, first), self.side(-1.0, first)[::-1]])

    def band(self, start: float, stop: float, left: float = -1.0, right: float = 1.0) -> Points:
        """The part of the limb between two shares of its length and two shares of its half-width."""
        count = len(self.centre) - 1
        first = min(round(start * count), count - 1)
        last = max(round(stop * count), first + 1) + 1
        return np.concatenate([self.side(left, first, last), self.side(right, first, last)[::-1]])

    def stripe(self, at: float, thickness: float, left: float, right: float) -> Points:
        """A stripe across the limb that tapers to a point at ``right`` (shares as in ``band``)."""
        k = min(max(round(at * (len(self.centre) - 1)), 0), len(self.centre) - 1)
        along = np.array([self.normal[k, 1], -self.normal[k, 0]]) * thickness
        root = self.centre[k] + self.normal[k] * (left * self.width[k])
        middle = self.centre[k] + self.normal[k] * ((0.5 * left + 0.5 * right) * self.width[k])
        tip = self.centre[k] + self.normal[k] * (right * self.width[k]) + along * 0.6
        return np.array([root - along, middle - along * 0.7, tip, middle + along * 0.9, root + along])


def _normals(tangent: Points) -> Points:
    """Unit vectors a quarter turn clockwise from the tangents."""
    normal = np.empty_like(tangent)
    length = np.maximum(np.sqrt((tangent * tangent).sum(axis=1)), 1e-9)
    normal[:, 0], normal[:, 1] = -tangent[:, 1] / length, tangent[:, 0] / length
    return normal


def fluffy(points: Points, amount: float, rng: np.random.Generator) -> Points:
    """The outline with tufts of hair up to ``amount`` long along it, most of them drooping."""
    if amount <= 0:
        return points
    ring = _neighbours(len(points))
    before, following = points[ring[:, 0]], points[ring[:, 2]]
    tangent = following - before
    normal = _normals(tangent) * (-1.0 if signed_area(points) > 0 else 1.0)
    tufts = np.empty((len(points), 2, 2))
    length = rng.uniform(-0.1, 1.0, (len(points), 1)) ** 2
    lean = rng.uniform(-0.12, 0.3, (len(points), 1))
    tufts[:, 0] = points + normal * (amount * rng.uniform(-0.2, 0.15, (len(points), 1)))
    tufts[:, 1] = (points + following) / 2 + normal * (amount * length) + tangent * lean + (0, 0.3 * amount)
    return tufts.reshape(-1, 2)


def signed_area(points: Points) -> float:
    """The polygon's area, positive if its points run clockwise on screen."""
    following = points[_neighbours(len(points))[:, 2]]
    return 0.5 * float((points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]).sum())


class Canvas:
    """Draws shapes at ``scale`` times the wanted size and reduces them when read, so edges are smooth.

    Besides the paint it keeps, a byte each: relief, ink (outline), fur and alpha (inside the shapes).
    """

    def __init__(self, width: int, height: int, scale: int) -> None:
        self.scale = scale
        self._paint = Image.new("RGB", (width * scale, height * scale))
        # CMYK is used for four arbitrary bytes: resizing would weight RGBA by its last channel.
        self._layers = Image.new("CMYK", (width * scale, height * scale))
        self._on_paint, self._on_layers = ImageDraw.Draw(self._paint), ImageDraw.Draw(self._layers)

    def draw(self, shapes: Sequence[Shape]) -> None:
        """Draw shapes whose points are in pixels of the wanted size."""
        for shape in shapes:
            xy = (shape.points * self.scale).ravel().tolist()
            if shape.line:
                self._on_paint.line(xy, shape.colour, max(1, round(shape.line * self.scale)))
                continue
            self._on_paint.polygon(xy, shape.colour)
            if shape.relief is None:
                continue
            fur = 255 if shape.fur else 0
            self._on_layers.polygon(xy, (shape.relief, 0, fur, 255))
            if shape.ink:
                edge = [*xy, *xy[:2]] if shape.edge is None else (shape.edge * self.scale).ravel().tolist()
                self._on_layers.line(edge, (shape.relief, 255, fur, 255), max(1, round(shape.ink * self.scale)))

    def paint(self) -> NDArray[np.float32]:
        """The colours ``(height, width, 3)`` in 0..255, premultiplied by alpha."""
        return np.asarray(self._paint.reduce(self.scale), dtype=np.float32)

    def layers(self) -> tuple[Image.Image, ...]:
        """(relief, ink, fur, alpha), each L."""
        return self._layers.reduce(self.scale).split()
