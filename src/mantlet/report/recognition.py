"""The HTML page of a measured model, for a tired officer and for a court: sentences first, then figures, then plots.

One file without scripts or outside references, so that it can be disclosed, printed and kept. No picture in it: the
plots are drawn by the template, in blue and vermilion (Okabe and Ito, "Color universal design", 2008), which all eyes
tell apart, and with lines and shapes that a black print keeps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from mantlet import __version__
from mantlet.governance import ledger
from mantlet.recognise.accuracy import AtBaseRate, Evaluation, LabelAccuracy
from mantlet.recognise.intervals import Share
from mantlet.report import page

_LEFT, _BOTTOM, _WIDTH, _HEIGHT = 48.0, 236.0, 250.0, 200.0
"""The inside of a plot, in the units of its view box."""
_PERCENT: Final = "\N{NO-BREAK SPACE}%"
_FEW_STACKS: Final = 30
_MANY_LABELS: Final = 12
"""With more, the page begins with a table of them instead of sentences."""
_FEW_LABELS: Final = 3
"""With no more, each label is shown unfolded."""
_LEAST: Final = 1e-5


def write(evaluation: Evaluation, about: dict[str, Any], path: Path) -> None:
    """Writes the page to `path`, replacing what was there only when it is whole.

    `about` may hold: `model`, `version`, `digest` (text), `notice` (a sentence shown on top), `measured_on` and
    `limits` (lists of sentences), `drift` (what `mantlet.recognise.drift.drift` returned).

    Raises:
        UsageError: not an .html name, or a folder that cannot be written to.
    """
    page.refuse_name(path)
    page.write(path, render(evaluation, about))


def render(evaluation: Evaluation, about: dict[str, Any]) -> str:
    """The page as text. Names of labels, models and exhibits come from others, and are escaped."""
    environment = page.environment()
    environment.filters |= {
        "percent": percent,
        "hundred": _whole,
        "across": lambda share: f"{_LEFT + _WIDTH * share:.1f}",
        "up": lambda share: f"{_BOTTOM - _HEIGHT * share:.1f}",
        "logarithm": _logarithm,
    }
    text: str = environment.get_template("recognition.html").render(
        evaluation=evaluation,
        sentences=[sentence(label) for label in evaluation.labels],
        reasons=_reasons,
        many=len(evaluation.labels) > _MANY_LABELS,
        unfolded=len(evaluation.labels) <= _FEW_LABELS,
        decades=[_decades(label) for label in evaluation.labels],
        made=ledger.now()[:19] + "Z",
        mantlet=__version__,
        about={"model": "", "version": "", "digest": "", "notice": "", "measured_on": [], "limits": [], "drift": []}
        | about,
    )
    return text


def _reasons(labels: Sequence[LabelAccuracy], fields: Sequence[str]) -> dict[str, list[str]]:
    """Why one of these fields is absent: by the reason, the labels it holds for."""
    found: dict[str, list[str]] = {}
    for label in labels:
        for detail in dict.fromkeys(label.absent[each].detail for each in fields if each in label.absent):
            found.setdefault(detail, []).append(label.label)
    return found


def percent(share: float) -> str:
    """A share for people: three digits, never rounded to none or to all."""
    value = 100 * share
    if 0 < value < 0.01:
        return f"under 0.01{_PERCENT}"
    if 99.99 < value < 100:
        return f"over 99.99{_PERCENT}"
    digits = 2 if value < 1 or value > 99 else 1
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") + _PERCENT


def sentence(label: LabelAccuracy) -> str:
    """What one label is worth, in plain words."""
    name = f"“{label.label}”"
    if label.recall is None:
        return f"{name}: {label.absent['recall'].detail}{_queue(label)}"
    low, high = math.floor(100 * label.recall.low) * 10, math.ceil(100 * label.recall.high) * 10
    span = f"about {low:,} to {high:,}" if low < high else f"about {low:,}"
    caution = "" if label.target_stacks >= _FEW_STACKS else f" This rests on {_stacks(label.target_stacks)} only."
    return f"Of 1,000 pictures of {name}, it flags {span}; {_flagged(label, name)}{_queue(label)}{caution}"


def _flagged(label: LabelAccuracy, name: str) -> str:
    if label.at_base_rate is not None:
        where = f"at a base rate of {percent(label.at_base_rate.base_rate)}"
        return f"of 100 flagged, {_of_hundred(label.at_base_rate)} {name} {where}."
    if label.precision is None:
        return label.absent["precision"].detail[0].lower() + label.absent["precision"].detail[1:]
    where = f"where {percent(label.targets / label.contents)} of all are, as here"
    return f"of 100 flagged, {_of_hundred(label.precision)} {name} {where}."


def _of_hundred(found: AtBaseRate | Share) -> str:
    share = found.precision if isinstance(found, AtBaseRate) else found
    low, value, high = (_whole(each) for each in (share.low, share.value, share.high))
    verb = "is" if value in ("1", "less than 1") else "are"
    return f"about {value} ({low} to {high}) {verb}" if low != high else f"about {value} {verb}"


def _whole(share: float) -> str:
    """Of a hundred, never rounded to none or to all."""
    value = 100 * share
    if 0 < value < 0.5:
        return "less than 1"
    return "more than 99" if 99.5 <= value < 100 else f"{value:.0f}"


def _queue(label: LabelAccuracy) -> str:
    if label.seen_for is None:
        return ""
    share = label.seen_for["95"]
    if share.high == 1:
        return (
            f" To find 95 % of them here, {percent(share.value)} of the queue had to be seen; elsewhere it may be from"
            f" {percent(share.low)} to the whole queue, as the targets here are too few to tell."
        )
    return (
        f" To find 95 % of them, about {percent(share.value)} of the queue must be seen"
        f" ({percent(share.low)} to {percent(share.high)})."
    )


def _stacks(count: int) -> str:
    return "one stack of targets" if count == 1 else f"{count:,} stacks of targets"


def _decades(label: LabelAccuracy) -> int:
    """How many powers of ten the queue's axis spans: down to the least share that is told."""
    least = min((point.seen_low for point in label.curve if point.seen_low > 0), default=0.1)
    return max(1, math.ceil(-math.log10(max(least, _LEAST))))


def _logarithm(share: float, decades: int) -> float:
    """Where a share lies on a logarithmic axis that spans so many powers of ten, 0 to 1."""
    return max(0.0, 1 + math.log10(max(share, _LEAST)) / decades)
