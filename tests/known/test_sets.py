"""Sets of known material: in force whole or not at all, exact about what is known, sealed where a password is given."""

from __future__ import annotations

import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from mantlet import settings
from mantlet.errors import EvidenceError, IntegrityError, NotAllowedError, UsageError
from mantlet.governance.policy import Policy
from mantlet.known import seal
from mantlet.known.imports import About, import_files
from mantlet.known.lookup import Look
from mantlet.known.records import Category, KnownSet, Match, Record
from mantlet.known.sets import Sets
from tests.known_sets import digest, flipped, look_up, put


def record(number: int, text: str, *which: str) -> Record:
    """A record that holds these digests of a text, all three if none is named."""
    return Record(number, **{name: digest(name, text) for name in which or ("md5", "sha1", "sha256")})


def matches(sets: Sets, text: str, chosen: Sequence[KnownSet] | None = None) -> list[Match]:
    wanted = [digest(name, text).hex() for name in ("md5", "sha1", "sha256")]
    found = look_up(sets, sets.all() if chosen is None else chosen).exact(*wanted)
    return sorted(found, key=lambda match: match.record)


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
    put(sets, "force", [record(1, "other"), record(7, "boat", *held)], version="v9")
    assert matches(sets, "boat") == [Match("force", "v9", 7, how, "upright", 0, None, "notable")]
    assert matches(sets, "camera") == []


@pytest.mark.parametrize(
    ("agrees", "differs"), [("md5", "sha256"), ("md5", "sha1"), ("sha1", "sha256"), ("sha1", "md5"), ("sha256", "md5")]
)
def test_a_record_that_agrees_in_one_digest_and_differs_in_another_is_no_match(
    sets: Sets, agrees: str, differs: str
) -> None:
    put(sets, "force", [Record(1, **{agrees: digest(agrees, "boat"), differs: digest(differs, "collision")})])
    assert matches(sets, "boat") == []


def test_every_record_that_agrees_is_a_match_of_its_own(sets: Sets) -> None:
    put(sets, "force", [record(1, "boat", "md5"), record(2, "boat"), record(3, "kite"), record(4, "boat", "sha1")])
    assert [(match.record, match.how) for match in matches(sets, "boat")] == [(1, "md5"), (2, "sha256"), (4, "sha1")]


@pytest.mark.parametrize(
    ("held", "known"),
    [
        (("md5",), False), (("sha1",), False), (("sha256",), True), (("md5", "sha1"), True),
        (("md5", "sha256"), True), (("md5", "sha1", "sha256"), True),
    ],
)  # fmt: skip
def test_known_to_be_benign_takes_sha256_or_two_digests(sets: Sets, held: tuple[str, ...], known: bool) -> None:
    put(sets, "system", [record(1, "boat", *held)], status="benign")
    assert bool(matches(sets, "boat")) == known


def test_a_record_that_a_notable_set_calls_benign_takes_as_much(sets: Sets) -> None:
    zero = Category("0", "benign", None, "Non-pertinent")
    weak, strong = record(1, "boat", "md5"), record(2, "kite")
    both = [msgspec.structs.replace(each, category="0") for each in (weak, strong)]
    put(sets, "national", both, categories=[zero])
    assert matches(sets, "boat") == []
    assert [(match.category, match.status) for match in matches(sets, "kite")] == [("0", "benign")]


def test_every_digest_of_a_large_set_is_found_and_no_other(sets: Sets) -> None:
    """Against a plain dictionary, with records that lack one digest or another."""
    texts = [str(number) for number in range(3000)]
    kinds = [("md5",), ("sha1",), ("sha256",), ("md5", "sha1"), ("md5", "sha1", "sha256")]
    known = put(sets, "force", [record(n + 1, text, *kinds[n % 5]) for n, text in enumerate(texts)])
    looking = look_up(sets, [known])
    for number in range(0, 6000, 7):
        wanted = [digest(name, str(number)).hex() for name in ("md5", "sha1", "sha256")]
        assert [match.record for match in looking.exact(*wanted)] == ([number + 1] if number < 3000 else [])


def test_a_record_is_given_back_as_it_was_imported(sets: Sets) -> None:
    kept = [
        Record(5, md5=digest("md5", "a"), category="1", details=b'{"note":"a"}'),
        Record(6, sha256=digest("sha256", "b"), pdq=bytes(range(32))),
        Record(9, sha1=digest("sha1", "c"), category="2", details=b'{"photodna":["AAEC"]}'),
    ]
    opened = sets.open(put(sets, "force", kept))
    assert [opened.record(row) for row in range(3)] == kept


def test_an_open_set_goes_on_as_it_was_while_another_takes_its_place(sets: Sets) -> None:
    looking = look_up(sets, [put(sets, "force", [record(1, "boat"), Record(2, pdq=bytes(32))], version="1")])
    wanted = [digest(name, "boat").hex() for name in ("md5", "sha1", "sha256")]
    assert len(looking.exact(*wanted)) == 1
    put(sets, "force", [record(1, "kite")], version="2")
    assert [match.version for match in looking.exact(*wanted)] == ["1"]
    assert matches(sets, "boat") == []
    assert len(list(sets.folder.glob("set-*"))) == 1, "the old one's files are gone from the folder"


def test_a_set_removed_before_it_was_opened_is_said(sets: Sets) -> None:
    known = put(sets, "force", [record(1, "boat")])
    sets.remove("force")
    with pytest.raises(UsageError, match="'force' was replaced or removed meanwhile"):
        look_up(sets, [known])


def test_only_the_sets_asked_for_are_looked_in(sets: Sets) -> None:
    one = put(sets, "one", [record(1, "boat")])
    put(sets, "other", [record(2, "boat")], status="benign")
    assert [match.set for match in matches(sets, "boat", [one])] == ["one"]
    assert matches(sets, "boat", []) == []
    assert [(match.set, match.status) for match in matches(sets, "boat")] == [("one", "notable"), ("other", "benign")]


def test_a_set_of_the_same_name_is_replaced_whole(sets: Sets) -> None:
    put(sets, "force", [record(1, "boat"), record(2, "kite")])
    put(sets, "force", [record(1, "camera")], version="2")
    assert [(each.name, each.version, each.records) for each in sets.all()] == [("force", "2", 1)]
    assert matches(sets, "boat") == []
    assert [match.version for match in matches(sets, "camera")] == ["2"]


def test_a_damaged_file_leaves_the_old_set_in_force(sets: Sets, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(f"md5,category\n{digest('md5', 'boat').hex()},boat\n")
    bad.write_text(f"md5\n{digest('md5', 'camera').hex()}\n{digest('md5', 'kite').hex()}\nnonsense\n")
    before = import_files(sets, [good], "force", "x")
    with pytest.raises(EvidenceError, match="line 4"):
        import_files(sets, [bad], "force", "x", About(status="benign"))
    assert sets.all() == [before]
    assert [(match.category, match.status) for match in matches(sets, "boat")] == [("boat", "notable")]
    assert matches(sets, "camera") == []
    assert [path.name for path in sets.folder.glob("set-*")] == [before.folder]


@pytest.mark.parametrize("field", ["md5", "pdq"])
def test_a_set_that_repeats_one_file_without_end_is_refused_and_names_a_record(sets: Sets, field: str) -> None:
    """As many records as there may be of one digest are taken; one more is not."""
    others = [Record(number, **{field: digest("sha256", str(number))[: 16 if field == "md5" else 32]}) for number in
              range(1, 5001)]  # fmt: skip
    again = [Record(9000 + number, **{field: getattr(others[0], field)}) for number in range(settings.KNOWN_REPEATS)]
    put(sets, "force", [*others, *again[:-1]])
    with pytest.raises(EvidenceError, match=rf"The {field} of record [\d,]+ is that of more than 1,000 records"):
        put(sets, "force", [*others, *again])
    assert [each.records for each in sets.all()] == [5000 + settings.KNOWN_REPEATS - 1]


def test_more_records_than_a_set_may_have_are_refused(sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "KNOWN_RECORDS", 9000)
    put(sets, "force", [record(number, str(number), "md5") for number in range(9000)])
    with pytest.raises(EvidenceError, match="more than 9,000 records"):
        put(sets, "force", [record(number, str(number), "md5") for number in range(9001)])


def test_more_categories_than_a_set_may_have_are_refused(sets: Sets) -> None:
    records = [Record(n + 1, md5=digest("md5", str(n)), category=str(n)) for n in range(settings.KNOWN_CATEGORIES + 1)]
    put(sets, "force", records[:-1])
    with pytest.raises(EvidenceError, match="Record 1,001 brings a category too many"):
        put(sets, "force", records)


def test_an_import_that_was_killed_leaves_the_old_set_and_its_rest_is_cleared(home: Path) -> None:
    sets = Sets()
    before = put(sets, "force", [record(1, "boat")])
    killed = (
        "import os\nfrom tests.known_sets import put\nfrom mantlet.known.sets import Sets\n"
        "from mantlet.known.records import Record\n"
        "def records():\n    for n in range(20000):\n        yield Record(n, md5=n.to_bytes(16))\n    os._exit(9)\n"
        "put(Sets(), 'force', records())\n"
    )
    assert subprocess.run([sys.executable, "-c", killed], check=False, cwd=Path(__file__).parents[2]).returncode == 9
    assert len(list(sets.folder.glob("set-*"))) == 2
    assert sets.all() == [before]
    assert len(matches(sets, "boat")) == 1
    put(sets, "other", [record(1, "kite")])
    assert len(list(sets.folder.glob("set-*"))) == 2
    sets.close()


def test_a_removed_set_knows_nothing_and_the_others_still_do(sets: Sets) -> None:
    put(sets, "one", [record(1, "boat")])
    put(sets, "other", [record(1, "boat")])
    sets.remove("one")
    assert [each.name for each in sets.all()] == ["other"]
    assert [match.set for match in matches(sets, "boat")] == ["other"]
    with pytest.raises(UsageError, match=r"There is no set 'one' \(there are: other\)"):
        sets.remove("one")


def test_sets_are_found_by_name_and_all_where_none_is_named(sets: Sets) -> None:
    one, other = put(sets, "one", [record(1, "boat")]), put(sets, "other", [record(1, "boat")])
    assert sets.named([]) == [one, other]
    assert sets.named(["other", "other"]) == [other]
    with pytest.raises(UsageError, match="There is no set 'third'"):
        sets.named(["one", "third"])


def test_sets_are_kept_and_private(sets: Sets, home: Path) -> None:
    made = put(sets, "force", [record(1, "boat")])
    again = Sets()
    assert again.all() == [made]
    assert stat.S_IMODE((home / "known").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "known" / made.folder).stat().st_mode) == 0o700
    again.close()


def test_who_looked_up_what_is_kept(sets: Sets, home: Path) -> None:
    sets.log_look_up("PC Example", "ab" * 32, 2)
    sets.log_look_up("PC Other", "/dev/sdb", 0)
    database = sqlite3.connect(home / "known" / "known.sqlite")
    rows = database.execute("SELECT actor, what, found FROM looked_up ORDER BY at").fetchall()
    database.close()
    assert rows == [("PC Example", "ab" * 32, 2), ("PC Other", "/dev/sdb", 0)]


@pytest.mark.parametrize("name", ["held", "md5", "md5.rows", "pdq", "number"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_set_says_so(sets: Sets, name: str, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = put(sets, "force", [Record(7, md5=digest("md5", "boat"), pdq=bytes(32))])
    path = sets.folder / known.folder / name
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    with pytest.raises(IntegrityError, match=f"'force' is damaged: {name}; import it again"):
        look_up(sets, [known])
    monkeypatch.setattr(settings, "KNOWN_CHECKED", 0)  # as if it were too large to be read whole
    with pytest.raises(IntegrityError, match=f"{name} is missing or damaged; import the set again"):
        look_up(sets, [known])


PASSWORD = b"a pass phrase"


@pytest.fixture
def sealed() -> Iterator[Sets]:
    sets = Sets(passwords=[PASSWORD])
    yield sets
    sets.close()


def test_a_sealed_set_answers_with_its_password_alone(sealed: Sets, sets: Sets) -> None:
    hashes = [Record(number + 2, pdq=digest("sha256", str(number))) for number in range(5000)]
    known = put(sealed, "force", [record(1, "boat"), *hashes])
    assert [match.record for match in matches(sealed, "boat")] == [1]
    near = look_up(sealed, [known]).near([Look("pdq", "upright", "whole", hashes[77].pdq or b"")], {"force": "whole"})
    assert [(match.record, match.distance) for match in near] == [(79, 0)]
    with pytest.raises(UsageError, match="'force' is sealed; give its password by --password-file"):
        look_up(sets, [known])
    other = Sets(passwords=[b"another"])
    with pytest.raises(NotAllowedError, match=r"No password given is the one that the set .force. was sealed with"):
        look_up(other, [known])
    other.close()


def test_no_file_of_a_sealed_set_holds_any_of_its_hashes_in_the_clear(sealed: Sets) -> None:
    known = put(sealed, "force", [Record(1, md5=digest("md5", "boat"), pdq=digest("sha256", "x"), details=b"a series")])
    plain = put(Sets(), "open", [Record(1, md5=digest("md5", "boat"), pdq=digest("sha256", "x"), details=b"a series")])
    for which, there in ((known, False), (plain, True)):
        data = b"".join(path.read_bytes() for path in sorted((sealed.folder / which.folder).iterdir()))
        for secret in (digest("md5", "boat"), digest("sha256", "x"), b"a series"):
            assert (secret in data) == there


@pytest.mark.parametrize("change", ["flip", "cut", "swap", "reorder"])
def test_a_sealed_set_that_was_changed_says_so(sealed: Sets, change: str) -> None:
    known = put(sealed, "force", [record(number, str(number)) for number in range(80_000)])
    path = sealed.folder / known.folder / "md5"
    data = bytearray(path.read_bytes())
    chunk = settings.MIB + 16
    assert len(data) > chunk
    if change == "flip":
        data[-1] ^= 1
    elif change == "cut":
        del data[7 + chunk :]
    elif change == "swap":
        data = bytearray((sealed.folder / known.folder / "sha1").read_bytes()[: len(data)])
    else:
        data[7:] = data[7 + chunk :] + data[7 : 7 + chunk]
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="md5"):
        matches(sealed, "7")


def test_two_files_sealed_under_one_key_share_no_nonce(tmp_path: Path) -> None:
    key = bytes(32)
    for name in ("a", "b"):
        seal.write(tmp_path / name, b"same", key)
    assert (tmp_path / "a").read_bytes()[:7] != (tmp_path / "b").read_bytes()[:7]
    assert seal.read(tmp_path / "a", key) == b"same"


@pytest.mark.parametrize("text", [b"", b"\n", b"x" * 1025])
def test_a_file_without_a_password_in_its_first_line_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "p").write_bytes(text)
    with pytest.raises(UsageError, match="must be the password"):
        seal.password_of(tmp_path / "p")
    (tmp_path / "p").write_bytes(b"good\r\nmore")
    assert seal.password_of(tmp_path / "p") == b"good"


def test_a_turned_copy_is_told_by_its_nearest_form(sets: Sets) -> None:
    known = put(sets, "force", [Record(1, pdq=bytes(32)), Record(2, pdq=b"\xff" * 32)])
    near = look_up(sets, [known]).near(
        [
            Look("pdq", "upright", "whole", b"\x0f" * 32),
            Look("pdq", "mirrored", "whole", b"\1" + bytes(31)),
            Look("pdq", "turned 90", "whole", bytes(32)),
            Look("pdq", "turned 180", "512", b"\xff" * 32),
        ],
        {"force": "whole"},
    )
    found = [(each.record, each.view, each.distance, each.convention) for each in near]
    assert found == [(1, "turned 90", 0, "whole")], "by the convention of the set alone, and the nearest form once"


KEY, OTHER_KEY = "a" * 64, "b" * 64
WANTED = [digest(name, "boat").hex() for name in ("md5", "sha1", "sha256")]


def graded(sets: Sets, *grades: tuple[str, str], key: str = KEY) -> KnownSet:
    """A set of grades of one picture: what was said, by whom."""
    records = [
        msgspec.structs.replace(
            record(number, "boat"), category=grade, details=msgspec.json.encode({"by": by, "public_key": key})
        )
        for number, (grade, by) in enumerate(grades, start=2)
    ]
    categories = [Category("A", "notable", 1), Category("B", "notable", 2), Category("N", "benign")]
    return put(sets, "memory", records, form="grades", categories=categories)


def trust(sets: Sets, known: KnownSet, officers: int, *exporters: str) -> set[bool | None]:
    found = look_up(sets, [known], Policy(trusted_grades=officers, exporters=exporters)).exact(*WANTED)
    return {match.trusted for match in found}


@pytest.mark.parametrize(
    ("grades", "by_three", "by_two"),
    [
        ([("A", "one"), ("A", "two"), ("A", "three")], True, True),
        ([("A", "one"), ("A", "two")], False, True),
        ([("A", "one"), ("A", " ONE"), ("A", "two")], False, True),
        ([("A", "PC one"), ("A", "PC  one "), ("A", "pc\u00a0ｏｎｅ")], False, False),
        ([("A", "one"), ("A", "two"), ("B", "three")], False, False),
        ([("A", "one")], False, False),
    ],
)
def test_grades_are_trusted_when_enough_officers_agree(
    sets: Sets, grades: list[tuple[str, str]], by_three: bool, by_two: bool
) -> None:
    known = graded(sets, *grades)
    assert trust(sets, known, 3, KEY) == {by_three}
    assert trust(sets, known, 2, KEY) == {by_two}


def test_grades_that_somebody_unknown_exported_are_shown_and_trusted_by_nobody(sets: Sets) -> None:
    known = graded(sets, ("A", "one"), ("A", "two"), ("A", "three"), key=OTHER_KEY)
    assert trust(sets, known, 3, KEY) == trust(sets, known, 3) == {False}
    assert trust(sets, known, 3, KEY, OTHER_KEY) == {True}


def test_no_grade_makes_a_picture_benign_until_it_is_trusted(sets: Sets) -> None:
    known = graded(sets, ("N", "one"), ("N", "two"))
    statuses = {
        officers: {match.status for match in look_up(sets, [known], Policy(officers, (KEY,))).exact(*WANTED)}
        for officers in (2, 3)
    }
    assert statuses == {2: {"benign"}, 3: {"ungraded"}}
    disputed = look_up(sets, [graded(sets, ("N", "one"), ("N", "two"), ("A", "three"))], Policy(2, (KEY,)))
    found = sorted((match.category, match.status, match.trusted) for match in disputed.exact(*WANTED))
    assert found == [("A", "notable", False), ("N", "ungraded", False), ("N", "ungraded", False)]


def test_of_too_many_look_alikes_the_most_severe_stay(sets: Sets) -> None:
    """More records than are kept for a content lie nearer than the one that matters."""
    source, most = random.Random(4), settings.KNOWN_MATCHES
    records = [Record(n + 1, pdq=flipped(bytes(32), 1 + n % 8, source), category="5") for n in range(most + 50)]
    records.append(Record(9999, pdq=flipped(bytes(32), 30, source), category="1"))
    known = put(sets, "force", records, categories=[Category("5", "ungraded"), Category("1", "notable", 1)])
    found = list(look_up(sets, [known]).near([Look("pdq", "upright", "whole", bytes(32))], {"force": "whole"}))
    assert len(found) == most
    assert (found[0].record, found[0].distance) == (9999, 30)
    rest = [match.distance for match in found[1:]]
    assert rest == sorted(rest)


def test_an_untouched_set_answers_all_that_it_would_have_after_it_was_replaced(sets: Sets) -> None:
    hashes = [Record(n + 2, pdq=digest("sha256", str(n)), details=b"{}") for n in range(5000)]
    looking = look_up(sets, [put(sets, "force", [record(1, "boat"), *hashes])])
    put(sets, "force", [record(1, "kite")], version="2")
    assert [match.record for match in looking.exact(*WANTED)] == [1]
    near = looking.near([Look("pdq", "upright", "whole", hashes[9].pdq or b"")], {"force": "whole"})
    assert [match.record for match in near] == [11]


def test_a_sealed_set_is_not_replaced_by_an_open_one(sealed: Sets, sets: Sets) -> None:
    before = put(sealed, "force", [record(1, "boat")])
    with pytest.raises(UsageError, match="'force' is sealed: give --password-file"):
        put(sets, "force", [record(1, "kite")])
    assert sets.all() == [before]


def test_what_a_sealed_set_calls_its_categories_is_sealed_too(sealed: Sets, home: Path) -> None:
    put(sealed, "force", [msgspec.structs.replace(record(1, "boat"), category="Operation Harbour")])
    sealed.close()
    data = b"".join(path.read_bytes() for path in sorted((home / "known").rglob("*")) if path.is_file())
    assert b"force" in data
    assert b"Harbour" not in data


def test_a_flipped_bit_is_found_by_reading_a_set_whole(sets: Sets) -> None:
    known = put(sets, "force", [record(1, "boat")])
    assert sets.damage(known) == ""
    path = sets.folder / known.folder / "sha256"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    assert sets.damage(known) == "damaged: sha256"
    with pytest.raises(IntegrityError, match="'force' is damaged: sha256; import it again"):
        sets.open(known)
    path.unlink()
    assert sets.damage(known) == "damaged: sha256"


@pytest.mark.parametrize("name", [seal.CHECK, "categories"])
def test_a_sealed_set_that_lacks_a_file_is_said_to_be_damaged(sealed: Sets, name: str) -> None:
    known = put(sealed, "force", [record(1, "boat")])
    (sealed.folder / known.folder / name).unlink()
    with pytest.raises(IntegrityError, match=f"{name} is missing"):
        sealed.open(known)


@pytest.mark.parametrize("name", ["number", "category", "details"])
def test_no_damage_of_a_set_too_large_to_be_read_whole_ends_but_in_a_sentence(
    sets: Sets, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "KNOWN_CHECKED", 0)
    known = graded(sets, ("A", "one"), ("B", "two"))
    path = sets.folder / known.folder / name
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(IntegrityError, match="'memory' is damaged; import it again"):
        look_up(sets, [known], Policy(2, (KEY,))).exact(*WANTED)


def test_a_set_whose_files_are_gone_is_said_to_be_so(sets: Sets) -> None:
    known = put(sets, "force", [record(1, "boat")])
    shutil.rmtree(sets.folder / known.folder)
    with pytest.raises(IntegrityError, match=r"The set 'force' cannot be read: No such file.*; import it again"):
        sets.open(known)


def test_sets_sealed_under_different_passwords_are_used_together(sealed: Sets) -> None:
    other = Sets(passwords=[b"another"])
    one, two = put(sealed, "one", [record(1, "boat")]), put(other, "two", [record(2, "boat")])
    both = Sets(passwords=[b"another", PASSWORD])
    assert [match.record for match in look_up(both, [one, two]).exact(*WANTED)] == [1, 2]
    other.close()
    both.close()
