"""The memory stick: what a reader finds on it is what its truth says."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import subprocess
import zipfile
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
import pytsk3

from mantlet.demo.stick import Stick, build
from mantlet.fingerprint.pdq import pdq
from mantlet.media.picture import decode
from mantlet.settings import PDQ_DISTANCE, PDQ_QUALITY

START = 2048 * 512


@pytest.fixture(scope="module")
def stick(tmp_path_factory: pytest.TempPathFactory) -> Stick:
    return build(tmp_path_factory.mktemp("stick"))


@pytest.fixture(scope="module")
def files(stick: Stick) -> dict[str, tuple[str, bytes]]:
    """Path -> (recovery, content) of every file and every member of an archive."""
    disk = pytsk3.Img_Info(str(stick.image))
    (part,) = (p for p in pytsk3.Volume_Info(disk) if p.flags == pytsk3.TSK_VS_PART_FLAG_ALLOC)
    fs = pytsk3.FS_Info(disk, offset=part.start * 512)
    found: dict[str, tuple[str, bytes]] = {}

    def walk(folder: pytsk3.Directory, above: str) -> None:
        for entry in folder:
            name, meta = entry.info.name.name.decode(), entry.info.meta
            if name in (".", "..") or name.startswith("$") or name.endswith("(Volume Label Entry)"):
                continue
            if meta.type == pytsk3.TSK_FS_META_TYPE_DIR:
                walk(entry.as_directory(), f"{above}{name}/")
                continue
            gone = int(entry.info.name.flags) & pytsk3.TSK_FS_NAME_FLAG_UNALLOC
            data = entry.read_random(0, meta.size) if meta.size else b""
            found[above + name] = ("deleted" if gone else "live", data)
            if name.endswith(".zip"):
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    for member in archive.namelist():
                        found[f"{above}{name}/{member}"] = ("live", archive.read(member))

    walk(fs.open_dir("/"), "/")
    return found


@pytest.fixture(scope="module")
def known(stick: Stick) -> list[dict[str, str]]:
    with stick.known.open(encoding="ascii", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def hashes(stick: Stick, files: dict[str, tuple[str, bytes]]) -> dict[str, int]:
    """Path -> PDQ of every still that is not too flat."""
    found = {}
    for picture in stick.truth:
        if picture.kind == "still":
            value, quality = pdq(decode(files[picture.path][1]).pixels)
            if quality >= PDQ_QUALITY:
                found[picture.path] = int.from_bytes(value, "big")
    return found


def near(hashes: dict[str, int], value: int) -> list[str]:
    return sorted(path for path, other in hashes.items() if (value ^ other).bit_count() <= PDQ_DISTANCE)


def test_truth_is_found(stick: Stick, files: dict[str, tuple[str, bytes]]) -> None:
    found = {path: (recovery, hashlib.sha256(data).hexdigest()) for path, (recovery, data) in files.items()}
    assert {p.path: (p.recovery.value, p.sha256) for p in stick.truth}.items() <= found.items()
    assert sorted(set(found) - {p.path for p in stick.truth}) == [
        "/Backups/phone.zip",
        "/Documents/Shopping list.txt",
        "/Documents/readme.txt",
        "/Pictures/empty.jpg",
        "/Pictures/holiday.jpg",
    ]


def test_counts(stick: Stick, files: dict[str, tuple[str, bytes]]) -> None:
    count = Counter((p.recovery.value, p.containment.value, p.kind.value) for p in stick.truth)
    assert count == {
        ("live", "file", "still"): 33,
        ("live", "member", "still"): 5,
        ("live", "file", "moving"): 1,
        ("deleted", "file", "still"): 7,
    }
    copies = Counter(p.sha256 for p in stick.truth)
    assert sorted(copies.values())[-4:] == [1, 2, 2, 2]
    assert sum(len(files[p.path][1]) for p in stick.truth if p.recovery == "live") < 6_000_000


def test_same_bytes_each_time(stick: Stick, tmp_path: Path) -> None:
    again = build(tmp_path)
    assert again.truth == stick.truth
    for one, other in zip(
        (stick.image, stick.known, stick.benign), (again.image, again.known, again.benign), strict=True
    ):
        assert one.read_bytes() == other.read_bytes()


def test_distinct_pictures_are_far_apart(stick: Stick, files: dict[str, tuple[str, bytes]]) -> None:
    """All but the edited copies, the flat picture and the half one."""
    apart = ("(small)", "(web)", "Lens cap", "Cut short", ".MP4")
    data = {p.sha256: files[p.path][1] for p in stick.truth if not any(mark in p.path for mark in apart)}
    hashes = [pdq(decode(each).pixels) for each in data.values()]
    assert min(quality for _, quality in hashes) >= 80
    values = [int.from_bytes(value, "big") for value, _ in hashes]
    assert min((a ^ b).bit_count() for a, b in combinations(values, 2)) > 60


def test_known_set_matches_as_its_notes_say(
    known: list[dict[str, str]], hashes: dict[str, int], files: dict[str, tuple[str, bytes]]
) -> None:
    exact = {hashlib.sha256(data).hexdigest() for _, data in files.values()}
    matched = {
        row["note"]: (row["category"], row["sha256"] in exact, near(hashes, int(row["pdq"], 16))) for row in known
    }
    phone = "/Backups/phone.zip/Camera/20260301_1015"
    assert matched == {
        "Boat, in the camera folder, and a copy": (
            "boat",
            True,
            ["/DCIM/100CAMRA/IMG_0001.JPG", "/Pictures/Holiday/IMG_0001.JPG"],
        ),
        "Boat, deleted from the camera folder": ("boat", True, ["/DCIM/100CAMRA/_MG_0004.JPG"]),
        "Boat, only an edited copy is on the stick": ("boat", False, ["/Pictures/Holiday/Sailing.jpg"]),
        "Camera, in the backup of a phone": ("camera", True, [f"{phone}01.jpg"]),
        "Camera, named as a document": ("camera", True, ["/Documents/report.doc"]),
        "Camera, not on the stick": ("camera", False, []),
        "House, in the camera folder and in the backup": (
            "other",
            True,
            [f"{phone}04.jpg", "/DCIM/100CAMRA/IMG_0007.JPG"],
        ),
    }


@pytest.mark.parametrize(
    ("copy", "original"),
    [
        ("Boats (small)", "IMG_0002"),
        ("Lighthouse (web)", "IMG_0003"),
        ("Old camera (web)", "IMG_0014"),
        ("Fishing boat (small)", "IMG_0012"),
    ],
)
def test_edited_copies_are_near_their_originals_only(copy: str, original: str, hashes: dict[str, int]) -> None:
    path = f"/Pictures/Holiday/{copy}.jpg"
    assert near(hashes, hashes[path]) == [f"/DCIM/100CAMRA/{original}.JPG", path]


def test_backup_is_stored_and_deflated(files: dict[str, tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(io.BytesIO(files["/Backups/phone.zip"][1])) as archive:
        assert {member.compress_type for member in archive.infolist()} == {0, 8}


def test_known_digests_are_of_the_same_file(known: list[dict[str, str]], files: dict[str, tuple[str, bytes]]) -> None:
    by_digest = {hashlib.sha256(data).hexdigest(): data for _, data in files.values()}
    for row in known:
        data = by_digest.get(row["sha256"])
        if data is not None:
            assert row["md5"] == hashlib.md5(data).hexdigest()
            assert row["sha1"] == hashlib.sha1(data).hexdigest()


def test_benign_list_is_of_live_pictures_that_are_not_known(stick: Stick, known: list[dict[str, str]]) -> None:
    listed = set(stick.benign.read_text(encoding="ascii").splitlines())
    assert len(listed) == 2
    assert listed <= {p.sha256 for p in stick.truth if p.recovery == "live"}
    assert not listed & {row["sha256"] for row in known}


def test_fsck_finds_nothing(stick: Stick, tmp_path: Path) -> None:
    if shutil.which("fsck.vfat") is None:
        pytest.skip("fsck.vfat (Debian package dosfstools) is not installed")
    volume = tmp_path / "volume.dd"
    volume.write_bytes(stick.image.read_bytes()[START:])
    done = subprocess.run(["fsck.vfat", "-n", str(volume)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) == 2, done.stdout
