"""The FAT16 writer against readers that are not ours: The Sleuth Kit, fsck.vfat and mtools."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
import pytsk3

from mantlet.demo.fat import Volume

SIZE = 16 * 1024 * 1024
NOON = datetime(2026, 3, 14, 12, 34, 56)


def content(number: int, size: int) -> bytes:
    return hashlib.shake_128(number.to_bytes(4, "big")).digest(size)


def read(image: Path) -> dict[str, tuple[bool, bytes]]:
    """Path -> (deleted, content) of every file, as The Sleuth Kit finds them."""
    fs = pytsk3.FS_Info(pytsk3.Img_Info(str(image)))
    found: dict[str, tuple[bool, bytes]] = {}

    def walk(folder: pytsk3.Directory, above: str) -> None:
        for entry in folder:
            name = entry.info.name.name.decode()
            if name in (".", "..") or name.startswith("$") or name.endswith("(Volume Label Entry)"):
                continue
            if entry.info.meta.type == pytsk3.TSK_FS_META_TYPE_DIR:
                walk(entry.as_directory(), f"{above}{name}/")
            elif entry.info.meta.type == pytsk3.TSK_FS_META_TYPE_REG:
                size = entry.info.meta.size
                deleted = bool(int(entry.info.name.flags) & pytsk3.TSK_FS_NAME_FLAG_UNALLOC)
                found[above + name] = (deleted, entry.read_random(0, size) if size else b"")

    walk(fs.open_dir("/"), "")
    return found


def stored(volume: Volume, folder: Path) -> Path:
    image = folder / "volume.dd"
    image.write_bytes(volume.to_bytes())
    return image


def checked(image: Path) -> None:
    if shutil.which("fsck.vfat") is None:
        pytest.skip("fsck.vfat (Debian package dosfstools) is not installed")
    done = subprocess.run(["fsck.vfat", "-n", str(image)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) == 2, done.stdout


@pytest.fixture
def volume() -> Volume:
    """Files of awkward sizes and names, more of them in one folder than a cluster has slots, some deleted."""
    volume = Volume(SIZE, "TEST")
    volume.mkdir("DCIM", NOON)
    volume.mkdir("DCIM/100CAMRA", NOON)
    for number in range(90):
        volume.write(f"DCIM/100CAMRA/IMG_{number:04}.JPG", content(number, 1000 + 97 * number), NOON)
    volume.mkdir("A folder with a long name", NOON)
    volume.write("A folder with a long name/Zoë's café.jpg", content(100, 2048), NOON)
    volume.write("A folder with a long name/exactly13char", content(101, 2049), NOON)
    volume.write("A folder with a long name/" + "long " * 20 + ".txt", content(102, 1), NOON)
    volume.write("lower.txt", content(103, 700), NOON)
    volume.write("EMPTY.BIN", b"", NOON)
    volume.delete("DCIM/100CAMRA/IMG_0003.JPG")
    volume.mkdir("Gone folder", NOON)
    volume.write("Gone folder/First picture.jpg", content(104, 5000), NOON)
    volume.write("Gone folder/SECOND.JPG", content(105, 5000), NOON)
    volume.delete("Gone folder")
    return volume


def test_live_files_read_back(volume: Volume, tmp_path: Path) -> None:
    live = {path: data for path, (deleted, data) in read(stored(volume, tmp_path)).items() if not deleted}
    expected = {f"DCIM/100CAMRA/IMG_{n:04}.JPG": content(n, 1000 + 97 * n) for n in range(90) if n != 3} | {
        "A folder with a long name/Zoë's café.jpg": content(100, 2048),
        "A folder with a long name/exactly13char": content(101, 2049),
        "A folder with a long name/" + "long " * 20 + ".txt": content(102, 1),
        "lower.txt": content(103, 700),
        "EMPTY.BIN": b"",
    }
    assert live == expected


def test_deleted_files_read_back(volume: Volume, tmp_path: Path) -> None:
    deleted = {path: data for path, (deleted, data) in read(stored(volume, tmp_path)).items() if deleted}
    assert deleted == {
        "DCIM/100CAMRA/_MG_0003.JPG": content(3, 1000 + 97 * 3),
        "Gone folder/First picture.jpg": content(104, 5000),
        "Gone folder/_ECOND.JPG": content(105, 5000),
    }


def test_fsck_finds_nothing(volume: Volume, tmp_path: Path) -> None:
    checked(stored(volume, tmp_path))


@pytest.mark.parametrize("mib", [9, 31, 32, 33, 127])
def test_any_size_is_consistent(mib: int, tmp_path: Path) -> None:
    """32 MiB is where the sector count leaves its 16-bit field."""
    volume = Volume(mib * 1024 * 1024)
    volume.write("a.bin", content(1, 100_000), NOON)
    image = stored(volume, tmp_path)
    assert read(image) == {"a.bin": (False, content(1, 100_000))}
    checked(image)


def test_mtools_lists_names_and_times(volume: Volume, tmp_path: Path) -> None:
    if shutil.which("mdir") is None:
        pytest.skip("mdir (Debian package mtools) is not installed")
    command = ["mdir", "-i", str(stored(volume, tmp_path)), "::"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "LOWER    TXT       700 2026-03-14  12:34  lower.txt" in listing
    assert "AFOLDE~1     <DIR>     2026-03-14  12:34  A folder with a long name" in listing
    assert "Gone" not in listing


def test_short_names_of_a_folder_differ() -> None:
    volume = Volume(SIZE)
    for number in range(12):
        volume.write(f"A long name {number}.jpg", b"", NOON)
    data = volume.to_bytes()
    assert all(data.count(b"ALONGN~%dJPG" % n) == 1 for n in range(1, 10))
    assert all(data.count(b"ALONG~%dJPG" % n) == 1 for n in range(10, 13))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="do not make a FAT16 volume"):
        Volume(1024 * 1024)
    volume = Volume(9 * 1024 * 1024)
    volume.write("a", b"1", NOON)
    with pytest.raises(ValueError, match="exists already"):
        volume.write("a", b"2", NOON)
    with pytest.raises(ValueError, match="full"):
        volume.write("b", bytes(10 * 1024 * 1024), NOON)
    with pytest.raises(FileNotFoundError):
        volume.delete("c")
    for number in range(509):
        volume.write(f"{number}", b"", NOON)
    with pytest.raises(ValueError, match="root folder is full"):
        volume.write("b", b"", NOON)


def test_long_entries_are_padded_as_the_specification_says(volume: Volume) -> None:
    """A terminator, then 0xFFFF; readers forgive other padding, so no reader would tell."""
    padded = ".txt".encode("utf-16-le") + b"\0\0\xff\xff" + b"\0\0" + b"\xff\xff\xff\xff"
    assert padded in volume.to_bytes()
