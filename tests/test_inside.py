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
