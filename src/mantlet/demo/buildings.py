"""Draws the stand-in buildings: a house, a lighthouse and a windmill, each in its scene."""

from __future__ import annotations

import math
from typing import Final

from mantlet.demo.canvas import CREAM, DARK, Canvas, arc, mix
from mantlet.demo.scenery import field, hills, sea, sky, tree

LIT_PANE: Final = "#ffd98a"
"""A window with a lamp behind it."""


def _cottage(c: Canvas, x: float, y: float, s: float) -> None:
    h = c.at(x, y, s, mirror=bool(c.rng.random() < 0.5))
    wall = h.pick((CREAM, "#e9b872", "#d9e4e8", "#e7a08c", "#b9d3b0"))
    roof = h.pick(("#b5472f", "#5d4a6b", "#7a3b2a", "#3f5a66"))
    pane = LIT_PANE if h.dark else "#7fb3cc"
    high = h.chance(0.5, 0.8)
    h.box(0.28, -high - 0.5, 0.42, -high - 0.1, mix(roof, DARK, 0.3))
    puffs = [(0.4 + 0.1 * i, -high - 0.6 - 0.12 * i, 0.06 + 0.03 * i, 0.05 + 0.02 * i) for i in range(4)]
    h.mist(puffs, 0.03, "#ffffff", 0.55)
    h.box(-0.6, -high, 0.6, 0, wall)
    h.shape([(0.25, -high), (0.6, -high), (0.6, 0), (0.25, 0)], mix(wall, DARK, 0.12))
    h.shape([(-0.7, -high + 0.03), (-0.42, -high - 0.42), (0.42, -high - 0.42), (0.7, -high + 0.03)], roof)
    for i in range(1, 5):
        y0, w = -high - 0.42 + 0.09 * i, 0.42 + 0.055 * i
        h.line([(-w, y0), (w, y0)], 0.012, mix(roof, DARK, 0.3))
    h.box(-0.1, -0.34, 0.1, 0, mix(roof, "#2f6f8f", 0.6), r=0.02)
    h.disc(0.06, -0.16, 0.014, "#f2c230")
    rows = (-0.4,) if high < 0.64 else (-0.36, -0.7)
    for top in rows:
        for left in (-0.48, 0.24) if top > -0.5 else (-0.48, -0.12, 0.24):
            h.box(left - 0.02, top - 0.02, left + 0.26, top + 0.24, "#fffaf0")
            h.box(left, top, left + 0.24, top + 0.22, pane, glow=h.dark)
            h.line([(left + 0.12, top), (left + 0.12, top + 0.22)], 0.014, "#fffaf0")
            h.line([(left, top + 0.11), (left + 0.24, top + 0.11)], 0.014, "#fffaf0")


def house(c: Canvas) -> None:
    ground = c.chance(0.6, 0.7)
    sky(c, ground)
    hills(c, ground, c.chance(0.15, 0.34), mix("#6f9a78", c.mood.bottom, 0.35))
    leaf = c.pick(("#7fb04a", "#d98f35", "#b9c24a", "#4f8f5a"))
    for _ in range(int(c.rng.integers(1, 4))):
        tree(c, (c.chance(0, 1) * c.wide, ground + 0.02), c.chance(0.3, 0.6), leaf)
    field(c, ground, c.pick(("#7fae4b", "#a3b552", "#5f9f5a")))
    x, y, s = c.chance(0.34, 0.66) * c.wide, ground + c.chance(0.06, 0.14), c.chance(0.42, 0.6) * c.fit
    path = [(x - 0.04, y), (x + 0.04, y), (x + c.chance(-0.1, 0.5), 1.0), (x - c.chance(0.15, 0.3), 1.0)]
    c.shape(path, "#d8c7a0")
    _cottage(c, x, y, s)
    if c.rng.random() < 0.6:
        for i in range(int(c.wide / 0.07) + 1):
            picket = c.at(i * 0.07, 0, 1.0)
            picket.shape([(0, 0.96), (0, 0.85), (0.018, 0.83), (0.036, 0.85), (0.036, 0.96)], "#fdf9ee")
        c.box(0, 0.87, c.wide, 0.885, "#f2ead6")
        c.box(0, 0.92, c.wide, 0.935, "#f2ead6")


def _tower(c: Canvas, x: float, y: float, s: float) -> None:
    """A striped lighthouse standing on (x, y), with its keeper's house beside it."""
    t, count = c.at(x, y, s), 6
    band, high = t.pick(("#d8433b", "#2f5f8f", "#30343c")), t.chance(1.15, 1.4)
    for i in range(count):
        low, up = -high * i / count, -high * (i + 1) / count
        wide, thin = 0.3 - 0.11 * i / count, 0.3 - 0.11 * (i + 1) / count
        t.shape([(-wide, low), (wide, low), (thin, up), (-thin, up)], CREAM if i % 2 else band)
        t.shape([(wide * 0.3, low), (wide, low), (thin, up), (thin * 0.3, up)], DARK, 0.16)
    for share in (0.23, 0.57):
        t.box(-0.06, -high * share - 0.16, 0.04, -high * share, "#44505c", r=0.03)
    t.box(-0.28, -high - 0.05, 0.28, -high, DARK, r=0.01)
    t.box(-0.14, -high - 0.32, 0.14, -high - 0.05, "#ffe9a0", glow=True)
    t.line([(0, -high - 0.32), (0, -high - 0.05)], 0.03, DARK)
    t.shape([(-0.2, -high - 0.32), (0, -high - 0.56), (0.2, -high - 0.32)], band)
    if t.dark:
        lamp = -high - 0.18
        t.shape([(0.14, lamp), (6, lamp - 0.9), (6, lamp + 0.5)], "#fff3bf", 0.28, glow=True)
        t.mist([(0, lamp, 0.35, 0.35)], 0.15, "#fff3bf", 0.6)
    h = t.at(0.62, 0.06, 0.55)
    h.box(-0.4, -0.45, 0.4, 0, CREAM)
    h.shape([(-0.5, -0.43), (-0.3, -0.8), (0.3, -0.8), (0.5, -0.43)], band)
    h.box(-0.1, -0.3, 0.08, 0, "#6b4a33")


def lighthouse(c: Canvas) -> None:
    horizon = c.chance(0.55, 0.68)
    sky(c, horizon)
    sea(c, horizon)
    mirror = bool(c.rng.random() < 0.5)
    foot, reach = c.chance(0.68, 0.76), c.chance(0.55, 0.8) * c.wide
    v = c.at(c.wide if mirror else 0.0, foot, 1.0, mirror)
    top = [(0.0, -0.05), (reach * 0.5, -0.03), (reach * 0.82, 0.03)]
    v.shape([*top, (reach, 0.16), (reach * 0.86, 1.0), (0, 1.0)], "#7a6a5c")
    for _ in range(40):
        rock = v.at(v.chance(0, reach * 0.86), v.chance(0.05, 0.3), 1.0)
        tone = v.pick(("#93826f", "#5f5248", "#85745f"))
        rock.shape([(0, 0), (0.05, -0.02), (0.08, 0.03), (0.02, 0.04)], tone)
    v.shape([*top, (reach * 0.6, 0.06), (0, 0.05)], "#6f9f4f")
    _tower(v, reach * v.chance(0.3, 0.5), 0, v.chance(0.3, 0.35))


def windmill(c: Canvas) -> None:
    ground = c.chance(0.66, 0.74)
    sky(c, ground)
    field(c, ground, "#6f9f4f")
    for row in range(8):
        y = ground + 0.02 + (1 - ground) * (row / 8) ** 1.4
        tone, r = c.pick(("#e0455a", "#f6c23a", "#f28ab0", "#ffffff", "#8a4f9e")), 0.006 + 0.0024 * row
        for i in range(int(c.wide / (r * 3)) + 1):
            c.oval(i * r * 3 + c.chance(-r, r) / 2, y + c.chance(-r, r) / 2, r, r * 1.3, tone)
    m = c.at(c.chance(0.28, 0.72) * c.wide, ground + c.chance(0.03, 0.1), c.chance(0.5, 0.62) * c.fit)
    body = m.pick(("#7a5638", "#e6dcc6", "#5d6b58", "#a4553f"))
    m.mist([(0.1, 0.0, 0.5, 0.05)], 0.04, "#16301c", 0.5)
    m.shape([(-0.32, 0), (-0.19, -0.72), (0.19, -0.72), (0.32, 0)], body)
    m.shape([(0.06, 0), (0.04, -0.72), (0.19, -0.72), (0.32, 0)], DARK, 0.2)
    m.shape([(-0.23, -0.7), *arc((0, -0.74), 0.22, 0.24, 180, 360), (0.23, -0.7)], mix(body, DARK, 0.5))
    m.box(-0.4, -0.3, 0.4, -0.26, "#5a3826")
    m.box(-0.09, -0.24, 0.09, 0, "#4a3020", r=0.03)
    m.box(-0.06, -0.6, 0.06, -0.46, "#ffe2a0", r=0.02)
    turn = m.chance(0, 90)
    for quarter in range(4):
        a = math.radians(turn + 90 * quarter)
        ux, uy = math.cos(a), math.sin(a)
        along = [[(ux * d - uy * w, -0.74 + uy * d + ux * w) for d in (0.16, 0.78)] for w in (0.0, 0.17)]
        m.shape([*along[0], *reversed(along[1])], "#fbf3df", 0.9)
        for i in range(7):
            d = 0.16 + 0.62 * i / 6
            x, y = ux * d, -0.74 + uy * d
            m.line([(x, y), (x - uy * 0.17, y + ux * 0.17)], 0.012, "#5a3826")
        m.line([(0, -0.74), (ux * 0.8, -0.74 + uy * 0.8)], 0.035, "#4a3020")
    m.disc(0, -0.74, 0.05, DARK)
