"""What stands around an object: sky, hills, sea, meadow, trees, a table and what lies on it."""

from __future__ import annotations

import math
from typing import Final

from mantlet.demo.canvas import BRIGHT, CREAM, DARK, MOODS, Canvas, Colour, Point, arc, mix

_SOIL: Final = "#16301c"
_BARK: Final = "#2a1508"
# (x, y, rx, ry) of the ovals that make a cloud, in parts of its size.
_CLOUD: Final = (
    (-1.1, 0.1, 0.6, 0.22), (-0.45, -0.18, 0.6, 0.45), (0.3, -0.3, 0.7, 0.55), (1.0, 0.0, 0.75, 0.32),
    (0.0, 0.2, 1.9, 0.16),
)  # fmt: skip


def sky(c: Canvas, horizon: float) -> None:
    """A sky down to `horizon`, with the sun or the moon and stars, and clouds."""
    c.blend(0, horizon, c.mood.top, c.mood.bottom, glow=True)
    night = c.mood is MOODS["night"]
    for _ in range(70 if night else 0):
        x, y = c.chance(0, c.wide), c.chance(0, horizon * 0.8)
        c.disc(x, y, c.chance(0.001, 0.0028), "#ffffff", 0.8, glow=True)
    if c.mood is not MOODS["overcast"]:
        x, y = c.chance(0.12, 0.88) * c.wide, c.chance(0.25, 0.5 if night else 0.8) * horizon
        c.mist([(x, y, 0.15, 0.15)], 0.07, c.mood.sun, 0.55)
        c.disc(x, y, 0.05, c.mood.sun, glow=True)
    for _ in range(int(c.rng.integers(2, 5))):
        at = (c.chance(-0.05, 1) * c.wide, c.chance(0.1, 0.75) * horizon)
        c.at(*at, c.chance(0.05, 0.11)).mist(_CLOUD, 0.12, c.mood.cloud, 0.4 if night else 0.82)


def hills(c: Canvas, y: float, height: float, fill: Colour) -> None:
    """A rolling skyline whose top is about `height` above `y`, filled down to the bottom."""
    a, b, p, q = c.chance(2, 4), c.chance(5, 8), c.chance(0, 6.3), c.chance(0, 6.3)
    xs = [i * c.wide / 60 for i in range(61)]
    tops = [(x, y - height * (0.55 + 0.3 * math.sin(a * x + p) + 0.15 * math.sin(b * x + q))) for x in xs]
    c.shape([*tops, (c.wide, 1.0), (0, 1.0)], fill)


def sea(c: Canvas, horizon: float) -> None:
    """Water from `horizon` down, its ripples larger the nearer they are."""
    water = c.pick(("#1f6f93", "#1b7f8c", "#2a6aa0"))
    c.blend(horizon, 1.0, mix(water, c.mood.bottom, 0.5), water)
    for _ in range(150):
        near = c.chance(0, 1) ** 1.5
        at = (c.chance(0, c.wide), horizon + 0.01 + near * (1 - horizon))
        light = c.rng.random() < 0.6
        tone = mix(water, "#ffffff", c.chance(0.3, 0.7)) if light else mix(water, "#04202e", 0.35)
        c.shape(arc(at, 0.012 + 0.07 * near, 0.0022 + 0.005 * near, 0, 360, steps=16), tone, 0.5)


def field(c: Canvas, horizon: float, fill: str = "#7fae4b") -> None:
    """A meadow from `horizon` down, with blades of grass and flowers."""
    c.blend(horizon, 1.0, mix(fill, "#f2edb0", 0.3), mix(fill, "#1f4f2a", 0.4))
    petal = c.pick(("#f6d743", "#ffffff", "#e86a8a"))
    for _ in range(260):
        near = c.chance(0, 1) ** 0.7
        x, y, s = c.chance(0, c.wide), horizon + 0.01 + near * (1 - horizon), 0.006 + 0.028 * near
        tip = (x + c.chance(-0.4, 0.4) * s, y - s)
        c.line([(x, y), tip], 0.003, mix(fill, "#1d3d1f", c.chance(0.1, 0.6)), 0.8)
        if c.rng.random() < 0.22:
            c.disc(*tip, 0.002 + 0.005 * near, petal)


def tree(c: Canvas, at: Point, s: float, leaf: str) -> None:
    """A tree standing on the point `at`."""
    t = c.at(*at, s)
    t.mist([(0.1, 0.0, 0.4, 0.06)], 0.05, _SOIL, 0.4)
    t.shape([(-0.05, 0), (-0.03, -0.5), (0.03, -0.5), (0.06, 0)], "#6b4a33")
    for _ in range(26):
        x, y = t.chance(-0.3, 0.3), t.chance(-0.42, 0.32)
        tone = mix(leaf, _SOIL, 0.25 + 0.5 * (y + 0.1))
        t.disc(x, -0.68 + y * (1 - abs(x)), t.chance(0.08, 0.15), tone)


def table(c: Canvas, edge: float) -> None:
    """A papered wall down to `edge` and a wooden table below."""
    wall = c.pick(("#cfe0d8", "#f0d9b8", "#b9cfe4", "#e8c4bd", "#4d6670", "#7d8f69"))
    wood = c.pick(("#b5793f", "#8a5a3a", "#d2a56d"))
    c.blend(0, edge, mix(wall, "#ffffff", 0.25), wall)
    step, striped = c.chance(0.1, 0.2), c.rng.random() < 0.5
    for i in range(int(c.wide / step) + 2):
        if striped:
            c.box(i * step, 0, (i + 0.5) * step, edge, mix(wall, DARK, 0.14))
            continue
        for j in range(int(edge / step) + 1):
            c.disc((i + j % 2 / 2) * step, (j + 0.5) * step, step * 0.14, mix(wall, CREAM, 0.75))
    c.blend(edge, 1.0, mix(wood, "#ffffff", 0.2), mix(wood, _BARK, 0.3))
    for _ in range(45):
        x, y, w = c.chance(-0.1, c.wide), c.chance(edge, 1.0), c.chance(0.1, 0.5)
        grain = [(x, y), (x + w, y + c.chance(-0.004, 0.004))]
        c.line(grain, 0.0025, mix(wood, _BARK, c.chance(0.3, 0.7)), 0.6)
    c.box(0, edge - 0.004, c.wide, edge + 0.012, mix(wood, _BARK, 0.5))


def mug(c: Canvas, at: Point, s: float, fill: str) -> None:
    """A mug standing on the point `at`."""
    m = c.at(*at, s, mirror=bool(c.rng.random() < 0.5))
    m.mist([(0.1, -0.02, 0.45, 0.08)], 0.05, _BARK, 0.5)
    m.ring(0.36, -0.38, 0.15, 0.07, mix(fill, DARK, 0.15))
    m.box(-0.34, -0.7, 0.34, 0, fill, r=0.08)
    m.box(-0.34, -0.45, 0.34, -0.3, mix(fill, CREAM, 0.7))
    m.oval(0, -0.7, 0.34, 0.09, mix(fill, "#ffffff", 0.3))
    m.oval(0, -0.69, 0.28, 0.06, "#4a2c1a")


def photograph(c: Canvas, at: Point, s: float) -> None:
    """A small photograph on a white card, its middle at the point `at`."""
    p = c.at(*at, s)
    p.shape([(-0.52, 0.42), (-0.4, -0.36), (0.56, -0.3), (0.48, 0.46)], DARK, 0.3)
    p.shape([(-0.55, 0.38), (-0.43, -0.4), (0.53, -0.34), (0.45, 0.42)], "#fbf8f0")
    left, right = (-0.47, 0.24), (0.38, 0.28)
    p.shape([left, (-0.38, -0.33), (0.46, -0.28), right], p.pick(BRIGHT))
    p.shape([left, (-0.44, 0.02), (-0.1, -0.14), (0.1, 0.08), (0.25, -0.02), (0.4, 0.12), right], "#2f5d50")
    p.disc(0.22, -0.14, 0.07, "#fff1b8")
