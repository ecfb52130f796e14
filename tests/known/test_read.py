"""Files of known hashes: every way of writing them that is understood, and every bad line named."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mantlet.errors import EvidenceError
from mantlet.known.read import COLUMNS, import_file, records
from mantlet.known.sets import Record, Sets

MD5, SHA1, SHA256, PDQ = (bytes([number]) * size for number, size in ((0xA1, 16), (0xB2, 20), (0xC3, 32), (0xD4, 32)))
Write = Callable[[bytes | str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Puts a file of these bytes there, text as UTF-8, and says where."""

    def file(data: bytes | str) -> Path:
        path = tmp_path / "set.csv"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return file


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["end", ""])
def test_a_plain_list_tells_hashes_apart_by_their_length(write: Write, end: str, last: str) -> None:
    text = end.join(["# hashes", MD5.hex(), "", SHA1.hex().upper(), f"  {SHA256.hex()}\t"]) + (end if last else "")
    assert list(records(write(text))) == [Record(2, md5=MD5), Record(4, sha1=SHA1), Record(5, sha256=SHA256)]


def test_a_plain_list_is_of_what_the_person_says(write: Write) -> None:
    path = write(f"{PDQ.hex()}\n")
    assert list(records(path)) == [Record(1, sha256=PDQ)]
    assert list(records(path, "pdq")) == [Record(1, pdq=PDQ)]


def test_a_comment_that_names_hashes_makes_no_table(write: Write) -> None:
    assert list(records(write(f"# a list of md5, sha1\n{MD5.hex()}\n"))) == [Record(2, md5=MD5)]


@pytest.mark.parametrize("byte_order_mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_read_however_it_is_written(
    write: Write, byte_order_mark: bytes, separator: str, quote: str, end: str
) -> None:
    rows = [COLUMNS, (MD5.hex(), SHA1.hex().upper(), SHA256.hex(), PDQ.hex(), "boat", "seen in Köln"), ("", SHA1.hex())]
    rows[2] = (*rows[2], "", "", "", "")
    text = end.join(separator.join(f"{quote}{field}{quote}" for field in row) for row in rows)
    found = list(records(write(byte_order_mark + text.encode())))
    assert found == [Record(2, MD5, SHA1, SHA256, PDQ, "boat", "seen in Köln"), Record(3, sha1=SHA1)]


@given(st.permutations(COLUMNS), st.integers(0, 2**32), st.sampled_from(",;"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_the_columns_may_stand_in_any_order_and_any_may_lack(
    write: Write, columns: list[str], seed: int, separator: str
) -> None:
    source = random.Random(seed)
    kept = columns[: source.randint(1, 6)]
    sizes = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32}
    if not set(kept) & set(sizes):
        kept.append("sha1")
    lines, wanted = [separator.join(source.choice([name.upper(), f" {name} "]) for name in kept)], []
    for number in range(2, 6):
        hashes = {name: source.randbytes(size) for name, size in sizes.items() if name in kept}
        words = {name: f"{name} {number}" for name in ("category", "note") if name in kept}
        cells = {name: source.choice([value.hex(), value.hex().upper()]) for name, value in hashes.items()} | words
        lines.append(separator.join(cells[name] for name in kept))
        wanted.append(Record(number, **hashes, **words))
    assert list(records(write("\n".join(lines)))) == wanted


def test_a_quoted_note_may_hold_separators_quotes_and_lines(write: Write) -> None:
    path = write(f'md5,note\n{MD5.hex()},"a, ""b"";\nc"\n{MD5.hex()},d\n')
    assert list(records(path)) == [Record(3, md5=MD5, note='a, "b";\nc'), Record(4, md5=MD5, note="d")]


GOOD = f"{MD5.hex()}\n{SHA1.hex()}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{GOOD}nonsense\n", "line 3: 'nonsense' is no MD5, SHA-1 or SHA-256"),
        (f"{GOOD}{MD5.hex()[:-1]}\n", "line 3: 'a1a1"),
        (f"{GOOD}{'g' * 32}\n", "line 3: 'gggg.*' is not a md5 of 32 hex digits"),
        (f"{GOOD}{MD5.hex()[:15]}  {MD5.hex()[:15]}\n", "line 3: 'a1a1.*' is not a md5 of 32 hex digits"),
        (f"{GOOD}{'１' * 32}\n", "line 3: .* is not a md5"),
        (f"{GOOD}{MD5.hex()},{SHA1.hex()}\n", "line 3: .* no header names columns"),
        (f"\n\n{'z' * 64}\n", "line 3: 'zzz.*' is not a sha256 of 64 hex digits"),
        (f"md5,hash\n{MD5.hex()},x\n", "line 1: there is no column 'hash'; the columns are md5, sha1"),
        (f"md5,md5\n{MD5.hex()},{MD5.hex()}\n", "line 1: the column 'md5' is there twice"),
        (f"md5,sha1\n{MD5.hex()},\n{MD5.hex()}\n", "line 3: 1 fields where the header has 2"),
        (f"md5,sha1\n{MD5.hex()},\n{MD5.hex()},,\n", "line 3: 3 fields where the header has 2"),
        (f"md5,note\n{MD5.hex()},a\n,b\n", "line 3: it holds no hash"),
        (f"md5,note\n{MD5.hex()},a\n  ,\n", "line 3: it holds no hash"),
        (f"md5,sha1\n{MD5.hex()},\n{SHA1.hex()},\n", "line 3: 'b2b2.*' is not a md5 of 32 hex digits"),
        (f"pdq\n{PDQ.hex()}\n{PDQ.hex()}00\n", "line 3: 'd4d4.*' is not a pdq of 64 hex digits"),
        (f'md5,note\n{MD5.hex()},a\n{MD5.hex()},"b"c\n', "line 3: .* expected after"),
        (f'md5,note\n{MD5.hex()},a\n{MD5.hex()},"b\n', "line 3: unexpected end of data"),
        (f"md5,note\n{MD5.hex()},a\n{MD5.hex()},{'n' * 10_000}\n", "line 3: field larger than field limit"),
    ],
)
def test_the_line_that_is_wrong_is_named(write: Write, text: str, says: str) -> None:
    with pytest.raises(EvidenceError, match=f"set.csv, {says}.*; nothing was imported"):
        list(records(write(text)))


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n", "\ufeff", "md5,sha1\n", "md5"])
def test_a_file_without_a_record_is_refused(write: Write, text: str) -> None:
    with pytest.raises(EvidenceError, match="holds no record; nothing was imported"):
        list(records(write(text)))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)),
        f"md5\n{MD5.hex()}\n".encode("utf-16"),
        f"md5,note\n{MD5.hex()},K\xf6ln\n".encode("latin-1"),
        f"{MD5.hex()}\n".encode() * 1000 + b"\xff",
    ],
    ids=["picture", "utf-16", "latin-1", "at the end"],
)
def test_a_file_that_is_not_text_is_refused(write: Write, data: bytes) -> None:
    with pytest.raises(EvidenceError, match="is not a text file of hashes"):
        list(records(write(data)))


@pytest.mark.parametrize("start", ["", "md5\n", f"{MD5.hex()}\n"])
def test_a_line_of_megabytes_is_refused_in_a_short_sentence(write: Write, start: str) -> None:
    with pytest.raises(EvidenceError, match=r"line [12]") as caught:
        list(records(write(start + "a" * 4_000_000)))
    assert len(str(caught.value)) < 500


@given(st.binary(max_size=300), st.sampled_from([None, "md5", "sha1", "sha256", "pdq"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example(b"md5\n\x00", None)
@example(b"md5\r\x00\r\n", None)
def test_no_bytes_bring_anything_but_a_sentence(write: Write, data: bytes, plain: str | None) -> None:
    try:
        found = list(records(write(data), plain))
    except EvidenceError:
        return
    assert found


pieces = st.sampled_from([
    *COLUMNS, *(value.hex() for value in (MD5, SHA1, SHA256)), "A1" * 16, ",", ";", '"', '""', "\n", "\r\n", "\r", "#",
    " ", "\ufeff", "\0", "x", "é", "\u2028", "\x1c",
])  # fmt: skip


@given(st.lists(pieces, max_size=30).map("".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_nearly_right_text_gives_records_with_a_hash_each_or_a_sentence(write: Write, text: str) -> None:
    try:
        found = list(records(write(text)))
    except EvidenceError:
        return
    lines = len(text.splitlines())
    assert all(each.md5 or each.sha1 or each.sha256 or each.pdq for each in found)
    assert [each.number for each in found] == sorted({each.number for each in found})
    assert all(1 <= each.number <= lines for each in found)


@pytest.fixture
def sets() -> Iterator[Sets]:
    sets = Sets()
    yield sets
    sets.close()


@pytest.mark.parametrize("where", ["missing.csv", "."])
def test_a_file_that_cannot_be_opened_is_named(sets: Sets, tmp_path: Path, where: str) -> None:
    with pytest.raises(EvidenceError, match="cannot be read"):
        import_file(sets, tmp_path / where, "force", "notable", "x")


def test_a_set_is_versioned_by_its_file_and_how_it_was_read(sets: Sets, write: Write) -> None:
    path = write(f"{PDQ.hex()}\n")
    first = import_file(sets, path, "a", "notable", "DC Example")
    assert (first.records, first.source, first.imported_by) == (1, "set.csv", "DC Example")
    assert import_file(sets, path, "b", "notable", "x").version == first.version
    assert import_file(sets, path, "c", "notable", "x", "pdq").version != first.version
    assert import_file(sets, write(f"{MD5.hex()}\n"), "a", "notable", "x").version != first.version
