"""What is to be seen next: the queue as a case keeps it, leases, and what another officer is to see too."""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cases import Picture, add, flipped, ledger_length, rows

from mantlet.case import allowed, carry, certificates, leases, opinions, queue
from mantlet.case.case import Case, create_or_open, open_case
from mantlet.case.decisions import Seen, decide, undo
from mantlet.case.leases import hand_back, next_stacks
from mantlet.case.matching import match
from mantlet.case.scan import Scan
from mantlet.case.schema import MIGRATIONS
from mantlet.case.verify import verify_record
from mantlet.errors import UsageError
from mantlet.governance import keys, ledger
from mantlet.governance.policy import Policy
from mantlet.grading import queueing, scheme
from mantlet.known.records import Record
from mantlet.known.sets import Sets
from mantlet.store.database import Database
from mantlet.types import Finding, Rows
from tests.known_sets import matcher, put

SCHEME = scheme.load("stand-in")
SEEN = Seen(640, clear=True, milliseconds=900)
BOAT, SMALL_BOAT, KITE, LOGO, SCENE = (Picture(name) for name in ("boat", "small boat", "kite", "logo", "scene"))
LOOK = random.Random(1).randbytes(32)
LIKE_BOAT = Picture("like a boat", flipped(LOOK, 12, random.Random(2)))


def differ(case: Case, before: int = 2**62) -> tuple[int, int]:
    told = certificates.disagreement(case, SCHEME.name, before)
    return told["seen_by_two"], told["differ"]


@pytest.fixture
def one() -> keys.Actor:
    return keys.actor("DC One")


@pytest.fixture
def two() -> keys.Actor:
    return keys.actor("DC Two")


@pytest.fixture
def sets() -> Iterator[Sets]:
    sets = Sets()
    yield sets
    sets.close()


def known(sets: Sets) -> Any:
    """A matcher by which the boat is notable, what looks like it looks so, and the logo is benign."""
    force = put(sets, "force", [Record(1, sha256=bytes.fromhex(BOAT.sha256)), Record(2, pdq=LOOK)])
    plain = put(sets, "plain", [Record(1, sha256=bytes.fromhex(LOGO.sha256))], "benign")
    return matcher(sets, [force, plain])


def in_order(case: Case, **how: Any) -> list[str]:
    return [row["sha256"] for row in queue.read(case, "", 1000, ungraded_only=how.pop("ungraded", True), **how)]


def ends(stacks: list[leases.Stack]) -> list[str]:
    return [row["sha256"] for stack in stacks for row in stack.told]


def entries(case: Case, kind: str, chain: ledger.Chain = "exposure") -> list[tuple[str, dict[str, Any]]]:
    found = [entry for entry in ledger.entries(case.reader, chain) if entry.kind == kind]
    return [(entry.actor, json.loads(entry.payload or "")) for entry in found]


def test_a_scan_adds_to_the_queue_in_its_order_and_a_match_arranges_it(case: Case, sets: Sets) -> None:
    look_up = known(sets)
    add(case, [LOGO, KITE], look_up)
    add(case, [LIKE_BOAT, BOAT], look_up)
    wanted = [BOAT.sha256, LIKE_BOAT.sha256, KITE.sha256, LOGO.sha256]
    assert in_order(case) == wanted
    match(case, look_up)
    assert in_order(case) == wanted
    [(_, said)] = entries(case, "queue arranged", "case")
    assert (said["contents"], said["drawn"], said["ranked"]) == (4, "1 in 20", False)
    assert said["seed"] == queue.seed(case).hex()
    length = ledger_length(case)
    match(case, look_up)
    assert ledger_length(case) == length, "nothing changed, so nothing is stored"
    verify_record(case)


def test_a_grade_takes_it_out_of_what_is_to_be_seen_and_undo_brings_it_back(case: Case, one: keys.Actor) -> None:
    add(case, [BOAT, KITE])
    before = in_order(case)
    decide(case, one, SCHEME, BOAT.sha256, "boat", SEEN)
    assert in_order(case) == [KITE.sha256]
    assert in_order(case, ungraded=False) == before, "nobody's place changes by it"
    undo(case, one)
    assert in_order(case) == before


def test_a_grade_that_comes_while_the_queue_is_arranged_counts(
    case: Case, one: keys.Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(case, [BOAT, KITE])
    ordered, late = queue._ordered, list[Any]()
    with ThreadPoolExecutor(1) as officer:

        def slow(*arguments: Any) -> Any:
            late.append(officer.submit(decide, case, one, SCHEME, BOAT.sha256, "boat", SEEN))
            return ordered(*arguments)

        monkeypatch.setattr(queue, "_ordered", slow)
        queue.arrange(case)
        late[0].result()
    assert in_order(case) == [KITE.sha256]


def test_a_case_from_before_the_queue_has_its_order_at_once(tmp_path: Path, one: keys.Actor, sets: Sets) -> None:
    folder = tmp_path / "old"
    case = create_or_open(folder, one)
    look_up = known(sets)
    add(case, [LOGO, KITE, LIKE_BOAT, BOAT], look_up)
    decide(case, one, SCHEME, KITE.sha256, "other", SEEN)
    case.close()
    before = tmp_path / "before"
    before.mkdir()
    with contextlib.closing(Database(before / "case.sqlite", MIGRATIONS[:3])) as old, old.write() as tx:
        tables = [row["name"] for row in tx.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        with contextlib.closing(sqlite3.connect(folder / "case.sqlite")) as new:
            for table in tables:
                columns = [row["name"] for row in tx.execute(f"PRAGMA table_info({table})")]
                marks = ",".join("?" * len(columns))
                tx.executemany(
                    f"INSERT INTO {table} VALUES ({marks})", new.execute(f"SELECT {','.join(columns)} FROM {table}")
                )
    case = open_case(before, one)
    assert in_order(case, ungraded=False) == [BOAT.sha256, LIKE_BOAT.sha256, KITE.sha256, LOGO.sha256]
    assert in_order(case) == [BOAT.sha256, LIKE_BOAT.sha256, LOGO.sha256]
    match(case, look_up)
    assert all(row["lot"] is not None for row in case.reader.execute("SELECT lot FROM queue"))
    assert in_order(case) == [BOAT.sha256, LIKE_BOAT.sha256, LOGO.sha256]
    case.close()


def scored(case: Case, scores: dict[str, float]) -> None:
    """States, as a model that was used, how probable a boat is on each content."""
    with case.change() as change:
        change.record("model used", {"name": "boats", "digest": "d", "ground": "g", "states": {"scores": "s"}})
    work = Scan(case)
    found = [
        Finding(sha256, "scores", 1, "s", {"scores": {"boat": value, "other": 1 - value}, "flagged": []})
        for sha256, value in scores.items()
    ]
    work.merge(Rows(findings=found))
    work.flush()


def test_models_rank_only_where_that_is_allowed_and_some_are_drawn_at_random(case: Case, one: keys.Actor) -> None:
    pictures = [Picture(str(number)) for number in range(200)]
    add(case, [*pictures, KITE])
    decide(case, one, SCHEME, KITE.sha256, "other", SEEN)  # the case is graded by this scheme
    scores = {each.sha256: number / 200 for number, each in enumerate(pictures)}
    scored(case, scores)
    queue.arrange(case)
    by_score = sorted(scores, key=lambda sha256: -scores[sha256])
    assert in_order(case) != by_score
    allowed.allow(case, one, "sampling", "DI Example", "it is a trial")
    queue.arrange(case)
    found = in_order(case)
    drawn = {each for each in scores if queueing.is_drawn(queueing.lot(queue.seed(case), bytes.fromhex(each)))}
    assert drawn
    assert [each for each in found if each not in drawn] == [each for each in by_score if each not in drawn]
    assert min(found.index(each) - by_score.index(each) for each in drawn) < 0, "some low ones come early"
    assert entries(case, "queue arranged", "case")[-1][1]["ranked"] is True


def test_next_tells_the_first_stack_why_and_for_how_long(case: Case, one: keys.Actor, sets: Sets) -> None:
    look_up = known(sets)
    twin = Picture("twin", flipped(LIKE_BOAT.pdq or b"", 3, random.Random(5)))
    add(case, [LOGO, KITE, LIKE_BOAT, twin, BOAT], look_up)
    match(case, look_up)
    stacks = next_stacks(case, one, 30, 4)
    assert [stack.why for stack in stacks] == [
        "known notable", "looks like what is known notable", "next in the order of the queue", "known benign",
    ]  # fmt: skip
    assert [(stack.contents, stack.to_see) for stack in stacks] == [(1, 1), (2, 2), (1, 1), (1, 1)]
    assert {row["sha256"] for row in stacks[1].told} == {LIKE_BOAT.sha256, twin.sha256}
    [(actor, said)] = entries(case, "leased")
    assert actor == "DC One"
    assert said == {"stacks": [stack.stack for stack in stacks], "until": stacks[0].until}
    decide(case, one, SCHEME, twin.sha256, "boat", SEEN)
    [stack] = next_stacks(case, one, 30, 4)[1:2]
    assert (stack.contents, stack.to_see, ends([stack])) == (2, 1, [LIKE_BOAT.sha256])


def test_no_two_officers_have_the_same_stack_until_it_is_over(case: Case, one: keys.Actor, two: keys.Actor) -> None:
    add(case, [BOAT, KITE, SCENE])
    first = ends(next_stacks(case, one, 30, 2))
    assert ends(next_stacks(case, one, 30, 2)) == first, "asked again, one gets the same"
    last = ends(next_stacks(case, two, 30, 2))
    assert sorted(first + last) == sorted([BOAT.sha256, KITE.sha256, SCENE.sha256])
    decide(case, two, SCHEME, last[0], "other", SEEN)
    assert next_stacks(case, two, 30) == [], "what is left is another's"
    with case.change() as change:  # the time of one's lease is over
        change.tx.execute("UPDATE lease SET until = '2001-01-01T00:00:00.000000Z'")
        change.record("test", {})
    assert ends(next_stacks(case, two, 30, 2)) == first
    assert next_stacks(case, one, 30) == []


def test_what_is_handed_back_goes_to_another_and_comes_again_last(case: Case, one: keys.Actor, two: keys.Actor) -> None:
    add(case, [BOAT, KITE, SCENE])
    [first, second, third] = in_order(case)
    assert ends(next_stacks(case, one, 30)) == [first]
    assert hand_back(case, one) == 1
    assert hand_back(case, one) == 0
    [(actor, said)] = entries(case, "handed back")
    assert (actor, said) == ("DC One", {"stacks": [first]}), "and no reason"
    assert ends(next_stacks(case, one, 30, 2)) == [second, third]
    assert ends(next_stacks(case, two, 30)) == [first]
    hand_back(case, two)
    assert ends(next_stacks(case, one, 30, 3)) == [second, third, first]


@pytest.mark.parametrize(("minutes", "count"), [(0, 1), (1441, 1), (30, 0), (30, 101)])
def test_leases_have_limits(case: Case, one: keys.Actor, minutes: int, count: int) -> None:
    with pytest.raises(UsageError, match="1 to 1,440 minutes, of 1 to 100"):
        next_stacks(case, one, minutes, count)


def test_an_empty_queue_gives_nothing(case: Case, one: keys.Actor) -> None:
    assert next_stacks(case, one, 30) == []
    assert queue.read(case, "", 10, ungraded_only=True) == []


def take(folder: Path, name: str) -> list[str]:
    """Takes stacks one by one, as an officer in a process of their own, until there are no more."""
    actor = keys.actor(name)
    case = open_case(folder, actor)
    found: list[str] = []
    while stacks := next_stacks(case, actor, 30, len(found) + 1)[len(found) :]:
        found += ends(stacks)
    case.close()
    return found


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_officers_at_once_never_get_the_same_stack(tmp_path: Path, pool: Any) -> None:
    case = create_or_open(tmp_path / "case", keys.actor("DC Example"))
    add(case, [Picture(str(number)) for number in range(16)])
    names = ["DC One", "DC Two"]
    for name in names:
        keys.actor(name)
    how = {"mp_context": multiprocessing.get_context("spawn")} if pool is ProcessPoolExecutor else {}
    with pool(2, **how) as officers:
        taken = list(officers.map(take, [tmp_path / "case"] * 2, names))
    assert Counter(itertools.chain(*taken)) == Counter(in_order(case))
    case.close()


def test_many_threads_on_one_open_case_never_get_the_same_stack(case: Case) -> None:
    add(case, [Picture(str(number)) for number in range(12)])
    actors = [keys.actor(f"DC {number}") for number in range(6)]
    with ThreadPoolExecutor(6) as officers:
        taken = list(officers.map(lambda actor: ends(next_stacks(case, actor, 30, 2)), actors))
    assert sorted(itertools.chain(*taken)) == sorted(in_order(case))


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opinions.policy, "load", lambda: Policy(second_opinions=1.0))


@pytest.mark.usefixtures("second")
def test_a_target_comes_to_another_officer_who_is_told_no_grade(case: Case, one: keys.Actor, two: keys.Actor) -> None:
    add(case, [BOAT, KITE])
    decide(case, one, SCHEME, BOAT.sha256, "boat", SEEN)
    decide(case, one, SCHEME, KITE.sha256, "not-relevant", SEEN)
    assert opinions.wanted(case, one) == []
    assert opinions.wanted(case, two) == [BOAT.sha256], "what is no target is not asked again"
    [stack] = next_stacks(case, two, 30)
    assert ends([stack]) == [BOAT.sha256]
    assert stack.why == "next in the order of the queue", "nor that it was graded"
    assert [(row["grade"], row["graded_by"], row["basis"]) for row in stack.told] == [(None, None, None)]
    [row] = queue.read(case, "", 10, ungraded_only=True, again=opinions.wanted(case, two))
    assert (row["sha256"], row["grade"]) == (BOAT.sha256, None)
    assert next_stacks(case, one, 30) == []
    decide(case, two, SCHEME, BOAT.sha256, "boat", SEEN)
    assert opinions.wanted(case, two) == []
    assert (opinions.disputed(case), differ(case)) == ([], (1, 0))


@pytest.mark.usefixtures("second")
def test_where_two_differ_a_third_is_asked_and_the_last_stands(case: Case, one: keys.Actor, two: keys.Actor) -> None:
    three = keys.actor("DC Three")
    add(case, [BOAT])
    decide(case, one, SCHEME, BOAT.sha256, "boat", SEEN)
    assert differ(case) == (0, 0)
    decide(case, two, SCHEME, BOAT.sha256, "camera", SEEN)
    [found] = opinions.disputed(case)
    assert (found["sha256"], [(word["actor"], word["grade"]) for word in found["grades"]]) == (
        BOAT.sha256, [("DC One", "boat"), ("DC Two", "camera")],
    )  # fmt: skip
    assert differ(case) == (1, 1)
    before = case.reader.execute("SELECT max(entry) FROM decision").fetchone()[0]
    assert differ(case, before - 1) == (0, 0), "as it was then"
    assert opinions.wanted(case, one) == opinions.wanted(case, two) == []
    assert opinions.wanted(case, three) == [BOAT.sha256]
    decide(case, three, SCHEME, BOAT.sha256, "boat", SEEN)
    assert (opinions.disputed(case), differ(case)) == ([], (1, 1))
    undo(case, three)
    assert len(opinions.disputed(case)) == 1
    decide(case, one, SCHEME, BOAT.sha256, "camera", SEEN)
    assert (opinions.disputed(case), differ(case)) == ([], (1, 0)), "they came to agree"


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.25, 6, 44), (1.0, 100, 100)])
def test_the_share_of_the_policy_is_asked_again(
    case: Case, one: keys.Actor, two: keys.Actor, monkeypatch: pytest.MonkeyPatch, share: float, low: int, high: int
) -> None:
    monkeypatch.setattr(opinions.policy, "load", lambda: Policy(second_opinions=share))
    pictures = [Picture(str(number)) for number in range(100)]
    add(case, pictures)
    carry.decide_stack(case, one, SCHEME, "boat", dict.fromkeys((each.sha256 for each in pictures), SEEN))
    found = opinions.wanted(case, two)
    assert low <= len(found) <= high
    assert found == opinions.wanted(case, keys.actor("DC Three")), "the lots of the case pick them, nobody else"


def test_leases_and_the_queue_leave_the_record_whole(case: Case, one: keys.Actor) -> None:
    add(case, [BOAT, KITE])
    next_stacks(case, one, 30, 2)
    hand_back(case, one)
    verify_record(case)
    assert rows(case, "lease") == []
