"""The demo exhibit: a memory stick full of drawn pictures, with a known set and a benign list that fit it."""

from __future__ import annotations

import csv
import io
import struct
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from mantlet.demo.fat import SECTOR, Volume
from mantlet.demo.pictures import Edit, clip, edited, flat, jpeg, png
from mantlet.demo.scenes import scene
from mantlet.fingerprint import digests
from mantlet.fingerprint.pdq import pdq
from mantlet.media.picture import decode
from mantlet.types import Containment, Kind, Recovery

_SIZE: Final = 24 * 1024 * 1024
_FIRST_SECTOR: Final = 2048
_START: Final = datetime(2026, 3, 14, 9, 0)
_STEP: Final = timedelta(minutes=7)

# (kind, seed) of what the camera took, in order: IMG_0001.JPG, IMG_0002.JPG...
_ROLL: Final = (
    ("boat", 7), ("boat", 8), ("lighthouse", 4), ("boat", 11), ("kite", 10), ("kite", 2),
    ("house", 12), ("bicycle", 6), ("camera", 8), ("balloon", 2), ("windmill", 12), ("boat", 3),
    ("windmill", 0), ("camera", 5), ("teapot", 5), ("balloon", 6), ("boat", 13), ("house", 0),
    ("bicycle", 9), ("lighthouse", 9), ("lighthouse", 0),
)  # fmt: skip
_ROLL_DELETED: Final = (4, 9, 13, 18, 20)
_TRIP: Final = (("Harbour at dusk.jpg", "boat", 4), ("Camera on the desk.jpg", "camera", 10))
# Copies of pictures, as people keep them; that of boat 10 is all there is of it on the stick.
_COPIES: Final[tuple[tuple[str, str, int, Edit], ...]] = (
    ("Boats (small).jpg", "boat", 8, "resized"),
    ("Lighthouse (web).jpg", "lighthouse", 4, "recompressed"),
    ("Old camera (web).jpg", "camera", 5, "recompressed"),
    ("Fishing boat (small).jpg", "boat", 3, "resized"),
    ("Sailing.jpg", "boat", 10, "recompressed"),
)
_HOLIDAY: Final = (
    ("Balloons.jpg", "balloon", 7),
    ("Tulips.jpg", "windmill", 9),
    ("Tea at four.jpg", "teapot", 14),
)
_PHONE: Final = (("boat", 14), ("camera", 0), ("house", 6), ("bicycle", 12), ("house", 12))
# (kind, seed, category, note) of the known set: camera 12 is not on the stick at all.
_KNOWN: Final = (
    ("boat", 7, "boat", "in the camera folder, and a copy"),
    ("boat", 11, "boat", "deleted from the camera folder"),
    ("boat", 10, "boat", "only an edited copy is on the stick"),
    ("camera", 0, "camera", "in the backup of a phone"),
    ("camera", 3, "camera", "named as a document"),
    ("camera", 12, "camera", "not on the stick"),
    ("house", 12, "other", "in the camera folder and in the backup"),
)
_BENIGN: Final = (("kite", 10), ("bicycle", 6))


class Picture(msgspec.Struct, frozen=True):
    """One picture file on the stick, as a reader should find it.

    `path` begins with "/"; that of an archive's member follows the archive's path. Deletion costs a name
    that FAT keeps in its short form only the first letter, which The Sleuth Kit shows as "_".
    """

    path: str
    sha256: str
    recovery: Recovery
    containment: Containment
    kind: Kind


class Stick(msgspec.Struct, frozen=True):
    """Where the demo's files are, and all pictures on the stick, damaged ones included."""

    image: Path
    known: Path
    benign: Path
    truth: tuple[Picture, ...]


def build(folder: Path) -> Stick:
    """Writes stick.dd, known.csv and benign.txt into `folder`; the same bytes each time on one machine."""
    writing = _Writing()
    _write_camera(writing)
    _write_pictures(writing)
    _write_documents(writing)
    _write_backup(writing)
    stick = Stick(folder / "stick.dd", folder / "known.csv", folder / "benign.txt", tuple(writing.truth))
    stick.image.write_bytes(_partitioned(writing.volume.to_bytes()))
    stick.known.write_bytes(_known_set())
    benign = [digests.of_bytes(jpeg(scene(*which))).sha256 for which in _BENIGN]
    stick.benign.write_text("".join(f"{line}\n" for line in benign), encoding="ascii")
    return stick


class _Writing:
    """The volume under way, the truth about it, and a clock that moves on with each file."""

    def __init__(self) -> None:
        self.volume = Volume(_SIZE - _FIRST_SECTOR * SECTOR, "HOLIDAY", hidden=_FIRST_SECTOR)
        self.truth: list[Picture] = []
        self._now = _START

    def folder(self, path: str) -> None:
        self.volume.mkdir(path, self._now)

    def file(self, path: str, data: bytes) -> None:
        self._now += _STEP
        self.volume.write(path, data, self._now)

    def picture(
        self,
        path: str,
        data: bytes,
        recovery: Recovery = Recovery.LIVE,
        kind: Kind = Kind.STILL,
        found: str = "",
    ) -> None:
        """Writes a picture that will be found as `path`, or as `found` where that differs."""
        self.file(path, data)
        self.note(found or path, data, recovery, Containment.FILE, kind)

    def note(self, path: str, data: bytes, recovery: Recovery, containment: Containment, kind: Kind) -> None:
        self.truth.append(Picture(f"/{path}", digests.of_bytes(data).sha256, recovery, containment, kind))


def _write_camera(writing: _Writing) -> None:
    """The camera's own folder, some of it deleted, and a deleted folder of an older trip."""
    writing.folder("DCIM")
    writing.folder("DCIM/100CAMRA")
    for number, which in enumerate(_ROLL, 1):
        path, data = f"DCIM/100CAMRA/IMG_{number:04}.JPG", jpeg(scene(*which))
        if number in _ROLL_DELETED:
            writing.picture(path, data, Recovery.DELETED, found=path.replace("/IMG", "/_MG"))
            writing.volume.delete(path)
        else:
            writing.picture(path, data)
    writing.folder("Old trip")
    for name, kind, seed in _TRIP:
        writing.picture(f"Old trip/{name}", jpeg(scene(kind, seed)), Recovery.DELETED)
    writing.volume.delete("Old trip")


def _write_pictures(writing: _Writing) -> None:
    """What was copied and edited: near copies, exact ones, and one of each form that is easily misread."""
    writing.folder("Pictures")
    writing.folder("Pictures/Holiday")
    for name, kind, seed in _HOLIDAY:
        writing.picture(f"Pictures/Holiday/{name}", jpeg(scene(kind, seed)))
    for name, kind, seed, how in _COPIES:
        writing.picture(f"Pictures/Holiday/{name}", edited(scene(kind, seed), how))
    writing.picture("Pictures/Holiday/IMG_0001.JPG", jpeg(scene("boat", 7)))
    writing.picture("Pictures/Holiday/Kite on the hill.jpg", jpeg(scene("kite", 10)))
    writing.file("Pictures/holiday.jpg", b"Not a picture: the packing list. Hats, towels, the blue kite.\n" * 9)
    writing.file("Pictures/empty.jpg", b"")
    writing.picture("Pictures/Held upright.jpg", edited(scene("kite", 9), "turned"))
    writing.picture("Pictures/Few colours.png", edited(scene("teapot", 10), "palette"))
    writing.picture("Pictures/For print.jpg", edited(scene("house", 11), "cmyk"))
    writing.picture("Pictures/Lens cap.jpg", flat())
    whole = jpeg(scene("balloon", 9))
    writing.picture("Pictures/Cut short.jpg", whole[: len(whole) // 2])
    writing.folder("Videos")
    writing.picture("Videos/MOV_0001.MP4", clip(), kind=Kind.MOVING)


def _write_documents(writing: _Writing) -> None:
    """Two texts, and two pictures under names that are none."""
    writing.folder("Documents")
    writing.file("Documents/readme.txt", b"Stand-in evidence. Every picture here was drawn by a program.\n")
    writing.file("Documents/Shopping list.txt", b"Bread, tea, film for the camera, string for the kite.\n" * 40)
    writing.picture("Documents/report.doc", jpeg(scene("camera", 3)))
    writing.picture("Documents/notes.dat", png(scene("teapot", 7)))


def _write_backup(writing: _Writing) -> None:
    """A zip archive of a phone's pictures, stored and deflated in turn; the last is in the camera too."""
    path, file = "Backups/phone.zip", io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, which in enumerate(_PHONE):
            name, data = f"Camera/20260301_1015{number:02}.jpg", jpeg(scene(*which))
            member = zipfile.ZipInfo(name, (2026, 3, 1, 10, 15, 2 * number))
            member.compress_type = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2]
            archive.writestr(member, data)
            writing.note(f"{path}/{name}", data, Recovery.LIVE, Containment.MEMBER, Kind.STILL)
    writing.folder("Backups")
    writing.file(path, file.getvalue())


def _known_set() -> bytes:
    """The known set: digests of the original files and the PDQ of their pixels."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(("md5", "sha1", "sha256", "pdq", "category", "note"))
    for kind, seed, category, note in _KNOWN:
        data = jpeg(scene(kind, seed))
        of = digests.of_bytes(data)
        perceptual, _ = pdq(decode(data).pixels)
        table.writerow((of.md5, of.sha1, of.sha256, perceptual.hex(), category, f"{kind.title()}, {note}"))
    return text.getvalue().encode("ascii")


def _partitioned(volume: bytes) -> bytes:
    """A disk with an MBR (UEFI specification 2.10, section 5.2.1) whose only partition is the FAT16 `volume`.

    Cylinders, heads and sectors are given as beyond their range, so that the LBA fields count.
    """
    beyond = b"\xfe\xff\xff"
    sectors = len(volume) // SECTOR
    entry = struct.pack("<B3sB3sII", 0, beyond, 0x0E, beyond, _FIRST_SECTOR, sectors)
    record = bytes(440) + struct.pack("<IH", 0x20260314, 0) + entry + bytes(48) + b"\x55\xaa"
    return record.ljust(_FIRST_SECTOR * SECTOR, b"\0") + volume
