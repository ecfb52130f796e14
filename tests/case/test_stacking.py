"""Stacks of a case: what joins them, and what a person splits and joins."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from cases import Picture, add, flipped, ledger_length, rows

from mantlet.case import queries, stacks
from mantlet.case.case import Case
from mantlet.case.matching import match
from mantlet.case.scan import Scan
from mantlet.errors import IntegrityError, UsageError
from mantlet.fingerprint import FORMS
from mantlet.governance import keys, ledger
from mantlet.governance.keys import Actor
from mantlet.known.sets import Sets
from mantlet.types import Finding, Rows
from tests.known_sets import matcher

SOURCE = random.Random(23)
HASH = SOURCE.randbytes(32)
BOAT = Picture("boat", HASH)
CLOSE = Picture("close", flipped(HASH, 5, SOURCE))
FAR = Picture("far", flipped(CLOSE.pdq or b"", 31, random.Random(1)))
TURNED = Picture("turned", SOURCE.randbytes(32))
OTHER = Picture("other", SOURCE.randbytes(32))
FLAT = Picture("flat")
CLIP = Picture("clip", frames=[(SOURCE.randbytes(32), 90), (flipped(HASH, 3, SOURCE), 90), (OTHER.pdq or b"", 49)])
PICTURES = [BOAT, CLOSE, FAR, TURNED, OTHER, FLAT, CLIP]
ALIKE = {each.sha256 for each in (BOAT, CLOSE, FAR, TURNED, CLIP)}


@pytest.fixture
def officer() -> Actor:
    return keys.actor("DC Sorter")


@pytest.fixture
def stacked(case: Case) -> Case:
    """All pictures, one of which is a boat turned; of that the forms are known."""
    add(case, PICTURES)
    forms = [SOURCE.randbytes(32).hex() for _ in FORMS]
    forms[FORMS.index("turned 180")] = flipped(HASH, 2, SOURCE).hex()
    work = Scan(case, None)
    work.merge(Rows(findings=[Finding(TURNED.sha256, "pdq-forms", 1, "s", forms)]))
    work.flush()
    again(case)
    return case


def again(case: Case) -> None:
    sets = Sets()
    match(case, matcher(sets, []))
    sets.close()


def groups(case: Case) -> set[frozenset[str]]:
    """Stacks of more than one, as the list of items shows them."""
    found: dict[str, set[str]] = {}
    for item in queries.items(case):
        found.setdefault(item["stack"], set()).add(item["sha256"])
    assert all(name == min(members) for name, members in found.items())
    return {frozenset(members) for members in found.values() if len(members) > 1}


def shas(*pictures: Picture) -> list[str]:
    return [each.sha256 for each in pictures]


def test_views_and_frames_join_and_each_join_says_why(stacked: Case) -> None:
    assert groups(stacked) == {frozenset(ALIKE)}
    found = stacks.stack_of(stacked, FAR.sha256)
    assert [each.sha256 for each in found.members] == sorted(ALIKE)
    assert found.stack == min(ALIKE)
    assert found.finished
    assert [each.sha256 for each in found.members if each.joined is None] == [found.stack]
    pairs = {frozenset((each.sha256, each.joined.to)): each.joined for each in found.members if each.joined}
    assert len(pairs) == len(ALIKE) - 1
    for pair, why in pairs.items():
        assert why.how == ("frames" if CLIP.sha256 in pair else "pdq")
        assert why.view == ("turned 180" if TURNED.sha256 in pair else "upright")
    assert pairs[frozenset(shas(FAR, CLOSE))].distance == 31, "FAR looks like nothing else"
    assert {each.sha256: (each.name, each.kind, each.grade) for each in found.members}[CLIP.sha256] == (
        "a", "moving", None,
    )  # fmt: skip


def test_what_nothing_looks_like_is_alone(stacked: Case) -> None:
    for alone in (OTHER, FLAT):
        found = stacks.stack_of(stacked, alone.sha256)
        assert (found.stack, [each.sha256 for each in found.members]) == (alone.sha256, [alone.sha256])
    with pytest.raises(UsageError, match="no such content"):
        stacks.stack_of(stacked, "0" * 64)


def test_a_picture_split_off_stays_apart_and_leaves_the_others_together(stacked: Case, officer: Actor) -> None:
    name = stacks.split(stacked, officer, shas(CLOSE, FAR))
    assert groups(stacked) == {frozenset(shas(CLOSE, FAR)), frozenset(shas(BOAT, TURNED, CLIP))}
    assert name == min(shas(CLOSE, FAR))
    before = [rows(stacked, table) for table in ("stack", "alike", "ledger")]
    again(stacked)
    assert [rows(stacked, table) for table in ("stack", "alike", "ledger")] == before
    late = Picture("late", CLOSE.pdq)
    add(stacked, [late])
    again(stacked)
    assert groups(stacked) == {frozenset(shas(CLOSE, FAR)), frozenset(shas(BOAT, TURNED, CLIP, late))}


def test_pictures_that_do_not_look_alike_are_joined_by_a_person(stacked: Case, officer: Actor) -> None:
    stacks.join(stacked, officer, shas(OTHER, FLAT, BOAT))
    assert groups(stacked) == {frozenset({*ALIKE, *shas(OTHER, FLAT)})}
    members = {each.sha256: each.joined for each in stacks.stack_of(stacked, OTHER.sha256).members}
    by_person = [each for each in members.values() if each and each.how == "person"]
    assert [(each.view, each.distance) for each in by_person] == [(None, None)] * 2
    stacks.split(stacked, officer, shas(FLAT))
    assert groups(stacked) == {frozenset({*ALIKE, OTHER.sha256})}
    before = rows(stacked, "stack")
    again(stacked)
    assert rows(stacked, "stack") == before


def test_stacks_made_anew_at_once_are_those_made_act_by_act(stacked: Case, officer: Actor) -> None:
    stacks.split(stacked, officer, shas(CLOSE))
    stacks.join(stacked, officer, shas(OTHER, CLOSE))
    stacks.split(stacked, officer, shas(CLIP, TURNED))
    stacks.join(stacked, officer, shas(FLAT, CLIP))
    step_by_step = rows(stacked, "stack")
    with stacked.change(officer) as change:
        change.tx.execute("DELETE FROM stack")
        change.tx.execute("DELETE FROM alike")
        change.record("test", {})
    again(stacked)
    assert rows(stacked, "stack") == step_by_step
    assert len(rows(stacked, "alike")) == len(step_by_step) - len({stack for _, stack in step_by_step})


def test_an_act_while_stacks_are_made_anew_is_not_lost(
    stacked: Case, officer: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(stacked, [Picture("late", OTHER.pdq)])
    compare = stacks.connected

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        found = compare(*arguments, **named)
        monkeypatch.undo()
        stacks.split(stacked, officer, shas(CLOSE, FAR))
        return found

    monkeypatch.setattr(stacks, "connected", meanwhile)
    again(stacked)
    expected = {frozenset(shas(CLOSE, FAR)), frozenset(shas(BOAT, TURNED, CLIP))}
    assert groups(stacked) == {*expected, frozenset(shas(OTHER, Picture("late")))}
    again(stacked)
    assert groups(stacked) == {*expected, frozenset(shas(OTHER, Picture("late")))}


def test_a_case_from_before_the_joins_were_kept_gets_them(stacked: Case, officer: Actor) -> None:
    before = rows(stacked, "stack"), rows(stacked, "alike")
    with stacked.change(officer) as change:
        change.tx.execute("DELETE FROM alike")
        change.record("test", {})
    again(stacked)
    assert (rows(stacked, "stack"), rows(stacked, "alike")) == before


@pytest.mark.parametrize(
    ("act", "pictures", "why"),
    [
        ("split", [], "Name the contents"),
        ("join", [BOAT], "Name the contents"),
        ("join", [BOAT, BOAT], "Name the contents"),
        ("split", [OTHER], "own already"),
        ("split", [FLAT], "own already"),
        ("split", [BOAT, CLOSE, FAR, TURNED, CLIP], "own already"),
        ("join", [BOAT, FAR], "one stack already"),
        ("split", [Picture("away")], "no such content"),
        ("join", [BOAT, Picture("away")], "no such content"),
    ],
)
def test_what_would_change_nothing_is_refused(
    stacked: Case, officer: Actor, act: str, pictures: Sequence[Picture], why: str
) -> None:
    before = ledger_length(stacked)
    with pytest.raises(UsageError, match=why):
        (stacks.split if act == "split" else stacks.join)(stacked, officer, shas(*pictures))
    assert ledger_length(stacked) == before


def test_too_many_at_once_are_refused(stacked: Case, officer: Actor) -> None:
    with pytest.raises(UsageError, match="At most 10,000"):
        stacks.join(stacked, officer, [f"{number:064x}" for number in range(stacks.MOST + 1)])


def test_an_act_is_in_the_ledger_and_is_checked(stacked: Case, officer: Actor) -> None:
    stacks.split(stacked, officer, shas(FAR))
    stacks.join(stacked, officer, shas(FAR, OTHER))
    said = [entry for entry in ledger.entries(stacked.reader, "case") if entry.kind == "stacking"]
    assert [json.loads(entry.payload or "")["act"] for entry in said] == ["split", "join"]
    assert {entry.actor for entry in said} == {officer.name}
    stacks.check(stacked)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("UPDATE stacking SET act = 'join' WHERE id = 1", "was changed"),
        ("UPDATE stacking SET contents = 'no JSON' WHERE id = 1", "was changed"),
        ("UPDATE stacking SET actor = 'PC Other' WHERE id = 1", "was changed"),
        ("DELETE FROM stacking WHERE id = 2", "is missing"),
        ("INSERT INTO stacking SELECT 3, act, contents, actor, at, entry FROM stacking LIMIT 1", "does not know"),
        ("UPDATE ledger SET payload = NULL WHERE kind = 'stacking'", "was erased"),
    ],
)
def test_an_act_that_is_not_as_it_was_made_is_found(stacked: Case, officer: Actor, damage: str, why: str) -> None:
    stacks.split(stacked, officer, shas(FAR))
    stacks.split(stacked, officer, shas(CLOSE))
    with stacked.change(officer) as change:
        change.tx.execute("DROP TRIGGER stacking_is_kept")
        change.tx.execute("DROP TRIGGER stacking_is_final")
        change.tx.execute(damage)
        change.record("test", {})
    with pytest.raises(IntegrityError, match=why):
        stacks.check(stacked)


def test_acts_are_append_only(stacked: Case, officer: Actor) -> None:
    stacks.split(stacked, officer, shas(FAR))
    for command in ("DELETE FROM stacking", "UPDATE stacking SET act = 'join'"):
        with pytest.raises(Exception, match="append-only"), stacked.change(officer) as change:
            change.tx.execute(command)


def test_a_content_is_named_by_the_beginning_of_its_digest(stacked: Case) -> None:
    assert stacks.content_named(stacked, BOAT.sha256[:8].upper()) == BOAT.sha256
    assert stacks.content_named(stacked, BOAT.sha256) == BOAT.sha256
    for start in ("", BOAT.sha256[:7], "boat-boat", f"{BOAT.sha256}0", "0" * 64):
        with pytest.raises(UsageError):
            stacks.content_named(stacked, start)


def test_where_not_all_were_compared_case_and_stack_say_so(stacked: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stacks.finished(stacked)
    from mantlet.grading import joining

    monkeypatch.setattr(joining, "LEAST", 0)
    monkeypatch.setattr(joining, "TIMES", 0)
    again(stacked)
    assert not stacks.finished(stacked)
    assert not stacks.stack_of(stacked, OTHER.sha256).finished
    monkeypatch.undo()
    again(stacked)
    assert stacks.finished(stacked)
