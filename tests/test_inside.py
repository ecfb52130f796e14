"""Pictures inside archives and documents, through the command line: all are found, each at an address that opens."""

from __future__ import annotations

import hashlib
import io
import random
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from mantlet.evidence.reach import Reach
from mantlet.types import Address
from tests.conftest import Run
from tests.evidence.ole_writer import compound_file
from tests.evidence.packing import COMPRESSIONS, cabinet, rar, seven_zipped, tarred, zipped
from tests.evidence.test_previews import exif, with_segments

COUNT = 50
Files = Mapping[str, bytes]


def pictures(seed: str, count: int = COUNT) -> dict[str, bytes]:
    """JPEGs of soft blobs, no two alike."""
    random_of, found = random.Random(seed), {}
    for number in range(count):
        image = Image.frombytes("RGB", (8, 8), random_of.randbytes(192)).resize((64, 64), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        image.save(file, "JPEG")
        found[f"{number:02}.jpg"] = file.getvalue()
    return found


def pdf(files: Files) -> bytes:
    document, file = pikepdf.new(), io.BytesIO()
    for data in files.values():
        keys = {"/Type": "/XObject", "/Subtype": "/Image", "/Filter": "/DCTDecode", "/ColorSpace": "/DeviceRGB"}
        image = pikepdf.Stream(document, data)
        for key, name in keys.items():
            image[key] = pikepdf.Name(name)
        image["/Width"], image["/Height"], image["/BitsPerComponent"] = 64, 64, 8
        page = document.add_blank_page(page_size=(64, 64))
        page.Resources = pikepdf.Dictionary({"/XObject": pikepdf.Dictionary({"/I": image})})
    document.save(file)
    return file.getvalue()


def office(folder: str) -> Callable[[Files], bytes]:
    """DOCX, PPTX and such (ISO/IEC 29500-2): a zip of parts, the pictures among them."""

    def made(files: Files) -> bytes:
        parts = {"[Content_Types].xml": b"<Types/>", f"{folder}/document.xml": b"<document/>"}
        return zipped(
            parts | {f"{folder}/media/image{name}": data for name, data in files.items()}, zipfile.ZIP_DEFLATED
        )

    return made


def eml(files: Files) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "holiday"
    message.set_content("Here they are.")
    for name, data in files.items():
        message.add_attachment(data, maintype="image", subtype="jpeg", filename=name)
    return message.as_bytes()


def msg(files: Files) -> bytes:
    return compound_file(
        {
            f"__attach_version1.0_#{number:08X}": {
                "__substg1.0_37010102": data,
                "__substg1.0_3707001F": name.encode("utf-16-le"),
            }
            for number, (name, data) in enumerate(files.items())
        }
    )


def sqlite(files: Files) -> bytes:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE thumbs (id INTEGER PRIMARY KEY, data BLOB)")
        database.executemany("INSERT INTO thumbs (data) VALUES (?)", ((data,) for data in files.values()))
        database.commit()
        return database.serialize()


KINDS: dict[str, Callable[[Files], bytes]] = {
    "stored.zip": zipped,
    "deflated.zip": lambda files: zipped(files, zipfile.ZIP_DEFLATED),
    "a.tar": tarred,
    **{f"a.tar.{name}": lambda files, pack=pack: pack(tarred(files)) for name, pack in COMPRESSIONS.items()},  # type: ignore[misc]
    "a.7z": seven_zipped,
    "a.rar": rar,
    "a.cab": cabinet,
    "a.pdf": pdf,
    "a.docx": office("word"),
    "a.pptx": office("ppt"),
    "a.odt": office("Pictures"),
    "a.eml": eml,
    "a.msg": msg,
    "a.sqlite": sqlite,
    "a.mbox": lambda files: b"".join(
        b"From a@example.org Thu Jan  1 00:00:00 2026\n" + eml({name: data}) + b"\n" for name, data in files.items()
    ),
    "zip in tar.gz in 7z": lambda files: seven_zipped(
        {"in.tar.gz": COMPRESSIONS["gz"](tarred({"in.zip": zipped(files, zipfile.ZIP_DEFLATED)}))}
    ),
    "pdf in docx in eml": lambda files: eml({"in.docx": office("word/embeddings")({"in.pdf": pdf(files)})}),
    "sqlite in tar in zip": lambda files: zipped({"in.tar": tarred({"in.db": sqlite(files)})}, zipfile.ZIP_DEFLATED),
}


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    folder = tmp_path / "evidence"
    folder.mkdir()
    for name, make in KINDS.items():
        (folder / name).write_bytes(make(pictures(name)))
    return folder


def test_all_pictures_inside_archives_and_documents_are_found_and_open_again(
    evidence: Path, tmp_path: Path, run: Run
) -> None:
    run("scan", evidence, "--case", tmp_path / "case", "--as", "tester")
    items = run("list", tmp_path / "case", "--json").lines()
    wanted = {(name, hashlib.sha256(data).hexdigest()) for name in KINDS for data in pictures(name).values()}
    found = Counter((Address.parse(item["address"]).steps[0].name, item["sha256"]) for item in items)
    assert set(found) == wanted
    assert set(found.values()) == {1}
    assert {item["containment"] for item in items} == {"member"}
    reach = Reach({"EX1": str(evidence)})
    for item in random.Random(1).sample(items, 60):
        assert hashlib.sha256(reach.open(Address.parse(item["address"])).read()).hexdigest() == item["sha256"]


@pytest.mark.parametrize("name", ["stored.zip", "a.tar.gz", "a.7z", "a.pdf", "a.msg", "a.mbox", "a.tar.zst"])
def test_an_archive_or_document_is_an_exhibit_too(name: str, evidence: Path, tmp_path: Path, run: Run) -> None:
    run("scan", evidence / name, "--case", tmp_path / "case", "--as", "tester")
    items = run("list", tmp_path / "case", "--json").lines()
    assert {item["sha256"] for item in items} == {hashlib.sha256(each).hexdigest() for each in pictures(name).values()}


def test_a_preview_within_a_picture_is_counted_apart(tmp_path: Path, run: Run) -> None:
    [thumbnail] = pictures("preview", 1).values()
    camera = with_segments(exif(thumbnail=thumbnail))
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "camera.jpg").write_bytes(camera)
    (folder / "a.zip").write_bytes(zipped({"camera.jpg": camera}))
    run("scan", folder, "--case", tmp_path / "case", "--as", "tester")
    items = run("list", tmp_path / "case", "--json").lines()
    assert Counter((item["containment"], item["sha256"]) for item in items) == {
        ("file", hashlib.sha256(camera).hexdigest()): 1,
        ("member", hashlib.sha256(camera).hexdigest()): 1,
        ("preview", hashlib.sha256(thumbnail).hexdigest()): 2,
    }
    matrix = run("show", tmp_path / "case", "--json").json()
    assert [(row["distinct"], row["all"]) for row in matrix["totals"]] == [(1, 2)]
    assert "all but previews" in run("show", tmp_path / "case").out
    reach = Reach({"EX1": str(folder)})
    for item in items:
        assert hashlib.sha256(reach.open(Address.parse(item["address"])).read()).hexdigest() == item["sha256"]


CHECKED = ["stored.zip", "deflated.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.tar.zst", "a.7z", "a.rar"]
"""Formats with checksums, at least over what says where their members are."""


def test_what_a_damaged_archive_no_longer_gives_is_never_lost_in_silence(tmp_path: Path, run: Run) -> None:
    folder, damage = tmp_path / "evidence", random.Random(7)
    folder.mkdir()
    for name in CHECKED:
        whole = KINDS[name](pictures(name, 3))
        for number in range(12):
            data = bytearray(whole)
            if number % 3 == 0:
                del data[damage.randrange(len(data) // 3, len(data) - 1) :]
            else:
                data[damage.randrange(min(600, len(data) // 2), len(data))] ^= 1 << damage.randrange(8)
            (folder / f"{number:02} {name}").write_bytes(data)
    run("scan", folder, "--case", tmp_path / "case", "--as", "tester", code=1)
    given = Counter(
        Address.parse(item["address"]).steps[0].name for item in run("list", tmp_path / "case", "--json").lines()
    )
    places = run("show", tmp_path / "case", "--unread", "--json").json()["unread_places"]
    told = {Address.parse(row["address"]).steps[0].name for row in places}
    files = {path.name for path in folder.iterdir()}
    assert {name for name in files - told if given[name] < 3} == set()
    assert told <= files


def test_lost_members_and_parts_are_told(tmp_path: Path, run: Run) -> None:
    """Each of these once gave nothing, and no reason."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    members = pictures("told", 3)
    picture = next(iter(members.values()))
    tar, zip_file = tarred(members), zipped(members)
    header = bytearray(tar)
    header[tar.index(b"01.jpg") + 148] ^= 1  # the checksum of the second member's header
    (folder / "header.tar").write_bytes(header)
    (folder / "two.tar").write_bytes(tar + tarred(pictures("more", 2)))
    count = bytearray(zip_file)
    count[-14:-10] = bytes(4)
    (folder / "count.zip").write_bytes(count)
    (folder / "end.zip").write_bytes(zip_file + b"PK\x05\x06" + bytes(18))
    flipped = bytearray(zip_file)
    flipped[zip_file.index(picture) + 300] ^= 1
    (folder / "crc.zip").write_bytes(flipped)
    (folder / "cut.jpg.gz").write_bytes(COMPRESSIONS["gz"](picture)[:-30])
    (folder / "cut.tar.gz").write_bytes(COMPRESSIONS["gz"](tar)[:-200])
    (folder / "album.001").write_bytes(zip_file)
    (folder / "album.002").write_bytes(zipped(pictures("album", 2)))
    (folder / "alone.E02").write_bytes(b"EVF\x09\x0d\x0a\xff\x00\x01\x02\x00\x00\x00" + bytes(500))
    (folder / "a.dmg").write_bytes(bytes(70_000) + b"koly" + bytes(508))
    (folder / "long.tar").write_bytes(tarred({"x" * 100_000 + ".jpg": picture, "b.jpg": picture}))
    run("scan", folder, "--case", tmp_path / "case", "--as", "tester", code=1)
    given = Counter(
        Address.parse(item["address"]).steps[0].name for item in run("list", tmp_path / "case", "--json").lines()
    )
    places = run("show", tmp_path / "case", "--unread", "--json").json()["unread_places"]
    told = Counter(Address.parse(row["address"]).steps[0].name for row in places)
    assert given == {
        "header.tar": 2, "two.tar": 5, "count.zip": 3, "end.zip": 3, "crc.zip": 3, "cut.jpg.gz": 1, "cut.tar.gz": 2,
        "album.001": 3, "album.002": 2, "long.tar": 1,
    }  # fmt: skip
    assert set(told) == {
        "header.tar", "count.zip", "crc.zip", "cut.jpg.gz", "cut.tar.gz", "alone.E02", "a.dmg", "long.tar",
    }  # fmt: skip
