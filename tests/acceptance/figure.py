"""What a run states: a figure, the limit it is held to, and whether it holds."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    figure: str
    limit: str
    passed: bool
