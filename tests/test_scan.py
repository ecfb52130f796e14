"""The main job through the real command line, on evidence made by code and on bad input."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mantlet.case.case import Exhibit, add_exhibit, create_or_open
from mantlet.case.scan import Scan
from mantlet.demo import stick
from mantlet.governance import keys
from mantlet.governance.ledger import now
from mantlet.types import Address, Node, Task
from tests.conftest import Run
from tests.evidence.packing import seven_zipped
from tests.evidence.test_walk import PLAUSIBLE
from tests.media.test_picture import bomb, saved, scene


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> stick.Stick:
    return stick.build(tmp_path_factory.mktemp("demo"))


def path_in(item: dict[str, Any]) -> str:
    """An item's address as the demo's truth writes it."""
    return "/".join(step.split(":", 2)[2] for step in item["address"].split("!") if step.count(":") == 2)


def test_the_demo_stick_gives_exactly_its_truth(demo: stick.Stick, run: Run, tmp_path: Path) -> None:
    run("known", "import", demo.known, "--name", "force")
    run("known", "import", demo.benign, "--name", "benign", "--status", "benign")
    scanned = run("scan", demo.image, "--case", tmp_path / "case", "--exhibit", "AB-1", code=1)
    items = run("list", tmp_path / "case", "--json").lines()
    assert {(path_in(i), i["sha256"], i["recovery"], i["containment"], i["kind"]) for i in items} == {
        (p.path, p.sha256, p.recovery, p.containment, p.kind) for p in demo.truth
    }
    assert len(items) == len(demo.truth)
    assert "case" in scanned.err
    matrix = run("show", tmp_path / "case", "--json").json()
    assert sum(row["all"] for row in matrix["counts"]) == len(demo.truth)
    assert sum(row["distinct"] for row in matrix["totals"]) == len({p.sha256 for p in demo.truth})
    assert {(row["reason"], row["count"]) for row in matrix["unread"]} == {
        ("damaged", 1),
        ("too flat to hash", 1),
        ("empty file", 1),
        ("named as a picture, content is not one", 1),
    }
    hows = Counter(how for item in items for how in {match["how"] for match in item["known"]})
    assert hows["sha256"] == 10
    assert [item["name"] for item in items if {m["how"] for m in item["known"]} == {"pdq"}] == ["Sailing.jpg"]
    clip = next(item for item in items if item["kind"] == "moving")
    assert (clip["width"], clip["height"], clip["sound"]) == (320, 240, True)
    assert clip["duration"] == pytest.approx(4, abs=0.5)
    assert clip["pdq"] is None
    assert clip["absent"]["pdq"].startswith("not applicable")


def test_the_fields_of_an_item_are_those_of_the_interface(demo: stick.Stick, run: Run, tmp_path: Path) -> None:
    run("scan", demo.image, "--case", tmp_path / "case", code=1)
    item = run("list", tmp_path / "case", "--json", "--where", "kind=still").lines()[0]
    assert list(item) == [
        "address", "exhibit", "name", "recovery", "containment", "place", "kind", "mime", "size", "width", "height",
        "duration", "sound", "created", "modified", "accessed", "md5", "sha1", "sha256", "pdq", "pdq_quality",
        "pdq_convention", "known", "scores", "recognised", "stack", "grade", "basis", "graded_by", "source", "absent",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrapper",
    [
        "disk.dd",
        "disk.E01",
        "split.E01",
        "disk.vmdk",
        "disk.qcow2",
        "disk.vhd",
        "disk.vhdx",
        "disk.dd.gz",
        "disk.vhd.gz",
    ],
)
def test_one_disk_in_each_wrapper_gives_every_picture_of_its_truth_and_nothing_else(
    wrapper: str, shared: Path, run: Run, tmp_path: Path
) -> None:
    folder = shared / "disks" / "pictures"
    source = folder / wrapper
    if not source.exists():
        source = tmp_path / wrapper
        source.write_bytes(gzip.decompress((folder / f"{wrapper}.gz").read_bytes()))
    truth = json.loads((folder / "truth.json").read_text())
    run("scan", source, "--case", tmp_path / "case")
    items = run("list", tmp_path / "case", "--json").lines()
    volumes = sorted({int(item["address"].split("!")[1].split(":")[1]) for item in items})
    expected = set()
    for volume, system in zip(volumes, ("fat", "ntfs", "ext4"), strict=True):
        expected |= {(volume, "live", row["path"], row["sha256"]) for row in truth[system]["live"]}
        if system != "ext4":
            for row in truth[system]["deleted"]:
                path = Path(row["path"])
                shown = path.with_name("_" + path.name[1:]) if system == "fat" else path
                expected.add((volume, "deleted", str(shown), row["sha256"]))
    got = {(int(i["address"].split("!")[1].split(":")[1]), i["recovery"], path_in(i), i["sha256"]) for i in items}
    assert got == expected
    assert len(items) == len(expected)


@pytest.mark.parametrize("name", ["fat16.img", "fat32.img", "exfat.img", "ntfs.img", "ext4.img"])
def test_every_live_and_every_deleted_picture_of_a_file_system_is_listed(
    name: str, image: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    truth = json.loads((Path(__file__).parent / "images" / "truth.json").read_text())[name]
    run("scan", image(name), "--case", tmp_path / "case", code=None)
    items = run("list", tmp_path / "case", "--json").lines()
    for recovery in ("live", "deleted"):
        states = ("live", "stream") if recovery == "live" else (recovery,)
        wanted = Counter(r["sha256"] for r in truth if r["recovery"] in states and r["picture"] and r["size"])
        got = Counter(
            item["sha256"]
            for item in items
            if item["recovery"] == recovery and (item["sha256"] in wanted or item["name"] not in PLAUSIBLE)
        )
        assert got == wanted


def fingerprint(path: Path) -> tuple[str, int, int]:
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns, path.stat().st_size


def test_the_exhibit_is_never_written(image: Callable[[str], Path], run: Run, tmp_path: Path) -> None:
    source = image("ntfs.img")
    before = fingerprint(source)
    run("scan", source, "--case", tmp_path / "case", code=None)
    run("verify", tmp_path / "case")
    assert fingerprint(source) == before
    assert sorted(child.name for child in source.parent.iterdir() if child.name.startswith("ntfs")) == ["ntfs.img"]


def test_the_stored_digest_of_an_e01_is_kept_and_a_raw_image_gets_one(
    image: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    run("scan", image("disk.E01"), image("disk.img"), "--case", tmp_path / "case", code=None)
    e01, rawimage = run("exhibit", tmp_path / "case", "--json").json()
    data = image("disk.img").read_bytes()
    assert {(a["algorithm"], a["digest"], a["origin"]) for a in e01["acquisition"]} == {
        ("md5", hashlib.md5(data).hexdigest(), "stored"),
        ("sha1", hashlib.sha1(data).hexdigest(), "stored"),
    }
    assert [(a["digest"], a["origin"]) for a in rawimage["acquisition"]] == [
        (hashlib.sha256(data).hexdigest(), "computed")
    ]
    assert "is whole" in run("verify", tmp_path / "case").out


def test_verify_finds_an_exhibit_that_changed(image: Callable[[str], Path], run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "stick.dd"
    shutil.copy(image("fat16.img"), copy)
    copy.chmod(0o644)
    run("scan", copy, "--case", tmp_path / "case", code=None)
    with copy.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    assert "is not what was scanned" in run("verify", tmp_path / "case", code=4).err
    assert "is whole" in run("verify", tmp_path / "case", "--record-only").out
    with copy.open("ab") as file:
        file.write(b"longer")
    assert "has changed since it was scanned" in run("scan", copy, "--case", tmp_path / "case", code=4).err


def test_an_exhibit_that_moved_is_pointed_to_once_its_digest_agrees(
    image: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    first, second, other = tmp_path / "a.dd", tmp_path / "b.dd", tmp_path / "c.dd"
    shutil.copy(image("fat16.img"), first)
    run("scan", first, "--case", tmp_path / "case", code=None)
    first.rename(second)
    assert "--moved" in run("verify", tmp_path / "case", code=3).err
    shutil.copy(image("exfat.img"), other)
    assert "is not EX1" in run("exhibit", tmp_path / "case", "--moved", f"EX1={other}", code=4).err
    run("exhibit", tmp_path / "case", "--moved", f"EX1={second}")
    run("verify", tmp_path / "case")


def test_a_folder_that_moved_is_pointed_to_once_every_picture_in_it_agrees(run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (first / "a.jpg").write_bytes(saved(scene(200, 150), "JPEG"))
    with zipfile.ZipFile(first / "b.zip", "w") as archive:
        archive.writestr("b.jpg", saved(scene(200, 150, 2), "JPEG"))
    run("scan", first, "--case", tmp_path / "case")
    shutil.copytree(first, second)
    with zipfile.ZipFile(second / "b.zip", "w") as archive:
        archive.writestr("b.jpg", saved(scene(200, 150, 3), "JPEG"))
    moved = run("exhibit", tmp_path / "case", "--moved", f"EX1={second}", code=4)
    assert "b.zip!member:0:b.jpg has other content" in moved.err
    shutil.copy(first / "b.zip", second)
    run("exhibit", tmp_path / "case", "--moved", f"EX1={second}")
    assert "each of its 2 pictures and clips" in run("verify", tmp_path / "case").out
    data = bytearray((second / "a.jpg").read_bytes())
    data[-100] ^= 1
    (second / "a.jpg").write_bytes(data)
    assert "a.jpg has other content" in run("verify", tmp_path / "case", code=4).err


def bad_folder(folder: Path) -> set[str]:
    """Bad files among good ones; returns the names of the good."""
    folder.mkdir()
    for number in range(3):
        saved_picture = saved(scene(200, 150, number), "JPEG")
        (folder / f"good {number}.jpg").write_bytes(saved_picture)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture\n")
    (folder / "half.jpg").write_bytes(saved(scene(400, 300), "JPEG")[:4000])
    (folder / "bomb.png").write_bytes(bomb(60_000))
    (folder / "broken.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    with zipfile.ZipFile(folder / "up.zip", "w") as archive:
        archive.writestr("../../up.jpg", saved(scene(200, 150, 9), "JPEG"))
        archive.writestr("/abs.jpg", saved(scene(200, 150, 10), "JPEG"))
    with zipfile.ZipFile(folder / "locked.zip", "w") as archive:
        archive.writestr("secret.jpg", b"x" * 50)
    data = bytearray((folder / "locked.zip").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (folder / "locked.zip").write_bytes(data)
    return {"good 0.jpg", "good 1.jpg", "good 2.jpg", "half.jpg", "bomb.png", "up.jpg", "abs.jpg"}


def test_bad_files_cost_a_sentence_each_and_the_rest_is_done(run: Run, tmp_path: Path) -> None:
    names = bad_folder(tmp_path / "evidence")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    run("scan", tmp_path / "evidence", "--case", tmp_path / "case", code=1)
    items = run("list", tmp_path / "case", "--json").lines()
    assert {item["name"] for item in items} == names
    shown = run("show", tmp_path / "case", "--unread", "--json").json()
    reasons = {row["address"].split("!", 1)[1]: row["reason"] for row in shown["unread_places"]}
    assert reasons == {
        "file:0:empty.jpg": "empty file",
        "file:0:text.jpg": "named as a picture, content is not one",
        "file:0:half.jpg": "damaged",
        "file:0:bomb.png": "refused by a limit",
        "file:0:broken.zip": "unreadable",
        "file:0:locked.zip!member:0:secret.jpg": "encrypted",
    }
    assert all(row["detail"].endswith(".") for row in shown["unread_places"])
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if tmp_path / "case" not in path.parents}
    after.pop(tmp_path / "case")
    assert after == before, "something outside the case was written"


def test_sources_that_cannot_be_used_do_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a.jpg").write_bytes(saved(scene(200, 150), "JPEG"))
    (tmp_path / "empty.dd").write_bytes(b"")
    (tmp_path / "a.L01").write_bytes(b"LVF\x09\x0d\x0a\xff\x00" + bytes(100))
    sources = [tmp_path / "missing.dd", tmp_path / "empty.dd", tmp_path / "a.L01", tmp_path / "good"]
    done = run("scan", *sources, "--case", tmp_path / "case", code=3)
    for sentence in ("does not exist", "is an empty file", "an L01 logical image"):
        assert sentence in done.err
    assert "Traceback" not in done.err
    assert len(run("list", tmp_path / "case", "--json").lines()) == 1


def test_an_image_without_a_file_system_that_is_read_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "disk.dd").write_bytes(b"XFSB" + bytes(1 << 20))
    done = run("scan", tmp_path / "disk.dd", "--case", tmp_path / "case", code=3)
    assert "This holds XFS, which is damaged" in done.err


def test_a_damaged_segment_of_an_e01_is_said_and_the_rest_is_done(
    image: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        data = image(f"split.E0{number}").read_bytes()
        (tmp_path / f"s.E0{number}").write_bytes(data[: len(data) // 2] if number == 3 else data)
    done = run("scan", tmp_path / "s.E01", "--case", tmp_path / "case", code=4)
    assert "the E01 image is cut short at byte" in done.err
    assert run("list", tmp_path / "case", "--json").lines()


def test_a_single_picture_is_an_exhibit_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.bin").write_bytes(saved(scene(200, 150), "PNG"))
    run("scan", tmp_path / "one.bin", "--case", tmp_path / "case")
    item = run("list", tmp_path / "case", "--json").lines()[0]
    assert (item["name"], item["mime"]) == ("one.bin", "image/png")


def test_a_case_inside_the_evidence_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(saved(scene(200, 150), "JPEG"))
    done = run("scan", tmp_path, "--case", tmp_path / "case", code=3)
    assert "lie inside" in done.err
    assert sorted(child.name for child in tmp_path.iterdir()) == ["a.jpg"], "the evidence was written"


@pytest.mark.parametrize("mark", [b"\xff\xd8\xff", b"PK\x03\x04"])
def test_the_first_bytes_of_a_disk_hide_nothing(
    mark: bytes, image: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    data = image("mbr.img").read_bytes()
    (tmp_path / "plain.dd").write_bytes(data)
    (tmp_path / "marked.dd").write_bytes(mark + data[len(mark) :])
    run("scan", tmp_path / "plain.dd", tmp_path / "marked.dd", "--case", tmp_path / "case", code=None)
    items = run("list", tmp_path / "case", "--json").lines()
    plain, marked = ([i["sha256"] for i in items if i["exhibit"] == exhibit] for exhibit in ("EX1", "EX2"))
    assert plain
    assert sorted(plain) == sorted(marked)


def test_a_partition_beside_a_file_system_and_one_called_swap_are_walked(
    image: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    iso, fat = image("iso.img").read_bytes(), image("fat16.img").read_bytes()
    start = -(-len(iso) // 512) + 64
    disk = bytearray(start * 512) + fat
    disk[: len(iso)] = iso
    disk[446:462] = struct.pack("<B3xB3xII", 0, 0x82, start, len(fat) // 512)
    disk[510:512] = b"\x55\xaa"
    (tmp_path / "hybrid.dd").write_bytes(disk)
    run("scan", tmp_path / "hybrid.dd", image("iso.img"), image("fat16.img"), "--case", tmp_path / "case", code=None)
    items = run("list", tmp_path / "case", "--json").lines()
    found = {name: sorted(i["sha256"] for i in items if i["exhibit"] == name) for name in ("EX1", "EX2", "EX3")}
    assert found["EX1"] == sorted(found["EX2"] + found["EX3"])


def test_images_inside_an_exhibit_are_opened_and_those_that_cannot_be_are_named(
    image: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "damaged.7z").write_bytes(seven_zipped({"a.jpg": b"a" * 1000})[:-10])
    (folder / "raw.bin").write_bytes(image("fat16.img").read_bytes())
    for number in (1, 2, 3):
        (folder / f"s.E0{number}").write_bytes(image(f"split.E0{number}").read_bytes())
    (folder / "whole.e01.gz").write_bytes(gzip.compress(image("disk.E01").read_bytes()))
    (folder / "disk.vdi").write_bytes(bytes(64) + b"\x7f\x10\xda\xbe" + bytes(500))
    (folder / "log.gz").write_bytes(gzip.compress(b"nothing but a log\n" * 100))
    run("scan", folder, "--case", tmp_path / "case", code=1)
    for number, name in enumerate(("raw.bin", "s.E01")):
        run(
            "scan", image("fat16.img" if name == "raw.bin" else "disk.img"), "--case", tmp_path / str(number), code=None
        )
    items = Counter(
        Address.parse(row["address"]).steps[0].name for row in run("list", tmp_path / "case", "--json").lines()
    )
    alone = [len(run("list", tmp_path / str(number), "--json").lines()) for number in (0, 1)]
    assert items == {"raw.bin": alone[0], "s.E01": alone[1], "whole.e01.gz": alone[1]}
    places = run("show", tmp_path / "case", "--unread", "--json").json()["unread_places"]
    said = {Address.parse(row["address"]).steps[0].name: row["detail"] for row in places}
    assert set(said) - set(items) == {"damaged.7z", "disk.vdi"}
    assert "It is a VDI image" in said["disk.vdi"]


def test_what_is_said_of_a_broken_file_is_the_same_in_every_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(500))
    (tmp_path / "evidence" / "broken.gif").write_bytes(b"GIF89a" + bytes(3))
    said = []
    for number in (1, 2):
        run("scan", tmp_path / "evidence", "--case", tmp_path / f"case{number}", code=1)
        said.append([item["absent"]["media"] for item in run("list", tmp_path / f"case{number}", "--json").lines()])
    assert said[0] == said[1]
    assert "0x" not in str(said)


def test_an_exhibit_that_is_away_is_scanned_when_it_is_back(
    image: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    source, elsewhere = tmp_path / "stick.dd", tmp_path / "away.dd"
    shutil.copy(image("fat16.img"), source)
    (tmp_path / "other").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "other" / "a.png")
    with open_case_with_exhibit(tmp_path / "case", source):
        source.rename(elsewhere)
    done = run("scan", tmp_path / "other", "--case", tmp_path / "case", code=3)
    assert "stick.dd does not exist" in done.err
    assert len(run("list", tmp_path / "case", "--json").lines()) == 1
    elsewhere.rename(source)
    run("scan", source, "--case", tmp_path / "case", code=None)
    assert len(run("list", tmp_path / "case", "--json").lines()) > 30


@contextmanager
def open_case_with_exhibit(folder: Path, source: Path) -> Iterator[None]:
    """A case whose scan of `source` was killed before its first node was done."""
    case = create_or_open(folder, keys.actor("DC Example"))
    add_exhibit(case, Exhibit("EX1", str(source), "raw", source.stat().st_size, None, now()))
    Scan(case).add([Node(Task.OPEN, Address("EX1"))])
    case.close()
    yield


def test_what_lies_in_a_deleted_archive_is_deleted(run: Run, tmp_path: Path) -> None:
    from datetime import datetime

    from mantlet.demo.fat import Volume

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("in.jpg", saved(scene(200, 150), "JPEG"))
    volume = Volume(16 * 1024 * 1024)
    volume.write("/gone.zip", archive.getvalue(), datetime(2026, 3, 14))
    volume.delete("/gone.zip")
    (tmp_path / "stick.dd").write_bytes(volume.to_bytes())
    run("scan", tmp_path / "stick.dd", "--case", tmp_path / "case")
    item = run("list", tmp_path / "case", "--json").lines()[0]
    assert (item["recovery"], item["containment"]) == ("deleted", "member")


def test_archives_nested_too_deep_are_refused_and_the_scan_ends(run: Run, tmp_path: Path) -> None:
    data = saved(scene(200, 150), "JPEG")
    for level in range(12):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(f"{level}.zip" if level else "a.jpg", data)
        data = file.getvalue()
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "deep.zip").write_bytes(data)
    run("scan", tmp_path / "evidence", "--case", tmp_path / "case", code=1)
    shown = run("show", tmp_path / "case", "--json").json()
    assert [row["reason"] for row in shown["unread"]] == ["refused by a limit"]


def test_odd_media_scanned_as_a_folder_costs_reasons_and_no_crash(shared: Path, run: Run, tmp_path: Path) -> None:
    done = run("scan", shared / "odd-media", "--case", tmp_path / "case", code=1)
    assert "Traceback" not in done.err
    items = run("list", tmp_path / "case", "--json").lines()
    assert len(items) > 1100
    assert all(item["width"] or "media" in item["absent"] for item in items)
    assert run("show", tmp_path / "case", "--json").json()["unfinished"] == 0


def test_no_picture_enters_the_case(demo: stick.Stick, run: Run, tmp_path: Path) -> None:
    """The case and the report hold no run of 32 bytes from the middle of any picture."""
    run("scan", demo.image, "--case", tmp_path / "case", code=1)
    run("report", tmp_path / "case", "-o", tmp_path / "report.html")
    kept = b"".join(path.read_bytes() for path in [tmp_path / "report.html", *(tmp_path / "case").iterdir()])
    data = demo.image.read_bytes()
    start = data.index(b"\xff\xd8\xff")
    while start != -1:
        assert data[start + 4000 : start + 4032] not in kept or not any(data[start + 4000 : start + 4032])
        start = data.find(b"\xff\xd8\xff", start + 4100)
    assert b"<img" not in kept
    assert b"data:image" not in kept


def test_a_report_escapes_hostile_names_and_is_replaced_whole(run: Run, tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "<script>alert(1)<").mkdir()
    (tmp_path / "evidence" / "<script>alert(1)<" / "x.jpg").write_bytes(b"text")
    run("scan", tmp_path / "evidence", "--case", tmp_path / "case", code=1)
    run("report", tmp_path / "case", "-o", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "does not end in .html" in run("report", tmp_path / "case", "-o", tmp_path / "report.doc", code=2).err


def test_a_second_scan_at_the_same_time_is_refused(run: Run, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "evidence").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "evidence" / "a.png")
    run("scan", tmp_path / "evidence", "--case", tmp_path / "case")
    with (tmp_path / "case" / "scan.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("scan", tmp_path / "evidence", "--case", tmp_path / "case", code=2)
    assert "Another scan" in done.err


def test_a_case_is_one_file_that_any_sqlite_opens(run: Run, tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "evidence" / "a.png")
    run("scan", tmp_path / "evidence", "--case", tmp_path / "case")
    with sqlite3.connect(tmp_path / "case" / "case.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (1,)
    connection.close()
