"""JSON of ThreatExchange and its kin: what is clear is taken, the rest is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mantlet.errors import EvidenceError
from mantlet.known.formats import open_set
from mantlet.known.records import Record

MD5, SHA1, SHA256, PDQ = (bytes([number]) * size for number, size in ((0xA1, 16), (0xB2, 20), (0xC3, 32), (0xD4, 32)))
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(text: str) -> Path:
        path = tmp_path / "set.json"
        path.write_text(text)
        return path

    return file


def indicator(type_: str = "HASH_PDQ", value: bytes | str = PDQ, **more: Any) -> dict[str, Any]:
    text = value.hex() if isinstance(value, bytes) else value
    return {"id": "30", "indicator": text, "type": type_, "status": "MALICIOUS", "should_delete": False} | more


def records(path: Path) -> list[Record]:
    return list(open_set(path).records)


@pytest.mark.parametrize(
    "shape",
    [
        lambda entries: json.dumps({"data": entries, "paging": {"cursors": {"after": "x"}}}, indent=2),
        json.dumps,
        lambda entries: "\n".join(json.dumps(each) for each in entries),
        lambda entries: "\n".join(
            json.dumps({"data": [each], "paging": {"next": "https://a"} if each is entries[0] else {}})
            for each in entries
        ),
    ],
    ids=["page", "array", "lines", "pages"],
)
def test_indicators_are_taken_from_pages_arrays_and_lines(
    write: Write, shape: Callable[[list[dict[str, Any]]], str]
) -> None:
    entries = [indicator(tags=["boat"]), indicator("HASH_MD5", MD5), indicator("HASH_SHA256", SHA256, status="UNKNOWN")]
    reading = open_set(write(shape(entries)))
    assert (reading.convention, reading.profiles, reading.benign) == ("whole", ("threatexchange",), None)
    assert list(reading.records) == [
        Record(1, pdq=PDQ, category="MALICIOUS", details=b'{"id":"30","tags":["boat"]}'),
        Record(2, md5=MD5, category="MALICIOUS", details=b'{"id":"30"}'),
        Record(3, sha256=SHA256, category="UNKNOWN", details=b'{"id":"30"}'),
    ]
    assert reading.form == "ThreatExchange JSON"


def test_entries_of_fingerprints_are_taken_and_photodna_kept(write: Write) -> None:
    prints = {"MD5": MD5.hex(), "sha1": SHA1.hex().upper(), "PDNA": "AAEC", "pdq": PDQ.hex(), "NETCLEAN": None}
    entry = {"id": "a7", "member_id": 4, "type": "image", "classification": "A1", "fingerprints": prints}
    wanted = b'{"id":"a7","other_hashes":{"PDNA":"AAEC"}}'
    assert records(write(json.dumps([entry]))) == [Record(1, MD5, SHA1, None, PDQ, "A1", wanted)]


def test_tags_of_descriptors_are_read(write: Write) -> None:
    tags = {"data": [{"id": "1", "text": "boat"}, {"id": "2", "text": "lake"}]}
    assert json.loads(records(write(json.dumps([indicator(tags=tags)])))[0].details)["tags"] == ["boat", "lake"]


def test_what_is_left_out_is_counted_and_said(write: Write) -> None:
    entries = [
        indicator("HASH_TMK", "x"), indicator(), indicator("HASH_TMK", "y"), indicator(should_delete=True),
        {"deleted": True, "fingerprints": {"md5": MD5.hex()}}, {"fingerprints": {"netclean": "x"}},
    ]  # fmt: skip
    reading = open_set(write(json.dumps(entries)))
    assert [(each.number, each.pdq) for each in reading.records] == [(2, PDQ)]
    assert reading.form == "ThreatExchange JSON, left out: 2 HASH_TMK, 2 withdrawn, 1 netclean"
    with pytest.raises(EvidenceError, match=r"its 2 entries: Mantlet uses none \(2 HASH_TMK\)"):
        records(write(json.dumps([entries[0], entries[2]])))


def test_kinds_without_end_that_are_left_out_are_counted_together(write: Write) -> None:
    common = [indicator("HASH_TMK", "x")] * 3 + [indicator(should_delete=True)] * 2
    others = [indicator(f"KIND_{number}", "x") for number in range(3_000)]
    late = [indicator("KIND_2999", "x")] * 9  # common, but the kinds that are counted apart are those that came first
    reading = open_set(write(json.dumps([*common, *others, *late, indicator()])))
    assert len(list(reading.records)) == 1
    assert reading.form == (
        "ThreatExchange JSON, left out: 3 HASH_TMK, 2 withdrawn, 1 KIND_0, 1 KIND_1, 1 KIND_2, 3,006 of other kinds"
    )


@pytest.mark.parametrize(
    "entry",
    [
        '{"indicator":"%s","type":"HASH_PDQ","type":"HASH_SHA256"}',
        '{"indicator":"%s","type":"HASH_PDQ","status":"MALICIOUS","status":"NON_MALICIOUS"}',
        '{"indicator":"%s","type":"HASH_PDQ","\\u0074ype":"HASH_SHA256"}',
        '{"fingerprints":{"pdq":"%s","pdq":""}}',
    ],
)
def test_an_entry_in_which_a_name_stands_twice_is_refused(write: Write, entry: str) -> None:
    with pytest.raises(EvidenceError, match=r"entry 2: '(type|status|pdq)' is there twice"):
        records(write(json.dumps(indicator()) + (entry % PDQ.hex())))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps([indicator(), indicator(value="ab")]), r"entry 2 \(id 30\): 'ab' is not a pdq"),
        (json.dumps([indicator(), {"id": 7, "name": "x"}]), r"entry 2 \(id 7\): it has neither indicator"),
        (json.dumps({"data": [indicator()], "error": {}}), "its page: 'error' is no property of a page"),
        (json.dumps({"data": [indicator()], "paging": {"next": "https://a"}}), "its end: its last page names a next"),
        (json.dumps([{"fingerprints": {"md5": MD5.hex(), "MD5": "0" * 32}}]), "entry 1: it has two md5"),
        (json.dumps([indicator(indicator=7)]), "entry 1: Expected"),
        (json.dumps([indicator(should_delete="false")]), "entry 1: Expected"),
        (json.dumps({"a": 1}), "entry 1: it has neither"),
        ("[7]", "entry 1: Expected"),
        (json.dumps([indicator()]) + "x", "entry 2: "),
    ],
)
def test_what_is_not_clear_is_refused_by_name(write: Write, text: str, says: str) -> None:
    with pytest.raises(EvidenceError, match=f"set.json, {says}.*; nothing was imported"):
        records(write(text))


def test_a_page_cut_off_anywhere_is_refused(write: Write) -> None:
    text = json.dumps({"data": [indicator(), indicator("HASH_MD5", MD5)], "paging": {}})
    assert len(records(write(text))) == 2
    for end in range(len(text)):
        with pytest.raises(EvidenceError):
            records(write(text[:end]))


@pytest.mark.parametrize("text", ["[]", '{"data":[]}', " "])
def test_a_file_without_a_record_is_refused(write: Write, text: str) -> None:
    with pytest.raises(EvidenceError, match="holds no record"):
        records(write(text))
