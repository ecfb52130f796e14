"""Sets of known material: in force whole or not at all, and exact about what is known."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mantlet.errors import EvidenceError, UsageError
from mantlet.known.read import import_file
from mantlet.known.sets import KnownSet, Match, Record, Sets, Status


def digest(algorithm: str, text: str) -> bytes:
    return hashlib.new(algorithm, text.encode(), usedforsecurity=False).digest()


def record(number: int, text: str, *which: str) -> Record:
    """A record that holds these digests of a text, all three if none is named."""
    return Record(number, **{name: digest(name, text) for name in which or ("md5", "sha1", "sha256")})


def put(sets: Sets, name: str, *records: Record, status: Status = "notable", version: str = "1") -> KnownSet:
    return sets.replace(name, version, status, f"{name}.csv", "DC Example", records)


def matches(sets: Sets, text: str, chosen: list[KnownSet] | None = None) -> list[Match]:
    wanted = [digest(name, text).hex() for name in ("md5", "sha1", "sha256")]
    return sorted(sets.exact(sets.all() if chosen is None else chosen, *wanted), key=lambda match: match.record)


@pytest.fixture
def sets() -> Iterator[Sets]:
    sets = Sets()
    yield sets
    sets.close()


@pytest.mark.parametrize(
    ("held", "how"),
    [
        (("md5",), "md5"),
        (("sha1",), "sha1"),
        (("sha256",), "sha256"),
        (("md5", "sha1"), "sha1"),
        (("md5", "sha256"), "sha256"),
        (("md5", "sha1", "sha256"), "sha256"),
    ],
)
def test_a_match_names_the_strongest_digest_and_the_record(sets: Sets, held: tuple[str, ...], how: str) -> None:
    put(sets, "force", record(1, "other"), record(7, "boat", *held), version="v9")
    assert matches(sets, "boat") == [Match("force", "v9", 7, how, "upright", 0, None, "notable")]
    assert matches(sets, "camera") == []


@pytest.mark.parametrize(
    ("agrees", "differs"), [("md5", "sha256"), ("md5", "sha1"), ("sha1", "sha256"), ("sha1", "md5"), ("sha256", "md5")]
)
def test_a_record_that_agrees_in_one_digest_and_differs_in_another_is_no_match(
    sets: Sets, agrees: str, differs: str
) -> None:
    put(sets, "force", Record(1, **{agrees: digest(agrees, "boat"), differs: digest(differs, "collision")}))
    assert matches(sets, "boat") == []


def test_every_record_that_agrees_is_a_match_of_its_own(sets: Sets) -> None:
    put(sets, "force", record(1, "boat", "md5"), record(2, "boat"), record(3, "kite"), record(4, "boat", "sha1"))
    assert [(match.record, match.how) for match in matches(sets, "boat")] == [(1, "md5"), (2, "sha256"), (4, "sha1")]


@pytest.mark.parametrize(
    ("held", "known"),
    [
        (("md5",), False), (("sha1",), False), (("sha256",), True), (("md5", "sha1"), True),
        (("md5", "sha256"), True), (("md5", "sha1", "sha256"), True),
    ],
)  # fmt: skip
def test_known_to_be_benign_takes_sha256_or_two_digests(sets: Sets, held: tuple[str, ...], known: bool) -> None:
    put(sets, "system", record(1, "boat", *held), status="benign")
    assert bool(matches(sets, "boat")) == known


@pytest.mark.parametrize("change", ["version", "status", "removed"])
def test_a_set_replaced_while_it_is_in_use_is_said(sets: Sets, change: str) -> None:
    old = put(sets, "force", record(1, "boat"), Record(2, pdq=bytes(32)))
    put(sets, "other")
    assert put(sets, "force", record(1, "boat"), Record(2, pdq=bytes(32))).id != old.id
    assert [match.record for match in matches(sets, "boat", [old])] == [1], "the same file imported again"
    assert len(list(sets.perceptual(old))) == 1
    if change == "removed":
        sets.remove("force")
    else:
        put(sets, "force", version="2" if change == "version" else "1", status="benign")
    for look_up in (lambda: matches(sets, "camera", [old]), lambda: list(sets.perceptual(old))):
        with pytest.raises(UsageError, match=r"'force' was replaced or removed while it was in use"):
            look_up()


def test_only_the_sets_asked_for_are_looked_in(sets: Sets) -> None:
    one = put(sets, "one", record(1, "boat"))
    put(sets, "other", record(2, "boat"), status="benign")
    assert [match.set for match in matches(sets, "boat", [one])] == ["one"]
    assert matches(sets, "boat", []) == []
    assert [(match.set, match.status) for match in matches(sets, "boat")] == [("one", "notable"), ("other", "benign")]


def test_a_set_of_the_same_name_is_replaced_whole(sets: Sets) -> None:
    put(sets, "force", record(1, "boat"), record(2, "kite"))
    put(sets, "force", record(1, "camera"), version="2")
    assert [(each.name, each.version, each.records) for each in sets.all()] == [("force", "2", 1)]
    assert matches(sets, "boat") == []
    assert [match.version for match in matches(sets, "camera")] == ["2"]


def test_a_damaged_file_leaves_the_old_set_in_force(sets: Sets, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(f"md5,category\n{digest('md5', 'boat').hex()},boat\n")
    bad.write_text(f"md5\n{digest('md5', 'camera').hex()}\n{digest('md5', 'kite').hex()}\nnonsense\n")
    before = import_file(sets, good, "force", "notable", "x")
    with pytest.raises(EvidenceError, match="line 4"):
        import_file(sets, bad, "force", "benign", "x")
    assert sets.all() == [before]
    assert [(match.category, match.status) for match in matches(sets, "boat")] == [("boat", "notable")]
    assert matches(sets, "camera") == []


def test_a_first_import_that_fails_leaves_no_set(sets: Sets, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(f"{digest('md5', 'boat').hex()}\nnonsense\n")
    with pytest.raises(EvidenceError):
        import_file(sets, bad, "force", "notable", "x")
    assert sets.all() == []
    assert matches(sets, "boat") == []


def test_a_removed_set_knows_nothing_and_the_others_still_do(sets: Sets) -> None:
    put(sets, "one", record(1, "boat"))
    put(sets, "other", record(1, "boat"))
    sets.remove("one")
    assert [each.name for each in sets.all()] == ["other"]
    assert [match.set for match in matches(sets, "boat")] == ["other"]
    with pytest.raises(UsageError, match=r"There is no set 'one' \(there are: other\)"):
        sets.remove("one")


def test_sets_are_found_by_name_and_all_where_none_is_named(sets: Sets) -> None:
    one, other = put(sets, "one", record(1, "boat")), put(sets, "other", record(1, "boat"))
    assert sets.named([]) == [one, other]
    assert sets.named(["other"]) == [other]
    with pytest.raises(UsageError, match="There is no set 'third'"):
        sets.named(["one", "third"])


def test_sets_are_kept_and_private(sets: Sets, home: Path) -> None:
    made = put(sets, "force", record(1, "boat"))
    again = Sets()
    assert again.all() == [made]
    assert stat.S_IMODE((home / "known").stat().st_mode) == 0o700
    again.close()


def test_who_looked_up_what_is_kept(sets: Sets, home: Path) -> None:
    sets.log_look_up("PC Example", "ab" * 32, 2)
    sets.log_look_up("PC Other", "cd" * 32, 0)
    database = sqlite3.connect(home / "known" / "known.sqlite")
    rows = database.execute("SELECT actor, sha256, found FROM looked_up ORDER BY at").fetchall()
    database.close()
    assert rows == [("PC Example", "ab" * 32, 2), ("PC Other", "cd" * 32, 0)]
