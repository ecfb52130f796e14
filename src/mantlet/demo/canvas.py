"""A picture being drawn: shapes under one light, then the grain of a camera.

Lengths are in picture heights: (0, 0) is the top left corner and y = 1 the bottom edge.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter

Colour: TypeAlias = str | tuple[int, int, int]
"""A hex code, or red, green and blue."""
Point: TypeAlias = tuple[float, float]

_FINE: Final = 2
"""Drawn this many times larger and then reduced, for smooth edges."""


class Mood(NamedTuple):
    """The light of a scene: sky, sun and cloud colours; `shade` is mixed into all else, by `dim` (0 to 1)."""

    top: str
    bottom: str
    sun: str
    cloud: str
    shade: str
    dim: float


MOODS: Final = {
    "noon": Mood("#2d86cc", "#c8e9f6", "#fff9df", "#ffffff", "#ffffff", 0.0),
    "morning": Mood("#79bde0", "#fdebd0", "#fff4cf", "#ffffff", "#f7d9b0", 0.10),
    "gold": Mood("#ef9d4a", "#ffeeb4", "#fffbe6", "#fff3d6", "#d98a3c", 0.14),
    "dusk": Mood("#51407f", "#f79a63", "#ffe0a0", "#f3b7a4", "#5c3560", 0.24),
    "overcast": Mood("#8496a3", "#dfe5e4", "#f2f2ea", "#f7f9f9", "#8fa0aa", 0.16),
    "night": Mood("#0d1836", "#3a5a86", "#f5f0da", "#6c81a8", "#14234a", 0.42),
}
BRIGHT: Final = ("#d8433b", "#f0a12f", "#2f7fb8", "#2a9d8f", "#8a4f9e", "#f2c230", "#e76f51", "#3d5a98")
CREAM: Final = "#f7f1e1"
DARK: Final = "#2b2d33"


def mix(first: Colour, second: Colour, share: float) -> tuple[int, int, int]:
    """`first` with `share` (0 to 1) of `second` in it."""
    a, b = (ImageColor.getrgb(c)[:3] if isinstance(c, str) else c for c in (first, second))
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def arc(centre: Point, rx: float, ry: float, start: float, end: float, *, steps: int = 32) -> list[Point]:
    """Points on an ellipse from angle `start` to `end`, in degrees clockwise from 3 o'clock."""
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return [(centre[0] + rx * math.cos(a), centre[1] + ry * math.sin(a)) for a in angles]


class Canvas:
    """A picture under way, its light and its source of chance.

    `wide` is its width; `fit` is what the main object's size is multiplied by, to fit an upright picture too.
    """

    def __init__(self, size: tuple[int, int], mood: Mood, rng: np.random.Generator) -> None:
        self.mood, self.rng = mood, rng
        self.wide = size[0] / size[1]
        self.image = Image.new("RGB", (size[0] * _FINE, size[1] * _FINE), mood.bottom)
        self._draw = ImageDraw.Draw(self.image, "RGBA")
        self._x, self._y, self._across = 0.0, 0.0, 1
        self._scale = float(self.image.height)
        self.fit = min(1.0, self.wide / 1.05)
        self.dark = mood.dim > 0.2

    def at(self, x: float, y: float, scale: float, mirror: bool = False) -> Canvas:
        """The same picture from another origin, scaled and perhaps mirrored: where to draw an object."""
        view = copy.copy(self)
        view._x, view._y = self._placed([(x, y)])[0]
        view._scale = self._scale * scale
        view._across = -self._across if mirror else self._across
        return view

    def chance(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def pick(self, choices: Sequence[str]) -> str:
        return choices[int(self.rng.integers(len(choices)))]

    def shape(self, points: Iterable[Point], fill: Colour, alpha: float = 1.0, *, glow: bool = False) -> None:
        self._draw.polygon(self._placed(points), self._ink(fill, alpha, glow))

    def oval(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        fill: Colour,
        *,
        alpha: float = 1.0,
        glow: bool = False,
    ) -> None:
        (px, py), dx, dy = self._placed([(x, y)])[0], rx * self._scale, ry * self._scale
        self._draw.ellipse((px - dx, py - dy, px + dx, py + dy), self._ink(fill, alpha, glow))

    def disc(self, x: float, y: float, r: float, fill: Colour, alpha: float = 1.0, *, glow: bool = False) -> None:
        self.oval(x, y, r, r, fill, alpha=alpha, glow=glow)

    def ring(self, x: float, y: float, r: float, width: float, fill: Colour) -> None:
        (px, py), outer = self._placed([(x, y)])[0], (r + width / 2) * self._scale
        box = (px - outer, py - outer, px + outer, py + outer)
        self._draw.ellipse(box, outline=self._ink(fill, 1.0, False), width=max(1, round(width * self._scale)))

    def line(self, points: Iterable[Point], width: float, fill: Colour, alpha: float = 1.0) -> None:
        thick = max(1, round(width * self._scale))
        self._draw.line(self._placed(points), self._ink(fill, alpha, False), thick, joint="curve")

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour, *, r: float = 0.0, glow: bool = False
    ) -> None:
        (ax, ay), (bx, by) = self._placed([(x0, y0), (x1, y1)])
        corners = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
        self._draw.rounded_rectangle(corners, r * self._scale, self._ink(fill, 1.0, glow))

    def blend(self, y0: float, y1: float, top: Colour, bottom: Colour, glow: bool = False) -> None:
        """Fills the whole width from `y0` to `y1` with a blend of two colours."""
        first, last = round(y0 * self._scale), round(y1 * self._scale)
        ends = [self._ink(c, 1.0, glow)[:3] for c in (top, bottom)]
        column = np.linspace(ends[0], ends[1], max(1, last - first)).round().astype(np.uint8)[:, None]
        self.image.paste(Image.fromarray(column).resize((self.image.width, len(column))), (0, first))

    def mist(self, ovals: Iterable[tuple[float, float, float, float]], blur: float, fill: Colour, alpha: float) -> None:
        """Lays softened ovals (x, y, rx, ry) over the picture: clouds, halos and shadows."""
        coarse, scale = 4, self._scale
        spots = [(*self._placed([(x, y)])[0], rx * scale, ry * scale) for x, y, rx, ry in ovals]
        edge = 3 * blur * scale
        left = max(0, int(min(x - rx for x, _, rx, _ in spots) - edge))
        top = max(0, int(min(y - ry for _, y, _, ry in spots) - edge))
        right = min(self.image.width, int(max(x + rx for x, _, rx, _ in spots) + edge))
        bottom = min(self.image.height, int(max(y + ry for _, y, _, ry in spots) + edge))
        if right - left < coarse or bottom - top < coarse:
            return
        mask = Image.new("L", ((right - left) // coarse, (bottom - top) // coarse))
        pen = ImageDraw.Draw(mask)
        for x, y, rx, ry in spots:
            corners = (x - rx - left, y - ry - top, x + rx - left, y + ry - top)
            pen.ellipse([value / coarse for value in corners], round(255 * alpha))
        mask = mask.filter(ImageFilter.GaussianBlur(blur * scale / coarse))
        mask = mask.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        self.image.paste(fill, (left, top, right, bottom), mask)

    def finished(self) -> Image.Image:
        """The picture with what a lens and sensor add: darker corners, uneven light and fine noise."""
        pixels = np.asarray(self.image.reduce(_FINE), dtype=np.float32)
        high, wide = pixels.shape[:2]
        down = np.linspace(-1, 1, high, dtype=np.float32)[:, None]
        across = np.linspace(-1, 1, wide, dtype=np.float32)
        corners = 1.02 - 0.09 * (across**2 + down**2)
        blotches = Image.fromarray(self.rng.normal(0, 6, (7, 9)).astype(np.float32))
        noise = 2.2 * self.rng.standard_normal((high, wide), dtype=np.float32)
        noise += np.asarray(blotches.resize((wide, high), Image.Resampling.BICUBIC))
        lit = pixels * corners[..., None] + noise[..., None]
        return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))

    def _placed(self, points: Iterable[Point]) -> list[Point]:
        return [(self._x + self._across * x * self._scale, self._y + y * self._scale) for x, y in points]

    def _ink(self, fill: Colour, alpha: float, glow: bool) -> tuple[int, int, int, int]:
        red, green, blue = mix(fill, self.mood.shade, 0.0 if glow else self.mood.dim)
        return red, green, blue, round(255 * alpha)
