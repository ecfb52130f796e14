"""VICS sets: the traps that real exports hold, and hostile files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mantlet.errors import EvidenceError
from mantlet.known.formats import open_set
from mantlet.known.records import Record

MD5, SHA1, SHA256, PDQ = (bytes([number]) * size for number, size in ((0xA1, 16), (0xB2, 20), (0xC3, 32), (0xD4, 32)))
OLD = "http://github.com/ICMEC/ProjectVic/DataModels/1.3.xml"
NEW = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml"
Write = Callable[[bytes | str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(data: bytes | str) -> Path:
        path = tmp_path / "set.json"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return file


def media(**more: Any) -> dict[str, Any]:
    """An entry as exporters write it."""
    return {
        "MediaID": 77,
        "Category": 1,
        "MD5": MD5.hex().upper(),
        "SHA1": SHA1.hex(),
        "MediaFiles": [{"MD5": MD5.hex(), "FileName": 'a "}]boat\\', "FilePath": "EX1\\DCIM", "Unallocated": False}],
        "Exifs": [{"MD5": MD5.hex(), "PropertyName": "Make", "PropertyValue": "{[Camera"}],
    } | more


def hash_set(*entries: dict[str, Any], region: str = "US") -> str:
    return json.dumps({"@odata.context": f"{NEW}/{region}/$metadata#Media", "value": list(entries)})


def records(path: Path) -> list[Record]:
    return list(open_set(path).records)


def kept(record: Record) -> Any:
    return json.loads(record.details or b"{}")


@pytest.mark.parametrize("key", ["odata.metadata", "@odata.context"])
@pytest.mark.parametrize(
    ("context", "form"),
    [
        ("http://github.com/ICMEC/ProjectVic/DataModels/1.2.xml#Media", "VICS 1.2"),
        (f"{OLD}#Media", "VICS 1.3"),
        (f"{NEW}/US/$metadata#Media", "VICS 2.0 (US)"),
        (f"{NEW}/UK/$metadata#Media", "VICS 2.0 (UK)"),
        (f"{NEW}/Default/$metadata#Media", "VICS 2.0 (Default)"),
        (f"{NEW}/CUSTOM/$metadata#Media", "VICS 2.0 (CUSTOM)"),
    ],
)
def test_the_context_says_version_and_region(write: Write, key: str, context: str, form: str) -> None:
    reading = open_set(write(json.dumps({key: context, "value": [media()]}, indent=1)))
    assert (reading.form, reading.benign, reading.convention) == (form, False, None)
    american = ("project-vic-us", "project-vic-us-dhs")
    assert reading.profiles == (() if "UK" in form or "CUSTOM" in form else american)
    assert [(each.number, each.md5, each.sha1, each.category) for each in reading.records] == [(1, MD5, SHA1, "1")]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_cases_hold_their_media_one_level_deeper(write: Write, mark: bytes) -> None:
    case = {"CaseID": "{X}", "TotalMediaFiles": 99, "CaseMetadata": [{"PropertyName": "a"}]}
    first, second = case | {"Media": [media(), media(MediaID=2)]}, {"Media": [], "CaseNumber": "OP-1"}
    text = json.dumps({"odata.metadata": f"{OLD}#Cases", "value": [first, second, {"Media": [media(MD5=None)]}]})
    found = records(write(mark + text.encode()))
    assert [(each.number, each.md5) for each in found] == [(1, MD5), (2, MD5), (3, None)]


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [(None, None), ("", None), (" ", None), (0, "0"), ("0", "0"), (5, "5"), ("05", "5"), (2, "2"), ("12", "12")],
)
def test_a_category_is_a_number_however_it_is_written_and_null_asserts_nothing(
    write: Write, given_: object, wanted: str | None
) -> None:
    entry = media(Category=given_, IsPrecategorized=True)
    assert records(write(hash_set(entry)))[0].category == wanted
    del entry["Category"]
    assert records(write(hash_set(entry)))[0].category is None


def test_flags_are_booleans_or_words_and_false_is_not_true(write: Write) -> None:
    entry = media(
        VictimIdentified="false", OffenderIdentified="True", IsDistributed=False, IsSuspected=True, SelfGenerated=""
    )
    flags = {"victim_identified": False, "offender_identified": True, "distributed": False, "suspected": True}
    assert kept(records(write(hash_set(entry)))[0]) == {"media_id": 77} | flags


def test_what_else_is_kept_names_no_file(write: Write) -> None:
    entry = media(
        Series="Boats, Lakes", Tags=["a", "b"], Comments="öl", MediaSize="2835", MimeType="image", PhotoDNA=" AAEC "
    )
    assert kept(records(write(hash_set(entry)))[0]) == {
        "media_id": 77, "size": "2835", "mime": "image", "series": "Boats, Lakes", "tags": ["a", "b"],
        "comments": "öl", "photodna": ["AAEC"],
    }  # fmt: skip


def test_alternative_hashes_are_used_or_kept(write: Write) -> None:
    others = [
        {"MD5": MD5.hex(), "HashName": "SHA256", "HashValue": SHA256.hex().upper()},
        {"HashName": "pdq", "HashValue": PDQ.hex()},
        {"HashName": "PDQ", "HashValue": "not hex"},
        {"HashName": "PhotoDNA", "HashValue": "AAEC"},
        {"HashName": "EDK", "HashValue": "0102"},
    ]
    record = records(write(hash_set(media(AlternativeHashes=others, PhotoDNA=["AAEC", "AwQF"]))))[0]
    assert (record.md5, record.sha1, record.sha256, record.pdq) == (MD5, SHA1, SHA256, PDQ)
    assert kept(record)["photodna"] == ["AAEC", "AwQF"]
    assert kept(record)["other_hashes"] == [{"name": "PDQ", "values": ["not hex"]}, {"name": "EDK", "values": ["0102"]}]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"MD5": "x"}, r"\(MediaID 77\): 'x' is not a md5"),
        ({"MD5": None, "SHA1": ""}, r"\(MediaID 77\): it holds no hash"),
        ({"MD5": 7}, r": Expected .*MD5"),
        ({"SHA1": True}, r": Expected .*SHA1"),
        ({"Category": "A"}, r"\(MediaID 77\): Category is 'A'"),
        ({"Category": -1}, r"\(MediaID 77\): Category is '-1'"),
        ({"Category": True}, r": Expected .*Category"),
        ({"Category": 1.5}, r": Expected .*Category"),
        ({"Category": [1]}, r": Expected .*Category"),
        ({"MediaID": 2**70}, r": Expected .*MediaID"),
        ({"VictimIdentified": "perhaps"}, r"\(MediaID 77\): VictimIdentified is 'perhaps', neither true nor false"),
        ({"VictimIdentified": 1}, r": Expected .*VictimIdentified"),
        ({"AlternativeHashes": {"HashName": "SHA256"}}, r": Expected .*AlternativeHashes"),
        ({"AlternativeHashes": [{"HashName": "SHA256", "HashValue": "00"}]}, r"\(MediaID 77\): '00' is not a sha256"),
        ({"AlternativeHashes": [{"HashName": "MD5", "HashValue": "0" * 32}]}, r"\(MediaID 77\): it has two md5"),
        ({"Tags": {"a": 1}}, r": Expected .*Tags"),
    ],
)
def test_the_entry_that_is_wrong_is_named(write: Write, more: dict[str, Any], says: str) -> None:
    with pytest.raises(EvidenceError, match=rf"set.json, entry 1,234 ?{says}.*; nothing was imported\."):
        records(write(hash_set(*[media()] * 1233, media(**more))))


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("Category", '"Category":0'),
        ("Category", '"Category" : 1'),
        ("Category", r'"\u0043ategory":0'),
        ("MD5", f'"MD5":"{"0" * 32}"'),
        ("SHA1", '"SHA1":null'),
        ("HashName", '"AlternativeHashes":[{"HashName":"PDQ","HashValue":"x","HashName":"MD5"}]'),
        ("Category", ",".join(f'"more {number}":0' for number in range(1_000)) + ',"Category":0'),
        ("Category", f'"large":{"9" * 5_000},' + r'"\u0043ategory":0'),
    ],
)
def test_an_entry_in_which_a_name_stands_twice_is_refused(write: Write, name: str, again: str) -> None:
    text = hash_set(media(), media()).removesuffix("}]}") + f",{again}}}]}}"
    with pytest.raises(EvidenceError, match=f"entry 2: '{name}' is there twice; nothing was imported"):
        records(write(text))


def test_names_with_escapes_and_many_names_are_no_repeats(write: Write) -> None:
    entry = media(**{'a "name\\': 1, "ö": 2, **{f"more {number}": {"Category": 0} for number in range(1_000)}})
    text = hash_set(media(), entry).removesuffix("}]}") + f',"large":{"9" * 5_000}}}]}}'
    assert [each.category for each in records(write(text))] == ["1", "1"]


names = st.sampled_from(["a", "b", "Tags", "é", 'q"', ":", "{", ",", r"\u0061"])
trees = st.recursive(
    st.sampled_from(["1", '"a"', '"a:"', "null", '"\\\\"', '"\\":"']),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: f"[{','.join(each)}]"),
        st.lists(st.tuples(names, inner), max_size=4).map(
            lambda each: f"{{{','.join(f'{json.dumps(name)} :{value}' for name, value in each)}}}"
        ),
    ),
    max_leaves=12,
)


@given(trees)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_names_that_stand_twice_anywhere_are_found_and_no_others(write: Write, tree: str) -> None:
    twice: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> None:
        twice.extend(name for name in {name for name, _ in pairs} if [each for each, _ in pairs].count(name) > 1)

    json.loads(tree, object_pairs_hook=members)
    path = write(hash_set(media()).removesuffix("}]}") + f',"more":{tree}}}]}}')
    if not twice:
        assert len(records(path)) == 1
        return
    with pytest.raises(EvidenceError, match=r"entry 1: '.*' is there twice"):
        records(path)


ENTRY = json.dumps(media())
CONTEXT = f'"@odata.context":"{NEW}/US/$metadata#Media"'
CASES = f'"@odata.context":"{NEW}/US/$metadata#Cases"'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'{{"value":[{ENTRY}],{CONTEXT}}}', "the context .* has to come before"),
        (f'{{"value":[{ENTRY}]}}', "the context .* has to come before"),
        (f'{{"a":1,{CONTEXT},"value":[{ENTRY}]}}', "the context .* has to come before"),
        (f'{{"@odata.context":"{NEW}/FR/$metadata#Media","value":[{ENTRY}]}}', "is no context of VICS"),
        (f'{{"@odata.context":"{NEW[:-7]}3.0.xml/US/$metadata#Media","value":[{ENTRY}]}}', "is no context of VICS"),
        (f'{{"@odata.context":"{NEW}/US/$metadata#Mediator","value":[{ENTRY}]}}', "is no context of VICS"),
        (f'{{"@odata.context":7,"value":[{ENTRY}]}}', "Expected `str`"),
        (f'{{{CONTEXT},"count":1,"value":[{ENTRY}]}}', "'count' is no property of a VICS file"),
        (f'{{{CONTEXT},"value":[{ENTRY}],"count":1}}', "'count' is no property of a VICS file"),
        (f'{{{CONTEXT},"value":[{ENTRY}],"value":[]}}', "'value' is there twice"),
        (f"{{{CONTEXT}}}", "'value' is missing"),
        (f'{{{CONTEXT},"value":{ENTRY}}}', r"'\[' should stand where '{' stands"),
        (f'{{{CONTEXT},"value":null}}', r"'\[' should stand where 'n' stands"),
        (f'{{{CONTEXT},"value":[{ENTRY} {ENTRY}]}}', "',' or ']' should stand"),
        (f'{{{CONTEXT},"value":[{ENTRY},]}}', "entry 2: "),
        (f'{{{CONTEXT},"value":[,{ENTRY}]}}', "entry 1: "),
        (f'{{{CONTEXT},"value":[{ENTRY}],}}', "should stand where '}' stands"),
        (f'{{{CONTEXT} "value":[{ENTRY}]}}', "should stand where '\"' stands"),
        (f'{{{CONTEXT},"value":[{ENTRY}]}}x', "the file goes on after its root"),
        (f'{{{CONTEXT},"value":[{ENTRY}]}}{{}}', "the file goes on after its root"),
        (f'{{{CONTEXT},"value":[7]}}', "entry 1: Expected"),
        (f'{{{CONTEXT},"value":[{ENTRY},"x"]}}', "entry 2: Expected"),
        (f'{{{CONTEXT},"value":[{ENTRY[:-1]}]]}}', "entry 1: "),
        (f'{{{CASES},"value":[{ENTRY}]}}', "case 1: it has no 'Media'"),
        (f'{{{CASES},"value":[{{"Media":[{ENTRY}],"Media":[]}}]}}', "case 1: 'Media' is there twice"),
        (f'{{{CASES},"value":[{{"Media":[{ENTRY}],"CaseID":x}}]}}', "case 1: "),
        (f'{{{CONTEXT},"value":[{{"Media":[{ENTRY}]}}]}}', "entry 1: it holds no hash"),
    ],
)
def test_a_file_that_is_not_as_the_model_says_is_refused(write: Write, text: str, says: str) -> None:
    with pytest.raises(EvidenceError, match=f"set.json, .*{says}.*; nothing was imported"):
        records(write(text))


@pytest.mark.parametrize("text", [f'{{{CONTEXT},"value":[]}}', f'{{{CASES},"value":[{{"Media":[]}}]}}'])
def test_a_set_without_a_record_is_refused(write: Write, text: str) -> None:
    with pytest.raises(EvidenceError, match="holds no record"):
        records(write(text))


def test_a_set_cut_off_anywhere_is_refused(write: Write) -> None:
    for text in (hash_set(media(), media(MediaID=2)), f'{{{CASES},"value":[{{"Media":[{ENTRY}]}}]}}'):
        assert records(write(text))
        for end in range(len(text)):
            with pytest.raises(EvidenceError):
                records(write(text[:end]))


def test_a_set_of_many_blocks_is_read_in_order(write: Write) -> None:
    entries = [media(MediaID=n, MD5=n.to_bytes(16, "big").hex(), Comments='ö\\"]}' * (n % 50)) for n in range(6_000)]
    told: list[int] = []
    text = hash_set(*entries)
    found = list(open_set(write(text), progress=told.append).records)
    assert [int.from_bytes(each.md5 or b"", "big") for each in found] == list(range(6_000))
    assert [each.number for each in found] == list(range(1, 6_001))
    assert told == sorted(told)
    assert told[-1] == len(text.encode()) > 2**21


@pytest.mark.parametrize("inside", ['{"MD5":"', '{"a":[', '"', "7", '{"Comments":"' + "\\" * 10_000, "[" * 20 + '"'])
def test_an_entry_of_gigabytes_is_refused_before_it_is_in_memory(write: Write, inside: str) -> None:
    path, read = write(f'{{{CONTEXT},"value":[{ENTRY},{inside}'), [0]
    with path.open("r+b") as file:
        file.truncate(2**31)
    with pytest.raises(EvidenceError, match="entry 2: it is larger than 4,194,304 bytes"):
        list(open_set(path, progress=read.append).records)
    assert max(read) < 2**23


@pytest.mark.parametrize(("size", "fits"), [(4_000_000, True), (4_194_304, False)])
def test_an_entry_may_be_as_large_as_the_limit(write: Write, size: int, fits: bool) -> None:
    path = write(hash_set(media(Comments="c" * size)))
    if fits:
        assert len(records(path)[0].details) > size
        return
    with pytest.raises(EvidenceError, match="entry 1: it is larger than"):
        records(path)


@pytest.mark.parametrize("depth", [31, 32, 100_000])
def test_an_entry_may_be_as_deep_as_the_limit(write: Write, depth: int) -> None:
    inner = "[" * depth + "]" * depth
    path = write(f'{{{CONTEXT},"value":[{ENTRY[:-1]},"deep":{inner}}}]}}')
    if depth < 32:
        assert len(records(path)) == 1
        return
    with pytest.raises(EvidenceError, match="entry 1: it is nested deeper than 32"):
        records(path)


def valid(found: list[Record]) -> bool:
    return bool(found) and all(each.md5 or each.sha1 or each.sha256 or each.pdq for each in found)


def test_damaged_bytes_give_records_or_a_sentence(write: Write) -> None:
    source = random.Random(5)
    others = [{"HashName": "SHA256", "HashValue": SHA256.hex()}, {"HashName": "PhotoDNA", "HashValue": "AAEC"}]
    text = hash_set(media(AlternativeHashes=others, Tags="a", Series=["b"], VictimIdentified="true"), media()).encode()
    refused = 0
    for _ in range(1_000):
        data = bytearray(text)
        for _ in range(source.randint(1, 3)):
            data[source.randrange(len(data))] = source.choice([source.randrange(256), *b'{}[]",:\\ 0e-'])
        try:
            assert valid(records(write(bytes(data))))
        except EvidenceError:
            refused += 1
    assert 100 < refused < 1_000


pieces = st.sampled_from([
    CONTEXT, CASES, ENTRY, '"value":', '"Media":', '"paging":', '"data":', "{", "}", "[", "]", ",", ":", '"', "\\", "1",
    "null", "true", "\n", "\x00", "é", '"MD5":"', MD5.hex(), '"indicator":"', '"type":"HASH_MD5"', "1e999", "9" * 400,
])  # fmt: skip


@given(st.lists(pieces, max_size=25).map("".join), st.sampled_from(["", "{", "[", f'{{{CONTEXT},"value":[{ENTRY}']))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=500)
def test_nearly_right_json_gives_records_or_a_sentence(write: Write, text: str, start: str) -> None:
    try:
        found = records(write(start + text))
    except EvidenceError:
        return
    assert valid(found)
