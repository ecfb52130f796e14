"""What a content is, is told in words that are right."""

from __future__ import annotations

from typing import Any

import pytest

from mantlet.review.words import words

STILL: dict[str, Any] = {
    "kind": "still", "sound": None, "duration": None, "where": "camera", "containment": "file",
    "recovery": {"live": 1}, "copies": 1, "damaged": None, "known": [],
}  # fmt: skip


def match(**change: Any) -> dict[str, Any]:
    base = {
        "set": "force", "record": 3, "how": "sha256", "view": "upright", "distance": 0, "category": "boat",
        "status": "notable", "trusted": None,
    }  # fmt: skip
    return {**base, **change}


def test_a_plain_still() -> None:
    said = words(STILL)
    assert said == {"what": "Still", "where": "camera", "state": "live", "known": [], "copies": "", "damage": ""}


@pytest.mark.parametrize(
    ("seconds", "sound", "what"),
    [
        (4.2, True, "Clip, 0:04, with sound"),
        (3725.0, False, "Clip, 1:02:05, silent"),
        (59.7, None, "Clip, 1:00"),
        (None, None, "Clip, length not said"),
    ],
)
def test_a_clip_says_its_length_and_whether_it_has_sound(seconds: float | None, sound: bool | None, what: str) -> None:
    assert words({**STILL, "kind": "moving", "duration": seconds, "sound": sound})["what"] == what


def test_copies_that_differ_are_counted_by_state() -> None:
    said = words({**STILL, "copies": 3, "recovery": {"deleted": 1, "live": 2}, "containment": "member"})
    assert (said["copies"], said["state"], said["where"]) == ("3 copies", "2 live, 1 deleted", "camera, in an archive")


def test_what_is_known_is_told_from_what_only_looks_so() -> None:
    near = match(how="pdq", distance=12, record=9)
    frame = match(how="frames", distance=7, record=10, category=None)
    benign = match(set="nsrl", how="md5", status="benign", category=None)
    assert words({**STILL, "known": [match(), near, frame, benign]})["known"] == [
        "known notable: boat (force, exact)",
        "looks like known notable: boat (force, distance 12)",
        "a frame looks like known notable (force, distance 7)",
        "known benign (nsrl, exact)",
    ]


def test_the_same_is_said_once_and_a_long_list_is_cut() -> None:
    twice = [match(), match(how="md5"), match(how="pdq"), match(record=4)]
    assert words({**STILL, "known": twice})["known"] == ["known notable: boat (force, exact)"]
    many = [match(set=f"set {number}") for number in range(12)]
    assert words({**STILL, "known": many})["known"][-1] == "and 4 more"


def test_nothing_is_said_where_nothing_is_known_of_the_place() -> None:
    lost = {**STILL, "where": None, "containment": None, "recovery": {}, "copies": 0, "damaged": "damaged: cut off"}
    said = words(lost)
    assert (said["where"], said["state"], said["copies"], said["damage"]) == ("", "", "", "damaged: cut off")


def test_how_a_copy_was_turned_and_whether_a_grade_is_trusted_is_said() -> None:
    matches = [match(set="memory", trusted=True), match(set="other", trusted=False)]
    matches.append(match(how="pdq", view="mirrored turned 90", distance=4, record=9))
    matches.append(match(status="ungraded", category="0"))
    assert words({**STILL, "known": matches})["known"] == [
        "known notable: boat (memory, exact, trusted)",
        "known notable: boat (other, exact)",
        "looks like known notable: boat (force, distance 4, mirrored turned 90)",
        "known uncategorised: 0 (force, exact)",
    ]
