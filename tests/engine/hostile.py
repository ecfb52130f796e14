"""Evidence made to harm whoever reads it, by code: bombs, endless nesting, loops, and paths that lead out.

Each function of `MAKERS` writes into the folder it is given, and needs no more than a second or two for it; the sizes
at which archives are meant to fail are arguments, so that the acceptance figures take larger ones.
"""

from __future__ import annotations

import gzip
import io
import os
import sqlite3
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mantlet.settings import MIB
from tests.engine.hostile_disks import directory_loops, partition_loops, pointing_out, sparse
from tests.evidence.packing import COMPRESSIONS, seven_zipped, zipped

PICTURE: Final = bytes.fromhex(  # one red pixel
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077 53de0000000c4944415408d763f8cfc000000301"
    "010018dd8db00000000049454e44ae426082".replace(" ", "")
)


def stored(name: bytes, size: int, at: int = 0, count: int = 1) -> tuple[bytes, bytes]:
    """What stands before and behind the content of a zip's only member, which is not compressed and whose checksum is
    left out; `count` records of the directory say that they are it."""
    sizes = struct.pack("<III", 0, size, size)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 0, 0, 33) + sizes + struct.pack("<HH", len(name), 0) + name
    record = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 0, 0, 33) + sizes
    record += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, at) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(record) * count, len(local) + size, 0)
    return local, record * count + end


def zips_in_each_other(levels: int) -> bytes:
    before, behind, size = list[bytes](), list[bytes](), len(PICTURE)
    for level in range(levels):
        head, tail = stored(b"in.zip" if level else b"a.png", size)
        before.append(head)
        behind.append(tail)
        size += len(head) + len(tail)
    return b"".join([*reversed(before), PICTURE, *behind])


def tars_in_each_other(levels: int) -> bytes:
    heads, size = list[bytes](), len(PICTURE)
    for level in range(levels):
        member = tarfile.TarInfo("in.tar" if level else "a.png")
        member.size = size
        heads.append(member.tobuf(tarfile.GNU_FORMAT))
        size = len(heads) * 512 + -(-len(PICTURE) // 512) * 512
    return b"".join([*reversed(heads), PICTURE.ljust(512, b"\0")])


def gzips_in_each_other(levels: int) -> bytes:
    data = PICTURE
    for _ in range(levels):
        data = gzip.compress(data, 0, mtime=0)
    return data


def mails_in_each_other(levels: int) -> bytes:
    head = b"From: a@b.c\nTo: d@e.f\nSubject: x\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n"
    return head * levels + head.replace(b"message/rfc822", b"image/png") + PICTURE


def zstd_zeros(size: int) -> bytes:
    """A frame of blocks that say "zero, 128 KiB times" in four bytes (RFC 8878, 3.1.1)."""
    blocks, rle = size // (128 * 1024), 0b010 | 128 * 1024 << 3
    piece = rle.to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x38" + piece * (blocks - 1) + (rle | 1).to_bytes(3, "little") + b"\0"


def nested_zip_bomb(levels: int, width: int, leaf: bytes) -> bytes:
    """As 42.zip: at each level `width` archives of the level below."""
    data, name = leaf, "zeros.bin"
    for _ in range(levels):
        data, name = zipped({f"{number:02}-{name}": data for number in range(width)}, 8), "in.zip"
    return data


def overlapping_zip(size: int, count: int) -> bytes:
    """All members are the same compressed bytes (D. Fifield, "A better zip bomb", 2019)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(bytes(size)) + packer.flush()
    local, rest = stored(b"x.jpg", len(data), count=count)
    local = local[:8] + struct.pack("<H", 8) + local[10:22] + struct.pack("<I", size) + local[26:]
    record = bytearray(rest[: (len(rest) - 22) // count])
    struct.pack_into("<H", record, 10, 8)
    struct.pack_into("<I", record, 24, size)
    return local + data + bytes(record) * count + rest[-22:]


def many_in_zip(count: int) -> bytes:
    """Members that all lie at the same place: the directory alone takes the space."""
    local, rest = stored(b"0000000.bin", 1)
    record, parts = bytearray(rest[:-22]), [local + b"x"]
    for number in range(count):
        record[-11:] = b"%07d.bin" % number
        parts.append(bytes(record))
    start, length = len(local) + 1, len(record) * count
    parts.append(b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, length, start))
    parts.append(b"PK\x06\x07" + struct.pack("<IQI", 0, start + length, 1))
    parts.append(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    return b"".join(parts)


def many_in_tar(path: Path, count: int) -> None:
    """Empty members; the checksum of each header differs only by its digits."""
    head = bytearray(tarfile.TarInfo("0000000.bin").tobuf(tarfile.GNU_FORMAT))
    base = int(head[148:155].strip(b" \0"), 8)
    with path.open("wb") as file:
        for number in range(count):
            digits = b"%07d" % number
            head[:7] = digits
            head[148:156] = b"%06o\0 " % (base + sum(digits) - 7 * 48)
            file.write(head)
        file.write(bytes(1024))


def bombs(folder: Path, size: int = 80 * MIB) -> None:
    """`size`: what each grows to at least, in bytes."""
    zeros = bytes(16 * MIB)
    for name in ("gz", "bz2", "xz"):
        piece = COMPRESSIONS[name](zeros)
        (folder / f"zeros.{name}").write_bytes(piece * (size // len(zeros)))
    pictures = gzip.compress(b"\xff\xd8\xff") + gzip.compress(zeros) * (size // len(zeros))
    (folder / "picture.jpg.gz").write_bytes(pictures)
    (folder / "zeros.zst").write_bytes(zstd_zeros(size))
    (folder / "42.zip").write_bytes(nested_zip_bomb(5, 16, bytes(10 * MIB)))
    (folder / "wide.zip").write_bytes(nested_zip_bomb(2, 40, bytes(4 * MIB)))
    (folder / "overlap.zip").write_bytes(overlapping_zip(60 * MIB, 100))
    (folder / "zeros.7z").write_bytes(seven_zipped({"zeros.jpg": bytes(size), "a.png": PICTURE}))


def billionfold(folder: Path) -> None:
    """A TiB in 300 bytes, and in archives."""
    inner = gzip.compress(zstd_zeros(1 << 40))
    (folder / "disk.dd.zst.gz.gz").write_bytes(gzip.compress(inner))
    (folder / "picture.zip").write_bytes(zipped({"a.jpg.zst.gz": inner, "a.png": PICTURE}, 8))
    (folder / "picture.7z").write_bytes(seven_zipped({"a.jpg.zst.gz": inner, "a.png": PICTURE}))
    lies = bytearray(zipped({"a.jpg": b"\xff\xd8\xff" + bytes(MIB)}, 8))
    struct.pack_into("<I", lies, lies.index(b"PK\x01\x02") + 24, 0xFFFFFFF0)  # 4 GiB, says the directory
    (folder / "lies.zip").write_bytes(lies)


def nests(folder: Path, levels: int = 1000) -> None:
    """Archives of each kind in archives of the same kind."""
    (folder / "nested.zip").write_bytes(zips_in_each_other(levels))
    (folder / "nested.tar").write_bytes(tars_in_each_other(levels))
    (folder / "nested.gz").write_bytes(gzips_in_each_other(levels))
    (folder / "nested.eml").write_bytes(mails_in_each_other(levels))
    deep = folder / "deep"
    for _ in range(400):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "a.png").write_bytes(PICTURE)


def crowds(folder: Path, count: int = 20_000) -> None:
    """Members by the thousand."""
    (folder / "many.zip").write_bytes(many_in_zip(count))
    many_in_tar(folder / "many.tar", count)
    with gzip.open(folder / "many.tar.gz", "wb", 1) as file:
        file.write((folder / "many.tar").read_bytes())


def names(folder: Path) -> None:
    """Names that would write, read or print elsewhere if they were more than text: twice, absolute, upwards."""
    hostile = ["same.png", "same.png", "/etc/cron.d/x.png", "../../../../up.png", "C:\\x.png", "a\nb\x1b[2J\u202e.png"]
    hostile += ["%00!member:0:x.png", "n" * 40_000 + ".png", "a/./../b//.png", "."]
    with tarfile.open(folder / "names.tar", "w") as archive:
        for name in [*hostile, "nul\0l.png"]:
            member = tarfile.TarInfo(name)
            member.size = len(PICTURE)
            archive.addfile(member, io.BytesIO(PICTURE))
    parts, records = list[bytes](), list[bytes]()
    for name in [*hostile, "nul\0l.png"]:
        local, rest = stored(name.encode(), len(PICTURE), at=sum(map(len, parts)))
        parts.append(local + PICTURE)
        records.append(rest[:-22])
    data, directory = b"".join(parts), b"".join(records)
    end = struct.pack("<HHHHIIH", 0, 0, len(records), len(records), len(directory), len(data), 0)
    (folder / "names.zip").write_bytes(data + directory + b"PK\x05\x06" + end)
    (folder / b"\xff\xfe bad \n\x1b[2J.png".decode("utf-8", "surrogateescape")).write_bytes(PICTURE)
    for number in range(2000):
        (folder / "empty.jpg" / f"{number}.jpg").parent.mkdir(exist_ok=True)
        (folder / "empty.jpg" / f"{number}.jpg").touch()


def links(folder: Path, outside: Path) -> None:
    """Links to `outside`, to the host's own files, upwards and to themselves; a pipe that nobody writes to."""
    targets = {"etc": "/etc", "out": str(outside), "up": "..", "self": ".", "loop": "loop", "proc": "/proc/self/root"}
    targets |= {f"{each.name}": str(each) for each in outside.iterdir()}
    with tarfile.open(folder / "links.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            for name, target in targets.items():
                member = tarfile.TarInfo(f"{name}.png")
                member.type, member.linkname = kind, target
                archive.addfile(member)
        for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE):
            member = tarfile.TarInfo(f"{kind!r}.png")
            member.type, member.devmajor, member.devminor = kind, 1, 5
            archive.addfile(member)
    inside = folder / "links"
    inside.mkdir()
    for name, target in targets.items():
        (inside / name).symlink_to(target)
    os.mkfifo(inside / "pipe.jpg")
    (inside / "disk.001").write_bytes(bytes(512))
    (inside / "disk.002").symlink_to(next(outside.iterdir()))


def databases(folder: Path) -> None:
    """SQLite files with a schema that runs, recurs or lies, and with pages that point to themselves."""
    path = folder / "schema.sqlite"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(
        "CREATE TABLE a (x BLOB, y AS (hex(zeroblob(length(x) * 1000))) VIRTUAL, CHECK (length(x) < 9999999))"
    )
    database.execute('CREATE TABLE "q\'u""o;te/!%" ("c;--" BLOB)')
    database.executemany("INSERT INTO a (x) VALUES (?)", [(PICTURE,), (bytes(100_000),)])
    database.execute("CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c")
    database.execute("CREATE TABLE t (x BLOB)")
    database.execute("PRAGMA writable_schema = 1")
    database.execute("UPDATE sqlite_master SET type = 'table', rootpage = 2 WHERE name = 'v'")
    database.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE t (x BLOB DEFAULT (load_extension(''/tmp/x'')))'"
                     " WHERE name = 't'")  # fmt: skip
    database.execute("INSERT INTO sqlite_master VALUES ('table', 'z', 'z', 1, 'CREATE TABLE z (x, x, x')")
    database.close()
    with sqlite3.connect(folder / "loop.sqlite") as database:
        database.execute("PRAGMA page_size = 512")
        database.execute("CREATE TABLE a (x BLOB)")
        database.executemany("INSERT INTO a VALUES (?)", [(PICTURE * 4,)] * 200)
    database.close()
    data = bytearray((folder / "loop.sqlite").read_bytes())
    page = next(at for at in range(512, len(data), 512) if data[at] == 5)  # an inner page of a table
    for cell in struct.unpack_from(f">{struct.unpack_from('>H', data, page + 3)[0]}H", data, page + 12):
        struct.pack_into(">I", data, page + cell, page // 512 + 1)
    (folder / "loop.sqlite").write_bytes(data)


def documents(folder: Path) -> None:
    """A PDF whose objects lead to themselves, a message in one line of 50 MB, and one of parts without end."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R/Names<</EmbeddedFiles 6 0 R>>>>",
        b"<</Type/Pages/Kids[2 0 R 3 0 R]/Count 99999999/Parent 2 0 R>>",
        b"<</Type/Page/Parent 3 0 R/Resources<</XObject<</A 4 0 R>>>>>>",
        b"<</Type/XObject/Subtype/Form/Resources<</XObject<</A 4 0 R/B 5 0 R>>>>/Length 4 0 R>>stream\nx\nendstream",
        b"<</Type/XObject/Subtype/Image/Width 9/Height 9/SMask 5 0 R/Filter 5 0 R/Length 5 0 R>>stream\nx\nendstream",
        b"<</Kids[6 0 R]/Names[(a)6 0 R]>>",
        b"<</Type/ObjStm/N 1/First 4/Extends 7 0 R/Length 9>>stream\n7 0 7 0 R\nendstream",
    ]
    data = b"%PDF-1.5\n" + b"".join(b"%d 0 obj%s endobj\n" % (n, each) for n, each in enumerate(objects, 1))
    (folder / "loop.pdf").write_bytes(data + b"trailer<</Root 1 0 R/Size 8/Prev 9>>\nstartxref\n9\n%%EOF\n")
    head = b"From: a@b.c\nTo: d@e.f\nMIME-Version: 1.0\n"
    (folder / "line.eml").write_bytes(
        head + b"Content-Transfer-Encoding: base64\nContent-Type: image/png\n\n" + b"A" * 50_000_000
    )
    mixed = head + b"Content-Type: multipart/mixed; boundary=x\n\n"
    (folder / "parts.eml").write_bytes(mixed + b"--x\nContent-Type: image/png\n\n\n" * 5_000)
    (folder / "field.eml").write_bytes(head + b"Content-Type: " + b"a;b=" * 1_000_000 + b"\n\nx")
    (folder / "mail.mbox").write_bytes((b"From x\n" + mixed + b"--x\n\n") * 5_000)


MAKERS: Final[dict[str, Callable[[Path, Path], None]]] = {
    "bombs": lambda folder, _: bombs(folder),
    "nests": lambda folder, _: nests(folder),
    "crowds": lambda folder, _: crowds(folder),
    "names": lambda folder, _: names(folder),
    "links": links,
    "databases": lambda folder, _: databases(folder),
    "documents": lambda folder, _: documents(folder),
    "pointing out": pointing_out,
    "billionfold": lambda folder, _: billionfold(folder),
    "sparse": lambda folder, _: sparse(folder),
    "directory loops": lambda folder, _: directory_loops(folder),
    "partition loops": lambda folder, _: partition_loops(folder),
}
"""What is written, by a function of the folder to write into and of one outside it that must never be read."""
