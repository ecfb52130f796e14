"""File systems that others made, against what their own tools say: path, size and SHA-1 of every file."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path

import pyfsntfs
import pytest

from mantlet.evidence.reach import Reach
from mantlet.evidence.source import RawFile
from mantlet.evidence.stream import Slice
from mantlet.types import Address, Recovery, Step, unescape

Listed = set[tuple[str, int, str]]


def listed(path: Path, volume: int | None) -> Listed:
    """Live files and streams with content, as they are found at the walk seam."""
    address = Address("E") if volume is None else Address("E", (Step("volume", volume),))
    reach, found = Reach({"E": str(path)}), set()
    for entry in reach.tree(address).walk():
        if entry.recovery is Recovery.LIVE and not entry.absent and entry.size and entry.step.kind != "volume":
            data = reach.open(address.child(entry.step)).read()
            assert len(data) == entry.size
            found.add((unescape(entry.step.name).decode().lstrip("/"), entry.size, hashlib.sha1(data).hexdigest()))
    return found


def by_sleuthkit(path: Path, offset: int) -> Listed:
    """What `fls` lists and `icat` gives."""
    if not shutil.which("fls"):
        pytest.skip("fls and icat (Debian package sleuthkit) are not installed")
    where = ["-o", str(offset // 512), str(path)]
    found = set()
    lines = subprocess.run(["fls", "-r", "-p", "-u", "-F", *where], check=True, capture_output=True, text=True).stdout
    for line in lines.splitlines():
        head, _, name = line.partition("\t")
        number = head.split()[1].rstrip(":")
        if "-" in number and number.split("-")[1] != "128":  # an index of NTFS, which is no file's data
            continue
        data = subprocess.run(["icat", *where, number], check=True, capture_output=True).stdout
        if data:
            found.add((name, len(data), hashlib.sha1(data).hexdigest()))
    return found


def unpacked(path: Path, folder: Path) -> Path:
    target = folder / path.stem
    target.write_bytes(gzip.decompress(path.read_bytes()))
    return target


@pytest.mark.parametrize("name", ["lastaccess", "ptrn", "ramslack", "si-vs-fn"])
def test_ntfs_volumes_of_windows_are_listed_as_the_sleuth_kit_lists_them(
    name: str, shared: Path, tmp_path: Path
) -> None:
    path = unpacked(shared / "disks" / "ntfs-samples" / f"ntfs-{name}.raw.gz", tmp_path)
    expected = {each for each in by_sleuthkit(path, 65536) if not each[0].endswith("$Bad")}  # as large as the volume
    assert listed(path, 65536) == expected


def test_an_iso_9660_image_is_listed_as_the_sleuth_kit_lists_it(shared: Path) -> None:
    path = shared / "disks" / "dfvfs" / "iso9660.raw"
    assert listed(path, None) == by_sleuthkit(path, 0)


def test_ntfs_with_clusters_of_two_mebibytes_is_listed_as_libfsntfs_reads_it_by_path(
    shared: Path, tmp_path: Path
) -> None:
    path = unpacked(shared / "disks" / "ntfs-samples" / "ntfs-2m.raw.gz", tmp_path)
    found = listed(path, 65536)
    assert "System Volume Information/WPSettings.dat" in {name for name, _, _ in found}
    volume = pyfsntfs.volume()
    volume.open_file_object(Slice(RawFile(path), 65536))
    for name, size, digest in found:
        record = volume.get_file_entry_by_path("\\" + name.partition(":")[0].replace("/", "\\"))
        stream = record.get_alternate_data_stream_by_name(name.partition(":")[2]) if ":" in name else record
        data = stream.read_buffer(stream.get_size())
        assert (len(data), hashlib.sha1(data).hexdigest()) == (size, digest)
