"""Draws the stand-in scenes: boats, cameras, bicycles, kites and other harmless things, each from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image

from mantlet.demo.buildings import LIT_PANE, house, lighthouse, windmill
from mantlet.demo.canvas import BRIGHT, CREAM, DARK, MOODS, Canvas, arc, mix
from mantlet.demo.scenery import field, hills, mug, photograph, sea, sky, table, tree

_SIZES: Final = (
    (800, 600), (720, 540), (840, 600), (800, 560), (640, 480), (900, 620), (560, 700), (600, 760),
)  # fmt: skip


def _sailing_boat(c: Canvas, x: float, y: float, s: float) -> None:
    b = c.at(x, y, s, mirror=bool(c.rng.random() < 0.5))
    hull, sail = b.pick(BRIGHT), b.pick((CREAM, "#ffffff", "#f2c9a0", *BRIGHT[:3]))
    b.shape([(-0.42, 0.12), (0.42, 0.12), (0.25, 0.3), (-0.25, 0.3)], mix(hull, "#0a2a3a", 0.5), 0.5)
    b.shape([(-0.3, 0.3), (0.34, 0.3), (0.02, 0.95)], mix(sail, "#1f6f93", 0.35), 0.28)
    b.line([(0, 0), (0, -1.05)], 0.025, "#7a5638")
    curve = arc((0.03, -0.12), 0.52, 0.9, 0, -90, steps=12)
    b.shape([(0.03, -0.12), *curve], sail)
    b.shape([(0.03, -0.12), (0.55, -0.12), (0.35, -0.3), (0.03, -0.25)], mix(sail, hull, 0.75))
    b.shape([(-0.04, -0.95), (-0.04, -0.12), (-0.44, -0.08), (-0.2, -0.42)], mix(sail, "#8899aa", 0.22))
    b.shape([(0, -1.05), (0.18, -1.0), (0, -0.95)], "#d8433b")
    b.shape([(-0.52, -0.06), (0.6, -0.09), (0.42, 0.14), (-0.38, 0.14)], hull)
    b.shape([(-0.52, -0.06), (0.6, -0.09), (0.57, -0.04), (-0.5, -0.01)], CREAM)
    b.shape([(-0.42, 0.09), (0.46, 0.09), (0.42, 0.14), (-0.38, 0.14)], mix(hull, DARK, 0.5))


def _fishing_boat(c: Canvas, x: float, y: float, s: float) -> None:
    b = c.at(x, y, s, mirror=bool(c.rng.random() < 0.5))
    hull = b.pick(BRIGHT)
    b.shape([(-0.6, 0.16), (0.6, 0.16), (0.4, 0.42), (-0.4, 0.42)], mix(hull, "#0a2a3a", 0.5), 0.45)
    b.line([(-0.25, -0.1), (-0.25, -0.95)], 0.03, "#6b4a33")
    b.line([(-0.25, -0.9), (-0.62, -0.18)], 0.012, DARK)
    b.line([(-0.25, -0.9), (0.75, -0.28)], 0.012, DARK)
    for i in range(4):
        flag = b.at(0.18 * i, 0.11 * i, 1.0)
        flag.shape([(0, -0.74), (0.12, -0.67), (0.04, -0.6)], BRIGHT[i])
    b.box(-0.1, -0.5, 0.32, -0.08, CREAM, r=0.03)
    b.box(-0.15, -0.56, 0.38, -0.48, mix(hull, DARK, 0.2), r=0.03)
    pane = LIT_PANE if b.dark else "#5f93ad"
    for left in (-0.04, 0.14):
        b.box(left, -0.42, left + 0.12, -0.26, pane, r=0.02, glow=b.dark)
    b.shape([(-0.7, -0.12), (0.55, -0.12), (0.82, -0.3), (0.62, 0.18), (-0.56, 0.18)], hull)
    b.shape([(-0.7, -0.12), (0.55, -0.12), (0.82, -0.3), (0.8, -0.22), (0.56, -0.04), (-0.69, -0.04)], CREAM)
    b.shape([(-0.6, 0.1), (0.66, 0.1), (0.62, 0.18), (-0.56, 0.18)], mix(hull, DARK, 0.55))
    for i in range(4):
        b.disc(-0.4 + 0.24 * i, 0.03, 0.035, CREAM)


def _boat(c: Canvas) -> None:
    horizon = c.chance(0.42, 0.62)
    sky(c, horizon)
    if c.rng.random() < 0.7:
        hills(c, horizon, c.chance(0.06, 0.2), mix("#5a7f6a", c.mood.bottom, 0.45))
    sea(c, horizon)
    for _ in range(int(c.rng.integers(1, 4))):
        _sailing_boat(c, c.chance(0.05, 0.95) * c.wide, horizon + c.chance(0.01, 0.05), c.chance(0.1, 0.2))
    main = _sailing_boat if c.rng.random() < 0.6 else _fishing_boat
    main(c, c.chance(0.28, 0.72) * c.wide, c.chance(0.72, 0.82), c.chance(0.42, 0.62) * c.fit)
    left, top = c.chance(0.15, 0.85) * c.wide, c.chance(0.15, 0.6) * horizon
    for dx, dy, s in ((0.0, 0.0, 0.028), (0.1, -0.04, 0.02), (-0.06, -0.06, 0.016)):
        gull = c.at(left + dx, top + dy, s)
        gull.line([*arc((-1, 0), 1, 0.7, 200, 350), *arc((1, 0), 1, 0.7, 190, 340)], 0.2, "#44505c")


def _lens(c: Canvas, x: float, y: float, r: float) -> None:
    c.disc(x, y, r, "#1d1e22")
    c.ring(x, y, r * 0.88, r * 0.1, "#8d9299")
    c.disc(x, y, r * 0.7, "#101116")
    c.disc(x, y, r * 0.55, "#2a3f66")
    c.disc(x, y, r * 0.36, "#16203a")
    gleam = [*arc((x, y), r * 0.5, r * 0.5, 190, 270), *arc((x, y), r * 0.3, r * 0.3, 270, 190)]
    c.shape(gleam, "#a9c8ee", 0.75)
    c.disc(x + r * 0.22, y + r * 0.22, r * 0.07, "#ffffff", 0.8)


def _camera_body(c: Canvas, x: float, y: float, s: float) -> None:
    """A camera standing on (x, y): with a viewfinder, with a reflex prism, or a box with two lenses."""
    b = c.at(x, y, s, mirror=bool(c.rng.random() < 0.5))
    skin = b.pick(("#2b2d33", "#6b3f2a", "#7a2230", "#1f4a48", "#3a4a6b"))
    metal = b.pick(("#d5d8da", "#c9b790", "#55585e"))
    b.mist([(0.0, 0.0, 0.75, 0.07)], 0.06, "#1a0f08", 0.6)
    form = int(b.rng.integers(3))
    if form == 2:
        b.box(-0.34, -1.0, 0.34, 0, skin, r=0.05)
        b.box(-0.34, -1.0, 0.34, -0.93, metal, r=0.03)
        b.shape([(-0.3, -1.0), (-0.36, -1.2), (0.36, -1.2), (0.3, -1.0)], mix(metal, DARK, 0.35))
        b.box(-0.28, -0.88, 0.28, -0.08, mix(metal, DARK, 0.1), r=0.05)
        _lens(b, 0, -0.68, 0.17)
        _lens(b, 0, -0.28, 0.2)
        b.disc(0.42, -0.5, 0.08, metal)
        return
    b.line(arc((0, -0.78), 0.66, 0.5, 170, 370), 0.035, "#5a3826")
    b.box(-0.66, -0.82, 0.66, 0, metal, r=0.08)
    b.box(-0.66, -0.64, 0.66, -0.12, skin, r=0.02)
    for i in range(26):
        b.line([(-0.64 + 0.05 * i, -0.63), (-0.64 + 0.05 * i, -0.13)], 0.006, mix(skin, "#ffffff", 0.16))
    if form:
        b.shape([(-0.3, -0.78), (-0.17, -1.0), (0.17, -1.0), (0.3, -0.78)], metal)
        b.shape([(-0.12, -0.84), (-0.08, -0.95), (0.08, -0.95), (0.12, -0.84)], skin)
    else:
        b.box(-0.55, -0.78, -0.32, -0.66, "#9fc3d6", r=0.02)
        b.box(-0.05, -0.76, 0.1, -0.69, "#2b2d33", r=0.01)
    b.box(0.34, -0.9, 0.52, -0.82, mix(metal, DARK, 0.3), r=0.02)
    b.box(-0.56, -0.88, -0.4, -0.82, mix(metal, DARK, 0.3), r=0.02)
    _lens(b, 0.02, -0.38, 0.36)
    b.disc(0.55, -0.73, 0.035, "#d8433b")


def _camera(c: Canvas) -> None:
    edge = c.chance(0.5, 0.68)
    table(c, edge)
    x = c.chance(0.32, 0.68) * c.wide
    side = -1 if x > c.wide / 2 else 1
    if c.rng.random() < 0.6:
        f = c.at(x + side * c.chance(0.3, 0.5), c.chance(0.16, 0.26), 0.3)
        f.box(-0.5, -0.4, 0.5, 0.4, "#5a3826")
        f.box(-0.42, -0.32, 0.42, 0.32, "#fbf5e6")
        f.shape([(-0.34, 0.24), (-0.1, -0.12), (0.08, 0.1), (0.18, -0.02), (0.34, 0.24)], f.pick(BRIGHT))
    if c.rng.random() < 0.65:
        at = (x + side * c.chance(0.45, 0.56), edge + c.chance(0.08, 0.16))
        mug(c, at, c.chance(0.2, 0.27), c.pick(BRIGHT))
    for _ in range(int(c.rng.integers(1, 4))):
        photograph(c, (c.chance(0.1, 0.9) * c.wide, c.chance(0.86, 0.94)), c.chance(0.14, 0.2))
    _camera_body(c, x, edge + c.chance(0.14, 0.22), c.chance(0.42, 0.6) * c.fit)


def _cycle(c: Canvas, x: float, y: float, s: float) -> None:
    b = c.at(x, y, s, mirror=bool(c.rng.random() < 0.5))
    frame = b.pick(BRIGHT)
    b.mist([(0, 0.01, 0.95, 0.05)], 0.04, "#20251c", 0.5)
    for hub in (-0.55, 0.55):
        b.ring(hub, -0.36, 0.34, 0.045, DARK)
        b.ring(hub, -0.36, 0.3, 0.015, "#d5d8da")
        for tip in arc((hub, -0.36), 0.29, 0.29, 0, 340, steps=17):
            b.line([(hub, -0.36), tip], 0.007, "#aeb4b8")
        b.disc(hub, -0.36, 0.035, DARK)
    back, front, crank, seat, head = (
        (-0.55, -0.36),
        (0.55, -0.36),
        (-0.06, -0.34),
        (-0.2, -0.8),
        (0.38, -0.82),
    )
    for tube in ((back, crank), (back, seat), (crank, seat), (crank, head), (seat, head), (head, front)):
        b.line(tube, 0.048, frame)
    b.line([(-0.2, -0.8), (-0.23, -0.92)], 0.035, "#aeb4b8")
    b.oval(-0.24, -0.95, 0.15, 0.045, "#5a3826")
    b.line([head, (0.34, -0.98), (0.46, -1.02), (0.52, -0.96)], 0.036, DARK)
    b.line([(-0.06, -0.34), (0.06, -0.2), (0.13, -0.2)], 0.03, DARK)
    b.disc(*crank, 0.08, mix(frame, DARK, 0.5))
    if b.rng.random() < 0.65:
        b.shape([(0.42, -0.94), (0.82, -0.94), (0.74, -0.68), (0.5, -0.68)], "#b98a4e")
        for i in range(4):
            b.line([(0.46 + 0.1 * i, -0.94), (0.52 + 0.06 * i, -0.68)], 0.012, "#8a6233")
        for _ in range(12):
            petal = b.pick(("#e86a8a", "#f6d743", "#ffffff", "#5c8f3e"))
            b.disc(b.chance(0.44, 0.8), b.chance(-1.06, -0.94), 0.045, petal)


def _wall(c: Canvas, ground: float) -> None:
    """A brick wall with a window, down to a pavement at `ground`."""
    wall, high, long = c.pick(("#b5654a", "#d9b48a", "#8fa7a0", "#c9877a")), 0.07, 0.16
    c.blend(0, ground, mix(wall, "#ffffff", 0.12), wall)
    for row in range(int(ground / high) + 1):
        for number in range(-1, int(c.wide / long) + 1):
            tone = mix(wall, c.pick((DARK, "#ffffff")), c.chance(0.02, 0.18))
            brick = c.at((number + row % 2 / 2) * long, row * high, 1.0)
            brick.box(0.004, 0.004, long - 0.004, high - 0.004, tone, r=0.006)
    w = c.at(c.chance(0.08, 0.7) * c.wide, 0, 1.0)
    w.box(-0.03, 0.08, 0.37, 0.47, CREAM)
    w.box(0, 0.11, 0.34, 0.42, "#6d9db5")
    w.box(0.16, 0.11, 0.18, 0.42, CREAM)
    w.shape([(0, 0.4), (0.2, 0.11), (0.27, 0.11), (0.07, 0.42), (0, 0.42)], "#ffffff", 0.25)
    for _ in range(16):
        petal = w.pick(("#4d7f3a", "#e8506a", "#6ca04a"))
        w.disc(w.chance(-0.02, 0.36), w.chance(0.4, 0.47), w.chance(0.015, 0.03), petal)
    c.blend(ground, 1.0, "#b9b3a8", "#7d786f")
    for number in range(-8, 9):
        across = number * 0.2
        c.line([(c.wide / 2 + across, ground), (c.wide / 2 + across * 1.7, 1.0)], 0.005, "#6a655d")


def _park(c: Canvas, ground: float) -> None:
    """Trees on a meadow, with a path from `ground` down."""
    sky(c, ground)
    hills(c, ground - 0.08, 0.25, "#86a86a")
    for _ in range(3):
        leaf = c.pick(("#7fb04a", "#d98f35", "#b9c24a"))
        tree(c, (c.chance(0, 1) * c.wide, ground - 0.02), c.chance(0.35, 0.6), leaf)
    field(c, ground - 0.03)
    c.blend(ground + 0.07, ground + 0.2, "#d8c7a0", "#b9a47c")


def _bicycle(c: Canvas) -> None:
    (_wall if c.rng.random() < 0.5 else _park)(c, c.chance(0.66, 0.76))
    _cycle(c, c.chance(0.36, 0.64) * c.wide, c.chance(0.82, 0.9), c.chance(0.45, 0.6) * c.fit)


def _kite_sail(c: Canvas, x: float, y: float, s: float) -> None:
    k = c.at(x, y, s, mirror=bool(c.rng.random() < 0.5))
    first, second = k.pick(BRIGHT), k.pick(("#f2c230", CREAM, "#8fd0c4", "#f3a6b5"))
    cross, top, left, right, foot = (0.06, -0.2), (0.2, -0.75), (-0.42, -0.3), (0.5, -0.04), (-0.2, 0.7)
    tail = [(-0.2 - 0.45 * t + 0.09 * math.sin(9 * t), 0.7 + 0.8 * t) for t in (i / 20 for i in range(21))]
    k.line([cross, (0.5, 1.2), (1.1, 4)], 0.012, "#5a6672", 0.8)
    k.line(tail, 0.02, mix(first, DARK, 0.3))
    for i in range(3, 20, 4):
        px, py = tail[i]
        k.shape([(px - 0.12, py - 0.05), (px, py), (px - 0.12, py + 0.07)], second)
        k.shape([(px + 0.12, py - 0.05), (px, py), (px + 0.12, py + 0.07)], first)
    for corner, tone in ((left, first), (right, second)):
        k.shape([cross, top, corner], tone)
        k.shape([cross, foot, corner], mix(second if tone is first else first, DARK, 0.08))
    k.line([top, foot], 0.018, "#6b4a33")
    k.line([left, right], 0.018, "#6b4a33")


def _kite(c: Canvas) -> None:
    ground = c.chance(0.78, 0.86)
    sky(c, ground)
    hills(c, ground, c.chance(0.12, 0.28), mix("#6f9a78", c.mood.bottom, 0.4))
    field(c, ground)
    if c.rng.random() < 0.6:
        tree(c, (c.chance(0.05, 0.95) * c.wide, ground + 0.03), c.chance(0.3, 0.45), "#7fb04a")
    for _ in range(int(c.rng.integers(0, 3))):
        _kite_sail(c, c.chance(0.1, 0.9) * c.wide, c.chance(0.14, 0.45), c.chance(0.12, 0.2))
    _kite_sail(c, c.chance(0.3, 0.7) * c.wide, c.chance(0.32, 0.45), c.chance(0.32, 0.46) * c.fit)


def _envelope(c: Canvas, x: float, y: float, s: float) -> None:
    b = c.at(x, y, s)
    tones = (b.pick(BRIGHT), b.pick(("#f2c230", CREAM, "#f3a6b5")))
    b.line([(-0.22, 0.42), (-0.09, 0.72)], 0.012, "#5a4630")
    b.line([(0.22, 0.42), (0.09, 0.72)], 0.012, "#5a4630")
    gores = 7
    for i in range(gores):
        wide = [0.5 * math.sin(math.pi * (g / gores - 0.5)) for g in (i, i + 1)]
        left, right = ([*arc((0, -0.08), w, 0.52, -90, 30), (w * 0.44, 0.46)] for w in wide)
        b.shape([*left, *reversed(right)], mix(tones[i % 2], DARK, 0.05 * i))
    b.box(-0.22, 0.4, 0.22, 0.47, mix(tones[0], DARK, 0.4), r=0.02)
    b.box(-0.11, 0.7, 0.11, 0.86, "#9a6b3d", r=0.02)
    b.box(-0.13, 0.69, 0.13, 0.73, "#6b4a2a", r=0.01)


def _balloon(c: Canvas) -> None:
    ground = c.chance(0.74, 0.86)
    sky(c, ground)
    hills(c, ground - 0.05, 0.34, mix("#6a86a8", c.mood.bottom, 0.5))
    hills(c, ground, 0.2, mix("#5f8f6a", c.mood.bottom, 0.25))
    field(c, ground, c.pick(("#b9b04e", "#7fae4b", "#c98f4a")))
    for _ in range(int(c.rng.integers(1, 4))):
        _envelope(c, c.chance(0.06, 0.94) * c.wide, c.chance(0.14, 0.5), c.chance(0.1, 0.22))
    _envelope(c, c.chance(0.26, 0.74) * c.wide, c.chance(0.34, 0.44), c.chance(0.4, 0.56) * c.fit)


def _teapot(c: Canvas) -> None:
    edge = c.chance(0.5, 0.66)
    table(c, edge)
    x, y = c.chance(0.34, 0.66) * c.wide, edge + c.chance(0.14, 0.24)
    side = -1 if x > c.wide / 2 else 1
    w = c.at(x - side * c.chance(0.05, 0.4), 0.06, 0.4)
    w.box(-0.45, 0, 0.45, 0.95, "#fffaf0", r=0.02)
    w.box(-0.4, 0.05, 0.4, 0.9, "#9fcbe0")
    w.shape([(-0.4, 0.9), (-0.4, 0.6), (-0.1, 0.48), (0.15, 0.66), (0.4, 0.52), (0.4, 0.9)], "#7fae6b")
    w.box(-0.02, 0.05, 0.02, 0.9, "#fffaf0")
    w.box(-0.4, 0.46, 0.4, 0.5, "#fffaf0")
    cloth = c.pick(BRIGHT)
    c.shape([(x - 0.62, y + 0.12), (x - 0.5, y - 0.1), (x + 0.5, y - 0.1), (x + 0.62, y + 0.12)], CREAM)
    for i in range(6):
        far, near = x + i / 5 - 0.45, x + 1.24 * (i / 5 - 0.45)
        stripe = [
            (far - 0.03, y - 0.1),
            (far + 0.03, y - 0.1),
            (near + 0.04, y + 0.12),
            (near - 0.04, y + 0.12),
        ]
        c.shape(stripe, cloth, 0.55)
    p = c.at(x, y, c.chance(0.36, 0.48) * c.fit, mirror=side < 0)
    glaze = p.pick(BRIGHT)
    p.mist([(0, 0, 0.6, 0.07)], 0.05, "#2a1508", 0.55)
    p.ring(-0.52, -0.42, 0.2, 0.07, mix(glaze, DARK, 0.2))
    spout = [(0.36, -0.2), (0.62, -0.42), (0.72, -0.66), (0.86, -0.66), (0.76, -0.34), (0.4, -0.06)]
    p.shape(spout, mix(glaze, DARK, 0.15))
    p.oval(0, -0.38, 0.5, 0.4, glaze)
    p.shape(arc((0, -0.38), 0.5, 0.4, 20, 160), DARK, 0.14)
    p.oval(-0.18, -0.54, 0.13, 0.09, "#ffffff", alpha=0.45)
    for i in range(5):
        p.disc(-0.36 + 0.18 * i, -0.36, 0.05, CREAM)
    p.oval(0, -0.74, 0.24, 0.06, mix(glaze, "#ffffff", 0.3))
    p.disc(0, -0.83, 0.06, mix(glaze, DARK, 0.3))
    steam = [(0.86 + 0.05 * i, -0.76 - 0.13 * i, 0.04 + 0.02 * i, 0.07) for i in range(4)]
    p.mist(steam, 0.04, "#ffffff", 0.5)
    at = (x + side * c.chance(0.46, 0.58), y + c.chance(0.04, 0.1))
    mug(c, at, c.chance(0.18, 0.24), c.pick(BRIGHT))


_KINDS: Final[dict[str, Callable[[Canvas], None]]] = {
    "balloon": _balloon,
    "bicycle": _bicycle,
    "boat": _boat,
    "camera": _camera,
    "house": house,
    "kite": _kite,
    "lighthouse": lighthouse,
    "teapot": _teapot,
    "windmill": windmill,
}

KINDS: Final = tuple(_KINDS)
"""What can be drawn."""


def scene(kind: str, seed: int) -> Image.Image:
    """Draws scene number `seed` of a kind in `KINDS`: RGB, 640x480 to 900x760, the same pixels each time."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    size = _SIZES[int(rng.integers(len(_SIZES)))]
    indoors = kind in ("camera", "teapot")
    moods = ("noon", "morning", "overcast") if indoors else tuple(MOODS)
    canvas = Canvas(size, MOODS[moods[int(rng.integers(len(moods)))]], rng)
    _KINDS[kind](canvas)
    return canvas.finished()
