"""Cases against known material through the real command line: what a set says of pictures that a scan found."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mantlet.case.case import open_case
from mantlet.case.decisions import Seen, decide
from mantlet.fingerprint.pdq import FORMS, distance, pdq
from mantlet.governance import keys
from mantlet.grading import scheme
from mantlet.media import picture
from mantlet.settings import PDQ_DISTANCE
from tests.conftest import Run
from tests.media.test_picture import saved, scene

AMERICAN = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/US/$metadata#Media"


def fill(folder: Path, count: int, width: int = 1400, height: int = 300) -> list[Path]:
    """Pictures whose stretched hash is another than their whole one."""
    folder.mkdir()
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(saved(scene(width, height, seed=number), "JPEG"))
    return paths


def digests(path: Path) -> dict[str, str]:
    data = path.read_bytes()
    return {name: hashlib.new(name, data, usedforsecurity=False).hexdigest() for name in ("md5", "sha1", "sha256")}


def whole(path: Path) -> bytes:
    return pdq(picture.decode(path.read_bytes()).pixels)[0]


def by_512(path: Path) -> bytes:
    """The picture's hash as Meta's tools make it."""
    return pdq(picture.stretched(picture.decode(path.read_bytes())))[0]


def stretched(path: Path) -> bytes:
    """The hash of a copy as Meta's tools make it: too far from the whole picture's, near the stretched one's."""
    own, other = by_512(path), whole(path)
    agree = np.flatnonzero(~np.unpackbits(np.frombuffer(own, np.uint8) ^ np.frombuffer(other, np.uint8)).astype(bool))
    bits = np.unpackbits(np.frombuffer(own, np.uint8))
    bits[random.Random(1).sample(agree.tolist(), 28)] ^= 1
    copy = np.packbits(bits).tobytes()
    assert distance(copy, own) <= PDQ_DISTANCE < distance(copy, other)
    return copy


def vics(path: Path, *entries: tuple[Path, str, int]) -> Path:
    """A set of entries: the file, which of its digests are there, the category."""
    media = [
        {"MediaID": number, "Category": category, **{name: digests(file)[name.lower()] for name in held.split()}}
        for number, (file, held, category) in enumerate(entries, start=1)
    ]
    path.write_text(json.dumps({"@odata.context": AMERICAN, "value": media}))
    return path


def known_of(run: Run, case: Path, *terms: str) -> dict[str, list[dict[str, Any]]]:
    """What is known of each picture, by its name."""
    listed = run("list", case, "--json", *terms).lines()
    return {item["name"]: item["known"] for item in listed}


def content_of(folder: Path) -> dict[str, bytes]:
    """Every byte of a case; what SQLite keeps beside it while it is open is empty, or none of it."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    return {name: data for name, data in files.items() if data}


def test_the_most_severe_of_several_records_comes_first_and_all_are_shown(run: Run, tmp_path: Path) -> None:
    one, two, three = fill(tmp_path / "exhibit", 3)
    both = "MD5 SHA1"
    records = [(one, both, 0), (one, both, 2), (one, both, 5), (one, both, 1), (two, both, 0), (three, "MD5", 0)]
    path = vics(tmp_path / "set.json", *records)
    said = run("known", "import", path, "--name", "bare")
    assert "0 and 5" in said.err
    said = run("known", "import", path, "--name", "declared", "--profile", "project-vic-us")
    assert "0 and 5" not in said.err
    run("scan", tmp_path / "exhibit", "--case", tmp_path / "case")

    known = known_of(run, tmp_path / "case", "--where", "kind=still")
    shown = {
        name: [(m["set"], m["record"], m["category"], m["status"], m["severity"]) for m in matches]
        for name, matches in known.items()
    }
    assert shown["0.jpg"] == [
        ("declared", 4, "1", "notable", 1),
        ("declared", 2, "2", "notable", 2),
        ("bare", 2, "2", "notable", None),
        ("bare", 4, "1", "notable", None),
        ("declared", 1, "0", "benign", None),
        ("bare", 1, "0", "ungraded", None),
        ("bare", 3, "5", "ungraded", None),
        ("declared", 3, "5", "ungraded", None),
    ]
    assert shown["1.jpg"] == [("declared", 5, "0", "benign", None), ("bare", 5, "0", "ungraded", None)]
    assert shown["2.jpg"] == [("bare", 6, "0", "ungraded", None)]  # one digest that can be forged hides nothing


def test_a_sealed_set_takes_its_password_in_every_command(run: Run, tmp_path: Path) -> None:
    (path,) = fill(tmp_path / "exhibit", 1)
    (tmp_path / "list").write_text(digests(path)["sha1"])
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("a long sentence\n")
    wrong.write_text("another\n")
    case = tmp_path / "case"
    run("known", "import", tmp_path / "list", "--name", "force", "--password-file", right)
    scan = ("scan", tmp_path / "exhibit", "--case", case)
    for command in (scan, ("known", "lookup", path, "--as", "DC Example")):
        for given, code, sentence in (
            ((), 2, "The set 'force' is sealed; give its password by --password-file FILE."),
            (("--password-file", wrong), 5, "No password given is the one that the set 'force' was sealed with."),
        ):
            assert run(*command, *given, code=code).err == f"Error: {sentence}\n"
    assert not case.exists()
    run(*scan, "--password-file", right)
    assert [m["set"] for m in known_of(run, case)["0.jpg"]] == ["force"]
    assert "sealed" in run("match", case, code=2).err
    assert run("match", case, "--password-file", right, "--json").json()["notable exact"] == 1


def test_a_set_of_stretched_pictures_is_matched_by_stretched_hashes(run: Run, tmp_path: Path) -> None:
    paths = fill(tmp_path / "exhibit", 4)
    (tmp_path / "list").write_text("".join(f"{stretched(path).hex()}\n" for path in paths[:3]))
    case = tmp_path / "case"
    run("known", "import", tmp_path / "list", "--name", "stretched", "--hash", "pdq", "--convention", "512")
    run("scan", tmp_path / "exhibit", "--case", case)
    found = {
        name: [(m["record"], m["how"], m["view"], m["distance"], m["convention"]) for m in matches]
        for name, matches in known_of(run, case).items()
    }
    assert found == {f"{number}.jpg": [(number + 1, "pdq", "upright", 28, "512")] for number in range(3)} | {
        "3.jpg": []
    }

    run("known", "import", tmp_path / "list", "--name", "wrongly", "--hash", "pdq", "--convention", "whole")
    matched = run("match", case, "--json").json()
    assert matched["conventions"] == {"stretched": "512", "wrongly": "whole"}
    assert {m["set"] for matches in known_of(run, case).values() for m in matches} == {"stretched"}

    before = content_of(case)
    again = run("match", case, "--json").json()
    assert content_of(case) == before
    assert again == {**matched, "contents": 0}
    run("verify", case)


def test_an_undeclared_convention_is_measured_where_enough_is_known_by_digest(run: Run, tmp_path: Path) -> None:
    paths = fill(tmp_path / "exhibit", 10)
    case = tmp_path / "case"
    run("scan", tmp_path / "exhibit", "--case", case)
    for name, overlap in (("enough", 8), ("few", 4)):
        rows = ["sha256,pdq"]
        for number, path in enumerate(paths):
            known = number < overlap
            rows.append(f"{digests(path)['sha256'] if known else ''},{(by_512 if known else stretched)(path).hex()}")
        (tmp_path / name).write_text("\n".join(rows))
        run("known", "import", tmp_path / name, "--name", name)
    matched = run("match", case, "--json").json()
    assert matched["conventions"] == {"enough": "512", "few": "whole"}
    (warning,) = matched["warnings"]
    assert warning.startswith("The set 'few' does not say how its perceptual hashes were made")
    looks = [
        (m["record"], m["convention"])
        for matches in known_of(run, case).values()
        for m in matches
        if (m["set"], m["how"]) == ("enough", "pdq")
    ]
    assert sorted(looks) == [(number + 2, "512") for number in range(10)]
    run("verify", case)


def test_an_exhibit_that_is_away_is_told_and_matched_when_it_is_back(run: Run, tmp_path: Path) -> None:
    paths = fill(tmp_path / "exhibit", 2)
    case = tmp_path / "case"
    (tmp_path / "list").write_text("".join(f"{stretched(path).hex()}\n" for path in paths))
    run("scan", tmp_path / "exhibit", "--case", case)
    run("known", "import", tmp_path / "list", "--name", "stretched", "--hash", "pdq", "--convention", "512")
    (tmp_path / "exhibit").rename(tmp_path / "away")
    away = run("match", case, code=1)
    assert away.err.startswith("2 pictures could not be read again to be compared in every way: ")
    assert known_of(run, case) == {"0.jpg": [], "1.jpg": []}
    (tmp_path / "away").rename(tmp_path / "exhibit")
    assert run("match", case, "--json").json()["warnings"] == []
    assert [len(matches) for matches in known_of(run, case).values()] == [1, 1]


def test_mirrored_and_turned_copies_are_found_and_their_view_is_named(run: Run, tmp_path: Path) -> None:
    upright = scene(640, 480, seed=5)
    mirrored = upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turns = (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)  # clockwise
    copies = [upright, *map(upright.transpose, turns), mirrored, *map(mirrored.transpose, turns)]
    (tmp_path / "exhibit").mkdir()
    for number, copy in enumerate(copies):
        (tmp_path / "exhibit" / f"{number}.jpg").write_bytes(saved(copy, "JPEG", quality=80))
    (tmp_path / "list").write_text(pdq(np.asarray(upright))[0].hex())
    run("known", "import", tmp_path / "list", "--name", "force", "--hash", "pdq", "--convention", "whole")
    run("scan", tmp_path / "exhibit", "--case", tmp_path / "case")
    found = {name: [(m["how"], m["view"]) for m in ms] for name, ms in known_of(run, tmp_path / "case").items()}
    back = ("upright", FORMS[2], FORMS[1], FORMS[0], *FORMS[3:])  # what makes the copy look like the record again
    assert found == {f"{number}.jpg": [("pdq", view)] for number, view in enumerate(back)}


def grade(case: Path, officer: str, path: Path, code: str) -> None:
    opened = open_case(case, keys.actor(officer))
    decide(opened, keys.actor(officer), scheme.load("stand-in"), digests(path)["sha256"], code, Seen(512, clear=True))
    opened.close()


def test_what_was_graded_in_one_case_is_known_in_the_next_and_trusted_by_policy(
    run: Run, home: Path, tmp_path: Path
) -> None:
    first, second, memory = tmp_path / "first", tmp_path / "second", tmp_path / "first.grades"
    agreed, alone, disputed, _ = fill(tmp_path / "exhibit", 4, 640, 480)
    run("scan", tmp_path / "exhibit", "--case", first)
    grade(first, "DC One", agreed, "boat")
    grade(first, "DC Two", agreed, "boat")
    grade(first, "DC One", alone, "camera")
    grade(first, "DC One", disputed, "boat")
    grade(first, "DC Two", disputed, "not-relevant")
    assert run("export", first, "--format", "grades", "-o", memory, "--json").json()["grades"] == 5
    run("verify", first)

    said = run("known", "import", memory, "--name", "memory").err
    key = run("key", "show", "--json").json()["public_key"]
    assert f"with the key {key}. They are trusted where policy.json names that key" in said
    run("scan", tmp_path / "exhibit", "--case", second)

    def trust() -> dict[str, set[tuple[str, str, bool]]]:
        known = known_of(run, second)
        return {
            name: {(m["category"], m["status"], m["trusted"]) for m in matches if m["how"] == "sha256"}
            for name, matches in known.items()
        }

    by_default = {
        "0.jpg": {("boat", "notable", False)},
        "1.jpg": {("camera", "notable", False)},
        "2.jpg": {("boat", "notable", False), ("not-relevant", "ungraded", False)},
        "3.jpg": set(),
    }
    assert trust() == by_default
    (home / "policy.json").write_text('{"trusted_grades": 2}')
    run("match", second)
    assert trust() == by_default, "whoever exported it is not named yet"
    (home / "policy.json").write_text(json.dumps({"trusted_grades": 2, "exporters": [key]}))
    run("match", second)
    assert trust() == {**by_default, "0.jpg": {("boat", "notable", True)}}
    (home / "policy.json").write_text('{"trusted_grades": 1}')
    assert "one officer's grade is not enough" in run("match", second, code=2).err
    (home / "policy.json").unlink()
    run("verify", second)


def test_grades_that_were_cut_off_or_changed_leave_the_old_set_in_force(run: Run, tmp_path: Path) -> None:
    (path,) = fill(tmp_path / "exhibit", 1, 640, 480)
    run("scan", tmp_path / "exhibit", "--case", tmp_path / "case")
    grade(tmp_path / "case", "DC One", path, "boat")
    file = tmp_path / "grades"
    run("export", tmp_path / "case", "--format", "grades", "-o", file, "--as", "DC One")
    run("known", "import", file, "--name", "memory")
    before, whole = run("known", "list", "--json").json(), file.read_text()
    for damaged, sentence in (
        (whole[: whole.rindex('{"grades"')], "the file is cut off"),
        (whole.replace('"boat"', '"other"'), "was changed after DC One exported it"),
        (whole.replace("DC One", "DC Two"), "was changed after DC Two exported it"),
    ):
        file.write_text(damaged)
        refused = run("known", "import", file, "--name", "memory", code=3).err
        assert refused.startswith("Error: grades, line ")
        assert sentence in refused
    assert run("known", "list", "--json").json() == before


def test_a_set_that_is_measured_takes_nothing_from_one_that_was_declared(run: Run, tmp_path: Path) -> None:
    """What is measured to tell one set's convention is looked up in the other too."""
    paths = fill(tmp_path / "exhibit", 8)
    case = tmp_path / "case"
    (tmp_path / "list").write_text("".join(f"{stretched(path).hex()}\n" for path in paths))
    rows = ["sha256,pdq", *(f"{digests(path)['sha256']},{whole(path).hex()}" for path in paths[:6])]
    (tmp_path / "undeclared").write_text("\n".join(rows) + "\n")
    run("known", "import", tmp_path / "list", "--name", "stretched", "--hash", "pdq", "--convention", "512")
    run("known", "import", tmp_path / "undeclared", "--name", "undeclared")
    run("scan", tmp_path / "exhibit", "--case", case)
    matched = run("match", case, "--json").json()
    assert matched["conventions"] == {"stretched": "512", "undeclared": "whole"}
    by_set = [m["set"] for matches in known_of(run, case).values() for m in matches if m["how"] == "pdq"]
    assert (by_set.count("stretched"), by_set.count("undeclared")) == (8, 6)


def test_pictures_that_hash_alike_both_ways_tell_no_convention(run: Run, tmp_path: Path) -> None:
    paths = fill(tmp_path / "exhibit", 6, 400, 300)
    rows = ["sha256,pdq", *(f"{digests(path)['sha256']},{whole(path).hex()}" for path in paths)]
    (tmp_path / "set").write_text("\n".join(rows) + "\n")
    run("known", "import", tmp_path / "set", "--name", "force")
    run("scan", tmp_path / "exhibit", "--case", tmp_path / "case")
    (warning,) = run("match", tmp_path / "case", "--json").json()["warnings"]
    assert warning.startswith("The set 'force' does not say how")


def test_an_export_is_never_written_over_evidence_a_case_or_another_file(run: Run, tmp_path: Path) -> None:
    (path,) = fill(tmp_path / "exhibit", 1, 640, 480)
    case, other = tmp_path / "case", tmp_path / "letter.txt"
    run("scan", tmp_path / "exhibit", "--case", case)
    grade(case, "DC One", path, "boat")
    other.write_text("a letter")
    before = {each: each.read_bytes() for each in (path, other)}
    (tmp_path / "link.html").symlink_to(path)
    (tmp_path / "elsewhere").write_bytes(b'{"mantlet":"grades"')
    (tmp_path / "exhibit" / "link").symlink_to(tmp_path / "elsewhere")
    places = (path, tmp_path / "exhibit" / "new", case / "case.sqlite", other, tmp_path, tmp_path / "exhibit" / "link")
    for place in places:
        assert run("export", case, "--format", "grades", "-o", place, code=2).err.startswith("Error: ")
    for place in (tmp_path / "exhibit" / "r.html", tmp_path / "link.html"):
        assert run("report", case, "-o", place, code=2).err.startswith("Error: ")
    (tmp_path / "exhibit" / "link").unlink()
    assert {each: each.read_bytes() for each in before} == before
    assert [each.name for each in (tmp_path / "exhibit").iterdir()] == ["0.jpg"]
    run("verify", case)
    for _ in range(2):  # an export may take the place of one
        run("export", case, "--format", "grades", "-o", tmp_path / "grades")


def test_a_copy_met_again_loses_nothing_that_more_than_a_scan_had_told(run: Run, tmp_path: Path) -> None:
    """The set was imported anew between the scans of two exhibits that hold the same pictures."""
    paths = fill(tmp_path / "one", 2)
    case, listed = tmp_path / "case", tmp_path / "list"
    listed.write_text("".join(f"{stretched(path).hex()}\n" for path in paths))
    importing = ("known", "import", listed, "--name", "force", "--hash", "pdq", "--convention", "512")
    run(*importing)
    run("scan", tmp_path / "one", "--case", case)
    before = {name: [m["record"] for m in matches] for name, matches in known_of(run, case).items()}
    assert before == {"0.jpg": [1], "1.jpg": [2]}
    fill(tmp_path / "two", 2)
    listed.write_text(listed.read_text() + "0f" * 32 + "\n")
    run(*importing)
    run("scan", tmp_path / "two", "--case", case)
    assert {name: [m["record"] for m in matches] for name, matches in known_of(run, case).items()} == before
    run("verify", case)


def test_what_was_looked_in_is_in_the_report_though_nothing_was_found(run: Run, tmp_path: Path) -> None:
    (path,) = fill(tmp_path / "exhibit", 1)
    (tmp_path / "hit").write_text(digests(path)["sha256"])
    (tmp_path / "none").write_text("00" * 32)
    for name in ("hit", "none"):
        run("known", "import", tmp_path / name, "--name", f"{name}-set")
    run("scan", tmp_path / "exhibit", "--case", tmp_path / "case")
    run("report", tmp_path / "case", "-o", tmp_path / "r.html")
    report = (tmp_path / "r.html").read_text()
    assert "hit-set" in report
    assert "none-set" in report
    assert report.count("looked in, nothing found") == 1


def test_a_convention_that_could_not_be_measured_for_want_of_the_exhibit_is_told(run: Run, tmp_path: Path) -> None:
    paths = fill(tmp_path / "exhibit", 8)
    rows = ["sha256,pdq", *(f"{digests(path)['sha256']},{by_512(path).hex()}" for path in paths)]
    (tmp_path / "set").write_text("\n".join(rows) + "\n")
    run("scan", tmp_path / "exhibit", "--case", tmp_path / "case")
    run("known", "import", tmp_path / "set", "--name", "force")
    (tmp_path / "exhibit").rename(tmp_path / "away")
    before = content_of(tmp_path / "case")
    told = run("match", tmp_path / "case", code=1).err
    assert "8 pictures could not be read again" in told
    (tmp_path / "away").rename(tmp_path / "exhibit")
    assert run("match", tmp_path / "case", "--json").json()["conventions"] == {"force": "512"}
    assert content_of(tmp_path / "case") != before


def test_a_convention_is_measured_on_more_pictures_than_are_read_at_once(run: Run, tmp_path: Path) -> None:
    paths = fill(tmp_path / "exhibit", 60, 700, 150)
    rows = ["sha256,pdq", *(f"{digests(path)['sha256']},{by_512(path).hex()}" for path in paths)]
    (tmp_path / "set").write_text("\n".join(rows) + "\n")
    run("known", "import", tmp_path / "set", "--name", "force")
    run("scan", tmp_path / "exhibit", "--case", tmp_path / "case")
    assert run("match", tmp_path / "case", "--json").json()["conventions"] == {"force": "512"}
