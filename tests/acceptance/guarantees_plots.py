"""The plots of docs/guarantees.md, as SVG: blue dots and vermilion lines (Okabe and Ito 2008), told apart by their
shape where they are printed black."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

Row = dict[str, Any]

BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#CCCCCC"
_WIDTH: Final = 760
_LEFT, _RIGHT = 270, 735
_TOP, _FOOT = 48, 52
_LINE: Final = 26
_DOT: Final = 4


class _Group(NamedTuple):
    """A line of dots, and where its mark stands."""

    title: str
    mark: float
    values: list[float]


def coverage_plot(rows: Sequence[Row]) -> str:
    """Each setting a dot: how often its certificate was true, against what was stated."""
    groups: dict[str, _Group] = {}
    for row in rows:
        small = ", small looks" if row.get("carried") else ""
        title = f"counts, scores {row['model']}" if "model" in row else f"missed, {row['scheme']}{small}"
        title += f", {row['stated']:.0%}"
        groups.setdefault(title, _Group(title, row["stated"], [])).values.append(row["covered"])
    ticks = {value / 100: f"{value}%" for value in range(95, 101)}
    foot = "dot: one setting; thick line: what was stated"
    return _dots("How often each certificate was true", list(groups.values()), (0.945, 1.0), ticks, foot)


def looks_plot(rows: Sequence[Row]) -> str:
    """How many looks "missed" needs, as a multiple of the least that any method can do with."""
    groups = [
        _Group(title, mark, [row["ratio"] for row in rows if (row["scheme"], bool(row["targets"])) == which])
        for title, mark, which in (
            ("fixed sample, none there", 1.1, ("fixed", False)),
            ("any time, none there", 1.35, ("any time", False)),
            ("any time, one in ten there", 1.35, ("any time", True)),
        )
    ]
    ticks = {value: f"{value:g}" for value in (1.0, 1.1, 1.2, 1.3, 1.35)}
    foot = "dot: median of one setting; thick line: the limit"
    return _dots("Looks for “missed”, as a multiple of the least possible", groups, (0.97, 1.4), ticks, foot)


def _dots(title: str, groups: Sequence[_Group], span: tuple[float, float], ticks: dict[float, str], foot: str) -> str:
    height = _TOP + _LINE * len(groups) + _FOOT
    bottom = height - _FOOT + 4

    def across(value: float) -> float:
        low, high = span
        return _LEFT + (_RIGHT - _LEFT) * (min(max(value, low), high) - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="DejaVu Sans, Arial, '
        f'sans-serif" font-size="13"><title>{title}</title><rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(12, 22, title, "start", 15),
    ]
    for value, name in ticks.items():
        parts += [_line(across(value), _TOP - 10, bottom, GREY, 1), _text(across(value), bottom + 17, name, "middle")]
    for number, group in enumerate(groups):
        y = _TOP + _LINE * number + 8
        parts += [
            _text(_LEFT - 16, y + 4, group.title, "end"),
            *(
                f'<circle cx="{across(value):.1f}" cy="{y}" r="{_DOT}" fill="{BLUE}" fill-opacity="0.5"/>'
                for value in group.values
            ),
            _line(across(group.mark), y - 11, y + 11, VERMILION, 3),
        ]
    return "\n".join([*parts, _text(_LEFT, height - 6, foot, "start"), "</svg>\n"])


def _text(x: float, y: float, text: str, anchor: str, size: int = 13) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{text}</text>'


def _line(x: float, top: float, bottom: float, colour: str, width: int) -> str:
    return f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="{colour}" stroke-width="{width}"/>'
