"""The ledger: what was written verifies, and every kind of tampering is named."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mantlet.errors import IntegrityError
from mantlet.governance import keys, ledger
from mantlet.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "ledger.sqlite", (ledger.SCHEMA,))
    yield database
    database.close()


@pytest.fixture
def written(database: Database) -> Database:
    """Five entries in the chain `case` and three in `exposure`, signed."""
    actor = keys.actor("DC Example")
    with database.write() as tx:
        for number in range(1, 6):
            ledger.append(tx, "case", actor.name, "thing", {"number": number})
        for number in range(1, 4):
            ledger.append(tx, "exposure", actor.name, "shown", {"number": number})
        ledger.sign_heads(tx, actor)
    return database


def change(database: Database, statement: str, *values: object) -> None:
    with database.write() as tx:
        assert tx.execute(statement, values).rowcount > 0


def test_what_was_written_verifies_and_gives_the_signed_head(written: Database) -> None:
    head = ledger.verify(written.read(), "case")
    last = list(ledger.entries(written.read(), "case"))[-1]
    assert head == ledger.Head("case", 5, last.hash, "DC Example", keys.actor("DC Example").public_key, 0)


def test_entries_are_numbered_from_one_and_say_who_did_what(database: Database) -> None:
    with database.write() as tx:
        assert ledger.append(tx, "case", "one", "made", {"b": 1, "a": [None, "ü"]}) == 1
        assert ledger.append(tx, "case", "two", "changed", {}) == 2
    one, two = ledger.entries(database.read(), "case")
    assert (one.seq, one.actor, one.kind, json.loads(one.payload or "")) == (
        1,
        "one",
        "made",
        {"a": [None, "ü"], "b": 1},
    )
    assert (two.seq, two.previous, one.previous) == (2, one.hash, ledger.GENESIS)
    assert one.at.endswith("Z")


def test_a_chain_without_entries_has_no_head(database: Database) -> None:
    assert ledger.verify(database.read(), "case") is None


def test_an_entry_without_a_signature_is_found(database: Database) -> None:
    with database.write() as tx:
        ledger.append(tx, "case", "x", "thing", {})
    with pytest.raises(IntegrityError, match="signed head of the case chain"):
        ledger.verify(database.read(), "case")


def test_the_hashes_are_what_the_format_says(written: Database) -> None:
    """Worked out here from its description, as another program would that must read a case in twenty years."""
    previous = "0" * 64
    for entry in ledger.entries(written.read(), "case"):
        assert entry.payload is not None
        assert entry.salt is not None
        digest = hashlib.sha256(bytes.fromhex(entry.salt) + entry.payload.encode()).hexdigest()
        fields = ["case", entry.seq, entry.at, entry.actor, entry.kind, digest, previous]
        text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
        assert (entry.payload_digest, entry.hash) == (digest, hashlib.sha256(text.encode()).hexdigest())
        previous = entry.hash


def test_the_same_payload_has_another_digest_each_time(database: Database) -> None:
    with database.write() as tx:
        for _ in range(2):
            ledger.append(tx, "case", "x", "graded", {"grade": "A"})
    one, two = ledger.entries(database.read(), "case")
    assert one.payload == two.payload
    assert one.payload_digest != two.payload_digest
    assert len(bytes.fromhex(one.salt or "")) >= 16


WHERE = "WHERE chain = 'case' AND seq = 3"


@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        (f"""UPDATE ledger SET payload = '{{"number":9}}' {WHERE}""", "Entry 3 of the case chain says something else"),
        (f"UPDATE ledger SET salt = '{'00' * 16}' {WHERE}", "Entry 3 of the case chain says something else"),
        (f"UPDATE ledger SET salt = NULL {WHERE}", "Entry 3 of the case chain has lost one of payload and salt"),
        (f"UPDATE ledger SET payload = NULL {WHERE}", "Entry 3 of the case chain has lost one of payload and salt"),
        (f"UPDATE ledger SET payload_digest = '{'0' * 64}' {WHERE}", "Entry 3 of the case chain says something else"),
        (f"UPDATE ledger SET hash = '{'0' * 64}' {WHERE}", "Entry 3 of the case chain was changed"),
        (f"UPDATE ledger SET actor = 'another' {WHERE}", "Entry 3 of the case chain was changed"),
        (f"UPDATE ledger SET kind = 'another' {WHERE}", "Entry 3 of the case chain was changed"),
        (f"UPDATE ledger SET at = '2020-01-01T00:00:00Z' {WHERE}", "Entry 3 of the case chain was changed"),
        (f"UPDATE ledger SET previous = '{'0' * 64}' {WHERE}", "Entry 3 of the case chain does not continue"),
        (f"DELETE FROM ledger {WHERE}", "Entry 4 of the case chain does not follow entry 2"),
        ("DELETE FROM ledger WHERE chain = 'case' AND seq = 1", "Entry 2 of the case chain does not follow entry 0"),
        ("DELETE FROM ledger WHERE chain = 'case' AND seq = 5", "signed head of the case chain is not its last entry"),
        ("DELETE FROM ledger WHERE chain = 'case'", "signed head of the case chain is not its last entry"),
        (f"UPDATE ledger SET payload_digest = '{'0' * 64}', payload = NULL, salt = NULL {WHERE}",
         "Entry 3 of the case chain was changed"),
    ],
)  # fmt: skip
def test_tampering_is_named_and_the_other_chain_stays_whole(written: Database, tampering: str, says: str) -> None:
    change(written, tampering)
    with pytest.raises(IntegrityError, match=says):
        ledger.verify(written.read(), "case")
    assert ledger.verify(written.read(), "exposure") is not None


@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        ("DELETE FROM ledger_head", "signed head of the CHAIN chain is not its last entry"),
        ("UPDATE ledger_head SET ends = '{}'", "signed head of the CHAIN chain is not its last entry"),
        ("UPDATE ledger_head SET ends = 'x'", "signed head of the CHAIN chain is not its last entry"),
        ("UPDATE ledger_head SET ends = ends || ' '", "signature on the head of the CHAIN chain is wrong"),
        (f"UPDATE ledger_head SET signature = '{'00' * 64}'", "signature on the head"),
        ("UPDATE ledger_head SET signature = 'none'", "signature on the head"),
        (f"UPDATE ledger_head SET public_key = '{'00' * 32}'", "signature on the head"),
        ("UPDATE ledger_head SET actor = 'another'", "signature on the head"),
    ],
)
def test_tampering_with_the_head_is_named_for_every_chain(written: Database, tampering: str, says: str) -> None:
    change(written, tampering)
    for chain in ledger.CHAINS:
        with pytest.raises(IntegrityError, match=says.replace("CHAIN", chain)):
            ledger.verify(written.read(), chain)


@pytest.mark.parametrize("kept", [0, 2])
def test_a_chain_can_neither_be_dropped_nor_shortened_alone(written: Database, kept: int) -> None:
    change(written, "DELETE FROM ledger WHERE chain = 'exposure' AND seq > ?", kept)
    with pytest.raises(IntegrityError, match=rf"signed head of the exposure chain is not its last entry \({kept}\)"):
        ledger.verify(written.read(), "exposure")
    ends = json.loads(written.read().execute("SELECT ends FROM ledger_head").fetchone()[0])
    del ends["exposure"]
    change(written, "UPDATE ledger_head SET ends = ?", json.dumps(ends))
    with pytest.raises(IntegrityError, match="signed head of the exposure chain"):
        ledger.verify(written.read(), "exposure")
    with pytest.raises(IntegrityError, match="signature on the head of the case chain is wrong"):
        ledger.verify(written.read(), "case")


def test_entries_that_change_places_are_found(written: Database) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        change(written, "UPDATE ledger SET seq = ? WHERE chain = 'case' AND seq = ?", new, old)
    with pytest.raises(IntegrityError, match="Entry 2 of the case chain does not continue"):
        ledger.verify(written.read(), "case")


def test_a_tail_forged_with_right_hashes_lacks_the_signature(written: Database) -> None:
    with written.write() as tx:
        ledger.append(tx, "case", "DC Example", "thing", {"number": 6})
        last = tx.execute("SELECT hash FROM ledger WHERE chain = 'case' AND seq = 6").fetchone()[0]
        ends = json.loads(tx.execute("SELECT ends FROM ledger_head").fetchone()[0])
        text = json.dumps({**ends, "case": [6, last]}, separators=(",", ":"))
        tx.execute("UPDATE ledger_head SET ends = ?", (text,))
    with pytest.raises(IntegrityError, match="The signature on the head of the case chain is wrong"):
        ledger.verify(written.read(), "case")


def test_a_forger_who_signs_anew_is_known_by_the_key(written: Database) -> None:
    forger = keys.Actor("DC Example", keys.actor("forger").key)
    with written.write() as tx:
        ledger.append(tx, "case", "DC Example", "thing", {"number": 6})
        ledger.sign_heads(tx, forger)
    head = ledger.verify(written.read(), "case")
    assert head is not None
    assert head.public_key != keys.actor("DC Example").public_key


def test_an_erased_payload_leaves_a_chain_that_verifies(written: Database) -> None:
    before = ledger.verify(written.read(), "case")
    change(written, f"UPDATE ledger SET payload = NULL, salt = NULL {WHERE}")
    assert before is not None
    assert ledger.verify(written.read(), "case") == msgspec.structs.replace(before, withheld=1)
    assert [entry.payload is None for entry in ledger.entries(written.read(), "case")] == [
        False, False, True, False, False,
    ]  # fmt: skip


def test_the_chains_grow_apart(written: Database) -> None:
    before = ledger.verify(written.read(), "exposure")
    with written.write() as tx:
        assert ledger.append(tx, "case", "x", "thing", {}) == 6
        ledger.sign_heads(tx, keys.actor("x"))
    after = ledger.verify(written.read(), "exposure")
    assert before is not None
    assert after is not None
    assert (after.length, after.hash, after.actor) == (before.length, before.hash, "x"), "one signature covers both"
    head = ledger.verify(written.read(), "case")
    assert head is not None
    assert (head.length, head.actor) == (6, "x")


def test_an_entry_moved_to_the_other_chain_is_found(written: Database) -> None:
    change(written, "DELETE FROM ledger WHERE chain = 'exposure' AND seq = 1")
    change(written, "UPDATE ledger SET chain = 'exposure' WHERE chain = 'case' AND seq = 1")
    with pytest.raises(IntegrityError, match="Entry 1 of the exposure chain was changed"):
        ledger.verify(written.read(), "exposure")


def test_nothing_is_signed_that_has_not_grown(written: Database) -> None:
    before = [tuple(row) for row in written.read().execute("SELECT * FROM ledger_head")]
    with written.write() as tx:
        ledger.sign_heads(tx, keys.actor("another"))
    assert [tuple(row) for row in written.read().execute("SELECT * FROM ledger_head")] == before


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
payloads = st.lists(st.dictionaries(text, json_values, max_size=4), min_size=1, max_size=6)


@given(payloads, text, text, st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_any_payload_verifies_and_any_other_in_its_place_does_not(
    said: list[dict[str, Any]], actor: str, kind: str, data: st.DataObject
) -> None:
    tx = sqlite3.connect(":memory:", isolation_level=None)
    tx.row_factory = sqlite3.Row
    tx.executescript(ledger.SCHEMA)
    for payload in said:
        ledger.append(tx, "case", actor, kind, payload)
    ledger.sign_heads(tx, keys.actor("x"))
    head = ledger.verify(tx, "case")
    assert head is not None
    assert head.length == len(said)
    assert [json.loads(entry.payload or "") for entry in ledger.entries(tx, "case")] == said
    at = data.draw(st.integers(0, len(said) - 1))
    other = data.draw(st.dictionaries(text, json_values, max_size=4).filter(lambda payload: payload != said[at]))
    forged = msgspec.json.encode(other, order="sorted").decode()
    tx.execute("UPDATE ledger SET payload = ? WHERE seq = ?", (forged, at + 1))
    with pytest.raises(IntegrityError, match=f"Entry {at + 1} of the case chain says something else"):
        ledger.verify(tx, "case")
    tx.close()
