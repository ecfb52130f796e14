"""The nouns: what an address prints parses back, whatever a hostile name holds."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mantlet.types import (
    Absent,
    Acquisition,
    Address,
    Containment,
    Content,
    Entry,
    Finding,
    Item,
    Kind,
    Node,
    Place,
    Reason,
    Recovery,
    Rows,
    Step,
    Task,
    Times,
    Unread,
    escape,
    unescape,
)

HOSTILE = [
    b"a\nEX1!file:1:/b.jpg",
    b"100%!",
    b"%0A",
    "gpj.\u202eexe".encode(),
    "\u2066\u2069\u200f\u061c\ufeff".encode(),
    "a\u2028b\u2029c\x85d".encode(),
    b"\xff\xfe\xed\xa0\x80\xc0\x80",
    b"\x00\x07\x1b[2J\x7f",
    b":1:x",
    b"",
]

names = st.one_of(st.binary(max_size=60), st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")))


def hexes(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(bytes.hex)


numbers = st.integers(0, 2**63 - 1)
steps = st.builds(
    lambda kind, at, name: Step(kind, at, escape(name)), st.sampled_from(["volume", "file", "member"]), numbers, names
)
addresses = st.builds(Address, st.from_regex(r"[\w.-]{1,64}", fullmatch=True), st.lists(steps, max_size=5).map(tuple))


def each_hostile(argument: str) -> Any:
    """Runs a test on every name of `HOSTILE` besides those that are drawn."""

    def decorate(test: Any) -> Any:
        for name in HOSTILE:
            test = example(**{argument: name})(test)
        return test

    return decorate


def hidden(char: str) -> bool:
    """Whether a character can break a line, drive a terminal or turn the direction of text."""
    turning = unicodedata.bidirectional(char) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return turning or unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@each_hostile("name")
@given(names)
@settings(deadline=None)
def test_an_escaped_name_is_one_line_that_hides_nothing(name: bytes) -> None:
    text = escape(name)
    assert len(text.splitlines()) <= 1
    assert "!" not in text
    assert not any(hidden(char) for char in text)
    text.encode()


@each_hostile("name")
@given(names)
@settings(deadline=None)
def test_unescape_gives_the_bytes_back(name: bytes) -> None:
    assert unescape(escape(name)) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"/DCIM/a b.jpg", "/DCIM/a b.jpg"),
        ("/Fotos/Köln/猫.jpg".encode(), "/Fotos/Köln/猫.jpg"),
        (b"50%!\n", "50%25%21%0A"),
        (b"\xffx", "%FFx"),
        ("\u202egpj.exe".encode(), "%E2%80%AEgpj.exe"),
    ],
)
def test_only_what_must_be_is_escaped(name: bytes, text: str) -> None:
    assert escape(name) == text


@given(addresses)
@settings(deadline=None)
def test_an_address_parses_back_from_what_it_prints(address: Address) -> None:
    assert len(str(address).splitlines()) == 1
    assert Address.parse(str(address)) == address


@each_hostile("name")
@given(names)
@settings(deadline=None)
def test_a_hostile_name_poses_as_no_other_address(name: bytes) -> None:
    address = Address("EX1").child(Step("volume", 512)).child(Step("file", 7, escape(b"/" + name)))
    back = Address.parse(str(address))
    assert back == address
    assert unescape(back.steps[-1].name) == b"/" + name


@pytest.mark.parametrize("text", ["", "file", "file:", "file:x", "file:-1", "file:²:a", ":1:a", "fi le:1", "file:1!"])
def test_what_is_no_step_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a step of an address"):
        Address.parse(f"EX1!{text}")


@given(addresses, steps)
@settings(deadline=None)
def test_a_child_lies_within_its_address_and_not_the_reverse(address: Address, step: Step) -> None:
    child = address.child(step)
    assert child.within(address)
    assert child.within(child)
    assert not address.within(child)


def test_within_compares_steps_and_exhibits_not_letters() -> None:
    folder = Address.parse("EX1!file:4:/a")
    assert Address.parse("EX1!file:4:/a!member:0:b").within(folder)
    assert Address.parse("EX1!file:4:/a").within(Address("EX1"))
    assert not Address.parse("EX1!file:4:/ab").within(folder)
    assert not Address.parse("EX10!file:4:/a").within(Address("EX1"))


@each_hostile("name")
@given(names)
@settings(deadline=None)
def test_the_name_for_people_is_safe_to_show(name: bytes) -> None:
    shown = Address("EX1").child(Step("file", 1, escape(b"/folder/" + name))).name
    assert not any(hidden(char) for char in shown)
    assert len(shown.splitlines()) <= 1
    shown.encode()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("EX1!file:1:/DCIM/a.jpg", "a.jpg"),
        ("EX1!file:1:/a.zip!member:3:deep/b%21.jpg", "b!.jpg"),
        ("EX1!file:1:/50%25.jpg", "50%.jpg"),
        ("EX1!file:1:/a%0Ab%FF.jpg", "a\ufffdb\ufffd.jpg"),
        ("EX1!volume:512", "EX1"),
        ("EX1", "EX1"),
    ],
)
def test_the_name_for_people_is_the_last_part_of_the_path(address: str, name: str) -> None:
    assert Address.parse(address).name == name


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
absents = st.builds(Absent, st.sampled_from(Reason), texts)
times = st.builds(Times, *[st.none() | texts] * 3)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
entries = st.builds(
    Entry, steps, numbers, st.sampled_from(Recovery), st.sampled_from(Containment), times, st.none() | absents
)
items = st.builds(
    Item, addresses, hexes(32), numbers, st.sampled_from(Recovery), st.sampled_from(Containment),
    st.sampled_from(Place), times,
)  # fmt: skip
contents = st.builds(Content, hexes(32), hexes(16), hexes(20), numbers, st.sampled_from(Kind), texts)
findings = st.builds(Finding, hexes(32), texts, st.integers(0, 99), texts, values, st.none() | absents)
acquisitions = st.builds(
    Acquisition, texts, st.sampled_from(["md5", "sha1", "sha256"]), hexes(32), st.sampled_from(["stored", "computed"]),
    numbers,
)  # fmt: skip
nodes = st.builds(
    Node, st.sampled_from(Task), addresses, numbers,
    st.lists(entries, max_size=2).map(tuple),
    st.lists(st.tuples(numbers, absents), max_size=2).map(tuple),
    st.sampled_from(Recovery),
)  # fmt: skip


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, max_size=2)


@given(
    st.builds(
        Rows, some(items), some(contents), some(findings), some(st.builds(Unread, addresses, texts, absents)),
        some(acquisitions), some(nodes), numbers, numbers, numbers, numbers,
    )
)  # fmt: skip
@settings(deadline=None)
def test_rows_travel_as_msgpack_unchanged(rows: Rows) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(rows), type=Rows) == rows


@given(nodes, steps)
@settings(deadline=None)
def test_a_node_is_the_same_work_whatever_was_learned_of_it(node: Node, step: Step) -> None:
    learned = msgspec.structs.replace(node, skip=((node.address.child(step).mark, Absent(Reason.CRASHED)),))
    assert learned.key == node.key
    others = {"part": node.part + 1, "address": node.address.child(step)}
    assert all(msgspec.structs.replace(node, **{field: value}).key != node.key for field, value in others.items())


DIGEST = "0" * 64
ITEM: dict[str, Any] = {
    "address": ["EX1", [["file", 1, "/a.jpg"]]], "sha256": DIGEST, "size": 1, "recovery": "live",
    "containment": "file", "place": "other", "times": [None, None, None],
}  # fmt: skip
CONTENT = {"sha256": DIGEST, "md5": "0" * 32, "sha1": "0" * 40, "size": 1, "kind": "still", "mime": "image/jpeg"}
UNREAD: dict[str, Any] = {"address": ["EX1"], "stage": "read", "absent": {"reason": "damaged", "detail": ""}}
ACQUIRED = {"exhibit": "EX1", "algorithm": "md5", "digest": "0" * 32, "origin": "stored", "size": 1}


@pytest.mark.parametrize(
    ("group", "row", "wrong"),
    [
        ("items", ITEM, {"size": 2**63}),
        ("items", ITEM, {"size": -1}),
        ("items", ITEM, {"sha256": "x" * 64}),
        ("items", ITEM, {"sha256": DIGEST + "\n"}),
        ("items", ITEM, {"sha256": "A" * 64}),
        ("items", ITEM, {"address": ["EX1", [["file", 2**63, "/a.jpg"]]]}),
        ("items", ITEM, {"address": ["EX1", [["file", 1, "a" * ((1 << 20) + 1)]]]}),
        ("items", ITEM, {"times": ["1" * 201, None, None]}),
        ("contents", CONTENT, {"md5": "0" * 31}),
        ("contents", CONTENT, {"mime": "a" * 201}),
        ("unread", UNREAD, {"absent": {"reason": "damaged", "detail": "a" * 1001}}),
        ("acquisitions", ACQUIRED, {"algorithm": "whirlpool"}),
        ("acquisitions", ACQUIRED, {"digest": "none"}),
    ],
)
def test_a_value_that_cannot_be_is_not_decoded(group: str, row: dict[str, Any], wrong: dict[str, Any]) -> None:
    decode = msgspec.msgpack.Decoder(Rows).decode
    assert getattr(decode(msgspec.msgpack.encode({group: [row]})), group)
    with pytest.raises(ValueError, match=r"Expected|Invalid"):
        decode(msgspec.msgpack.encode({group: [row | wrong]}))
