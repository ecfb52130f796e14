"""SQLite files of hashes: NSRL and kdb, and the tricks of hostile ones."""

from __future__ import annotations

import random
import resource
import sqlite3
from pathlib import Path

import pytest

from mantlet.errors import EvidenceError
from mantlet.known.formats import open_set
from mantlet.known.records import Record

MD5, SHA1, SHA256 = bytes([0xA1]) * 16, bytes([0xB2]) * 20, bytes([0xC3]) * 32
HEX = (SHA256.hex().upper(), SHA1.hex().upper(), MD5.hex().upper())
FILE = "CREATE TABLE FILE (sha256 VARCHAR, sha1 VARCHAR, md5 VARCHAR, file_name VARCHAR, package_id INTEGER)"


def made(folder: Path, *statements: str | tuple[str, tuple[object, ...]]) -> Path:
    path = folder / "set #1.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as database:
        for statement in statements:
            database.execute(*([statement] if isinstance(statement, str) else statement))
    database.close()
    return path


def records(path: Path) -> list[Record]:
    return list(open_set(path).records)


def test_a_minimal_nsrl_gives_each_file_once_as_reference_data(tmp_path: Path) -> None:
    rows = [("INSERT INTO FILE VALUES (?, ?, ?, ?, ?)", (*HEX, f"boat{n}.dll", n)) for n in range(3)]
    path = made(tmp_path, FILE, *rows)
    before = path.read_bytes()
    assert records(path) == [Record(1, MD5, SHA1, SHA256)]
    assert (open_set(path).form, open_set(path).benign) == ("NSRL RDS 3 (SQLite)", True)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_complete_nsrl_is_read_by_its_table_and_may_lack_columns(tmp_path: Path) -> None:
    table = "CREATE TABLE METADATA (metadata_id INTEGER PRIMARY KEY, SHA1 TEXT, extension TEXT)"
    view = "CREATE VIEW FILE AS SELECT 'x' AS sha256, sha1, 'y' AS md5 FROM METADATA"
    path = made(tmp_path, table, view, ("INSERT INTO METADATA VALUES (1, ?, '')", (SHA1.hex(),)))
    assert records(path) == [Record(1, sha1=SHA1)]


def test_a_kdb_holds_its_digests_as_bytes(tmp_path: Path) -> None:
    table = "CREATE TABLE hashes (id INTEGER PRIMARY KEY, md5 BINARY(16) UNIQUE, sha1 BINARY(20), sha2_256 BINARY(32))"
    rows = [("INSERT INTO hashes VALUES (?, ?, ?, ?)", row) for row in ((1, MD5, None, None), (2, b"", SHA1, SHA256))]
    path = made(tmp_path, table, *rows)
    assert [each.number for each in records(path)] == [1, 2]
    assert {(each.md5, each.sha1, each.sha256) for each in records(path)} == {(MD5, None, None), (None, SHA1, SHA256)}
    assert (open_set(path).form, open_set(path).benign) == ("hash database of The Sleuth Kit", None)


def test_nothing_of_a_set_is_written_to_the_disk(tmp_path: Path) -> None:
    source = random.Random(3)
    rows = [(source.randbytes(16), source.randbytes(20), source.randbytes(32)) for _ in range(60_000)]
    path = made(tmp_path, "CREATE TABLE hashes (md5 BLOB, sha1 BLOB, sha2_256 BLOB)")
    with sqlite3.connect(path) as database:
        database.executemany("INSERT INTO hashes VALUES (?, ?, ?)", rows)
    database.close()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        found = records(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(each.md5, each.sha1, each.sha256) for each in found] == rows


def test_rows_that_repeat_one_file_are_one_record_wherever_they_are(tmp_path: Path) -> None:
    source = random.Random(3)
    others = [(source.randbytes(32).hex(), source.randbytes(20).hex(), source.randbytes(16).hex()) for _ in range(3)]
    rows = [("INSERT INTO FILE VALUES (?, ?, ?, '', ?)", (*others[n % 3], n)) for n in range(3_000)]
    assert [each.number for each in records(made(tmp_path, FILE, *rows))] == [1, 2, 3]


ENDLESS = "CREATE VIEW hashes AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS md5 FROM n"


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE boats (md5 BLOB)",),
        ("CREATE TABLE hashes (id INTEGER)",),
        ("CREATE TABLE a (md5 BLOB)", "CREATE VIEW FILE AS SELECT md5 FROM a"),
        (ENDLESS,),
        ("CREATE TABLE hashes (id INTEGER, md5 BLOB GENERATED ALWAYS AS (CAST('a' AS BLOB)) VIRTUAL)",),
        ("CREATE VIRTUAL TABLE hashes USING fts5(md5)",),
    ],
)
def test_what_is_no_stored_table_of_digests_is_refused(tmp_path: Path, statements: tuple[str, ...]) -> None:
    with pytest.raises(EvidenceError, match="its schema: no table"):
        open_set(made(tmp_path, *statements))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (MD5[:15], "row 2: what stands as md5 is none"),
        (7, "row 2: what stands as md5 is none"),
        (1.5, "row 2: what stands as md5 is none"),
        ("a1", "row 2: 'a1' is not a md5 of 32 hex digits"),
        (None, "row 2: it holds no hash"),
        (b"a" * 2_000_000, r"its table hashes, after row \d: .*too big"),
    ],
)
def test_the_row_that_is_wrong_is_named(tmp_path: Path, value: object, says: str) -> None:
    path = made(
        tmp_path,
        "CREATE TABLE hashes (id INTEGER PRIMARY KEY, md5)",
        ("INSERT INTO hashes VALUES (1, ?)", (MD5,)),
        ("INSERT INTO hashes VALUES (2, ?)", (value,)),
    )
    with pytest.raises(EvidenceError, match=f"{says}.*; nothing was imported"):
        records(path)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="holds no record"):
        records(made(tmp_path, FILE))


def test_records_that_may_be_in_the_log_alone_are_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "open.kdb"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE hashes (md5 BLOB)")
    database.execute("INSERT INTO hashes VALUES (?)", (MD5,))
    database.commit()
    with pytest.raises(EvidenceError, match=r"its log open.kdb-wal: .*close the program"):
        records(path)
    database.close()
    assert records(path) == [Record(1, md5=MD5)]


def test_a_damaged_database_gives_records_or_a_sentence(tmp_path: Path) -> None:
    source = random.Random(7)
    rows = [
        ("INSERT INTO FILE VALUES (?, ?, ?, ?, ?)", (*HEX[:2], source.randbytes(16).hex(), "", n)) for n in range(200)
    ]
    whole = made(tmp_path, FILE, *rows).read_bytes()
    path, refused = tmp_path / "damaged.db", 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(source.randint(1, 4)):
            data[source.choice([source.randrange(16, 200), source.randrange(len(data))])] = source.randrange(256)
        if source.random() < 0.3:
            del data[source.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            found = records(path)
        except EvidenceError:
            refused += 1
            continue
        assert all(each.md5 or each.sha1 or each.sha256 for each in found)
    assert refused > 30
