"""Totals of looks, what the force's rules leave of a day, and which looks were avoided."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mantlet.governance.policy import Policy
from mantlet.grading.exposure import SPARED, Look, Total, avoided, state, total

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
BOAT, CAMERA = "b0" * 32, "ca" * 32


def look(
    minutes: float = 0, seconds: float | None = 1, *, clear: bool = True, sha256: str = BOAT, **more: object
) -> Look:
    """A look so many minutes after noon (UTC) that lasted so many seconds."""
    length = None if seconds is None else round(seconds * 1000)
    plain = Look(NOON + timedelta(minutes=minutes), "DC One", sha256, 500, clear, length)
    return msgspec.structs.replace(plain, **more)


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_a_total_counts_clear_and_veiled_looks_apart() -> None:
    looks = [
        look(seconds=2.5, target=True),
        look(seconds=None, side=None),
        look(seconds=1, side=640, sha256=CAMERA),
        look(clear=False, side=900, target=True),
    ]
    assert total(looks) == Total(clear=3, veiled=1, seconds=3.5, untimed=1, targets=1, largest=640)


def test_of_nothing_the_largest_is_absent_and_not_zero() -> None:
    assert total([]) == Total(0, 0, 0, 0, 0, None)
    assert total([look(clear=False)]).largest is None


def test_without_rules_nothing_is_left_or_due() -> None:
    now = state([look(-minute) for minute in range(600)], Policy(), after(0))
    assert (now.looks_left, now.seconds_left, now.rest_since, now.rest_until) == (None, None, None, None)
    assert now.today.clear == 600


def test_a_budget_leaves_what_was_not_used_and_never_less_than_nothing() -> None:
    rules = Policy(exposure_looks_a_day=3, exposure_seconds_a_day=10)
    seen = [look(0, 4), look(1, 4, clear=False), look(2, 5.5)]
    now = state(seen, rules, after(5))
    assert (now.looks_left, now.seconds_left) == (1, 0.5)
    now = state([*seen, look(3, 9), look(4, 9)], rules, after(5))
    assert (now.looks_left, now.seconds_left) == (0, 0)
    assert (now.today.clear, now.today.seconds) == (4, 27.5)


def test_what_an_import_states_uses_up_no_budget() -> None:
    rules = Policy(exposure_looks_a_day=3, exposure_minutes_without_rest=1, exposure_rest_minutes=5)
    now = state([look(minute, stated=True) for minute in range(4)], rules, after(4))
    assert (now.looks_left, now.rest_since) == (3, None)


@pytest.mark.parametrize(
    ("zone", "day", "left"),
    [("UTC", "2026-06-01", 0), ("Europe/London", "2026-06-02", 1), ("Pacific/Auckland", "2026-06-02", 0)],
)
def test_a_day_is_that_of_the_zone_that_the_force_names(zone: str, day: str, left: int) -> None:
    """Looks at 22:30 and 23:30 UTC: one day in UTC and in Auckland, two in London."""
    rules = Policy(exposure_looks_a_day=2, exposure_zone=zone)
    now = state([look(11 * 60 - 30), look(11 * 60 + 30)], rules, after(11 * 60 + 45))
    assert (now.day, now.looks_left) == (day, left)


RESTS = Policy(exposure_minutes_without_rest=50, exposure_rest_minutes=10)


def test_a_rest_is_due_after_looks_without_a_pause() -> None:
    seen = [look(minute, 30) for minute in range(0, 55, 9)]  # the last at 54 minutes
    assert state(seen, RESTS, after(49)).rest_since is None
    now = state(seen, RESTS, after(55))
    assert now.rest_since == after(50)
    assert now.rest_until == after(64.5)


def test_a_rest_that_was_had_is_due_no_more() -> None:
    seen = [look(minute, 30) for minute in range(0, 55, 9)]
    assert state(seen, RESTS, after(64)).rest_since is not None
    assert state(seen, RESTS, after(64.5)).rest_since is None
    assert state([*seen, look(65)], RESTS, after(100)).rest_since is None


def test_a_pause_between_the_end_of_one_look_and_the_next_is_a_rest() -> None:
    assert state([look(0, 30), look(10.5), look(20), look(29), look(38), look(47)], RESTS, after(51)).rest_since is None
    assert state([look(0, 60), look(10.5), look(20), look(29), look(38), look(47)], RESTS, after(51)).rest_since == (
        after(50)
    )


def test_veiled_looks_are_work_too() -> None:
    seen = [look(minute, clear=False) for minute in range(0, 55, 9)]
    assert state(seen, RESTS, after(55)).rest_since == after(50)


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 900)), min_size=1, max_size=40),
    st.integers(0, 400), st.integers(1, 60), st.integers(1, 30),
)  # fmt: skip
def test_a_rest_is_due_just_when_a_minute_by_minute_clock_says_so(
    looks: Sequence[tuple[int, int]], now: int, most: int, rest: int
) -> None:
    """Against a clock of seconds that goes through the day: how long since the last rest, how long idle."""
    looks = [(minute, seconds) for minute, seconds in looks if minute <= now]
    busy_until, began = -1, None
    for second in range(now * 60 + 1):
        idle_since = busy_until if busy_until >= 0 else second
        if began is not None and second - idle_since >= rest * 60:
            began = None
        for minute, seconds in looks:
            if minute * 60 == second:
                began = second if began is None else began
                busy_until = max(busy_until, second + seconds)
    wanted = began is not None and now * 60 - began >= most * 60
    rules = Policy(exposure_minutes_without_rest=most, exposure_rest_minutes=rest)
    found = state([look(minute, seconds) for minute, seconds in looks], rules, after(now))
    assert (found.rest_since is not None) == wanted
    if wanted:
        assert found.rest_since == NOON + timedelta(seconds=began or 0, minutes=most)
        assert found.rest_until == NOON + timedelta(seconds=busy_until, minutes=rest)


def test_looks_avoided_are_told_by_what_spared_them() -> None:
    contents = [f"{number:064x}" for number in range(20)]
    looks = [
        look(0, sha256=contents[0]), look(1, sha256=contents[0]), look(2, sha256=contents[1], clear=False),
        look(3, sha256=contents[9]),
    ]  # fmt: skip
    graded = [(contents[0], "DC One"), (contents[0], "DC Two"), (contents[1], "DC One"), (contents[2], "DC One")]
    spared = avoided(50, 20, looks, graded, known=contents[8:12], near_copy=contents[12:15], sampling=4)
    assert msgspec.structs.asdict(spared) == {
        "items": 50, "contents": 20, "exact_copy": 30,
        "seen": 4, "seen_clear": 2,  # 0 and 9 clear, 1 veiled, 2 graded by a look of which nothing is told
        "known": 3,  # 9 was looked at all the same
        "near_copy": 3, "sampling": 4, "unseen": 6, "again": 1, "second_opinions": 1,
    }  # fmt: skip


@given(
    st.integers(0, 12), st.integers(0, 30), st.integers(0, 50),
    st.lists(st.tuples(st.integers(0, 11), st.booleans(), st.sampled_from(["DC One", "DC Two"]))),
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from(["DC One", "DC Two"]))),
    st.lists(st.sampled_from(["", "known", "near"]), min_size=12, max_size=12),
)  # fmt: skip
def test_the_parts_make_up_the_whole_and_none_is_negative(
    count: int, copies: int, sampling: int, looks: list[tuple[int, bool, str]], graded: list[tuple[int, str]],
    carried: list[str],
) -> None:  # fmt: skip
    contents = [f"{number:064x}" for number in range(count)]
    spared = avoided(
        count + copies,
        count,
        [look(clear=clear, sha256=contents[at], officer=by) for at, clear, by in looks if at < count],
        [(contents[at], by) for at, by in graded if at < count],
        [each for each, how in zip(contents, carried, strict=False) if how == "known"],
        [each for each, how in zip(contents, carried, strict=False) if how == "near"],
        sampling,
    )
    assert min(msgspec.structs.astuple(spared)) >= 0
    assert sum(getattr(spared, part) for part in SPARED) == spared.items == count + copies
    assert spared.seen_clear <= spared.seen <= spared.contents
    opinions = itertools.groupby(sorted({pair for pair in graded if pair[0] < count}), key=lambda pair: pair[0])
    assert spared.second_opinions == sum(len(list(pairs)) - 1 for _, pairs in opinions)
