"""The Merkle tree hash against the published vectors and against RFC 6962 written down as it stands."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mantlet.governance.merkle import root

# Leaves and roots of the Certificate Transparency reference (certificate-transparency, merkle_tree_test.cc).
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize(("number", "published"), list(enumerate(ROOTS, start=1)))
def test_the_root_is_the_published_one(number: int, published: str) -> None:
    assert root(map(bytes.fromhex, LEAVES[:number])) == published


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert root([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def slow(rows: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1."""
    if not rows:
        return hashlib.sha256().digest()
    if len(rows) == 1:
        return hashlib.sha256(b"\x00" + rows[0]).digest()
    k = 1 << (len(rows) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + slow(rows[:k]) + slow(rows[k:])).digest()


@given(st.lists(st.binary(max_size=8), max_size=70))
@settings(deadline=None)
def test_the_root_is_that_of_the_definition(rows: list[bytes]) -> None:
    assert root(rows) == slow(rows).hex()


@pytest.mark.parametrize("count", range(131))
def test_the_root_is_that_of_the_definition_for_every_shape_of_tree(count: int) -> None:
    rows = [bytes([number]) for number in range(count)]
    assert root(iter(rows)) == slow(rows).hex()


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=20), st.data())
@settings(deadline=None)
def test_any_change_of_the_rows_changes_the_root(rows: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    changed = [
        [*rows[:at], rows[at] + b"x", *rows[at + 1 :]],
        [*rows[:at], *rows[at + 1 :]],
        [*rows[:at], b"x", *rows[at:]],
        [*rows, rows[-1]],
    ]
    assert root(rows) not in {root(each) for each in changed}
    if rows[::-1] != rows:
        assert root(rows[::-1]) != root(rows)
