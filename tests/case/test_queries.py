"""What a case is asked, against counting its items by hand."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import Picture, add, flipped

from mantlet.case import queries, queue
from mantlet.case.case import Case, create_or_open
from mantlet.case.decisions import Said, Seen, decide, decide_many, undo
from mantlet.case.matching import match
from mantlet.case.scan import Scan
from mantlet.errors import UsageError
from mantlet.governance import keys
from mantlet.grading import queueing, scheme
from mantlet.known.records import Record
from mantlet.known.sets import Sets
from mantlet.types import Absent, Address, Containment, Reason, Recovery, Rows, Step, Unread
from tests.known_sets import matcher, put

STAND_IN = scheme.load("stand-in")
CODES = [grade.code for grade in STAND_IN.grades]
SEEDS = range(4)


class Drawn:
    """A case of random pictures and their matches, and where more come from."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.source = random.Random(seed)
        self.case = create_or_open(folder, keys.actor("DC Example"))
        self._centres = [self.source.randbytes(32) for _ in range(6)]
        pictures = self.pictures(60)
        records = []
        for number, picture in enumerate(self.source.sample(pictures, 20), start=1):
            sha256 = bytes.fromhex(picture.sha256) if self.source.random() < 0.6 else None
            records.append(Record(number, sha256=sha256, pdq=None if sha256 else self._look()))
        self._sets = Sets()
        known = [
            put(self._sets, "bad", records[:10]),
            put(self._sets, "good", records[10:], "benign"),
        ]
        self.matcher = matcher(self._sets, known)
        add(self.case, pictures, self.matcher)

    def close(self) -> None:
        self.case.close()
        self._sets.close()

    def _look(self) -> bytes:
        return flipped(self.source.choice(self._centres), self.source.randint(0, 18), self.source)

    def pictures(self, count: int) -> list[Picture]:
        made = []
        for _ in range(count):
            found = [
                (f"/{number}", self.source.choice(list(Recovery)), self.source.choice(list(Containment)))
                for number in range(self.source.choice([1, 1, 1, 2, 5]))
            ]
            text = self.source.randbytes(8).hex()
            kind = self.source.randrange(4)
            frames = [(self._look(), 100)] if kind == 0 else []
            made.append(Picture(text, self._look() if kind > 1 else None, frames, found))
        return made

    def grade_some(self) -> None:
        actors = [keys.actor("DC One"), keys.actor("DC Two")]
        everything = sorted({item["sha256"] for item in queries.items(self.case)})
        for sha256 in self.source.sample(everything, 25):
            decide(self.case, self.source.choice(actors), STAND_IN, sha256, self.source.choice(CODES), Seen())
        for basis in ("known", "propagated"):
            some = self.source.sample(everything, 8)
            source = {"from": basis}
            said = [Said(sha256, self.source.choice(CODES), basis=basis, source=source) for sha256 in some]
            decide_many(self.case, keys.actor("DC Three"), STAND_IN, said)
        for _ in range(5):
            undo(self.case, self.source.choice(actors))


@pytest.fixture(params=SEEDS)
def drawn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Drawn]:
    drawn = Drawn(tmp_path / "drawn", request.param)
    yield drawn
    drawn.close()


@pytest.fixture
def graded(drawn: Drawn) -> Drawn:
    drawn.grade_some()
    match(drawn.case, drawn.matcher)
    return drawn


def category(item: dict[str, Any]) -> str:
    exact = {each["status"] for each in item["known"] if each["how"] not in queries.NEAR}
    near = {each["status"] for each in item["known"] if each["how"] in queries.NEAR}
    if item["grade"]:
        carried = {"viewed": "", "known": ", known, unseen", "propagated": ", provisional: propagated"}
        return str(item["grade"]) + carried[item["basis"]]
    if "notable" in exact:
        return "ungraded, known notable"
    if "notable" in near:
        return "ungraded, looks like notable"
    return "ungraded, known benign" if "benign" in exact else "ungraded"


def test_the_matrix_counts_what_the_items_are(graded: Drawn) -> None:
    cells, totals = defaultdict(list), defaultdict(list)
    for item in queries.items(graded.case):
        cells[category(item), item["kind"], item["recovery"], item["containment"]].append(item["sha256"])
        if item["containment"] != "preview":
            totals[category(item), item["kind"]].append(item["sha256"])
    matrix = queries.matrix(graded.case)
    columns = ("category", "kind", "recovery", "containment", "distinct", "all")
    assert Counter(tuple(row[each] for each in columns) for row in matrix["counts"]) == Counter(
        (*cell, len(set(found)), len(found)) for cell, found in cells.items()
    )
    columns = ("category", "kind", "distinct", "all")
    assert Counter(tuple(row[each] for each in columns) for row in matrix["totals"]) == Counter(
        (*cell, len(set(found)), len(found)) for cell, found in totals.items()
    )
    assert len({name for name, _ in totals}) > 4, "there is something to count"


def test_grades_that_were_carried_over_are_counted_apart_and_say_from_where(graded: Drawn) -> None:
    items = list(queries.items(graded.case))
    bases = Counter(item["basis"] for item in {each["sha256"]: each for each in items}.values() if item["grade"])
    assert min(bases.values()) > 0 < len(bases) == 3
    told = queries.graded_by(graded.case)
    assert Counter({each: sum(row["contents"] for row in told if row["basis"] == each) for each in bases}) == bases
    assert {row["by"] for row in told if row["basis"] != "viewed"} == {"DC Three"}
    for item in items:
        carried = item["grade"] and item["basis"] != "viewed"
        assert item["source"] == ({"from": item["basis"]} if carried else None)
    names = {row["category"] for row in queries.matrix(graded.case)["totals"]}
    assert {name.partition(", ")[2] for name in names} >= {"", "known, unseen", "provisional: propagated"}


def test_the_tally_counts_what_the_items_are(graded: Drawn) -> None:
    items = list(queries.items(graded.case))
    by_content = {item["sha256"]: item for item in items}
    proper = [item for item in items if item["containment"] != "preview"]
    assert queries.tally(graded.case) == {
        "items": len(proper),
        "contents": len({item["sha256"] for item in proper}),
        "previews": len(items) - len(proper),
        "graded": len({item["sha256"] for item in proper if item["grade"] is not None}),
        "known": len({item["sha256"] for item in proper if item["known"]}),
        "unread": 0,
    }
    notable = Counter(category({**item, "grade": None}) for item in {each["sha256"]: each for each in proper}.values())
    assert queries.known_summary(graded.case) == {
        "exact": notable["ungraded, known notable"],
        "near": notable["ungraded, looks like notable"],
    }
    sizes = Counter(item["stack"] for item in by_content.values())
    assert queries.matrix(graded.case)["stacks"] == sum(size > 1 for size in sizes.values()) > 0


def values_of(item: dict[str, Any], field: str) -> set[str | None]:
    """What a filter of that name compares with."""
    in_matches = {"known": "status", "set": "set", "how": "how", "category": "category"}
    if field in in_matches:
        return {each[in_matches[field]] for each in item["known"]}
    return {item[field] or "ungraded" if field == "grade" else item[field]}


def test_a_filter_gives_just_the_items_that_it_says(graded: Drawn) -> None:
    items = list(queries.items(graded.case))
    for field in (*queries.FILTERS, "known", "set", "how", "category"):
        there = sorted({value for item in items for value in values_of(item, field) if value is not None})[:3]
        for value in (
            there
            if field in ("recovery", "containment", "place", "kind", "known", "how")
            else [*there, "", "' OR 1=1 --"]
        ):
            equal = [item["address"] for item in items if value in values_of(item, field)]
            others = [item["address"] for item in items if item["address"] not in equal]
            assert [item["address"] for item in queries.items(graded.case, [f"{field}={value}"])] == equal
            assert [item["address"] for item in queries.items(graded.case, [f"{field}!={value}"])] == others


def test_several_filters_must_all_hold(graded: Drawn) -> None:
    terms = ["recovery=live", "kind!=moving", "known=notable", "grade=ungraded"]
    wanted = [
        item["address"]
        for item in queries.items(graded.case)
        if item["recovery"] == "live" and item["kind"] != "moving" and item["grade"] is None
        and "notable" in {each["status"] for each in item["known"]}
    ]  # fmt: skip
    assert [item["address"] for item in queries.items(graded.case, terms)] == wanted


@pytest.mark.parametrize("term", ["", "kind", "kind!", "=live", "!=live", "colour=red", "KIND=still", "c.kind=still"])
def test_what_is_no_filter_is_refused_and_the_fields_named(case: Case, term: str) -> None:
    with pytest.raises(
        UsageError, match=r"is no filter; .* exhibit, recovery, containment, .* known, set, how, category"
    ):
        list(queries.items(case, [term]))


@pytest.mark.parametrize("term", ["containment=previews", "recovery!=gone", "kind=", "place=Camera"])
def test_a_value_that_a_field_never_has_is_refused_and_its_values_named(case: Case, term: str) -> None:
    with pytest.raises(UsageError, match=r"is one of \w"):
        list(queries.items(case, [term]))


def test_a_value_may_hold_what_parts_a_filter(case: Case) -> None:
    sets = Sets()
    add(case, [Picture("boat"), Picture("kite")])
    record = Record(1, sha256=bytes.fromhex(Picture("boat").sha256))
    match(case, matcher(sets, [put(sets, "a!=b=c", [record])]))
    sets.close()
    assert [item["name"] for item in queries.items(case, ["set=a!=b=c"])] == ["a"]
    assert len(list(queries.items(case, ["set!=a!=b=c"]))) == 1


def test_items_are_in_the_order_of_their_addresses(drawn: Drawn) -> None:
    addresses = [item["address"] for item in queries.items(drawn.case)]
    assert addresses == sorted(addresses)
    assert [str(Address.parse(address)) for address in addresses] == addresses


def strength(item: dict[str, Any]) -> int:
    """0: known notable; 1: looks so; 3: known benign and nothing else; 2: the rest."""
    ranks = {
        (0 if each["status"] == "notable" else 3) if each["how"] not in queries.NEAR
        else (1 if each["status"] == "notable" else 2)
        for each in item["known"]
    }  # fmt: skip
    return min(ranks, default=2)


def is_checked(case: Case, item: dict[str, Any]) -> bool:
    """Whether its grade is provisional and one of those that a person is to check."""
    lot = queueing.lot(queue.seed(case), bytes.fromhex(item["sha256"]))
    return bool(item["basis"] == "propagated" and queueing.is_drawn(lot))


def test_the_queue_has_the_known_first_and_look_alikes_together(graded: Drawn) -> None:
    contents = {item["sha256"]: item for item in queries.items(graded.case)}
    check = {sha256 for sha256, item in contents.items() if is_checked(graded.case, item)}
    strongest: dict[str, float] = dict.fromkeys((contents[sha256]["stack"] for sha256 in check), 0.5)
    for item in contents.values():
        if item["known"]:
            strongest[item["stack"]] = min(strength(item), strongest.get(item["stack"], 3))
    wanted = sorted(
        contents, key=lambda sha256: (strongest.get(contents[sha256]["stack"], 2), contents[sha256]["stack"], sha256)
    )
    assert [row["sha256"] for row in queue.read(graded.case, "", 1000, ungraded_only=False)] == wanted
    ungraded = [sha256 for sha256 in wanted if contents[sha256]["grade"] is None or sha256 in check]
    assert [row["sha256"] for row in queue.read(graded.case, "", 1000, ungraded_only=True)] == ungraded


def test_a_row_of_the_queue_says_what_its_items_say(graded: Drawn) -> None:
    items = defaultdict(list)
    for item in queries.items(graded.case):
        items[item["sha256"]].append(item)
    for row in queue.read(graded.case, "", 1000, ungraded_only=False):
        copies = items[row["sha256"]]
        assert row["copies"] == len(copies)
        assert row["recovery"] == Counter(item["recovery"] for item in copies)
        for field in ("kind", "mime", "name", "address", "known", "stack", "duration"):
            assert row[field] == copies[0][field], field
        for field in ("grade", "basis", "graded_by"):
            assert row[field] == (None if is_checked(graded.case, copies[0]) else copies[0][field]), field
        assert queue.place_in_queue(graded.case, row["sha256"]) == row["place"]
        assert {str(address) for address in queries.addresses(graded.case, row["sha256"])} == {
            item["address"] for item in copies
        }


@pytest.mark.parametrize("size", [1, 7])
def test_pages_give_each_content_once_while_a_scan_adds_more(drawn: Drawn, size: int) -> None:
    case = drawn.case
    match(case, drawn.matcher)
    there = [row["sha256"] for row in queue.read(case, "", 1000, ungraded_only=False)]
    seen: list[str] = []
    later: set[str] = set()
    place, pages = "", 0
    while page := queue.read(case, place, size, ungraded_only=False):
        assert len(page) <= size
        seen += [row["sha256"] for row in page]
        place, pages = page[-1]["place"], pages + 1
        if pages % 3 == 0 and pages < 30:
            new = drawn.pictures(3)
            add(case, new, drawn.matcher)
            places = {each.sha256: queue.place_in_queue(case, each.sha256) or "" for each in new}
            later |= {sha256 for sha256, own in places.items() if own > place}
    assert len(seen) == len(set(seen)), "none twice"
    assert [sha256 for sha256 in seen if sha256 in there] == there, "all that were there, in their order"
    assert set(seen) - set(there) == later, "and the new ones that come after"
    assert later


def test_going_back_gives_the_same_pages(drawn: Drawn) -> None:
    everything = queue.read(drawn.case, "", 1000, ungraded_only=False)
    at = everything[20]["place"]
    assert queue.read(drawn.case, at, 8, ungraded_only=False, seek="before") == everything[12:20]
    assert queue.read(drawn.case, at, 8, ungraded_only=False, seek="from") == everything[20:28]
    assert queue.read(drawn.case, at, 8, ungraded_only=False, seek="after") == everything[21:29]
    assert queue.place_in_queue(drawn.case, "ab" * 32) is None


def test_live_files_are_opened_before_all_other_copies(case: Case) -> None:
    places = [
        ("/a", Recovery.DELETED, Containment.FILE),
        ("/b", Recovery.LIVE, Containment.MEMBER),
        ("/c", Recovery.LIVE, Containment.FILE),
    ]
    picture = Picture("boat", found=places)
    add(case, [picture])
    assert [address.name for address in queries.addresses(case, picture.sha256)] == ["c", "b", "a"]


def put_unread(case: Case, *reasons: Reason) -> None:
    work = Scan(case)
    work.merge(
        Rows(
            unread=[
                Unread(Address("EX1", (Step("file", number, "/x"),)), "read", Absent(reason, "why"))
                for number, reason in enumerate(reasons)
            ]
        )
    )
    work.flush()


def test_what_was_not_read_is_counted_by_reason(case: Case) -> None:
    put_unread(case, Reason.ENCRYPTED, Reason.GONE, Reason.ENCRYPTED)
    add(case, [Picture("flat"), Picture("film", frames=[(bytes(32), 90)])])
    assert {(row["stage"], row["reason"], row["count"]) for row in queries.unread(case)} == {
        ("read", "encrypted", 2),
        ("read", "deleted, content gone", 1),
        ("pdq", "too flat to hash", 2),
    }
    assert [(row["reason"], row["detail"]) for row in queries.unread_places(case)] == [
        ("encrypted", "why"), ("deleted, content gone", "why"), ("encrypted", "why"),
    ]  # fmt: skip


def test_every_place_is_listed_unless_only_the_first_are_asked_for(case: Case) -> None:
    put_unread(case, *[Reason.ENCRYPTED] * 1200)
    assert len(queries.unread_places(case)) == 1200
    assert len(queries.unread_places(case, 5)) == 5


def test_what_is_too_flat_was_read(case: Case) -> None:
    put_unread(case, Reason.ENCRYPTED)
    add(case, [Picture("flat")])
    assert {row["reason"]: queries.read_not_hashed(row) for row in queries.unread(case)} == {
        "encrypted": False,
        "too flat to hash": True,
    }


@pytest.mark.parametrize(
    ("reasons", "incomplete"),
    [([], False), ([Reason.GONE], False), ([Reason.GONE, Reason.DAMAGED], True), ([Reason.LIMIT], True)],
)
def test_only_what_should_have_been_readable_makes_a_scan_incomplete(
    case: Case, reasons: list[Reason], incomplete: bool
) -> None:
    add(case, [Picture("flat")])
    put_unread(case, *reasons)
    assert queries.incomplete(case) == incomplete
