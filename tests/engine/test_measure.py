"""Measuring on request: of a case scanned by the real command, by real workers in their box."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faults
import msgspec
import numpy as np
import pytest
from PIL import Image
from scans import Scan, small_picture
from scans import content as kept
from test_local import HOW

from mantlet.case.case import Case, create_or_open
from mantlet.case.verify import verify_record
from mantlet.engine import local
from mantlet.engine.alone import only_scan
from mantlet.engine.measure import Measured, measure
from mantlet.engine.messages import Ready
from mantlet.errors import UsageError
from mantlet.fingerprint.pdq import distance, pdq
from mantlet.governance import keys
from mantlet.media import picture
from mantlet.pipeline import ON_REQUEST, STAGES
from mantlet.types import Absent, Address, Content, Entry, Finding, Kind, Node, Reason, Rows, Step, Task, Unread
from tests.conftest import Run

CHANGED = "Other bytes lie there now than when it was scanned."
KEY = "pdq-512", 1, picture.STRETCHED


def drawn(seed: int, width: int, height: int, comment: bytes = b"") -> bytes:
    """A JPEG of soft blobs."""
    random_of = random.Random(seed)
    image = Image.frombytes("RGB", (8, 8), random_of.randbytes(192)).resize((width, height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", comment=comment)
    return file.getvalue()


def fill(folder: Path) -> None:
    """Four small pictures, one large, a copy of it, one flat, and one in an archive."""
    random_of = random.Random(1)
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(small_picture(random_of))
    (folder / "large.jpg").write_bytes(drawn(5, 1024, 700))
    (folder / "z copy of large.jpg").write_bytes(drawn(5, 1024, 700))
    Image.new("RGB", (640, 480), "grey").save(folder / "flat.png")
    with zipfile.ZipFile(folder / "in.zip", "w") as archive:
        archive.writestr("member.jpg", drawn(6, 600, 800))


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """A case, to be copied, and its evidence, to be made anew where it lay."""
    folder = tmp_path_factory.mktemp("scanned")
    (folder / "evidence").mkdir()
    fill(folder / "evidence")
    scan = Scan([folder / "evidence"], folder / "case", folder / "home")
    scan.finish()
    return scan


@pytest.fixture
def evidence(scanned: Scan) -> Path:
    """As it was scanned."""
    (folder,) = scanned.sources
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    fill(folder)
    return folder


@pytest.fixture
def case(scanned: Scan, evidence: Path, tmp_path: Path) -> Iterator[Case]:
    opened = create_or_open(shutil.copytree(scanned.case, tmp_path / "case"), keys.actor("tester"))
    yield opened
    opened.close()


def contents(case: Case) -> list[str]:
    return [row["sha256"] for row in case.reader.execute("SELECT sha256 FROM content ORDER BY 1")]


def found(case: Case) -> dict[str, Any]:
    """What was found on request, by the name of the first file."""
    rows = case.reader.execute(
        "SELECT min(address) AS address, value, reason FROM finding JOIN item USING (sha256) "
        "WHERE name = ? AND version = ? AND settings = ? GROUP BY sha256",
        KEY,
    )
    return {Address.parse(row["address"]).name: row["reason"] or json.loads(row["value"]) for row in rows}


def sha256_of(case: Case, name: str) -> str:
    rows = case.reader.execute("SELECT address, sha256 FROM item")
    return next(row["sha256"] for row in rows if Address.parse(row["address"]).name == name)


def by_hand(path: Path) -> bytes:
    """As Meta's tools do it: all pixels, the nearest one of each place of 512x512, then the hash."""
    image = Image.open(path).convert("RGB")
    if max(image.size) > 512:
        image = image.resize((512, 512), Image.Resampling.NEAREST)
    return pdq(np.asarray(image))[0]


def test_all_of_a_case_is_measured_and_its_record_still_holds(evidence: Path, case: Case, run: Run) -> None:
    before = kept(case.folder)
    told: list[tuple[int, int]] = []
    assert measure(case, "pdq-512", contents(case), 2, lambda *each: told.append(each)) == Measured(7, 0, {})
    stated = found(case)
    assert stated.pop("flat.png") == Reason.TOO_FLAT
    assert set(stated) == {"0.jpg", "1.jpg", "2.jpg", "3.jpg", "large.jpg", "member.jpg"}
    for name in stated.keys() - {"member.jpg"}:
        assert distance(bytes.fromhex(stated[name][0]), by_hand(evidence / name)) <= 8, name
    after = kept(case.folder)
    assert {table for table in after if after[table] != before[table]} == {"finding", "matched"}
    assert after["matched"] == [], "what more was measured of is to be looked up again"
    assert len(after["finding"]) == len(before["finding"]) + 7
    assert told[-1] == (7, 7)
    verify_record(case)
    run("verify", case.folder)


def test_the_stretch_shows_in_the_hash_of_a_large_picture_alone(case: Case) -> None:
    measure(case, "pdq-512", contents(case), 1)
    upright = {
        row["sha256"]: json.loads(row["value"])
        for row in case.reader.execute("SELECT sha256, value FROM finding WHERE name = 'pdq' AND value NOT NULL")
    }
    same = {name for name, value in found(case).items() if upright.get(sha256_of(case, name)) == value[0]}
    assert same == {"0.jpg", "1.jpg", "2.jpg", "3.jpg"}


def test_a_scan_states_nothing_that_is_only_on_request(case: Case) -> None:
    assert found(case) == {}
    assert not {stage.name for stage in ON_REQUEST} & {stage.name for stage in STAGES}


def test_what_is_stated_is_not_measured_again(case: Case) -> None:
    every = contents(case)
    assert measure(case, "pdq-512", every[:3], 1) == Measured(3, 0, {})
    assert measure(case, "pdq-512", [*every, *every], 1) == Measured(4, 3, {})
    before = list(case.reader.execute("SELECT * FROM ledger"))
    assert measure(case, "pdq-512", every, 1) == Measured(0, 7, {})
    assert list(case.reader.execute("SELECT * FROM ledger")) == before, "nothing was done, so nothing is recorded"


def test_stopped_midway_it_keeps_what_it_found_and_goes_on(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mantlet.settings.NODE_ENTRIES", 2)

    def stop(done: int, _: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(case, "pdq-512", contents(case), 1, stop)
    kept_so_far = len(found(case))
    assert 0 < kept_so_far < 7
    verify_record(case)
    assert measure(case, "pdq-512", contents(case), 1) == Measured(7 - kept_so_far, kept_so_far, {})
    verify_record(case)


def test_an_exhibit_that_is_away_is_told_and_measured_once_it_is_back(evidence: Path, case: Case) -> None:
    away = evidence.with_name("elsewhere")
    evidence.rename(away)
    before = kept(case.folder)
    told = measure(case, "pdq-512", contents(case), 1)
    assert (told.measured, set(told.out_of_reach)) == (0, set(contents(case)))
    assert all("does not exist" in why for why in told.out_of_reach.values())
    assert kept(case.folder) == before
    away.rename(evidence)
    assert measure(case, "pdq-512", contents(case), 1) == Measured(7, 0, {})


def test_an_exhibit_that_goes_away_meanwhile_is_told_and_measured_once_it_is_back(
    evidence: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mantlet.settings.NODE_ENTRIES", 2)
    away = evidence.with_name("elsewhere")
    told = measure(case, "pdq-512", contents(case), 1, lambda *_: evidence.exists() and evidence.rename(away))
    assert 0 < told.measured == len(found(case)) < 7
    assert len(told.out_of_reach) == 7 - told.measured
    assert all("does not exist" in why for why in told.out_of_reach.values())
    verify_record(case)
    away.rename(evidence)
    assert measure(case, "pdq-512", contents(case), 1).out_of_reach == {}
    assert len(found(case)) == 7


def test_a_changed_file_is_told_and_not_measured(evidence: Path, case: Case) -> None:
    (evidence / "1.jpg").write_bytes((evidence / "2.jpg").read_bytes())
    (evidence / "3.jpg").write_bytes(b"no picture")
    (evidence / "0.jpg").unlink()
    told = measure(case, "pdq-512", contents(case), 1)
    assert told.measured == 4
    why = {name: told.out_of_reach[sha256_of(case, name)] for name in ("0.jpg", "1.jpg", "3.jpg")}
    assert (why["1.jpg"], why["3.jpg"]) == (CHANGED, CHANGED)
    assert "No such file" in why["0.jpg"]
    assert len(told.out_of_reach) == 3
    assert case.reader.execute("SELECT count(*) FROM unread").fetchone()[0] == 0
    verify_record(case)


def test_another_copy_is_read_where_one_is_gone(evidence: Path, case: Case) -> None:
    (evidence / "large.jpg").unlink()
    assert measure(case, "pdq-512", [sha256_of(case, "large.jpg")], 1) == Measured(1, 0, {})


def test_another_exhibit_is_read_where_one_is_away(evidence: Path, case: Case, run: Run, tmp_path: Path) -> None:
    shutil.copytree(evidence, tmp_path / "second")
    run("scan", tmp_path / "second", "--case", case.folder, "--as", "tester", code=None)
    shutil.rmtree(evidence)
    assert measure(case, "pdq-512", contents(case), 2) == Measured(7, 0, {})


def test_a_content_that_the_case_has_not_is_out_of_reach(case: Case) -> None:
    unknown = "0" * 64
    told = measure(case, "pdq-512", [unknown], 1)
    assert told == Measured(0, 0, {unknown: "No item of this case has that content."})


def test_a_stage_of_every_scan_is_stated_where_it_lacks(case: Case) -> None:
    """As in a case that was scanned before there was that stage: here all have it."""
    assert measure(case, "pdq-forms", contents(case), 1) == Measured(0, 7, {})
    told = measure(case, "frames", [sha256_of(case, "0.jpg")], 1)
    assert list(told.out_of_reach.values()) == ["Of a still picture, it has no meaning."]


def test_an_unknown_stage_is_refused(case: Case) -> None:
    with pytest.raises(UsageError, match=r"Nothing measures colour; there are .*pdq-512"):
        measure(case, "colour", contents(case), 1)


def test_it_waits_for_no_scan(case: Case) -> None:
    with only_scan(case), pytest.raises(UsageError, match="Another scan"):
        measure(case, "pdq-512", contents(case), 1)


FAULTS = ["killed", "stood still", "foreign item", "another content", "another finding"]


@pytest.fixture(scope="module")
def with_faults(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """A case of pictures that no worker minds, but those of `faults`."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "evidence").mkdir()
    fill(folder / "evidence")
    for number, fault in enumerate(FAULTS):
        (folder / "evidence" / f"{fault}.jpg").write_bytes(drawn(10 + number, 300, 200, faults.mark(fault)))
    (folder / "evidence" / "read.jpg").write_bytes(drawn(20, 300, 200, faults.mark_of_reading("killed")))
    scan = Scan([folder / "evidence"], folder / "case", folder / "home")
    scan.finish()
    return scan


def test_a_picture_that_breaks_a_worker_costs_itself(with_faults: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_serve", faults.serve)
    case = create_or_open(with_faults.case, keys.actor("tester"))
    told = measure(case, "pdq-512", contents(case), 2)
    assert told == Measured(12, 0, {sha256_of(case, "read.jpg"): HOW["killed"].detail})
    stated = found(case)
    assert {fault: stated.pop(f"{fault}.jpg") for fault in FAULTS} == {fault: HOW[fault].reason for fault in FAULTS}
    assert stated.pop("flat.png") == Reason.TOO_FLAT
    assert {len(value) for value in stated.values()} == {8}
    verify_record(case)
    case.close()


OWN = "a" * 64
ENTRY = Entry(Step("file", 0, "a.jpg"), 1)
AT = Address("EX1").child(ENTRY.step)
NODE = Node(Task.MEASURE, Address("EX1"), 1, (ENTRY,), stage="pdq-512", contents=(OWN,))
ABOUT = Ready([], {"pdq": (1, "s")}, {"pdq-512": (1, "t"), "other": (1, "t")})
STATED = Finding(OWN, "pdq-512", 1, "t", ["b" * 64] * 8)


def taken(rows: Rows) -> None:
    local._check_own(rows, NODE)
    local._check_stated(rows, NODE, ABOUT)


def test_what_was_asked_for_is_taken() -> None:
    taken(Rows(findings=[STATED, msgspec.structs.replace(STATED, value=None, absent=Absent(Reason.DAMAGED))]))
    taken(Rows(unread=[Unread(AT, "read", Absent(Reason.GONE)), Unread(NODE.address, "measure", Absent(Reason.GONE))]))


@pytest.mark.parametrize(
    "rows",
    [
        Rows(findings=[msgspec.structs.replace(STATED, sha256="c" * 64)]),
        Rows(findings=[msgspec.structs.replace(STATED, version=2)]),
        Rows(findings=[msgspec.structs.replace(STATED, settings="s")]),
        Rows(findings=[msgspec.structs.replace(STATED, name="pdq", settings="s")]),
        Rows(findings=[msgspec.structs.replace(STATED, name="other")]),
        Rows(findings=[msgspec.structs.replace(STATED, value="b")]),
        Rows(contents=[Content(OWN, "0" * 32, "0" * 40, 1, Kind.STILL, "image/jpeg")]),
        Rows(items=[msgspec.structs.replace(faults._another_file(OWN), address=AT)]),
        Rows(unread=[Unread(AT.child(Step("member")), "read", Absent(Reason.GONE))]),
        Rows(unread=[Unread(Address("EX1").child(Step("file", 0, "b.jpg")), "read", Absent(Reason.GONE))]),
        Rows(nodes=[Node(Task.EXAMINE, Address("EX1"), 2, (ENTRY,))]),
    ],
)
def test_what_was_not_asked_for_is_refused(rows: Rows) -> None:
    with pytest.raises(ValueError, match=r"speaks of|finds something|no stage states|Expected"):
        taken(rows)


def test_no_worker_of_a_scan_states_what_is_only_on_request() -> None:
    item = msgspec.structs.replace(faults._another_file(OWN), address=AT)
    examined = msgspec.structs.replace(NODE, task=Task.EXAMINE)
    with pytest.raises(ValueError, match="no stage states"):
        local._check_stated(Rows(items=[item], findings=[STATED]), examined, ABOUT)
