"""Lists and tables of hashes: every way of writing them that is understood, and every bad line named."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mantlet.errors import EvidenceError
from mantlet.known.formats import Plain, open_set, source
from mantlet.known.formats.table import COLUMNS
from mantlet.known.records import Record

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


def records(path: Path, plain: Plain | None = None) -> list[Record]:
    return list(open_set(path, plain=plain).records)


def note(text: str) -> bytes:
    return msgspec.json.encode({"note": text})


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["end", ""])
def test_a_plain_list_tells_hashes_apart_by_their_length(write: Write, end: str, last: str, mark: bytes) -> None:
    text = end.join(["# hashes", MD5.hex(), "", SHA1.hex().upper(), f"  {SHA256.hex()}\t"]) + (end if last else "")
    path = write(mark + text.encode())
    assert records(path) == [Record(2, md5=MD5), Record(4, sha1=SHA1), Record(5, sha256=SHA256)]


def test_a_plain_list_is_of_what_the_person_says(write: Write) -> None:
    path = write(f"{PDQ.hex()}\n")
    assert records(path) == [Record(1, sha256=PDQ)]
    assert records(path, "pdq") == [Record(1, pdq=PDQ)]
    assert open_set(path).convention is None
    assert open_set(path).benign is None
    assert open_set(path).profiles == ()


def test_what_the_lines_are_said_to_be_makes_a_table_a_bad_list(write: Write) -> None:
    with pytest.raises(EvidenceError, match="line 1: 'md5"):
        records(write(f"md5,note\n{MD5.hex()},x\n"), "md5")


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256", "pdq"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_long_list_is_the_same_in_blocks_and_line_by_line(write: Write, kind: Plain, end: str) -> None:
    source, size = random.Random(4), {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32}[kind]
    values = [source.randbytes(size) for _ in range(20_000)]
    wanted = [Record(number, **{kind: value}) for number, value in enumerate(values, 1)]
    lines = [value.hex() if number % 3 else value.hex().upper() for number, value in enumerate(values)]
    assert records(write(end.join(lines) + end), kind) == wanted
    lines[0] += " "
    lines[9_999] = f"  {lines[9_999]}"
    lines[15_000] += "  name.jpg"
    assert records(write(end.join(lines)), kind) == wanted


@pytest.mark.parametrize("at", [0, 1, 7_943, 8_000, 19_999])
@pytest.mark.parametrize("damage", ["short", "spaces", "letter", "long"])
def test_one_bad_line_in_many_is_found(write: Write, at: int, damage: str) -> None:
    lines = [number.to_bytes(16, "big").hex() for number in range(20_000)]
    good = lines[at]
    lines[at] = {"short": good[:-1], "spaces": f"{good[:30]}  ", "letter": f"{good[:-1]}g", "long": good + "0"}[damage]
    with pytest.raises(EvidenceError, match=f"set.csv, line {at + 1:,}: '{good[:20]}.*; nothing was imported"):
        records(write("\n".join(lines) + "\n"))


def test_what_md5sum_and_its_kin_print_is_a_list(write: Write) -> None:
    text = f"{MD5.hex()}  a b.jpg\n{SHA1.hex()} *dir/b.jpg\n\\{SHA256.hex()}  new\\nline.jpg\n"
    assert records(write(text)) == [Record(1, md5=MD5), Record(2, sha1=SHA1), Record(3, sha256=SHA256)]


def test_a_comment_that_names_hashes_makes_no_table(write: Write) -> None:
    assert records(write(f"# a list of md5, sha1\n{MD5.hex()}\n")) == [Record(2, md5=MD5)]


@pytest.mark.parametrize("byte_order_mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_read_however_it_is_written(
    write: Write, byte_order_mark: bytes, separator: str, quote: str, end: str
) -> None:
    rows = [
        COLUMNS,
        (MD5.hex(), SHA1.hex().upper(), SHA256.hex(), PDQ.hex(), "boat", "seen in Köln"),
        ("", SHA1.hex(), "", "", "", ""),
    ]
    text = end.join(separator.join(f"{quote}{field}{quote}" for field in row) for row in rows) + end
    assert records(write(byte_order_mark + text.encode())) == [
        Record(2, MD5, SHA1, SHA256, PDQ, "boat", note("seen in Köln")),
        Record(3, sha1=SHA1),
    ]


@given(st.permutations(COLUMNS), st.integers(1, 6), st.randoms(use_true_random=False), st.sampled_from(",;"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_columns_come_in_any_order(
    write: Write, columns: list[str], most: int, source: random.Random, separator: str
) -> None:
    sizes = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32}
    kept = columns[:most]
    if not set(kept) & set(sizes):
        kept.append("md5")
    lines, wanted = [separator.join(source.choice([name.upper(), f" {name} "]) for name in kept)], []
    for number in range(2, 6):
        hashes = {name: source.randbytes(size) for name, size in sizes.items() if name in kept}
        words = {name: f"{name} {number}" for name in ("category", "note") if name in kept}
        cells = {name: source.choice([value.hex(), value.hex().upper()]) for name, value in hashes.items()} | words
        lines.append(separator.join(cells[name] for name in kept))
        details = note(words["note"]) if "note" in words else b""
        wanted.append(Record(number, **hashes, category=words.get("category"), details=details))
    assert records(write("\n".join(lines) + "\n")) == wanted


def test_a_quoted_note_may_hold_separators_quotes_and_lines(write: Write) -> None:
    path = write(f'md5,note\n{MD5.hex()},"a, ""b"";\nc"\n{MD5.hex()},d\n')
    assert records(path) == [Record(3, md5=MD5, details=note('a, "b";\nc')), Record(4, md5=MD5, details=note("d"))]


ICSE = (
    "MD5;SHA1;PhotoDNA;Image ID;Is distributed;Victim identified;Offender identified;Series name;"
    "Number of submissions;File Available;Media Type;Baseline\n"
)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "text",
    [
        f"md5,category\n{MD5.hex()},2\n{MD5.hex()},12\n",
        f'category;md5;note\n"12";{MD5.hex()};"seen ""here"" and\nthere"\n',
        f"{ICSE}{MD5.hex()};{SHA1.hex()};AAEC;7;true;;;Boats;2;true;image;true\n",
    ],
)
def test_a_table_cut_off_anywhere_never_changes_what_it_says(write: Write, text: str, end: str) -> None:
    data = text.replace("\n", end).encode()
    whole = [each.category for each in records(write(data))]
    refused = 0
    for cut in range(len(data)):
        try:
            found = records(write(data[:cut]))
        except EvidenceError:
            refused += 1
            continue
        assert data[:cut].endswith((b"\n", b"\r"))
        assert [each.category for each in found] == whole[: len(found)]
    assert refused > len(data) - 5


def test_a_table_whose_last_line_is_not_ended_says_so(write: Write) -> None:
    with pytest.raises(EvidenceError, match="line 2: it is not ended, so the file may be cut off"):
        records(write(f"md5,category\n{MD5.hex()},1"))
    assert records(write(f"category,md5\n1,{MD5.hex()}")) == [Record(2, md5=MD5, category="1")]


def test_a_row_that_goes_on_for_ever_is_refused_before_it_is_in_memory(write: Write) -> None:
    path, read = write(f"md5,note\n{MD5.hex()},a\n{MD5.hex()}" + ',"b\n"' * 1_000_000), [0]
    with pytest.raises(EvidenceError, match=r"line 13,\d\d\d: its row is longer than 65,536 characters"):
        list(open_set(path, progress=read.append).records)
    assert max(read) < 2**18


def test_rows_that_are_long_together_are_no_long_row(write: Write) -> None:
    rows = [f'{MD5.hex()},"{"n" * 4_000}\n{"n" * 4_000}"\n' for _ in range(50)]
    assert len(records(write("md5,note\n" + "".join(rows)))) == 50


@pytest.mark.parametrize("digits", range(1, 64))
def test_a_list_cut_off_within_a_line_is_refused(write: Write, digits: int) -> None:
    with pytest.raises(EvidenceError, match="line 3: "):
        records(write(f"{SHA256.hex()}\n{SHA256.hex()}\n{SHA256.hex()[:digits]}"))


def test_what_a_set_holds_does_not_steer_the_terminal(write: Write) -> None:
    with pytest.raises(EvidenceError) as caught:
        records(write("\x1b[2Jclear\u202e\x07"))
    assert str(caught.value).isprintable()


GOOD = f"{MD5.hex()}\n{SHA1.hex()}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{GOOD}nonsense\n", "line 3: 'nonsense' is no MD5, SHA-1 or SHA-256"),
        (f"{GOOD}{MD5.hex()[:-1]}\n", "line 3: 'a1a1"),
        (f"{GOOD}{'g' * 32}\n", "line 3: 'gggg.*' is not a md5 of 32 hex digits"),
        (f"{GOOD}{MD5.hex()[:15]}  {MD5.hex()[:15]}\n", "line 3: 'a1a1.*' is no MD5, SHA-1 or SHA-256"),
        (f"{GOOD}{'１' * 32}\n", "line 3: .* is not a md5"),
        (f"{GOOD}\\\n", "line 3: .* is no MD5"),
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
        (f'md5,"note\n",x\n{MD5.hex()},a,b\n', "line 1: it is no header"),
    ],
)
def test_the_line_that_is_wrong_is_named(write: Write, text: str, says: str) -> None:
    with pytest.raises(EvidenceError, match=f"set.csv, {says}.*; nothing was imported"):
        records(write(text))


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n", "\ufeff", "md5,sha1\n", "md5"])
def test_a_file_without_a_record_is_refused(write: Write, text: str) -> None:
    with pytest.raises(EvidenceError, match="holds no record; nothing was imported"):
        records(write(text))


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
        records(write(data))


@pytest.mark.parametrize("where", ["missing.csv", "."])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, where: str) -> None:
    with pytest.raises(EvidenceError, match="cannot be read"):
        open_set(tmp_path / where)


@pytest.mark.parametrize("start", ["", "md5\n", f"{MD5.hex()}\n", "md5,note\n"])
def test_a_line_of_gigabytes_is_refused_before_it_is_in_memory(write: Write, start: str) -> None:
    path, read = write(start + "a" * 1000), [0]
    with path.open("r+b") as file:
        file.truncate(2**31)  # sparse: zeros, and no line end
    with pytest.raises(EvidenceError, match=r"line [12]: ") as caught:
        list(open_set(path, progress=read.append).records)
    assert len(str(caught.value)) < 500
    assert max(read) < 2**21


def test_progress_tells_the_bytes_read_up_to_the_last(write: Write) -> None:
    lines = [number.to_bytes(16, "big").hex() for number in range(50_000)]
    for text in ("\n".join(lines), "md5,note\n" + "".join(f"{line},\n" for line in lines)):
        told: list[int] = []
        list(open_set(write(text), progress=told.append).records)
        assert told == sorted(told)
        assert len(told) > 3
        assert told[-1] == len(text)


HASHKEEPER = (
    '"file_id","hashset_id","file_name","directory","hash","file_size","date_modified","time_modified","time_zone",'
    '"comments","date_accessed","time_accessed"\r\n\r\n\r\n'
)


def test_hashkeeper_sets_are_read_by_their_column_of_hashes(write: Write) -> None:
    row = f'1,5,"BOAT,1.JPG","C:\\B\xf6t","{MD5.hex().upper()}",34832,7/11/95 0:00:00,,"PST",,,\r\n'
    path = write((HASHKEEPER + row).encode("latin-1"))
    assert open_set(path).form == "HashKeeper"
    assert records(path) == [Record(4, md5=MD5)]
    with pytest.raises(EvidenceError, match="line 1: a HashKeeper set has a column 'hash'"):
        records(write('"file_id","hashset_id"\n1,2\n'))


def test_nsrl_text_is_reference_data(write: Write) -> None:
    head = '"SHA-1","MD5","CRC32","FileName","FileSize","ProductCode","OpSystemCode","SpecialCode"\r\n'
    path = write(head + f'"{SHA1.hex().upper()}","{MD5.hex().upper()}","AABBCCDD","a ""b"".dll",1,2,"362",""\r\n')
    assert records(path) == [Record(2, md5=MD5, sha1=SHA1)]
    assert open_set(path).benign is True


def test_a_file_of_many_products_is_one_record_of_nsrl_text(write: Write) -> None:
    head = '"SHA-1","MD5","CRC32","FileName","FileSize","ProductCode","OpSystemCode","SpecialCode"\r\n'
    files = [(bytes([n]) * 20, bytes([n]) * 16) for n in range(3)]
    rows = [f'"{sha1.hex()}","{md5.hex()}","","a.dll",1,{n},"362",""\r\n' for sha1, md5 in files for n in range(2_000)]
    wanted = [Record(2 + 2_000 * n, md5=md5, sha1=sha1) for n, (sha1, md5) in enumerate(files)]
    assert records(write(head + "".join(rows))) == wanted


@given(st.lists(st.integers(0, 9), max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_repeats_are_left_out_as_far_as_is_remembered(monkeypatch: pytest.MonkeyPatch, files: list[int]) -> None:
    monkeypatch.setattr(source, "REMEMBERED", 4)
    given_ = [Record(number, md5=bytes([file]) * 16) for number, file in enumerate(files)]
    found = list(source.unrepeated(iter(given_)))
    for record in given_:
        since = next((n for n in range(record.number - 1, -1, -1) if files[n] == files[record.number]), None)
        others = set(files[since + 1 : record.number]) if since is not None else None
        if others is None or len(others) >= 2 * 4:
            assert record in found
        elif len(others) < 4:
            assert record not in found


def test_digests_of_one_file_count_together() -> None:
    one = [Record(1, md5=MD5), Record(2, md5=MD5, sha1=SHA1), Record(3, sha1=SHA1), Record(4, MD5, None, SHA256)]
    assert list(source.unrepeated(iter(one))) == one


def test_icse_takes_its_category_from_baseline(write: Write) -> None:
    flags = ("true", "False", "", "YES")
    path = write(
        ICSE + "".join(f"{MD5.hex()};{SHA1.hex()};AAEC;7;true;;;Boats;2;true;image;{each}\n" for each in flags)
    )
    found = records(path)
    assert [each.category for each in found] == ["baseline", "not baseline", "not baseline", "baseline"]
    assert (found[0].md5, found[0].sha1) == (MD5, SHA1)
    assert msgspec.json.decode(found[0].details) == {
        "photodna": "AAEC", "image_id": "7", "distributed": "true", "series": "Boats", "submissions": "2",
        "mime": "image",
    }  # fmt: skip
    reading = open_set(path)
    assert (reading.form, reading.profiles, reading.benign) == ("INTERPOL ICSE", ("icse",), False)
    with pytest.raises(EvidenceError, match="line 2: Baseline is 'maybe', neither true nor false"):
        records(write(ICSE + f"{MD5.hex()};;;;;;;;;;;maybe\n"))


def encase(values: list[bytes], count: int | None = None) -> bytes:
    head = b"HASH\r\n\xff\0\x02\0\0\0\x01\0\0\0" + (len(values) if count is None else count).to_bytes(4, "little")
    return head.ljust(1152, b"\0") + b"".join(value + b"\0\0" for value in values)


@pytest.mark.parametrize("count", [1, 2, 60_000, 120_000])
def test_encase_sets_are_read_across_blocks(write: Write, count: int) -> None:
    source = random.Random(1)
    values = [source.randbytes(16) for _ in range(count)]
    assert records(write(encase(values))) == [Record(number, md5=value) for number, value in enumerate(values, 1)]


@pytest.mark.parametrize("data", [encase([MD5, MD5], 3), encase([MD5, MD5])[:-1], encase([MD5], 2**32 - 1)])
def test_an_encase_set_that_is_cut_off_is_refused(write: Write, data: bytes) -> None:
    with pytest.raises(EvidenceError, match=r"its header: .* cut off or damaged"):
        records(write(data))


def test_indexes_of_the_sleuth_kit_are_lists(write: Write) -> None:
    header = f"{'0' * 41}|md5sum\n{'0' * 40}1|boats.txt\n"
    assert records(write(f"{header}{MD5.hex().upper()}|0000000000000052\n")) == [Record(3, md5=MD5)]
    with pytest.raises(EvidenceError, match="line 3: it is not a hash, a bar and an offset"):
        records(write(f"{header}{MD5.hex()}\n"))


@given(st.binary(max_size=300), st.sampled_from([None, "md5", "sha1", "sha256", "pdq"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example(b"md5\n\x00", None)
@example(b"md5\r\x00\r\n", None)
@example(b"\\", None)
def test_no_bytes_bring_anything_but_a_sentence(write: Write, data: bytes, plain: Plain | None) -> None:
    try:
        found = records(write(data), plain)
    except EvidenceError:
        return
    assert found


pieces = st.sampled_from([
    *COLUMNS, *(value.hex() for value in (MD5, SHA1, SHA256)), "A1" * 16, ",", ";", '"', '""', "\n", "\r\n", "\r", "#",
    " ", "\ufeff", "\0", "x", "é", "\u2028", "\x1c", "\\", "sha-1", "crc32", "photodna", "baseline",
    "file_id,hashset_id",
    "0" * 40 + "0|", "|", "true", "{", "[",
])  # fmt: skip


@given(st.lists(pieces, max_size=30).map("".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_nearly_right_text_gives_records_with_a_hash_each_or_a_sentence(write: Write, text: str) -> None:
    try:
        found = records(write(text))
    except EvidenceError:
        return
    lines = len(text.encode().splitlines())
    assert all(each.md5 or each.sha1 or each.sha256 or each.pdq for each in found)
    assert [each.number for each in found] == sorted({each.number for each in found})
    assert all(1 <= each.number <= lines for each in found)
