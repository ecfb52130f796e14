"""Matching: during a scan and later alike, against looking at every record by hand."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import Picture, add, flipped, ledger_length, rows

from mantlet.case import queries
from mantlet.case.case import Case, create_or_open
from mantlet.case.matching import match
from mantlet.case.verify import verify_record
from mantlet.governance import keys, ledger
from mantlet.known.imports import About, import_files
from mantlet.known.records import KnownSet, Record, Status
from mantlet.known.sets import Sets
from mantlet.settings import PDQ_DISTANCE, PDQ_QUALITY
from tests import known_sets
from tests.known_sets import digest, matcher

SOURCE = random.Random(17)
HASH = SOURCE.randbytes(32)
BOAT = Picture("boat", HASH)
LOOKS_SO = Picture("looks so", flipped(HASH, PDQ_DISTANCE, SOURCE))
JUST_NOT = Picture("just not", flipped(HASH, PDQ_DISTANCE + 1, SOURCE))
OTHER = Picture("other", SOURCE.randbytes(32))
FLAT = Picture("flat")
PICTURES = [BOAT, LOOKS_SO, JUST_NOT, OTHER, FLAT]


@pytest.fixture
def sets() -> Iterator[Sets]:
    sets = Sets()
    yield sets
    sets.close()


def put(sets: Sets, name: str, *records: Record, status: Status = "notable", version: str = "1") -> KnownSet:
    """A set in force; one record that is never met keeps a set without any from being refused."""
    return known_sets.put(sets, name, [*records, Record(99, md5=bytes(16))], status, version)


def matched(case: Case, picture: Picture) -> set[tuple[str, str, int, str, int]]:
    """Set, version, record, how and distance of each match."""
    return {
        (each["set"], each["version"], each["record"], each["how"], each["distance"])
        for each in queries.known(case, picture.sha256)
    }


def test_a_picture_is_known_by_digest_and_looks_known_by_hash(case: Case, sets: Sets) -> None:
    known = put(sets, "force", Record(4, md5=digest("md5", "boat"), pdq=HASH, category="boat"))
    add(case, PICTURES)
    counts = match(case, matcher(sets, [known]))
    assert counts == {"contents": 5, "notable exact": 1, "notable near": 2}
    assert matched(case, BOAT) == {("force", "1", 4, "md5", 0), ("force", "1", 4, "pdq", 0)}
    assert matched(case, LOOKS_SO) == {("force", "1", 4, "pdq", PDQ_DISTANCE)}
    assert matched(case, JUST_NOT) == matched(case, OTHER) == matched(case, FLAT) == set()
    assert {each["category"] for each in queries.known(case, LOOKS_SO.sha256)} == {"boat"}
    assert queries.known_summary(case) == {"exact": 1, "near": 1}


def test_notable_and_benign_are_kept_apart(case: Case, sets: Sets) -> None:
    chosen = [
        put(sets, "bad", Record(1, sha256=digest("sha256", "boat"))),
        put(
            sets,
            "good",
            Record(1, md5=digest("md5", "boat"), sha1=digest("sha1", "boat")),
            Record(2, pdq=OTHER.pdq),
            Record(3, md5=digest("md5", "flat")),
            Record(4, sha1=digest("sha1", "flat")),
            status="benign",
        ),
    ]
    add(case, PICTURES)
    counts = match(case, matcher(sets, chosen))
    assert counts == {"contents": 5, "notable exact": 1, "benign exact": 1, "ungraded near": 1}, (
        "what only looks benign is not"
    )
    categories = {row["category"]: row["distinct"] for row in queries.matrix(case)["totals"]}
    assert categories == {"ungraded, known notable": 1, "ungraded": 4}


def by_hand(pictures: list[Picture], sets: list[tuple[str, Status, list[Record]]]) -> set[tuple[Any, ...]]:
    """Every match there should be, found by looking at every record."""
    found: dict[tuple[Any, ...], int] = {}
    for picture in pictures:
        content = picture.content
        own = {"sha256": content.sha256, "sha1": content.sha1, "md5": content.md5}
        shown = [(how, value) for how, value, quality in looks(picture) if quality >= PDQ_QUALITY]
        for name, status, records in sets:
            for record in records:
                held = [each for each in own if getattr(record, each) is not None]
                enough = status == "notable" or held not in (["sha1"], ["md5"])
                if held and enough and all(getattr(record, each).hex() == own[each] for each in held):
                    found[picture.sha256, name, record.number, held[0], status] = 0
                for how, value in shown if record.pdq is not None else ():
                    bits = (int.from_bytes(record.pdq or b"") ^ int.from_bytes(value)).bit_count()
                    key = (picture.sha256, name, record.number, how, status if status == "notable" else "ungraded")
                    if bits <= PDQ_DISTANCE:
                        found[key] = min(bits, found.get(key, bits))
    return {(*key, distance) for key, distance in found.items()}


def looks(picture: Picture) -> list[tuple[str, bytes, int]]:
    if picture.frames:
        return [("frames", value, quality) for value, quality in picture.frames]
    return [] if picture.pdq is None else [("pdq", picture.pdq, 100)]


def drawn(seed: int) -> tuple[list[Picture], list[tuple[str, Status, list[Record]]]]:
    """Pictures and clips in clusters of look-alikes, and two sets of records of some of them and of others."""
    source = random.Random(seed)
    centres = [source.randbytes(32) for _ in range(3)]

    def look() -> bytes:
        return flipped(source.choice(centres), source.randint(0, 20), source)

    pictures: list[Picture] = []
    for number in range(30):
        kind = source.randrange(4)
        if kind == 0:
            frames = [(look(), source.choice([0, 49, 50, 100])) for _ in range(source.randint(1, 4))]
            pictures.append(Picture(f"clip {number}", frames=frames))
        else:
            pictures.append(Picture(f"still {number}", look() if kind > 1 else None))
    sets: list[tuple[str, Status, list[Record]]] = []
    for name, status in (("bad", "notable"), ("good", "benign")):
        records = []
        for number in range(1, 16):
            held = [each for each in ("md5", "sha1", "sha256") if source.random() < 0.4]
            of = source.choice(pictures).text
            digests = {each: digest(each, of if source.random() < 0.9 else "collision") for each in held}
            records.append(Record(number, **digests, pdq=look() if source.random() < 0.5 or not held else None))
        sets.append((name, "notable" if status == "notable" else "benign", records))
    return pictures, sets


@pytest.mark.parametrize("seed", range(8))
def test_during_a_scan_and_later_gives_the_same_and_misses_nothing(tmp_path: Path, sets: Sets, seed: int) -> None:
    pictures, wanted = drawn(seed)
    by = matcher(sets, [put(sets, name, *records, status=status) for name, status, records in wanted])
    actor = keys.actor("DC Example")
    during, later = create_or_open(tmp_path / "during", actor), create_or_open(tmp_path / "later", actor)
    add(later, pictures)
    match(later, by)
    source, left, known = random.Random(seed), list(pictures), 0
    while left:
        size = source.randint(1, 8)
        known += add(during, left[:size], by)
        left = left[size:]
    assert rows(during, "match") == rows(later, "match")
    assert rows(during, "matched") == rows(later, "matched")
    found = {(row[0], row[1], row[3], row[4], row[8], row[6]) for row in rows(later, "match")}
    assert found == by_hand(pictures, wanted)
    assert known == len({row[0] for row in found}) > 5
    assert match(during, by)["contents"] == 0
    assert rows(during, "stack") == rows(later, "stack")
    during.close()
    later.close()


def test_a_clip_looks_known_by_the_nearest_of_its_usable_frames(case: Case, sets: Sets) -> None:
    near, nearer = flipped(HASH, 20, SOURCE), flipped(HASH, 10, SOURCE)
    film = Picture(
        "film", frames=[(OTHER.pdq or b"", 100), (near, 100), (nearer, PDQ_QUALITY), (HASH, PDQ_QUALITY - 1)]
    )
    flat = Picture("flat film", frames=[(HASH, PDQ_QUALITY - 1)])
    add(case, [film, flat])
    match(case, matcher(sets, [put(sets, "force", Record(3, pdq=HASH))]))
    assert matched(case, film) == {("force", "1", 3, "frames", 10)}
    assert matched(case, flat) == set()


def test_a_second_match_changes_nothing(case: Case, sets: Sets) -> None:
    by = matcher(sets, [put(sets, "force", Record(1, pdq=HASH))])
    add(case, PICTURES)
    match(case, by)
    before = [rows(case, table) for table in ("match", "matched", "stack", "ledger")]
    assert match(case, by) == {"contents": 0, "notable near": 2}
    assert [rows(case, table) for table in ("match", "matched", "stack", "ledger")] == before


def test_what_is_new_is_matched_and_the_rest_left_alone(case: Case, sets: Sets) -> None:
    by = matcher(sets, [put(sets, "force", Record(1, pdq=HASH))])
    add(case, [BOAT, OTHER])
    match(case, by)
    add(case, [LOOKS_SO])
    assert match(case, by) == {"contents": 1, "notable near": 2}
    assert matched(case, LOOKS_SO) == {("force", "1", 1, "pdq", PDQ_DISTANCE)}


def test_a_content_that_another_worker_finds_again_is_known_once(case: Case, sets: Sets) -> None:
    by = matcher(sets, [put(sets, "force", Record(1, pdq=HASH))])
    assert add(case, [BOAT, OTHER], by) == 1
    before = rows(case, "match")
    assert add(case, [BOAT, LOOKS_SO], by) == 1
    assert [row for row in rows(case, "match") if row[0] != LOOKS_SO.sha256] == before


def test_a_replaced_set_replaces_its_matches_and_no_others(case: Case, sets: Sets) -> None:
    other = put(sets, "other", Record(1, sha256=digest("sha256", "boat")))
    first = put(sets, "force", Record(1, pdq=HASH), Record(2, sha256=digest("sha256", "boat")))
    add(case, PICTURES)
    match(case, matcher(sets, [other, first]))
    second = put(sets, "force", Record(1, sha256=digest("sha256", "other")), version="2")
    match(case, matcher(sets, [other, second]))
    assert matched(case, BOAT) == {("other", "1", 1, "sha256", 0)}
    assert matched(case, LOOKS_SO) == set()
    assert matched(case, OTHER) == {("force", "2", 1, "sha256", 0)}


def test_the_matches_of_a_set_that_is_not_asked_or_removed_are_kept(case: Case, sets: Sets) -> None:
    first = put(sets, "first", Record(1, sha256=digest("sha256", "boat")))
    add(case, PICTURES)
    match(case, matcher(sets, [first]))
    sets.remove("first")
    match(case, matcher(sets, [put(sets, "second", Record(1, sha256=digest("sha256", "boat")))]))
    assert {each[0] for each in matched(case, BOAT)} == {"first", "second"}


def test_a_set_imported_again_as_benign_is_benign(case: Case, sets: Sets, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{BOAT.sha256}\n")
    add(case, PICTURES)
    statuses: tuple[Status, ...] = ("notable", "benign")
    for status in statuses:
        match(case, matcher(sets, [import_files(sets, [tmp_path / "list"], "force", "x", About(status=status))]))
        assert [each["status"] for each in queries.known(case, BOAT.sha256)] == [status]


def test_a_list_imported_again_as_perceptual_hashes_is_looked_up_anew(case: Case, sets: Sets, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{HASH.hex()}\n")
    add(case, PICTURES)
    match(case, matcher(sets, [import_files(sets, [tmp_path / "list"], "force", "x")]))
    assert matched(case, BOAT) == set()
    match(case, matcher(sets, [import_files(sets, [tmp_path / "list"], "force", "x", About(plain="pdq"))]))
    assert len(matched(case, BOAT)) == len(matched(case, LOOKS_SO)) == 1


def test_a_match_is_in_the_ledger_with_the_sets_it_was_against(case: Case, sets: Sets) -> None:
    add(case, PICTURES)
    match(case, matcher(sets, [put(sets, "force", version="v7")]))
    said = {entry.kind: json.loads(entry.payload or "") for entry in ledger.entries(case.reader, "case")}
    assert said["matched"] == {"contents": 5, "sets": {"force": "v7"}, "conventions": {"force": "whole"}}
    assert (said["stacked"]["contents"], said["stacked"]["distance"]) == (4, PDQ_DISTANCE)
    verify_record(case)


def test_stacks_hold_what_looks_the_same_and_are_named_by_the_first(case: Case, sets: Sets) -> None:
    add(case, PICTURES)
    match(case, matcher(sets, []))
    stack = dict(case.reader.execute("SELECT sha256, stack FROM stack").fetchall())
    assert set(stack) == {each.sha256 for each in PICTURES if each.pdq is not None}
    assert (
        stack[BOAT.sha256]
        == stack[LOOKS_SO.sha256]
        == min(sha256 for sha256, named in stack.items() if named == stack[BOAT.sha256])
    )
    assert stack[OTHER.sha256] == OTHER.sha256
    shown = {item["sha256"]: item["stack"] for item in queries.items(case)}
    assert shown == {**stack, FLAT.sha256: FLAT.sha256}


def test_stacks_follow_what_is_found_later(case: Case, sets: Sets) -> None:
    by = matcher(sets, [])
    between = flipped(HASH, 28, SOURCE)
    far = Picture("far", flipped(between, 28, random.Random(1)))
    add(case, [BOAT, far])
    match(case, by)
    assert queries.matrix(case)["stacks"] == 0
    add(case, [Picture("between", between)])
    match(case, by)
    assert queries.matrix(case)["stacks"] == 1
    assert len({stack for _, stack in rows(case, "stack")}) == 1


@pytest.mark.parametrize("pictures", [[], [FLAT]])
def test_a_case_without_a_hash_has_no_stack(case: Case, sets: Sets, pictures: list[Picture]) -> None:
    add(case, pictures)
    before = ledger_length(case)
    assert match(case, matcher(sets, [])) == {"contents": len(pictures)}
    assert rows(case, "stack") == []
    assert ledger_length(case) == before + 2 * len(pictures), "what was matched, and that the queue was arranged"
