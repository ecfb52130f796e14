"""A case that was left alone verifies; each way of editing it afterwards is found and named."""

from __future__ import annotations

import hashlib
import random
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cases import Picture, add, flipped

from mantlet.case.case import Case, Exhibit, add_exhibit, open_case
from mantlet.case.decisions import Seen, decide, undo
from mantlet.case.exposure import exposed
from mantlet.case.matching import match
from mantlet.case.scan import Scan
from mantlet.case.schema import SCANNED
from mantlet.case.verify import verify_exhibits, verify_record
from mantlet.errors import EvidenceError, IntegrityError
from mantlet.governance import keys, ledger
from mantlet.grading import scheme
from mantlet.known.records import Record
from mantlet.known.sets import Sets
from mantlet.types import Absent, Acquisition, Address, Containment, Reason, Recovery, Rows, Step, Unread
from tests.known_sets import matcher, put

STAND_IN = scheme.load("stand-in")
SOURCE = random.Random(11)
HASH = SOURCE.randbytes(32)
LIVE_AND_DELETED = (("/a", Recovery.LIVE, Containment.FILE), ("/b", Recovery.DELETED, Containment.FILE))
BOAT = Picture("boat", HASH, found=LIVE_AND_DELETED)
KITE = Picture("kite", flipped(HASH, 20, SOURCE))
FILM = Picture("film", frames=[(HASH, 90)])
FLAT = Picture("flat")


@pytest.fixture
def filled(case: Case, tmp_path: Path) -> Case:
    """Two batches of a scan, matches, stacks, three decisions of which one is an undo, and a look."""
    (tmp_path / "medium").write_bytes(b"medium")
    add_exhibit(case, Exhibit("EX1", str(tmp_path / "medium"), "raw", 6, None, ledger.now()))
    add(case, [BOAT, KITE])
    add(case, [FILM, FLAT])
    work = Scan(case)
    digest = hashlib.sha256(b"medium").hexdigest()
    work.merge(
        Rows(
            unread=[
                Unread(Address("EX1", (Step("file", 9, "/c"),)), "read", Absent(Reason.ENCRYPTED, "It is locked."))
            ],
            acquisitions=[Acquisition("EX1", "sha256", digest, "computed", 6)],
        )
    )
    work.flush()
    sets = Sets()
    known = put(sets, "force", [Record(1, sha256=bytes.fromhex(BOAT.sha256), pdq=HASH)])
    match(case, matcher(sets, [known]))
    sets.close()
    actor = keys.actor("DC Example")
    decide(case, actor, STAND_IN, BOAT.sha256, "boat", Seen(512, clear=True, milliseconds=800), "a sail")
    decide(case, actor, STAND_IN, BOAT.sha256, "camera", Seen())
    undo(case, actor)
    exposed(case, actor, BOAT.sha256, Seen(512, clear=True))
    return case


def test_a_case_that_was_left_alone_verifies(filled: Case) -> None:
    before = verify_record(filled)
    assert [head.chain for head in before] == ["case", "exposure"]
    assert {head.public_key for head in before} == {keys.actor("DC Example").public_key}
    again = open_case(filled.folder)
    assert verify_record(again) == before
    again.close()


def test_an_empty_case_verifies(case: Case) -> None:
    assert [(head.chain, head.length) for head in verify_record(case)] == [("case", 1)]


Tamper = Callable[..., None]


@pytest.fixture
def tamper(filled: Case) -> Iterator[Tamper]:
    """Edits the file of the case as anybody with a database program can."""
    with closing(sqlite3.connect(filled.folder / "case.sqlite")) as database:
        triggers = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()

        def edit(*statements: str) -> None:
            for name, _ in triggers:
                database.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                assert database.execute(statement).rowcount > 0, "nothing was edited"
            for _, sql in triggers:
                database.execute(sql)
            database.commit()

        yield edit


ROWS_CHANGED = r"Rows of scan batch \d+ were changed, added or removed after the scan"
NO_BATCH = "holds rows that no scan batch in the ledger brought"


@pytest.mark.parametrize("table", sorted(SCANNED))
def test_a_removed_row_is_found(filled: Case, tamper: Tamper, table: str) -> None:
    first = ", ".join(SCANNED[table][:1])
    tamper(f"DELETE FROM {table} WHERE {first} = (SELECT min({first}) FROM {table})")
    with pytest.raises(IntegrityError, match=ROWS_CHANGED):
        verify_record(filled)


@pytest.mark.parametrize(("table", "column"), [(table, each) for table, columns in SCANNED.items() for each in columns])
def test_a_changed_column_of_a_row_is_found(filled: Case, tamper: Tamper, table: str, column: str) -> None:
    (kind,) = filled.reader.execute("SELECT type FROM pragma_table_info(?) WHERE name = ?", (table, column)).fetchone()
    changed = f"coalesce({column}, 0) + 1" if kind == "INTEGER" else f"coalesce({column}, '') || ' '"
    key = SCANNED[table][0]
    there = "1" if column in ("created", "modified", "accessed") else f"{column} NOT NULL"
    tamper(
        f"UPDATE {table} SET {column} = {changed} "
        f"WHERE {there} AND {key} = (SELECT min({key}) FROM {table} WHERE {there})"
    )
    with pytest.raises(IntegrityError, match=ROWS_CHANGED):
        verify_record(filled)


@pytest.mark.parametrize("table", sorted(SCANNED))
@pytest.mark.parametrize(("batch", "says"), [("batch", ROWS_CHANGED), ("9999", NO_BATCH), ("1", NO_BATCH)])
def test_an_added_row_is_found_whatever_batch_it_names(
    filled: Case, tamper: Tamper, table: str, batch: str, says: str
) -> None:
    first, *others = SCANNED[table]
    tamper(
        f"INSERT INTO {table} ({first}, {', '.join(others)}, batch) "
        f"SELECT {first} || 'x', {', '.join(others)}, {batch} FROM {table} LIMIT 1"
    )
    with pytest.raises(IntegrityError, match=says):
        verify_record(filled)


def test_a_row_moved_to_another_batch_is_found(filled: Case, tamper: Tamper) -> None:
    tamper("UPDATE content SET batch = (SELECT max(batch) FROM content) WHERE batch = (SELECT min(batch) FROM content)")
    with pytest.raises(IntegrityError, match=ROWS_CHANGED):
        verify_record(filled)


DECISION = r"The decision of ledger entry \d+ was changed after it was made"


@pytest.mark.parametrize(
    "change",
    [
        "sha256 = (SELECT max(sha256) FROM content)", "scheme = 'x'", "scheme_version = 'x'", "grade = 'other'",
        "grade = NULL", "note = 'x'", "basis = 'known'", "actor = 'x'", "at = '2020-01-01T00:00:00Z'",
        """seen = '{"side":1600,"clear":false,"milliseconds":0}'""", "undoes = 1", "restores = 2",
        "id = 99", "seen = 'x'",
    ],
)  # fmt: skip
def test_a_changed_decision_is_found(filled: Case, tamper: Tamper, change: str) -> None:
    tamper(f"UPDATE decision SET {change} WHERE id = 1")
    with pytest.raises(IntegrityError, match=f"{DECISION}|is missing"):
        verify_record(filled)


def test_decisions_put_in_another_order_are_found(filled: Case, tamper: Tamper) -> None:
    """The last one stands, so that their order is what they say."""
    tamper(*(f"UPDATE decision SET id = {new} WHERE id = {old}" for old, new in ((1, 99), (2, 1), (99, 2))))
    with pytest.raises(IntegrityError, match=DECISION):
        verify_record(filled)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_removed_decision_is_found(filled: Case, tamper: Tamper, number: int) -> None:
    tamper(f"DELETE FROM decision WHERE id = {number}")
    with pytest.raises(IntegrityError, match=r"The decision of ledger entry \d+ is missing"):
        verify_record(filled)


def test_an_added_decision_is_found(filled: Case, tamper: Tamper) -> None:
    columns = "sha256, scheme, scheme_version, grade, note, basis, actor, at, seen, undoes, entry"
    tamper(f"INSERT INTO decision ({columns}) SELECT {columns} FROM decision WHERE id = 2")
    with pytest.raises(IntegrityError, match="There is a decision that the ledger does not know"):
        verify_record(filled)


ERASE = "UPDATE ledger SET payload = NULL, salt = NULL WHERE chain = 'case' AND kind = "


@pytest.mark.parametrize("edit", ["DELETE FROM item", "UPDATE finding SET value = '\"00\"' WHERE name = 'pdq-quality'"])
def test_erasing_what_a_batch_was_does_not_hide_that_its_rows_changed(filled: Case, tamper: Tamper, edit: str) -> None:
    tamper(f"{ERASE}'scan batch'", edit)
    with pytest.raises(IntegrityError, match=r"scan batch \d+ was erased"):
        verify_record(filled)


def test_erasing_what_a_decision_was_does_not_hide_that_it_is_gone(filled: Case, tamper: Tamper) -> None:
    tamper(f"{ERASE}'decision'", "DELETE FROM decision")
    with pytest.raises(IntegrityError, match=r"decision \d+ was erased"):
        verify_record(filled)


def test_an_erased_payload_that_holds_no_rows_leaves_a_case_that_verifies(filled: Case, tamper: Tamper) -> None:
    before = verify_record(filled)
    tamper(f"{ERASE}'matched'")
    after = verify_record(filled)
    assert [head.withheld for head in after] == [1, 0]
    assert [head.hash for head in after] == [head.hash for head in before]
    tamper("UPDATE exhibit SET path = '/elsewhere'")
    with pytest.raises(IntegrityError, match="exhibits of this case are not those"):
        verify_record(filled)
    tamper(f"{ERASE}'exhibit added'")
    with pytest.raises(IntegrityError, match="was erased"):
        verify_record(filled)


def test_a_record_without_a_ledger_is_found(case: Case) -> None:
    exposed(case, keys.actor("DC Example"), BOAT.sha256, Seen())
    with closing(sqlite3.connect(case.folder / "case.sqlite")) as database:
        database.executescript("DELETE FROM ledger; DELETE FROM ledger_head")
    with pytest.raises(IntegrityError, match="The ledger of this case is empty"):
        verify_record(case)


def test_a_broken_chain_is_found_before_anything_else(filled: Case, tamper: Tamper) -> None:
    tamper("UPDATE ledger SET kind = 'another' WHERE chain = 'case' AND seq = 2", "DELETE FROM item")
    with pytest.raises(IntegrityError, match="Entry 2 of the case chain was changed"):
        verify_record(filled)


def digester(path: Path, algorithms: Iterable[str]) -> tuple[dict[str, str], int]:
    data = path.read_bytes()
    return {name: hashlib.new(name, data).hexdigest() for name in algorithms}, len(data)


def test_an_exhibit_is_what_it_was_and_the_digest_is_said(filled: Case) -> None:
    [check] = verify_exhibits(filled, digester, lambda *_: 0)
    assert (check.exhibit, check.algorithm, check.origin) == ("EX1", "sha256", "computed")
    assert check.digest == hashlib.sha256(b"medium").hexdigest()
    assert check.digest in check.sentence


@pytest.mark.parametrize("data", [b"medien", b"", b"mediumx"])
def test_an_exhibit_that_changed_is_named(filled: Case, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "medium").write_bytes(data)
    [check] = verify_exhibits(filled, digester, lambda *_: 0)
    assert check.fault == "changed"
    assert re.match(f"Exhibit EX1 at {re.escape(str(tmp_path))}.* is not what was scanned", check.sentence)


def test_an_exhibit_that_is_gone_is_named_with_what_to_do(filled: Case, tmp_path: Path) -> None:
    (tmp_path / "medium").unlink()
    [check] = verify_exhibits(filled, digester, lambda *_: 0)
    assert check.fault == "away"
    assert re.match(r"Exhibit EX1 is no longer at .*--moved EX1=PATH", check.sentence)


def test_a_fault_in_one_exhibit_does_not_keep_the_others_back(filled: Case, tmp_path: Path) -> None:
    for name in ("EX2", "EX3"):
        (tmp_path / name).write_bytes(b"medium")
        add_exhibit(filled, Exhibit(name, str(tmp_path / name), "raw", 6, None, ledger.now()))
        work = Scan(filled)
        digest = hashlib.sha256(b"medium").hexdigest()
        work.merge(Rows(acquisitions=[Acquisition(name, "sha256", digest, "computed", 6)]))
        work.flush()
    (tmp_path / "medium").unlink()
    (tmp_path / "EX2").write_bytes(b"medien")
    faults = [(check.exhibit, check.fault) for check in verify_exhibits(filled, digester, lambda *_: 0)]
    assert faults == [("EX1", "away"), ("EX2", "changed"), ("EX3", None)]

    def broken(*_: object) -> tuple[dict[str, str], int]:
        raise EvidenceError("It is locked.")

    assert [check.fault for check in verify_exhibits(filled, broken, lambda *_: 0)] == ["away"] * 3


def test_an_image_that_contradicted_its_own_digest_is_not_said_to_have_changed(case: Case, tmp_path: Path) -> None:
    (tmp_path / "medium").write_bytes(b"medium")
    add_exhibit(case, Exhibit("EX1", str(tmp_path / "medium"), "ewf", 6, None, ledger.now()))
    work = Scan(case)
    work.merge(
        Rows(
            unread=[Unread(Address("EX1"), "acquire", Absent(Reason.DAMAGED, "It differs."))],
            acquisitions=[Acquisition("EX1", "md5", "00" * 16, "stored", 6)],
        )
    )
    work.flush()
    [check] = verify_exhibits(case, digester, lambda *_: 0)
    assert check.fault == "changed"
    assert "the image already contradicted it when it was scanned" in check.sentence
    assert "is not what was scanned" not in check.sentence


def test_a_schema_put_in_place_of_ours_is_found(filled: Case) -> None:
    forged = (
        "DROP VIEW standing; CREATE VIEW standing AS SELECT 1 AS id, sha256, 'x' AS scheme, '1' AS scheme_version, "
        "'other' AS grade, '' AS note, 'viewed' AS basis, 'x' AS actor, '' AS at, '' AS seen FROM content",
        "DROP TRIGGER decision_is_kept",
        "CREATE TABLE another (x)",
    )
    for number, script in enumerate(forged):
        name = ("view standing", "trigger decision_is_kept", "table another")[number]
        kept = filled.folder / "kept.sqlite"
        with (
            closing(sqlite3.connect(filled.folder / "case.sqlite")) as database,
            closing(sqlite3.connect(kept)) as copy,
        ):
            database.backup(copy)
            database.executescript(script)
            with pytest.raises(IntegrityError, match=f"The {name} of this case is not the one that Mantlet makes"):
                verify_record(filled)
            copy.backup(database)
    verify_record(filled)


@pytest.mark.parametrize(
    "edit", ["UPDATE about SET value = 'another'", "DELETE FROM about", "INSERT INTO about VALUES ('x', 'y')"]
)
def test_a_case_under_another_name_is_found(filled: Case, tamper: Tamper, edit: str) -> None:
    tamper(edit)
    with pytest.raises(IntegrityError, match="does not bear the name"):
        verify_record(filled)
