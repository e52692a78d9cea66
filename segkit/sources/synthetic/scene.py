"""Backgrounds: rooms, gardens and blankets, full of things coloured like coats."""

import numpy as np
from PIL import Image, ImageDraw

from segkit.sources.synthetic import difficulty
from segkit.sources.synthetic.coat import coat_colour, pick, shade
from segkit.sources.synthetic.shapes import Colour, ellipse, fluffy, smooth
from segkit.sources.synthetic.texture import Field, noise

Generator = np.random.Generator

ACCENTS: tuple[Colour, ...] = ((92, 124, 86), (104, 132, 164), (168, 70, 66), (70, 110, 116), (142, 108, 140))
GRASS: tuple[Colour, ...] = ((112, 128, 70), (148, 146, 90), (96, 112, 66), (166, 150, 104))

_SCALE = 2


def background(rng: Generator, height: int, width: int, coat: Colour) -> np.ndarray:
    """A scene as float32 ``(height, width, 3)`` in 0..255; ``coat`` is the animal's main colour."""
    image = Image.new("RGB", (width * _SCALE, height * _SCALE))
    pen = _Pen(image, rng, coat)
    draw = rng.random()
    if draw < difficulty.GREENERY:
        _garden(pen)
    elif draw < 0.72:
        _room(pen)
    else:
        _blanket(pen)
    for _ in range(int(rng.integers(difficulty.FUR_DISTRACTORS[0], difficulty.FUR_DISTRACTORS[1] + 1))):
        _furry_thing(pen)
    image = image.reduce(_SCALE)
    pixels = np.asarray(image, dtype=np.float32)
    return pixels * (1 + difficulty.SCENE_TEXTURE * _grain(rng, height, width))[..., None]


def _grain(rng: Generator, height: int, width: int) -> Field:
    """Texture of surfaces: coarse unevenness and finer streaks, as fur has them."""
    side = min(height, width)
    fine = noise(rng, height, width, side * rng.uniform(0.012, 0.05), side * rng.uniform(0.012, 0.05))
    return rng.uniform(0.3, 1.1) * fine + 0.7 * noise(rng, height, width, side * rng.uniform(0.1, 0.25))


class _Pen:
    """An image to draw on in relative units: x in 0..1 of the width, y in 0..1 of the height."""

    def __init__(self, image: Image.Image, rng: Generator, coat: Colour) -> None:
        self.rng, self.coat = rng, coat
        self.width, self.height = image.size
        self.side = min(image.size)
        self._draw = ImageDraw.Draw(image)

    def surface(self) -> Colour:
        """A coat's colour for a large surface, unlike this animal's coat by at least MIN_CONTRAST."""
        for _ in range(8):
            colour = shade(coat_colour(self.rng, spread=14), self.rng.uniform(0.75, 1.1))
            distance = float(np.hypot.reduce(np.subtract(colour, self.coat, dtype=np.float64)))
            if distance >= difficulty.MIN_CONTRAST:
                break
        return colour

    def thing(self) -> Colour:
        """The colour of a smaller thing: mostly a coat's, now and then one no coat has."""
        if self.rng.random() < difficulty.ACCENT_SHARE:
            return shade(pick(self.rng, ACCENTS), self.rng.uniform(0.7, 1.3))
        return shade(coat_colour(self.rng, spread=14), self.rng.uniform(0.75, 1.1))

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        """Fill a polygon given in relative units."""
        self._draw.polygon((points * (self.width, self.height)).ravel().tolist(), colour)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an upright rectangle given in relative units."""
        self.polygon(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]), colour)

    def line(self, points: np.ndarray, colour: Colour, width: float) -> None:
        """A line in relative units; ``width`` is a share of the shorter side."""
        pixels = max(1, round(width * self.side))
        self._draw.line((points * (self.width, self.height)).ravel().tolist(), colour, pixels)

    def strokes(self, starts: np.ndarray, ways: np.ndarray, colour: Colour, width: float) -> None:
        """Many short lines from ``starts`` along ``ways``, both (n, 2) in relative units."""
        pixels = max(1, round(width * self.side))
        for ends in (np.hstack([starts, starts + ways]) * (self.width, self.height, self.width, self.height)).tolist():
            self._draw.line(ends, colour, pixels)

    def blob(self, points: np.ndarray, x: float, y: float, colour: Colour) -> None:
        """Fill a polygon given in shares of the shorter side around the point (x, y)."""
        self._draw.polygon((points * self.side + (x * self.width, y * self.height)).ravel().tolist(), colour)

    def rounded(self, x: float, y: float, points: np.ndarray, colour: Colour) -> None:
        """A blob with a dark edge, a lighter upper side and so some roundness."""
        self.blob(points * 1.04 + (0, 0.008), x, y, shade(colour, 0.5))
        for size, factor in ((1.0, 0.88), (0.82, 0.98), (0.58, 1.08)):
            self.blob(points * size + np.array((-0.05, -0.08)) * (1 - size), x, y, shade(colour, factor))


def _room(pen: _Pen) -> None:
    rng = pen.rng
    wall, floor = pen.surface(), pen.surface()
    horizon = rng.uniform(0.4, 0.8)
    pen.rectangle(0, 0, 1, 1, wall)
    _wallpaper(pen, wall, horizon)
    pen.rectangle(0, horizon, 1, 1, floor)
    _floor(pen, floor, horizon)
    pen.rectangle(0, horizon - 0.03, 1, horizon, shade(wall, pick(rng, (0.6, 1.25))))
    for _ in range(int(rng.integers(difficulty.CLUTTER[0], difficulty.CLUTTER[1] + 1))):
        _furniture(pen, horizon)


def _wallpaper(pen: _Pen, wall: Colour, horizon: float) -> None:
    draw = pen.rng.random()
    if draw < 0.3:
        step = pen.rng.uniform(0.06, 0.16)
        for x in np.arange(pen.rng.uniform(-step, 0), 1, step):
            pen.rectangle(x, 0, x + step * 0.45, horizon, shade(wall, 0.86))
    elif draw < 0.55:
        step = pen.rng.uniform(0.08, 0.2)
        for y in np.arange(0, horizon, step):
            pen.line(np.array([(0, y), (1, y)]), shade(wall, 0.72), 0.012)
            for x in np.arange(pen.rng.uniform(-step, 0), 1, step * 1.6):
                pen.line(np.array([(x, y), (x, y + step)]), shade(wall, 0.72), 0.012)


def _floor(pen: _Pen, floor: Colour, horizon: float) -> None:
    draw = pen.rng.random()
    if draw < 0.5:  # boards that run towards the viewer
        for x in np.linspace(-0.8, 1.8, int(pen.rng.integers(9, 15))):
            far = 0.5 + (x - 0.5) * 0.55
            pen.line(np.array([(far, horizon), (x, 1.0)]), shade(floor, 0.7), 0.012)
    elif draw < 0.75:  # a rug
        colour = pen.thing()
        x, y = pen.rng.uniform(0.2, 0.8), pen.rng.uniform(horizon + 0.05, 1.0)
        for size, factor in ((1.0, 0.75), (0.92, 1.0), (0.6, 0.85)):
            pen.blob(ellipse(0, 0, 0.55 * size, 0.18 * size), x, y, shade(colour, factor))


def _furniture(pen: _Pen, horizon: float) -> None:
    rng, colour = pen.rng, pen.thing()
    kind = int(rng.integers(5))
    x, wide = rng.uniform(-0.1, 0.95), rng.uniform(0.15, 0.45)
    if kind == 0:  # a picture or a window
        y, tall = rng.uniform(-0.05, 0.3), rng.uniform(0.15, 0.35)
        pen.rectangle(x, y, x + wide, y + tall, shade(colour, 0.5))
        pen.rectangle(x + 0.02, y + 0.02, x + wide - 0.02, y + tall - 0.02, pen.thing())
    elif kind == 1:  # a cupboard with doors
        top = rng.uniform(0.05, 0.45)
        pen.rectangle(x, top, x + wide, horizon + 0.06, colour)
        pen.rectangle(x, top, x + wide, top + 0.03, shade(colour, 1.2))
        middle = x + wide / 2
        pen.line(np.array([(middle, top), (middle, horizon + 0.06)]), shade(colour, 0.55), 0.012)
        pen.rectangle(x + wide, top, x + wide + 0.04, horizon + 0.05, shade(colour, 0.6))
    elif kind == 2:  # a sofa: back, arm and seat
        top = horizon - rng.uniform(0.15, 0.35)
        pen.rectangle(x, top, x + wide * 1.8, horizon + 0.14, shade(colour, 0.85))
        pen.rectangle(x, horizon - 0.06, x + wide * 1.8, horizon + 0.06, shade(colour, 1.08))
        pen.rectangle(x, top + 0.06, x + 0.07, horizon + 0.14, shade(colour, 0.7))
    elif kind == 3:  # a cushion, a pouffe, a basket
        points = smooth([(-0.2, -0.12), (0.02, -0.16), (0.22, -0.1), (0.2, 0.12), (0, 0.15), (-0.22, 0.1)])
        pen.rounded(x, rng.uniform(horizon - 0.05, 1.0), points * rng.uniform(0.6, 1.2), colour)
    else:  # legs of a chair or table
        top = rng.uniform(0.3, 0.6)
        pen.rectangle(x, top, x + wide, top + 0.05, colour)
        for leg in (x + 0.02, x + wide - 0.05):
            pen.rectangle(leg, top + 0.04, leg + 0.035, horizon + rng.uniform(0.1, 0.3), shade(colour, 0.75))


def _garden(pen: _Pen) -> None:
    rng = pen.rng
    horizon = rng.uniform(0.1, 0.5)
    grass = shade(pick(rng, GRASS), rng.uniform(0.75, 1.2))
    pen.rectangle(0, 0, 1, 1, pen.surface() if rng.random() < 0.7 else (186, 200, 210))
    for _ in range(int(rng.integers(3, 7))):  # bushes, stones, trunks
        points = fluffy(ellipse(0, 0, rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.35)), 0.04, rng)
        colour = pen.thing() if rng.random() < 0.6 else shade(grass, rng.uniform(0.5, 0.8))
        pen.rounded(rng.uniform(0, 1), horizon - rng.uniform(0, 0.15), points, colour)
    pen.rectangle(0, horizon, 1, 1, grass)
    roots = rng.uniform((-0.05, horizon), (1.05, 1.05), (150, 2))
    lean = np.stack([rng.uniform(-0.02, 0.02, 150), 0.06 * (horizon - roots[:, 1]) - 0.03], axis=1)
    pen.strokes(roots[::2], lean[::2], shade(grass, 0.78), 0.012)
    pen.strokes(roots[1::2], lean[1::2], shade(grass, 1.18), 0.012)
    for _ in range(int(rng.integers(2, 9))):  # fallen leaves and stones
        x, y = rng.uniform(0, 1), rng.uniform(horizon, 1)
        size = rng.uniform(0.015, 0.05)
        pen.blob(ellipse(0, 0, size * 1.6, size, rng.uniform(0, 3)), x, y, pen.thing())


def _blanket(pen: _Pen) -> None:
    """Cloth all over the image: plaid, stripes or folds."""
    rng, colour = pen.rng, pen.surface()
    pen.rectangle(0, 0, 1, 1, colour)
    second = pen.thing()
    kind, step = int(rng.integers(4)), rng.uniform(0.12, 0.3)
    if kind in (0, 1):
        for x in np.arange(rng.uniform(-step, 0), 1.3, step):
            slant = rng.uniform(-0.02, 0.02)
            pen.line(np.array([(x, 0), (x + slant - 0.15 * (kind == 1), 1)]), second, step * 0.35)
    if kind == 0:
        for y in np.arange(rng.uniform(-step, 0), 1, step):
            pen.line(np.array([(0, y), (1, y + 0.03)]), shade(second, 0.8), step * 0.2)
    for _ in range(int(rng.integers(4, 9))):  # folds
        x, y, angle = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0, np.pi)
        away = np.array((np.cos(angle), np.sin(angle))) * rng.uniform(0.2, 0.6)
        path = smooth([(x, y), (x + away[0] * 0.5, y + away[1] * 0.6), (x + away[0], y + away[1])], closed=False)
        pen.line(path, shade(colour, 0.72), 0.022)
        pen.line(path + 0.012, shade(colour, 1.16), 0.014)
    for _ in range(int(rng.integers(difficulty.CLUTTER[0] + 1) + 1)):
        points = smooth(rng.uniform(0.7, 1.1, (7, 1)) * np.array(ellipse(0, 0, 0.2, 0.15)[::5]))
        pen.rounded(rng.uniform(0, 1), rng.uniform(0, 1), points * rng.uniform(0.7, 1.4), pen.thing())


def _furry_thing(pen: _Pen) -> None:
    """A plush toy, a throw, a fur rug: coat colours and stripes without a face."""
    rng = pen.rng
    colour = coat_colour(rng, spread=14)
    rx, ry = rng.uniform(0.1, 0.24), rng.uniform(0.08, 0.18)
    points = fluffy(ellipse(0, 0, rx, ry, rng.uniform(-0.6, 0.6)), rng.uniform(0.0, 0.03), rng)
    x = rng.uniform(0, 0.3) + 0.7 * pick(rng, (0, 1))
    y = rng.uniform(0.1, 1.0)
    pen.rounded(x, y, points, colour)
    if rng.random() < 0.4:
        for share in (-0.5, 0.0, 0.5):
            stripe = np.array(
                [(rx * share - 0.015, -ry * 0.7), (rx * share + 0.015, -ry * 0.7), (rx * share, ry * 0.6)]
            )
            pen.blob(stripe, x, y, shade(colour, 0.55))
