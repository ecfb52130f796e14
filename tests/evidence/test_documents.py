"""Documents, databases and mail: each built here by code, so that what lies in it is known to the byte."""

from __future__ import annotations

import email.policy
import hashlib
import io
import random
import sqlite3
import struct
import time
import zlib
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import olefile
import pikepdf
import pytest
from ole_writer import Tree, compound_file
from pikepdf import Array, AttachedFileSpec, Dictionary, Name
from PIL import Image

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.stream import Memory
from mantlet.evidence.trees import mail, mbox, ole, pdf, sqlite
from mantlet.evidence.trees.mail import Message
from mantlet.evidence.trees.mbox import Mailbox
from mantlet.evidence.trees.ole import Ole
from mantlet.evidence.trees.pdf import Pdf
from mantlet.evidence.trees.sqlite import Sqlite
from mantlet.media import probe
from mantlet.types import Containment, Reason, Step


def picture(number: int, form: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    image = Image.frombytes("RGB", size, random.Random(number).randbytes(3 * size[0] * size[1]))
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


JPEGS = [picture(number) for number in range(4)]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def held(tree: Any) -> dict[str, str]:
    """Name of each entry that can be read -> SHA-256 of its bytes."""
    return {entry.step.name: sha256(tree.open(entry.step).read()) for entry in tree.walk() if not entry.absent}


def refused(tree: Any) -> dict[str, Reason]:
    return {entry.step.name: entry.absent.reason for entry in tree.walk() if entry.absent}


# Builders


def stream(document: pikepdf.Pdf, data: bytes, **keys: Any) -> Any:
    return document.make_indirect(pikepdf.Stream(document, data, {f"/{key}": value for key, value in keys.items()}))


def image(document: pikepdf.Pdf, data: bytes, width: int = 64, height: int = 48, **keys: Any) -> Any:
    keys = {"BitsPerComponent": 8, "ColorSpace": Name.DeviceRGB, **keys}
    return stream(document, data, Type=Name.XObject, Subtype=Name.Image, Width=width, Height=height, **keys)


def saved(document: pikepdf.Pdf, images: list[Any], **options: Any) -> bytes:
    page = document.add_blank_page()
    page.Resources = Dictionary(XObject=Dictionary({f"/I{number}": each for number, each in enumerate(images)}))
    file = io.BytesIO()
    if "encryption" not in options:
        options = {"stream_decode_level": pikepdf.StreamDecodeLevel.none, "static_id": True, **options}
    document.save(file, compress_streams=False, **options)
    return file.getvalue()


SAMPLES = random.Random(9).randbytes(64 * 48 * 3)


def a_pdf(**options: Any) -> bytes:
    document = pikepdf.new()
    soft = image(document, bytes(64 * 48), ColorSpace=Name.DeviceGray)
    images = [
        image(document, JPEGS[0], Filter=Name.DCTDecode, SMask=soft),
        image(document, zlib.compress(JPEGS[1]), Filter=Array([Name.FlateDecode, Name.DCTDecode])),
        image(document, zlib.compress(SAMPLES), Filter=Name.FlateDecode),
        image(document, SAMPLES[: 64 * 48], ColorSpace=Name.DeviceGray),
        image(document, bytes(range(8)) * 48, ColorSpace=Name.DeviceGray, BitsPerComponent=1),
        image(document, picture(7, "JPEG2000"), Filter=Name.JPXDecode),
    ]
    document.attachments["Urlaub %.jpg"] = AttachedFileSpec(document, JPEGS[2], filename="Urlaub %.jpg")
    return saved(document, images, **options)


ATTACHMENT = "__attach_version1.0_#00000000"
A_MESSAGE: Tree = {
    "__nameid_version1.0": {"__substg1.0_00020102": b"x" * 200},
    "__properties_version1.0": b"p" * 100,
    "__substg1.0_0037001F": "a subject".encode("utf-16-le"),
    ATTACHMENT: {
        "__properties_version1.0": b"p" * 100,
        "__substg1.0_37010102": JPEGS[0],
        "__substg1.0_3704001F": "HOLIDA~1.JPG".encode("utf-16-le"),
        "__substg1.0_3707001F": "höliday.jpg".encode("utf-16-le"),
    },
    "__attach_version1.0_#00000001": {
        "__substg1.0_37010102": picture(5, size=(8, 8)),
        "__substg1.0_3704001E": b"b.jpg",
    },
}


def blip(kind: int, instance: int, data: bytes) -> bytes:
    identity = bytes(16 * (1 + (instance & 1)))
    return struct.pack("<HHI", instance << 4, kind, len(identity) + 1 + len(data)) + identity + b"\xff" + data


DIB = picture(6, "BMP", (5, 5))
POWERPOINT: Tree = {
    "PowerPoint Document": b"d" * 5000,
    "Pictures": blip(0xF01D, 0x46A, JPEGS[0])
    + blip(0xF01A, 0x3D4, b"metafile")
    + blip(0xF01E, 0x6E1, picture(2, "PNG"))
    + blip(0xF01F, 0x7A8, DIB[14:]),
}
THUMBS: Tree = {
    "Catalog": b"c" * 80,
    "1": struct.pack("<III", 12, 1, len(JPEGS[0])) + JPEGS[0],
    "256_0123456789abcdef": struct.pack("<IIIIII", 24, 3, len(JPEGS[1]), 0, 0, 0) + JPEGS[1],
}


def a_database(script: Callable[[sqlite3.Connection], None]) -> bytes:
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA page_size = 1024")
    script(database)
    database.commit()
    return database.serialize()


def fill(database: sqlite3.Connection) -> None:
    database.execute('CREATE TABLE "a/b" (id INTEGER PRIMARY KEY, "pic" BLOB, "note" TEXT)')
    rows = [(1, JPEGS[0], "x" * 100), (7, b"small", "y"), (2**62, JPEGS[1], ""), (-5, JPEGS[2], "")]
    database.executemany('INSERT INTO "a/b" VALUES (?, ?, ?)', rows)
    database.execute("CREATE TABLE keyed (name TEXT PRIMARY KEY, rowid BLOB) WITHOUT ROWID")
    database.execute("INSERT INTO keyed VALUES ('k', ?)", (JPEGS[3],))
    database.execute('CREATE VIEW v AS SELECT "pic" FROM "a/b"')
    database.execute("CREATE TRIGGER t AFTER INSERT ON keyed BEGIN SELECT randomblob(1000000000); END")
    database.execute("CREATE TABLE made (a BLOB, b BLOB GENERATED ALWAYS AS (zeroblob(100000)) VIRTUAL)")
    database.execute("INSERT INTO made (a) VALUES (?)", (JPEGS[0],))
    database.execute("CREATE VIRTUAL TABLE searched USING fts5(text)")


def a_message(subject: str = "hello", attached: EmailMessage | None = None) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", subject
    message.set_content("From here on\n\nthere is text.\n")
    message.add_attachment(JPEGS[0], "image", "jpeg", filename="Grüße.jpg")
    if attached:
        message.add_attachment(attached)
    message.add_attachment(JPEGS[1], "application", "octet-stream", filename="b.bin")
    return message


def raw(message: EmailMessage) -> bytes:
    message.set_boundary("b" + message["Subject"])
    return message.as_bytes(policy=email.policy.SMTP)


def an_eml() -> bytes:
    return raw(a_message("outer", a_message("inner")))


FROM = b"From a@example.org Thu Jan  1 00:00:00 1970\n"


def a_mailbox() -> bytes:
    messages = [raw(a_message(subject)).replace(b"\r\n", b"\n") for subject in ("one", "two")]
    return b"".join(FROM + message + b"\n" for message in messages)


DOCUMENTS: dict[str, tuple[Any, Any, Callable[[], bytes]]] = {
    "pdf": (pdf, Pdf, a_pdf),
    "packed pdf": (pdf, Pdf, lambda: a_pdf(object_stream_mode=pikepdf.ObjectStreamMode.generate)),
    "msg": (ole, Ole, lambda: compound_file(A_MESSAGE)),
    "ppt": (ole, Ole, lambda: compound_file(POWERPOINT)),
    "thumbs": (ole, Ole, lambda: compound_file(THUMBS)),
    "sqlite": (sqlite, Sqlite, lambda: a_database(fill)),
    "eml": (mail, Message, an_eml),
    "mbox": (mbox, Mailbox, a_mailbox),
}


@pytest.fixture(params=DOCUMENTS)
def form(request: pytest.FixtureRequest) -> tuple[Any, Callable[[Any], Any], bytes]:
    module, opens, build = DOCUMENTS[request.param]
    return module, opens, build()


# What every format does


def test_every_entry_opens_by_its_step_alone_in_any_order_to_the_size_listed(form: Any) -> None:
    module, opens, data = form
    assert module.fits(data[:4096])
    entries = list(opens(Memory(data)).walk())
    assert entries
    assert entries == list(opens(Memory(data)).walk())
    assert len({entry.step for entry in entries}) == len(entries)
    first = {entry.step: opens(Memory(data)).open(entry.step).read() for entry in entries if not entry.absent}
    one = opens(Memory(data))
    for entry in reversed([entry for entry in entries if not entry.absent]):
        for _ in range(2):
            with one.open(entry.step) as opened:
                assert opened.read() == first[entry.step]
        assert entry.size == len(first[entry.step]) > 0
        assert entry.step == Step.parse(str(entry.step))


def test_a_document_fits_its_own_format_alone(form: Any) -> None:
    module, _, data = form
    assert [each for each in (pdf, ole, sqlite, mail, mbox) if each.fits(data[:4096])] == [module]
    assert not module.fits(b"")
    assert not module.fits(JPEGS[0])
    assert not module.fits(b"From the desk of one who writes.\n\nDear all,\n")


def test_a_document_cut_short_anywhere_gives_what_it_can_in_bounded_time(form: Any) -> None:
    _, opens, data = form
    for percent in range(0, 100, 4):
        survive(opens, data[: len(data) * percent // 100])


def test_a_document_with_bytes_flipped_gives_what_it_can_in_bounded_time(form: Any) -> None:
    _, opens, data = form
    chance = random.Random(1)
    for _ in range(40):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 4, 40))):
            damaged[chance.randrange(min(len(data), chance.choice((600, 10**9))))] = chance.randrange(256)
        survive(opens, bytes(damaged))


def survive(opens: Callable[[Any], Any], data: bytes) -> None:
    """Whatever the bytes: a listing or an exception, soon."""
    began = time.monotonic()
    try:
        tree = opens(Memory(data))
        for entry in tree.walk():
            if not entry.absent:
                assert entry.size <= 10**7
                try:
                    tree.open(entry.step).read()
                except Exception:  # noqa: BLE001 - any is right for hostile bytes
                    continue
    except AssertionError:
        raise
    except Exception:  # noqa: BLE001 - any is right for hostile bytes
        pass
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["pdf", "msg", "sqlite", "eml", "mbox"])
def test_beyond_the_most_members_a_listing_ends_with_the_reason(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, opens, build = DOCUMENTS[name]
    data = build()
    whole = len(list(opens(Memory(data)).walk()))
    most = {"msg": 8}.get(name, 1)
    monkeypatch.setattr(settings, "MEMBERS", most)
    entries = list(opens(Memory(data)).walk())
    assert entries[-1].absent
    assert entries[-1].absent.reason is Reason.LIMIT
    assert len(entries) <= min(whole, most + 1)


# PDF


def test_a_pdf_gives_each_picture_as_the_file_that_was_put_in() -> None:
    tree = Pdf(Memory(a_pdf()))
    digests = [sha256(tree.open(entry.step).read()) for entry in tree.walk()]
    for data in (JPEGS[0], JPEGS[1], picture(7, "JPEG2000")):
        assert digests.count(sha256(data)) == 1
    assert len(digests) == 7, "the soft mask is no picture"
    assert held(tree)["Urlaub %25.jpg"] == sha256(JPEGS[2])


def test_samples_in_a_pdf_become_a_picture_file_with_the_same_pixels() -> None:
    tree = Pdf(Memory(a_pdf()))
    built = [tree.open(entry.step).read() for entry in tree.walk() if not entry.step.name]
    assert b"P6\n64 48\n255\n" + SAMPLES in built
    assert b"P5\n64 48\n255\n" + SAMPLES[: 64 * 48] in built
    bits = [int(bit) for byte in range(8) for bit in f"{byte:08b}"]
    assert b"P5\n64 48\n255\n" + bytes(255 * bit for bit in bits) * 48 in built
    assert all(probe.probe(data) for data in built)


@pytest.mark.parametrize("space", ["indexed", "cmyk", "deep", "decode", "ccitt", "stencil"])
def test_other_codings_in_a_pdf_are_rebuilt(space: str) -> None:
    document = pikepdf.new()
    indexed = Array([Name.Indexed, Name.DeviceRGB, 1, pikepdf.String(b"\0\0\0\xff\0\0")])
    keys: dict[str, tuple[bytes, dict[str, Any]]] = {
        "indexed": (bytes([0, 1]), {"ColorSpace": indexed}),
        "cmyk": (bytes([0, 0, 0, 0, 0, 255, 255, 0]), {"ColorSpace": Name.DeviceCMYK}),
        "deep": (bytes([0, 99, 255, 1]), {"ColorSpace": Name.DeviceGray, "BitsPerComponent": 16}),
        "decode": (bytes([255, 0]), {"ColorSpace": Name.DeviceGray, "Decode": Array([1, 0])}),
        "ccitt": (fax(), {"ColorSpace": Name.DeviceGray, "BitsPerComponent": 1, "Filter": Name.CCITTFaxDecode,
                          "DecodeParms": Dictionary(K=-1, Columns=2, Rows=1, BlackIs1=False)}),
        "stencil": (b"\x40", {"ImageMask": True, "BitsPerComponent": 1}),
    }  # fmt: skip
    data, options = keys[space]
    tree = Pdf(Memory(saved(document, [image(document, data, 2, 1, **options)])))
    entry, *_ = tree.walk()
    built = tree.open(entry.step).read()
    assert entry.size == len(built)
    grey, red = b"P5\n2 1\n255\n\x00\xff", b"P6\n2 1\n255\n"
    colours = {"indexed": b"\0\0\0\xff\0\0", "cmyk": b"\xff\xff\xff\xff\0\0"}
    assert built == (red + colours[space] if space in colours else grey)


def fax() -> bytes:
    """A black and a white pixel, by CCITT group 4: what a TIFF with white as 1 codes as black is white to a fax."""
    file = io.BytesIO()
    Image.frombytes("1", (2, 1), b"\x80").save(file, "TIFF", compression="group4")
    with Image.open(file) as packed:
        offset, length, photometric = (packed.tag_v2[tag] for tag in (273, 279, 262))
    assert photometric == 1
    return file.getvalue()[offset[0] : offset[0] + length[0]]


def test_a_pdf_without_a_password_to_open_opens_and_one_with_says_that_it_is_locked() -> None:
    free = a_pdf(encryption=pikepdf.Encryption(owner="secret", user=""))
    assert sha256(JPEGS[0]) in [sha256(Pdf(Memory(free)).open(e.step).read()) for e in Pdf(Memory(free)).walk()]
    with pytest.raises(RefusedError, match="password") as caught:
        Pdf(Memory(a_pdf(encryption=pikepdf.Encryption(owner="secret", user="more"))))
    assert caught.value.reason == Reason.ENCRYPTED


def test_a_pdf_whose_cross_reference_table_or_end_is_gone_gives_its_pictures() -> None:
    data = a_pdf()
    for end in (data.rindex(b"xref\n0"), data.rindex(b"trailer"), data.index(JPEGS[0]) + len(JPEGS[0]) + 50):
        tree = Pdf(Memory(data[:end]))
        found = [sha256(tree.open(entry.step).read()) for entry in tree.walk() if not entry.absent]
        assert sha256(JPEGS[0]) in found


def test_a_picture_in_a_pdf_beyond_a_limit_is_refused_and_the_others_are_given() -> None:
    document = pikepdf.new()
    images = [
        image(document, b"x", 2**31, 2**31),
        image(document, b"x", 0, 5),
        image(document, b"x", Filter=Name.JBIG2Decode),
        image(document, b"x", ColorSpace=Array([Name.Separation, Name.Gold, Name.DeviceRGB, Dictionary()])),
        image(document, JPEGS[0], Filter=Name.DCTDecode),
    ]
    tree = Pdf(Memory(saved(document, images)))
    reasons = [entry.absent.reason if entry.absent else None for entry in tree.walk()]
    assert reasons == [Reason.LIMIT, Reason.DAMAGED, Reason.UNSUPPORTED, Reason.UNSUPPORTED, None]


def test_a_stream_in_a_pdf_that_grows_a_thousandfold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "IN_MEMORY_BYTES", 2**20)
    document = pikepdf.new()
    bomb = zlib.compress(bytes(2**24), 9)
    document.attachments["bomb"] = AttachedFileSpec(document, b"")
    images = [
        image(document, bomb, Filter=Array([Name.FlateDecode, Name.DCTDecode])),
        image(document, zlib.compress(bomb), Filter=Array([Name.FlateDecode, Name.FlateDecode])),
        stream(document, bomb, Type=Name.EmbeddedFile, Filter=Name.FlateDecode),
        image(document, JPEGS[0], Filter=Name.DCTDecode),
    ]
    tree = Pdf(Memory(saved(document, images)))
    walked = {
        entry.step.at: entry.absent and entry.absent.reason for entry in tree.walk() if entry.size or entry.absent
    }
    assert list(walked.values()) == [Reason.LIMIT, None, Reason.LIMIT, None]
    with pytest.raises(RefusedError) as caught:
        tree.open(Step("object", list(walked)[1]))
    assert caught.value.reason == Reason.LIMIT
    assert "0x" not in str(caught.value)


def test_what_is_said_of_a_damaged_picture_does_not_depend_on_the_run() -> None:
    document = pikepdf.new()
    data = saved(document, [image(document, b"not zlib" * 9, Filter=Array([Name.FlateDecode, Name.DCTDecode]))])
    listings = [[entry.absent for entry in Pdf(Memory(data)).walk()] for _ in range(2)]
    assert listings[0] == listings[1]
    assert listings[0][0] is None or "object at" not in listings[0][0].detail


# Compound files


def test_an_outlook_message_gives_its_attachments_under_their_own_names() -> None:
    assert held(Ole(Memory(compound_file(A_MESSAGE)))) == {
        f"{ATTACHMENT}/höliday.jpg": sha256(JPEGS[0]),
        "__attach_version1.0_#00000001/b.jpg": sha256(picture(5, size=(8, 8))),
    }


@pytest.mark.parametrize("tree", [A_MESSAGE, POWERPOINT, THUMBS])
def test_a_compound_file_reads_as_olefile_reads_it(tree: Tree) -> None:
    data = compound_file(tree)
    ours = ole.Compound(Memory(data))
    streams = {
        "/".join(ours.path(number)): ours.open(number).read()
        for number in range(1, ours.count)
        if ours.listed(number).type == ole.STREAM
    }
    with olefile.OleFileIO(data) as theirs:
        assert streams == {"/".join(path): theirs.openstream(path).read() for path in theirs.listdir()}


def test_powerpoint_pictures_come_one_by_one_and_metafiles_are_left_out() -> None:
    assert held(Ole(Memory(compound_file(POWERPOINT)))) == {
        "PowerPoint Document": sha256(b"d" * 5000),
        "Pictures/0": sha256(JPEGS[0]),
        "Pictures/1": sha256(picture(2, "PNG")),
        "Pictures/2": sha256(DIB),
    }


def test_a_picture_record_cut_short_says_so_after_those_before_it() -> None:
    cut = {"Pictures": blip(0xF01D, 0x46A, JPEGS[0]) + blip(0xF01D, 0x46A, JPEGS[1])[:-1]}
    first, second = Ole(Memory(compound_file(cut))).walk()
    assert first.size == len(JPEGS[0])
    assert second.absent
    assert second.absent.reason is Reason.DAMAGED


def test_thumbs_db_gives_its_thumbnails_without_their_headers() -> None:
    tree = Ole(Memory(compound_file(THUMBS)))
    assert held(tree) == {
        "Catalog": sha256(b"c" * 80), "1": sha256(JPEGS[0]), "256_0123456789abcdef": sha256(JPEGS[1]),
    }  # fmt: skip
    cached = [entry.step.name for entry in tree.walk() if entry.containment is Containment.THUMBNAIL_CACHE]
    assert cached == ["1", "256_0123456789abcdef"]


def test_a_locked_office_document_says_so() -> None:
    tree = Ole(Memory(compound_file({"EncryptionInfo": b"i" * 99, "EncryptedPackage": b"e" * 9999})))
    assert refused(tree) == {"EncryptedPackage": Reason.ENCRYPTED}
    with pytest.raises(RefusedError, match="password"):
        tree.open(Step("stream", 2))


def test_a_directory_of_thousands_in_one_line_is_listed_without_recursion() -> None:
    assert len(held(Ole(Memory(compound_file({f"s{number}": b"x" for number in range(5000)}))))) == 5000


def test_loops_in_a_compound_file_end() -> None:
    data = bytearray(compound_file({"storage": {"picture": JPEGS[0]}, "other": b"o" * 5000}))
    directory = 512 * (1 + struct.unpack_from("<I", data, 48)[0])
    for number in range(4):
        for field in (68, 72, 76):
            struct.pack_into("<I", data, directory + 128 * number + field, (number + 1) % 4)
    assert {name.rsplit("/")[-1] for name in held(Ole(Memory(bytes(data))))} == {"picture", "other"}
    table = 512 * (1 + struct.unpack_from("<I", data, 76)[0])
    for sector in range(128):
        struct.pack_into("<I", data, table + 4 * sector, 0)
    survive(Ole, bytes(data))
    struct.pack_into("<II", data, 68, 0, 0xFFFFFFFF)
    survive(Ole, bytes(data))


def test_a_broken_stream_does_not_hide_the_others() -> None:
    data = bytearray(compound_file({"bad": b"b" * 5000, "good": JPEGS[0] + bytes(5000)}))
    table = 512 * (1 + struct.unpack_from("<I", data, 76)[0])
    struct.pack_into("<I", data, table, 0)
    tree = Ole(Memory(bytes(data)))
    with pytest.raises(OSError, match="broken"):
        tree.open(Step("stream", 1))
    assert tree.open(Step("stream", 2)).read() == JPEGS[0] + bytes(5000)


# Databases


def test_a_database_gives_the_blobs_of_its_tables_and_runs_nothing_of_its_schema() -> None:
    tree = Sqlite(Memory(a_database(fill)))
    found = {str(entry.step): sha256(tree.open(entry.step).read()) for entry in tree.walk()}
    found = {step: digest for step, digest in found.items() if ":searched_" not in step}
    assert found == {
        "negative:4:a%2Fb/pic": sha256(JPEGS[2]),
        "blob:1:a%2Fb/pic": sha256(JPEGS[0]),
        f"blob:{2**62}:a%2Fb/pic": sha256(JPEGS[1]),
        "row:0:keyed/rowid": sha256(JPEGS[3]),
        "blob:1:made/a": sha256(JPEGS[0]),
    }


def test_a_database_with_a_write_ahead_log_is_read_without_it() -> None:
    data = bytearray(a_database(fill))
    data[18:20] = b"\2\2"
    assert sha256(JPEGS[3]) in held(Sqlite(Memory(bytes(data)))).values()


def test_a_view_that_poses_as_a_table_is_not_asked() -> None:
    def pose(database: sqlite3.Connection) -> None:
        fill(database)
        database.execute("PRAGMA writable_schema = ON")
        endless = "CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT x FROM c"
        database.execute("UPDATE sqlite_master SET type = 'table', rootpage = 2, sql = ? WHERE name = 'v'", (endless,))

    tree = Sqlite(Memory(a_database(pose)))
    assert sha256(JPEGS[3]) in held(tree).values()
    assert refused(tree) == {"v": Reason.DAMAGED}


def test_a_schema_damaged_in_one_place_is_read_in_the_others() -> None:
    data = a_database(fill).replace(b"CREATE VIEW v AS", b"CREATE VIEW v A!")
    assert sha256(JPEGS[0]) in held(Sqlite(Memory(data))).values()


def test_a_table_damaged_halfway_gives_what_is_before_and_then_the_reason() -> None:
    def rows(database: sqlite3.Connection) -> None:
        database.execute("CREATE TABLE t (a BLOB)")
        database.executemany("INSERT INTO t VALUES (?)", [(bytes([number]) * 500,) for number in range(100)])
        database.execute("CREATE TABLE u (a BLOB)")
        database.execute("INSERT INTO u VALUES (?)", (JPEGS[0],))

    data = bytearray(a_database(rows))
    pages = [page for page in range(0, len(data), 1024) if b"\x28" * 500 in data[page : page + 1024]]
    data[pages[0] : pages[0] + 1024] = b"\xee" * 1024
    entries = list(Sqlite(Memory(bytes(data))).walk())
    assert [entry.step.name for entry in entries if entry.absent] == ["t"]
    assert 10 < len([entry for entry in entries if entry.step.name == "t/a"]) < 90
    assert entries[-1].step.name == "u/a"


def test_a_database_too_large_for_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = a_database(fill)
    monkeypatch.setattr(settings, "IN_MEMORY_BYTES", len(data) - 1)
    with pytest.raises(RefusedError) as caught:
        Sqlite(Memory(data))
    assert caught.value.reason == Reason.LIMIT


# Mail


def test_a_message_gives_its_attachments_and_those_of_messages_within_it() -> None:
    tree = Message(Memory(an_eml()))
    found = [(entry.step.name, sha256(tree.open(entry.step).read())) for entry in tree.walk()]
    first, second = ("Grüße.jpg", sha256(JPEGS[0])), ("b.bin", sha256(JPEGS[1]))
    assert found == [first, first, second, second]


def test_a_part_without_an_encoding_is_given_to_the_byte() -> None:
    head = b"From: a\r\nDate: b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: image/jpeg\r\n"
    data = head + b"Content-Transfer-Encoding: binary\r\n\r\n" + JPEGS[0] + b"\r\n--x--\r\nthe end\r\n"
    assert list(held(Message(Memory(data))).values()) == [sha256(JPEGS[0])]


@pytest.mark.parametrize("tail", [b"", b"=", b"\r\n=\r\nA footer by the list.", b"\r\n\0 !"])
def test_broken_lines_of_base64_give_what_can_be_decoded(tail: bytes) -> None:
    head = b"From: a\nSubject: b\nContent-Type: image/jpeg\nContent-Transfer-Encoding: BASE64\n\n"
    tree = Message(Memory(head + b"/9j/4A==".replace(b"==", b"") + b"*\r\r\n" + b"AA" + tail))
    (entry,) = tree.walk()
    assert tree.open(entry.step).read() == b"\xff\xd8\xff\xe0\x00\x00"[: entry.size]
    assert entry.size >= 5


def test_the_inner_part_that_does_not_end_leaves_the_outer_its_parts() -> None:
    part = b"Content-Type: image/jpeg; name=%s\nContent-Transfer-Encoding: base64\n\nAAAA\n"
    kind = b"Content-Type: multipart/mixed; boundary="
    data = b"From: a\nTo: b\n" + kind + b"out\n\n--out\n" + kind + b"in\n\n"
    data += b"--in\n" + part % b"one" + b"--out\n" + part % b"two" + b"--out--\n"
    assert list(held(Message(Memory(data)))) == ["one", "two"]


def test_an_encrypted_or_uuencoded_part_says_why_it_is_not_given() -> None:
    data = b"From: a\nTo: b\nContent-Type: multipart/mixed; boundary=x\n\n"
    data += b"--x\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\nx\n"
    data += b"--x\nContent-Type: image/jpeg; name=uu\nContent-Transfer-Encoding: x-uuencode\n\nx\n--x--\n"
    assert refused(Message(Memory(data))) == {"smime.p7m": Reason.ENCRYPTED, "uu": Reason.UNSUPPORTED}


def test_messages_nested_ten_thousand_deep_end_at_a_limit() -> None:
    within = b"From: a\nTo: b\nContent-Type: message/rfc822\n\n" * 10_000
    assert list(refused(Message(Memory(within))).values()) == [Reason.LIMIT]
    levels = b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(10_000))
    assert list(refused(Message(Memory(b"From: a\nTo: b\n" + levels))).values()) == [Reason.LIMIT]


def test_a_part_larger_than_memory_may_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "IN_MEMORY_BYTES", 1000)
    assert set(refused(Message(Memory(raw(a_message())))).values()) == {Reason.LIMIT}


def test_hostile_fields_do_not_hide_the_part() -> None:
    fields = b"Content-Type: image/jpeg; name*0*=x'%FF; name*9=\xff; =?utf-8?b?!!!?=;;;\"" + b";" * 20_000
    data = b'From: a\nTo: b\nContent-Disposition: attachment; filename="=?utf-8?b?!?="\n' + fields + b"\n\nbytes"
    assert list(held(Message(Memory(data))).values()) == [sha256(b"bytes")]


def test_a_mailbox_gives_its_messages_and_a_sentence_with_from_ends_none() -> None:
    data = a_mailbox()
    entries = list(Mailbox(Memory(data)).walk())
    assert [entry.step for entry in entries] == [
        Step("message", len(FROM)), Step("message", data.index(FROM, 1) + len(FROM)),
    ]  # fmt: skip
    for entry, subject in zip(entries, ("one", "two"), strict=True):
        opened = Mailbox(Memory(data)).open(entry.step)
        assert mail.fits(opened.read_at(0, 4096))
        assert opened.read().rstrip(b"\n") == raw(a_message(subject)).replace(b"\r\n", b"\n").rstrip(b"\n")
        assert len(held(Message(opened))) == 2


def test_a_mailbox_is_split_alike_wherever_its_pieces_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(FROM + b"To: %d\nSubject: s\n\n%s\n\n" % (n, b"x" * (n % 70)) for n in range(300))
    whole = list(Mailbox(Memory(data)).walk())
    assert len(whole) == 300
    for size in (1, 64, 97, 1000):
        monkeypatch.setattr(mbox, "_PIECE", size)
        assert list(Mailbox(Memory(data)).walk()) == whole
