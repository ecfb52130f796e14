"""The page of a measured model: one file that says what was measured, in words, and nothing that was not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantlet.errors import UsageError
from mantlet.recognise.accuracy import Evaluation, measure
from mantlet.recognise.drift import Graded, drift
from mantlet.report import recognition

HOSTILE = "<script>alert(1)</script>"


def evaluation(labels: tuple[str, ...] = ("boat", "camera"), **more: Any) -> Evaluation:
    """Two labels on 1,200 contents, targets rather apart from the rest."""
    draw = np.random.default_rng(1)
    truth = draw.random((1_200, len(labels))) < more.get("rate", 0.1)
    scores = 1 / (1 + np.exp(-draw.normal(5 * truth - 3, 1)))
    thresholds = more.get("thresholds", [0.5] * len(labels))
    exhibits = more.get("exhibits", ["EX1", "EX2"] * 600)
    return measure(
        labels, truth, scores.astype(np.float32), np.arange(1_200), exhibits, thresholds, more.get("base_rate"), seed=1
    )


def text(page: str) -> str:
    """What a person reads of the page."""
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<style>.*?</style>", "", page)).split())


def test_each_label_is_told_in_words_first() -> None:
    found = evaluation(base_rate=0.01)
    boat, camera = (recognition.sentence(label) for label in found.labels)
    recall = found.labels[0].recall
    assert recall is not None
    ends = [int(end.replace(",", "")) for end in re.findall(r"flags about ([\d,]+) to ([\d,]+);", boat)[0]]
    assert ends[0] <= 1_000 * recall.low <= 1_000 * recall.value <= 1_000 * recall.high <= ends[1]
    assert re.search(r"of 100 flagged, about \d+ \(\d+ to \d+\) are “boat” at a base rate of 1\s%", boat)
    page = recognition.render(found, {})
    assert " ".join(boat.split()) in text(page)
    assert " ".join(camera.split()) in text(page)
    assert page.index("In plain words") < page.index("<table>") < page.index("<svg")


def test_without_a_base_rate_the_share_of_targets_here_is_named() -> None:
    said = recognition.sentence(evaluation().labels[0])
    assert re.search(r"where [\d.]+\s% of all are, as here", said)
    assert "base rate" not in said


def test_few_targets_are_said() -> None:
    said = recognition.sentence(evaluation(rate=0.01).labels[0])
    assert re.search(r"This rests on \d+ stacks of targets only", said)
    assert "whole queue" in said


def test_what_is_absent_has_its_reason_and_no_figure() -> None:
    found = evaluation(rate=0.0, thresholds=[0.5, None])
    assert recognition.sentence(found.labels[0]) == "“boat”: No content here is a target of this label."
    assert "No threshold is set" in recognition.sentence(found.labels[1])
    page = text(recognition.render(found, {}))
    assert "boat: No content here is a target of this label." in page
    assert "camera: No threshold is set, so nothing is flagged." in page
    assert "None" not in page
    assert "nan" not in page.lower().split()


@pytest.mark.parametrize(("count", "unfolded"), [(3, True), (4, False), (12, False)])
def test_labels_are_folded_when_there_are_several(count: int, unfolded: bool) -> None:
    page = recognition.render(evaluation(tuple(f"kind {each}" for each in range(count))), {})
    assert page.count("<details open>") == (count if unfolded else 0)
    assert page.count("<details") == count
    assert "Of 1,000 pictures of" in page.split("<table>")[0]


def test_many_labels_are_told_in_a_table_first_and_in_words_where_each_is_unfolded() -> None:
    found = evaluation(tuple(f"kind {each}" for each in range(13)), thresholds=[0.5] * 12 + [None], base_rate=0.01)
    page = recognition.render(found, {})
    first, last = found.labels[0], found.labels[12]
    assert first.recall is not None
    assert first.seen_for is not None
    assert first.at_base_rate is not None
    summary = page.split("In plain words")[1].split("</table>")[0]
    rows = [text(row) for row in summary.split("<tr>")[2:]]
    right = first.at_base_rate.precision
    told = [
        f"kind 0 {first.targets} ({first.target_stacks})",
        f"{recognition.percent(first.recall.value)} (",
        f"{100 * right.value:.0f} ({100 * right.low:.0f} to ",
        f"{recognition.percent(first.seen_for['95'].value)} (",
    ]
    assert len(rows) == 13
    assert all(" ".join(each.split()) in rows[0] for each in told), rows[0]
    assert rows[12].startswith(f"kind 12 {last.targets} ({last.target_stacks}) – – ")
    assert "<details open>" not in page
    assert page.index("Of 1,000 pictures of “kind 0”") > page.index("Label by label")
    for label in found.labels:
        part = page.split(f"<summary><b>{label.label}</b>")[1].split("</details>")[0]
        assert " ".join(recognition.sentence(label).split()) in text(part)
        assert part.count("<svg") == 3
        assert "EX2" in part
    assert "details::details-content" in page, "folded parts are printed too"


def test_a_reason_that_labels_share_is_told_once() -> None:
    found = evaluation(("boat", "camera", "chair"), thresholds=[0.5, None, None])
    assert "– camera, chair: No threshold is set, so nothing is flagged." in text(recognition.render(found, {}))


def test_without_any_threshold_the_page_says_why_and_shows_no_columns_of_nothing() -> None:
    truth = np.arange(200) % 4 == 0
    why = "The thresholds were chosen on these same contents."
    scores = np.where(truth, 0.8, 0.2)[:, None]
    found = measure(["boat"], truth[:, None], scores, np.arange(200), ["EX1"] * 200, [None], seed=1, no_threshold=why)
    page = text(recognition.render(found, {}))
    assert f"What it flags {why} How it ranks" in page
    assert f"“boat”: {why} To find 95 % of them" in page
    assert "Flagged from" not in page
    assert "Exhibit Contents Targets EX1" in page


def test_the_plots_show_the_figures_with_their_intervals() -> None:
    found = evaluation(("boat",))
    page = recognition.render(found, {})
    assert page.count("<svg") == 3
    assert page.count('class="band"') == 2
    point = found.labels[0].curve[9]
    at = f"{48 + 250 * point.found:.1f},{236 - 200 * point.precision:.1f}"
    assert at in re.findall(r'class="line" points="([^"]*)"', page)[0]
    assert page.count('class="whisker"') == len(found.labels[0].bins)
    numbers = [float(each) for each in re.findall(r'(?:[xy][12]|c[xy])="([^"]+)"', page)]
    assert numbers
    assert all(0 <= each <= 310 for each in numbers), "all within the view"
    for name in ("precision)", "recall)", "probability given", "% of the queue"):
        assert name in page


def test_nothing_that_others_named_becomes_part_of_the_page() -> None:
    found = evaluation((HOSTILE, "camera"), exhibits=[HOSTILE] * 1_200)
    row = Graded(HOSTILE, HOSTILE, np.ones(3, np.bool_), np.ones(3), np.arange(3), 0.5, 0.05)
    names = {"model": HOSTILE, "version": HOSTILE, "digest": HOSTILE, "notice": HOSTILE}
    page = recognition.render(found, {**names, "measured_on": [HOSTILE], "limits": [HOSTILE], "drift": drift([row])})
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 10
    assert not re.search(r"(?:src|href)=|url\(|@import", page)
    assert "default-src 'none'" in page


def test_an_alarm_stands_at_the_top() -> None:
    row = Graded("case-2", "boat", np.ones(60, np.bool_), np.zeros(60), np.arange(60), 0.5, 0.05)
    page = recognition.render(evaluation(), {"drift": drift([row])})
    assert page.index("Alarm for boat") < page.index("In plain words")
    assert "In case-2 officers graded 60 targets" in text(page)
    assert "Alarm" not in text(recognition.render(evaluation(), {})).split("What it flags")[0]


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.5, "50 %"),
        (0.123, "12.3 %"),
        (0.00123, "0.12 %"),
        (0.999, "99.9 %"),
        (0.99999, "over 99.99 %"),
        (0.00001, "under 0.01 %"),
        (0.9, "90 %"),
    ],
)
def test_no_share_is_rounded_to_none_or_to_all(share: float, words: str) -> None:
    assert recognition.percent(share).replace("\N{NO-BREAK SPACE}", " ") == words


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "boat.html"
    recognition.write(evaluation(), {"model": "boats", "version": "3"}, path)
    assert "the model “boats”" in path.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["boat.html"]
    with pytest.raises(UsageError, match="does not end in"):
        recognition.write(evaluation(), {}, tmp_path / "boat.pdf")
    with pytest.raises(UsageError, match="cannot be written"):
        recognition.write(evaluation(), {}, tmp_path / "none" / "boat.html")
