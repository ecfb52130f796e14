"""How much of the material people have seen: totals, what a force's budgets leave, and which looks were avoided.

Figures, not a finding: they say what was on a screen and for how long, nothing of what it did to whoever saw it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from mantlet.governance.policy import Policy


class Look(msgspec.Struct, frozen=True):
    """One content on one officer's screen once. `at`: when it began; `side`: pixels of its longest side, None where it
    was not told; `clear`, or veiled; `milliseconds` clear, None where it is not known how long (the page was closed, it
    is there still, or it was not told). `grade`: what the same officer then said of it, None for nothing; `target`:
    whether that grade counts as a target. `stated`: not shown by Mantlet, but told by whoever brought the grade."""

    at: datetime
    officer: str
    sha256: str
    side: int | None
    clear: bool
    milliseconds: int | None
    grade: str | None = None
    target: bool = False
    stated: bool = False


class Total(msgspec.Struct, frozen=True):
    """Looks clear and veiled; seconds clear, not counting the clear looks that are `untimed`; clear looks at what was
    then graded as a target; the longest side of the largest clear look in pixels, None where there is none."""

    clear: int
    veiled: int
    seconds: float
    untimed: int
    targets: int
    largest: int | None


def total(looks: Iterable[Look]) -> Total:
    every = list(looks)
    clear = [look for look in every if look.clear]
    return Total(
        clear=len(clear),
        veiled=len(every) - len(clear),
        seconds=sum(look.milliseconds or 0 for look in clear) / 1000,
        untimed=sum(look.milliseconds is None for look in clear),
        targets=sum(look.target for look in clear),
        largest=max((look.side for look in clear if look.side), default=None),
    )


def day(at: datetime, zone: tzinfo) -> str:
    """The day, as YYYY-MM-DD, on which a look is counted: the one on which it began."""
    return at.astimezone(zone).date().isoformat()


class State(msgspec.Struct, frozen=True):
    """How one officer stands by the force's rules. `looks_left` and `seconds_left`: clear ones, 0 where it is more than
    the budget already; None where there is no such rule. `rest_since`: since when a rest is due, None: none is due;
    `rest_until`: when it is over, if nothing is looked at till then."""

    day: str
    today: Total
    looks_left: int | None
    seconds_left: float | None
    rest_since: datetime | None
    rest_until: datetime | None


def state(looks: Iterable[Look], rules: Policy, now: datetime) -> State:
    """How the officer of these looks stands at a moment; looks that are `stated` count in no rule.

    A rest is due when looks, clear or veiled, have gone on for `exposure_minutes_without_rest` without a pause of
    `exposure_rest_minutes` between the end of one and the beginning of the next.
    """
    zone = ZoneInfo(rules.exposure_zone)
    own = sorted((look for look in looks if not look.stated and look.at <= now), key=lambda look: look.at)
    today = total(look for look in own if day(look.at, zone) == day(now, zone))
    most_looks, most_seconds = rules.exposure_looks_a_day, rules.exposure_seconds_a_day
    since, until = _rest(own, rules, now)
    return State(
        day=day(now, zone),
        today=today,
        looks_left=None if most_looks is None else max(most_looks - today.clear, 0),
        seconds_left=None if most_seconds is None else max(most_seconds - today.seconds, 0.0),
        rest_since=since,
        rest_until=until,
    )


def _rest(looks: list[Look], rules: Policy, now: datetime) -> tuple[datetime | None, datetime | None]:
    if rules.exposure_minutes_without_rest is None or rules.exposure_rest_minutes is None or not looks:
        return None, None
    pause = timedelta(minutes=rules.exposure_rest_minutes)
    began = ended = looks[0].at
    for look in looks:
        if look.at - ended >= pause:
            began = look.at
        ended = max(ended, look.at + timedelta(milliseconds=look.milliseconds or 0))
    due, over = began + timedelta(minutes=rules.exposure_minutes_without_rest), ended + pause
    return (due, over) if due <= now < over else (None, None)


class Avoided(msgspec.Struct, frozen=True):
    """What was looked at, and what was not, of all that was found.

    `items` = `exact_copy` + `contents`, and `contents` = `seen` + `known` + `near_copy` + `sampling` + `unseen`: each
    content stands once, under what spared the look at it. `seen_clear`: of those seen, how many somebody saw clear.
    `again`: clear looks beyond the first at a content. `second_opinions`: contents that two officers or more graded by
    a look, counted once for each officer beyond the first.
    """

    items: int
    contents: int
    exact_copy: int
    seen: int
    seen_clear: int
    known: int
    near_copy: int
    sampling: int
    unseen: int
    again: int
    second_opinions: int


SPARED: Final = {
    "exact_copy": "exact copies, beyond the first of each",
    "seen": "looked at",
    "known": "known: grade carried over unseen",
    "near_copy": "near copies: grade carried over unseen",
    "sampling": "not looked at while a certificate stands",
    "unseen": "not looked at, and not spared",
}
"""The parts that make up `Avoided.items`, in words."""


def avoided(
    items: int,
    contents: int,
    looks: Iterable[Look],
    graded: Iterable[tuple[str, str]] = (),
    known: Iterable[str] = (),
    near_copy: Iterable[str] = (),
    sampling: int = 0,
) -> Avoided:
    """Against looking once at every distinct picture.

    Args:
        items, contents: how many were found; distinct ones.
        looks: of everybody, in any order.
        graded: content and officer of each grade that was given by a look, once each.
        known, near_copy: the contents whose grade was carried over. One that somebody has looked at all the same
            counts as seen.
        sampling: contents, ungraded, that a valid certificate speaks for; at most those that are left are counted.
    """
    every, pairs = list(looks), set(graded)
    clear = [look.sha256 for look in every if look.clear]
    seen_clear = set(clear)
    by_look = {content for content, _ in pairs}
    seen = {look.sha256 for look in every} | by_look
    of_known, of_near = set(known) - seen, set(near_copy) - seen
    left = contents - len(seen) - len(of_known) - len(of_near)
    by_sampling = min(sampling, left)
    return Avoided(
        items=items,
        contents=contents,
        exact_copy=items - contents,
        seen=len(seen),
        seen_clear=len(seen_clear),
        known=len(of_known),
        near_copy=len(of_near),
        sampling=by_sampling,
        unseen=left - by_sampling,
        again=len(clear) - len(seen_clear),
        second_opinions=len(pairs) - len(by_look),
    )
