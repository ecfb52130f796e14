"""What a worker says is taken only as far as it can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mantlet import settings
from mantlet.engine import local
from mantlet.engine.messages import Draw, Drawn, Found, check_of_model, check_value, encode
from mantlet.types import Absent, Address, Entry, Finding, Node, Reason, Rows, Step, Task

DIGEST = "0" * 64
FRAME = {"seconds": 0.5, "pdq": DIGEST, "quality": 80}
MEDIA = {"width": 4, "height": 3}
ONE = b"\x00\x3c\x00\x00"  # 1 and 0, as float16
UNIT = np.random.default_rng(3).normal(size=8192)
UNIT /= np.linalg.norm(UNIT)
BOX = {"label": "boat", "score": 0.5, "frame": 0, "box": [0.0, 0.1, 0.9, 1.0]}
SCORES = {"scores": {"boat": 0.75}, "flagged": ["boat"]}


def finding(name: str, value: Any) -> Finding:
    return Finding(DIGEST, name, 1, "", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("media", MEDIA),
        ("media", {**MEDIA, "duration": None, "sound": True, "codec": "h264"}),
        ("pdq", DIGEST),
        ("pdq-quality", 100),
        ("pdq-forms", [DIGEST] * 7),
        ("pdq-512", [DIGEST] * 8),
        ("frames", [FRAME] * settings.KEY_FRAMES),
        ("embedding", {"dimensions": 2, "numbers": ONE * settings.KEY_FRAMES}),
        ("embedding", {"dimensions": 8192, "numbers": UNIT.astype("<f2").tobytes()}),
        ("embedding", {"dimensions": 3, "numbers": (UNIT[:3] / np.linalg.norm(UNIT[:3])).astype("<f2").tobytes()}),
        ("scores", SCORES),
        ("scores", {"scores": {}, "flagged": [], "text": "BOAT 7"}),
        ("scores", {"scores": {}, "flagged": [], "years": 30.5}),
        ("scores", {**SCORES, "boxes": [BOX]}),
    ],
)
def test_what_stages_state_is_taken(name: str, value: Any) -> None:
    check_value(finding(name, value))
    check_value(Finding(DIGEST, name, 1, "", absent=Absent(Reason.DAMAGED)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("media", "x"),
        ("media", None),
        ("media", {"width": 4}),
        ("media", {**MEDIA, "width": -1}),
        ("media", {**MEDIA, "height": 2**63}),
        ("media", {**MEDIA, "more": 1}),
        ("media", {**MEDIA, "duration": float("nan")}),
        ("pdq", "abcd"),
        ("pdq", "x" * 64),
        ("pdq-quality", 101),
        ("pdq-forms", DIGEST),
        ("pdq-forms", [DIGEST] * 6),
        ("pdq-forms", [DIGEST] * 8),
        ("pdq-forms", [*[DIGEST] * 6, "abcd"]),
        ("pdq-512", [DIGEST] * 7),
        ("pdq-quality", True),
        ("frames", [1]),
        ("frames", [{**FRAME, "pdq": "abcd"}]),
        ("frames", [FRAME] * (settings.KEY_FRAMES + 1)),
        ("embedding", {"dimensions": 2, "numbers": b""}),
        ("embedding", {"dimensions": 2, "numbers": ONE[:3] + b"\x7c"}),  # infinite
        ("embedding", {"dimensions": 2, "numbers": ONE[:2] + b"\x00\x7e"}),  # not a number
        ("embedding", {"dimensions": 2, "numbers": ONE + b"\x00\x3c\x00\xbc"}),  # of length 1, and of 1.41
        ("embedding", {"dimensions": 2, "numbers": ONE + bytes(4)}),  # of length 0
        ("embedding", {"dimensions": 2, "numbers": b"\x0a\x3c\x00\x00"}),  # of length 1.01
        ("embedding", {"dimensions": 3, "numbers": ONE}),
        ("embedding", {"dimensions": 10**6, "numbers": ONE}),
        ("embedding", {"dimensions": 2, "numbers": ONE * (settings.KEY_FRAMES + 1)}),
        ("scores", {**SCORES, "scores": {"boat": 1.5}}),
        ("scores", {**SCORES, "scores": {"boat": float("nan")}}),
        ("scores", {**SCORES, "scores": {str(number): 0.5 for number in range(65)}}),
        ("scores", {**SCORES, "scores": {"b" * 300: 0.5}}),
        ("scores", {**SCORES, "years": 500}),
        ("scores", {**SCORES, "text": "b" * 2000}),
        ("scores", {**SCORES, "boxes": [{**BOX, "box": [0.0, 0.1, 0.9]}]}),
        ("scores", {**SCORES, "boxes": [{**BOX, "frame": settings.KEY_FRAMES}]}),
        ("scores", {**SCORES, "more": 1}),
        ("another", 1),
    ],
)
def test_what_no_stage_states_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected|missing|unknown|there is no finding|cannot be"):
        check_value(finding(name, value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("embedding", {"dimensions": 2, "numbers": ONE}),
        ("scores", SCORES),
        ("scores", {**SCORES, "boxes": [BOX]}),
        ("scores", {**SCORES, "boxes": None}),
        ("scores", {"scores": {}, "flagged": []}),
    ],
)
def test_what_a_model_states_is_taken_as_its_own(name: str, value: Any) -> None:
    check_of_model(finding(name, value), 2, frozenset({"boat", "camera"}))
    check_of_model(Finding(DIGEST, name, 1, "", absent=Absent(Reason.NO_ANSWER)), None, frozenset())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("embedding", {"dimensions": 4, "numbers": ONE + ONE}),
        ("scores", {"scores": {"barge": 0.5}, "flagged": []}),
        ("scores", {"scores": {"boat": 0.5}, "flagged": ["barge"]}),
        ("scores", {**SCORES, "boxes": [{**BOX, "label": "barge"}]}),
    ],
)
def test_what_is_of_another_model_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"other dimensions|does not have"):
        check_of_model(finding(name, value), 2, frozenset({"boat", "camera"}))


def asked(veiled: bool) -> Draw:
    return Draw(DIGEST, Address("EX1"), {}, 8, veiled)


def test_pixels_as_asked_for_are_taken() -> None:
    Drawn(8, 2, 3, bytes(48)).check(asked(veiled=False))
    Drawn(8, 2, 1, bytes(16)).check(asked(veiled=True))
    Drawn(absent=Absent(Reason.DAMAGED)).check(asked(veiled=True))


@pytest.mark.parametrize(
    "drawn",
    [
        Drawn(),
        Drawn(8, 2, 3, b"\xff\xd8\xff" + bytes(44)),
        Drawn(9, 2, 3, bytes(54)),
        Drawn(8, 0, 3),
        Drawn(8, 2, 1, bytes(16)),
        Drawn(8, 2, 4, bytes(64)),
    ],
)
def test_other_pixels_are_refused(drawn: Drawn) -> None:
    with pytest.raises(ValueError, match="other pixels"):
        drawn.check(asked(veiled=False))


def test_the_longest_run_of_entries_fits_into_a_message_with_ease() -> None:
    entries = tuple(Entry(Step("file", number, "%FF" * 4096), 1) for number in range(settings.NODE_ENTRIES))
    message = encode(Found(Rows(nodes=[Node(Task.EXAMINE, Address("EX1"), 1, entries)])))
    assert len(message) < local._LONGEST_MESSAGE / 8
