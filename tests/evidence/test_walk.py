"""Every tree against the truth that tests/images/make.py wrote down when it made the images."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mantlet.errors import EvidenceError, RefusedError
from mantlet.evidence.reach import Reach
from mantlet.types import Address, Containment, Entry, Reason, Recovery, unescape

IMAGES = Path(__file__).parents[1] / "images"
TRUTH: dict[str, list[dict[str, Any]]] = json.loads((IMAGES / "truth.json").read_text())
FILE_SYSTEMS = ["fat16.img", "fat32.img", "exfat.img", "ntfs.img", "ext2.img", "ext3.img", "ext4.img", "iso.img"]
DISKS = ["disk.img", "mbr.img"]
# Written over after deletion, in ways that no allocation table shows any more: they come back, but as what they are
# not. Each decodes as damaged, or is another deleted picture's bytes (tests/images/README.md).
PLAUSIBLE = {"gaps.jpg", "_aps.jpg", "tail.jpg", "_ail.jpg", "twice.jpg", "_wice.jpg", "deleted by windows.jpg"}


def listed(reach: Reach, address: Address) -> Iterator[tuple[Address, Entry]]:
    for entry in reach.tree(address).walk():
        child = address.child(entry.step)
        if entry.step.kind == "volume":
            yield from listed(reach, child)
        else:
            yield child, entry


def found(path: Path) -> list[tuple[str, Recovery, str]]:
    """Path within the file system, recovery and SHA-256 of every file with content."""
    reach = Reach({"E": str(path)})
    return [
        (
            unescape(address.steps[-1].name).decode("utf-8", "replace"),
            entry.recovery,
            hashlib.sha256(reach.open(address).read()).hexdigest(),
        )
        for address, entry in listed(reach, Address("E"))
        if not entry.absent and entry.size
    ]


@pytest.mark.parametrize("name", [*FILE_SYSTEMS, *DISKS])
def test_every_live_file_is_found_at_its_path_with_its_digest(name: str, image: Callable[[str], Path]) -> None:
    files = {(path, digest) for path, recovery, digest in found(image(name)) if recovery is Recovery.LIVE}
    truth = {(path, row["sha256"]) for row in live(name) for path in seen_as(row)}
    for row in live(name):
        assert any((path, row["sha256"]) in files for path in seen_as(row)), row
    assert all(Path(path).name.startswith("$") for path, _ in files - truth), "something else was found"


def seen_as(row: dict[str, Any]) -> list[str]:
    """The paths under which The Sleuth Kit may show a file: it cuts names over some 195 characters."""
    seen = row.get("seen_as") or row["path"]
    return ["/" + path.lstrip("/") for path in (seen if isinstance(seen, list) else [seen])]


def live(name: str) -> list[dict[str, Any]]:
    return [row for row in TRUTH[name] if row["recovery"] in ("live", "stream") and row["size"]]


@pytest.mark.parametrize("name", [*FILE_SYSTEMS, *DISKS])
def test_every_deleted_file_that_is_not_written_over_is_found_and_nothing_else(
    name: str, image: Callable[[str], Path]
) -> None:
    truth = {row["sha256"] for row in TRUTH[name] if row["recovery"] == "deleted"}
    files = {digest: path for path, recovery, digest in found(image(name)) if recovery is Recovery.DELETED}
    assert truth <= set(files)
    assert {Path(files[digest]).name for digest in set(files) - truth} <= PLAUSIBLE


@pytest.mark.parametrize("name", FILE_SYSTEMS)
def test_what_a_stale_name_of_a_moved_file_points_to_is_not_counted_twice(
    name: str, image: Callable[[str], Path]
) -> None:
    digests = [digest for _, recovery, digest in found(image(name)) if recovery is Recovery.LIVE]
    for row in TRUTH[name]:
        if row["recovery"] == "moved":
            assert digests.count(row["sha256"]) <= 1


def test_the_index_of_a_large_folder_is_not_taken_for_names(image: Callable[[str], Path]) -> None:
    entries = [entry for _, entry in listed(Reach({"E": str(image("htree.img"))}), Address("E"))]
    assert len(entries) == 4300
    assert all(re.fullmatch(r"/big/a .* quickly \d+\.(jpg|txt)", entry.step.name) for entry in entries)
    assert len({entry.step.at for entry in entries}) == 4300


@pytest.mark.parametrize("name", ["fat16.img", "exfat.img", "ntfs.img"])
def test_a_deleted_file_whose_place_is_taken_says_so(name: str, image: Callable[[str], Path]) -> None:
    reach = Reach({"E": str(image(name))})
    gone = [entry for _, entry in listed(reach, Address("E")) if entry.absent]
    assert gone
    assert {entry.absent.reason for entry in gone if entry.absent} == {Reason.GONE}


def test_times_keep_what_the_medium_knows_of_the_zone(image: Callable[[str], Path]) -> None:
    for name, zone in (("fat16.img", "-00:00"), ("exfat.img", "-00:00"), ("ntfs.img", "Z"), ("ext4.img", "Z")):
        reach = Reach({"E": str(image(name))})
        times = [entry.times.modified for _, entry in listed(reach, Address("E")) if entry.times.modified]
        assert times
        assert all(time.endswith(zone) for time in times)


@pytest.mark.parametrize("name", ["disk.E01", "split.E01"])
def test_an_e01_holds_what_the_raw_image_holds(name: str, image: Callable[[str], Path]) -> None:
    for segment in ("split.E02", "split.E03"):
        image(segment)
    assert found(image(name)) == found(image("disk.img"))


def test_a_split_raw_image_holds_what_the_whole_one_holds(image: Callable[[str], Path], tmp_path: Path) -> None:
    data = image("disk.img").read_bytes()
    for number in range(3):
        third = -(-len(data) // 3)
        (tmp_path / f"disk.{number + 1:03}").write_bytes(data[number * third : (number + 1) * third])
    assert found(tmp_path / "disk.001") == found(image("disk.img"))
    (tmp_path / "disk.002").unlink()
    with pytest.raises(EvidenceError, match=r"a part is missing: disk\.002"):
        found(tmp_path / "disk.001")
    with pytest.raises(EvidenceError, match=r"give the first part"):
        found(tmp_path / "disk.003")


@pytest.mark.parametrize("name", ["ntfs.img", "disk.E01", "iso.img"])
def test_an_address_opens_again_elsewhere(name: str, image: Callable[[str], Path]) -> None:
    """The conformance test of the tree seam: same order, and each step opens by itself in a fresh process."""
    path = str(image(name))
    reach = Reach({"E": path})
    entries = list(listed(reach, Address("E")))
    assert entries == list(listed(Reach({"E": path}), Address("E")))
    for address, entry in entries:
        if not entry.absent and entry.size < 100_000:
            again = Address.parse(str(address))
            assert Reach({"E": path}).open(again).read() == reach.open(address).read()


def test_a_folder_gives_its_files_and_never_follows_a_link(tmp_path: Path) -> None:
    evidence, outside = tmp_path / "evidence", tmp_path / "outside"
    for folder in (evidence / "a" / "b", outside):
        folder.mkdir(parents=True)
    (evidence / "a" / "b" / "one.txt").write_bytes(b"one")
    (evidence / b"na\xffme!%\n.txt".decode("utf-8", "surrogateescape")).write_bytes(b"two")
    (outside / "secret.txt").write_bytes(b"not evidence")
    (evidence / "link").symlink_to(outside)
    (evidence / "file link").symlink_to(outside / "secret.txt")
    reach = Reach({"E": str(evidence)})
    contents = {reach.open(Address.parse(str(address))).read() for address, _ in listed(reach, Address("E"))}
    assert contents == {b"one", b"two"}


def test_an_address_cannot_lead_out_of_a_folder(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (tmp_path / "secret.txt").write_bytes(b"not evidence")
    with pytest.raises(RefusedError):
        Reach({"E": str(evidence)}).open(Address.parse("E!file:0:../secret.txt"))


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_names_in_a_zip_are_only_text(tmp_path: Path) -> None:
    names = {"../../up.txt": b"1", "/etc/absolute": b"2", "C:\\x\\y": b"3", "plain": b"4"}
    reach = Reach({"E": str(zipped(tmp_path / "a.zip", names))})
    entries = list(listed(reach, Address("E")))
    assert [reach.open(address).read() for address, _ in entries] == [b"1", b"2", b"3", b"4"]
    assert {entry.containment for _, entry in entries} == {Containment.MEMBER}
    assert sorted(child.name for child in tmp_path.iterdir()) == ["a.zip"]


def test_a_zip_in_a_zip_in_a_file_system_is_reached_by_one_address(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep.txt", b"deep")
    reach = Reach({"E": str(zipped(tmp_path / "a.zip", {"inner.zip": inner.getvalue()}))})
    assert reach.open(Address.parse("E!member:0:inner.zip!member:0:deep.txt")).read() == b"deep"


def test_a_member_that_is_locked_or_a_bomb_is_refused_with_its_reason(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"bomb": bytes(80 * 1024 * 1024), "locked": b"x"})
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 8] |= 1  # general purpose bit 0: encrypted
    path.write_bytes(data)
    reasons = [entry.absent.reason for _, entry in listed(Reach({"E": str(path)}), Address("E")) if entry.absent]
    assert reasons == [Reason.LIMIT, Reason.ENCRYPTED]


@pytest.mark.parametrize(
    ("name", "head", "says"),
    [
        ("a.Ex01", b"EVF2\r\n\x81\x00", "Ex01"),
        ("a.L01", b"LVF\x09\x0d\x0a\xff\x00", "L01"),
        ("a.ad1", b"ADSEGMENTEDFILE\x00", "AD1"),
        ("a.aff4", b"PK\x03\x04", "AFF4"),
        ("a.vmdk", b"KDMV", "VMDK"),
        ("a.vhdx", b"vhdxfile", "VHDX"),
        ("a.qcow2", b"QFI\xfb", "QCOW"),
    ],
)
def test_a_format_known_and_not_read_is_refused_by_name(tmp_path: Path, name: str, head: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(head + bytes(2000))
    with pytest.raises(EvidenceError, match=says):
        Reach({"E": str(tmp_path / name)}).tree(Address("E"))


@pytest.mark.parametrize(
    ("offset", "mark", "says"),
    [(0, b"XFSB", "XFS"), (32, b"NXSB", "APFS"), (0x10040, b"_BHRfS_M", "Btrfs"), (0, b"nothing", "No file system")],
)
def test_a_file_system_that_is_not_read_is_named(tmp_path: Path, offset: int, mark: bytes, says: str) -> None:
    data = bytearray(1 << 20)
    data[offset : offset + len(mark)] = mark
    (tmp_path / "disk.dd").write_bytes(data)
    with pytest.raises(RefusedError, match=says):
        Reach({"E": str(tmp_path / "disk.dd")}).tree(Address("E"))


def test_a_missing_segment_of_an_e01_is_named(image: Callable[[str], Path], tmp_path: Path) -> None:
    for number in (1, 3):
        (tmp_path / f"case.E0{number}").write_bytes(image(f"split.E0{number}").read_bytes())
    with pytest.raises(EvidenceError, match=r"case\.E02 is missing"):
        found(tmp_path / "case.E01")
    with pytest.raises(EvidenceError, match="give the first one"):
        found(tmp_path / "case.E03")
