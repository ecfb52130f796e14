"""What recognition costs at work: a stage beside the bare runtime, and a scan beside the sum of its parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import running
from tests.acceptance.figure import Figure

_RATE: Final = 0.9
_SUM: Final = 1.1


def stage_rate(_: Path) -> Figure:
    """MobileNetV2, fed decoded arrays one at a time, on one core; held to the limit for the photographs."""
    limit = f"{_RATE:.0%} of the bare runtime's rate, fed photographs"
    if why := running.missing():
        return Figure(f"left out: {why}", limit, passed=True)
    found = {name: running.Stage(**each) for name, each in running.measured("stage").items()}
    said = (f"{each.ratio:.1%} ({name}, {each.ours:.0f} a CPU second)" for name, each in found.items())
    return Figure(", ".join(said), limit, found["photographs"].ratio >= _RATE)


def scan_cost(_: Path) -> Figure:
    """`mantlet scan --model` of photographs, all its processes counted and start-up left out, beside the same without
    a model, the bare runtime and preparing."""
    limit = f"{_SUM:.0%} of the sum of its parts"
    if why := running.missing():
        return Figure(f"left out: {why}", limit, passed=True)
    found = running.Scan(**running.measured("scan"))
    return Figure(
        f"{found.ratio:.1%}: {found.whole:.2f} ms of CPU a picture beside {found.without:.2f} (the scan alone), "
        f"{found.bare:.2f} (bare runtime) and {found.prepared:.2f} (preparing)",
        limit,
        found.ratio <= _SUM,
    )


FIGURES: Final[dict[str, Callable[[Path], Figure]]] = {
    "recognition.stage-rate": stage_rate,
    "recognition.scan-cost": scan_cost,
}
