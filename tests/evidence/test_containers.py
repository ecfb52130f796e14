"""One disk in every container (tests/images/make_containers.py): whole, in parts, damaged, and hostile."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import random
import re
import resource
import shutil
import struct
import tarfile
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyewf
import pytest
import zstandard

from mantlet import settings
from mantlet.errors import EvidenceError, MantletError, RefusedError
from mantlet.evidence.container import Container, open_container, unwrap
from mantlet.evidence.containers import ewf
from mantlet.evidence.reach import Reach
from mantlet.evidence.source import MissingPartError, Source, of_path
from mantlet.evidence.stream import Memory, Stream
from mantlet.types import Address, Reason

PACKED = Path(__file__).parents[1] / "images" / "containers.tar.xz"
E01 = ["smart.s01", "ewf.e01", "encase5.E01", "encase6.E01", "linen6.E01", "ftk.E01"]
VMDK = ["sparse.vmdk", "stream.vmdk", "split.vmdk", "flat.vmdk", "over.vmdk"]
VHD = ["dynamic.vhd", "fixed.vhd", "over.vhd", "dynamic.vhdx", "fixed.vhdx", "over.vhdx"]
QCOW1 = ["v1.qcow", "packed.qcow"]
QCOW2 = ["v2.qcow2", "v3.qcow2", "zlib.qcow2", "zstd.qcow2", "small.qcow2", "large.qcow2", "snapshot.qcow2"]
OVER = ["over.qcow2", "over raw.qcow2"]
ALL = [*E01, *VMDK, *VHD, *QCOW1, *QCOW2, *OVER]
CHUNK = 32 * 1024
MIB = settings.MIB
ERRORS = (OSError, MantletError)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All containers, unpacked and read-only."""
    made = tmp_path_factory.mktemp("containers")
    with tarfile.open(PACKED) as archive:
        archive.extractall(made, filter="data")
    return made


@pytest.fixture(scope="session")
def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="session")
def disk(files: dict[str, bytes]) -> bytes:
    """The medium that all of them hold."""
    return files["disk.raw"]


class Damaged(Stream):
    """Bytes cut at `length`, with some exclusive-ored, and nothing copied."""

    def __init__(self, data: bytes, length: int, flips: dict[int, int]) -> None:
        super().__init__(length)
        self._data, self._flips = data, flips

    def read_at(self, offset: int, length: int) -> bytes:
        data = bytearray(self._data[offset : min(offset + length, self.size)])
        for at, value in self._flips.items():
            if offset <= at < offset + len(data):
                data[at - offset] ^= value
        return bytes(data)


def source(name: str, files: dict[str, bytes], instead: dict[str, Stream] | None = None) -> Source:
    """A file among others, of which some are another than what is there by their name."""

    def beside(other: str) -> Stream | None:
        found = (instead or {}).get(other)
        return found or (Memory(files[other]) if other in files else None)

    return Source(name, beside(name) or Memory(b""), beside, is_exhibit=True)


def patched(data: bytes, at: int, form: str, *values: object) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


def walked(path: Path) -> list[tuple[str, str, int, str]]:
    reach = Reach({"E": str(path)})
    return [
        (
            str(entry.step),
            entry.recovery,
            entry.size,
            hashlib.sha256(reach.open(Address("E").child(entry.step)).read()).hexdigest(),
        )
        for entry in reach.tree(Address("E")).walk()
        if not entry.absent
    ]


# Whole


@pytest.mark.parametrize("name", ALL)
def test_every_container_gives_the_medium_byte_for_byte_and_the_same_walk(name: str, folder: Path, disk: bytes) -> None:
    opened = open_container(folder / name)
    assert opened.stream.size == len(disk)
    assert hashlib.sha256(opened.stream.read()).digest() == hashlib.sha256(disk).digest()
    assert opened.form == {"s01": "E01", "qcow2": "QCOW"}.get(name.rpartition(".")[2], name.rpartition(".")[2].upper())
    entries = walked(folder / name)
    assert len(entries) >= 3
    assert entries == walked(folder / "disk.raw")


@pytest.mark.parametrize("name", ALL)
def test_a_read_at_any_place_and_of_any_length_gives_what_lies_there(
    name: str, files: dict[str, bytes], disk: bytes
) -> None:
    stream, draw = unwrap(source(name, files)).stream, random.Random(name)
    borders = [512, 4096, CHUNK, 64 * 1024, 256 * 1024, MIB, 2 * MIB]
    for _ in range(60):
        border = draw.choice(borders)
        offset = draw.choice([draw.randrange(len(disk)), draw.randrange(len(disk) // border + 1) * border])
        offset = max(0, offset + draw.choice([0, 0, -1, 1, draw.randrange(-2000, 2000)]))
        length = draw.choice([1, 2, 511, 512, 4097, draw.randrange(1, 3 * CHUNK), draw.randrange(1, MIB)])
        assert stream.read_at(offset, length) == disk[offset : offset + length], (offset, length)
    assert stream.read_at(len(disk), 10) == stream.read_at(1 << 62, 10) == b""


@pytest.mark.parametrize("name", E01)
def test_our_reader_of_e01_agrees_with_libewf(name: str, folder: Path) -> None:
    handle = pyewf.handle()
    handle.open(pyewf.glob(str(folder / name)))
    ours = open_container(folder / name)
    assert handle.get_media_size() == ours.stream.size
    assert handle.read_buffer_at_offset(ours.stream.size, 0) == ours.stream.read()
    assert handle.get_hash_value("MD5") == ours.stored["md5"]
    handle.close()


def test_the_digests_stored_in_an_e01_are_taken(folder: Path, disk: bytes) -> None:
    md5, sha1 = hashlib.md5(disk).hexdigest(), hashlib.sha1(disk).hexdigest()
    for name in E01:
        both = name in ("encase6.E01", "linen6.E01")
        assert open_container(folder / name).stored == ({"md5": md5, "sha1": sha1} if both else {"md5": md5})


def test_a_vmdk_that_was_renamed_still_opens(files: dict[str, bytes], disk: bytes) -> None:
    for name in ("sparse.vmdk", "stream.vmdk"):
        assert unwrap(source("evidence 1.bin", {"evidence 1.bin": files[name]})).stream.read() == disk


def test_a_vmdk_of_several_flat_extents_is_read_in_their_order(files: dict[str, bytes], disk: bytes) -> None:
    text = files["flat.vmdk"].decode().rstrip("\0")
    lines = [
        f'RW 3000 FLAT "one.vmdk" 0\nRW {len(disk) // 512 - 3000} FLAT "two.vmdk" 0' if line.startswith("RW") else line
        for line in text.splitlines()
    ]
    parts = {"a.vmdk": "\n".join([*lines, ""]).encode(), "one.vmdk": disk[:1536000], "two.vmdk": disk[1536000:]}
    assert unwrap(source("a.vmdk", parts)).stream.read() == disk


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, lambda data: zstandard.ZstdCompressor().compress(data)]
)
def test_what_is_compressed_as_a_whole_is_read_through(
    pack: Callable[[bytes], bytes], files: dict[str, bytes], disk: bytes
) -> None:
    for name in ("disk.raw", "sparse.vmdk", "v3.qcow2"):
        stream = unwrap(source("a.packed", {"a.packed": pack(files[name])})).stream
        assert stream.read_at(len(disk) - 100, 200) == disk[-100:]
        assert stream.read_at(0, len(disk)) == disk


def test_containers_nest_to_a_depth_and_no_further(disk: bytes) -> None:
    packed = disk
    for _ in range(settings.DEPTH):
        packed = gzip.compress(packed, 1)
    assert unwrap(source("a", {"a": packed})).stream.read_at(0, 4096) == disk[:4096]
    with pytest.raises(RefusedError, match="deep in each other") as raised:
        unwrap(source("a", {"a": gzip.compress(packed)}))
    assert raised.value.reason == Reason.LIMIT


def test_a_disk_that_begins_like_an_image_is_still_that_disk(files: dict[str, bytes], disk: bytes) -> None:
    """Whoever wrote to the disk can make it begin so; what lies behind must not be lost by that."""
    begins = files["v3.qcow2"][:512] + disk[512:]
    parts = {"flat.vmdk": files["flat.vmdk"], "flat-flat.vmdk": begins}
    assert unwrap(source("flat.vmdk", parts)).stream.read() == begins


# Parts


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("flat.vmdk", "flat-flat.vmdk"),
        ("split.vmdk", "split-s001.vmdk"),
        ("split.vmdk", "split-s002.vmdk"),
        ("over.vmdk", "older.vmdk"),
        ("over.vhd", "older.vhd"),
        ("over.vhdx", "older.vhdx"),
        ("over.qcow2", "older.qcow2"),
        ("over raw.qcow2", "older.raw"),
        ("encase6.E01", "encase6.E02"),
        ("encase6.E01", "encase6.E04"),
        ("encase6.E01", "encase6.E05"),
    ],
)
def test_a_part_that_is_missing_is_named(name: str, part: str, files: dict[str, bytes]) -> None:
    with pytest.raises(MissingPartError, match=part):
        unwrap(source(name, {each: data for each, data in files.items() if each != part}))


@pytest.mark.parametrize("part", ["encase6.E02", "encase6.E05"])
def test_a_missing_segment_is_named_to_who_gives_the_exhibit(part: str, folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("encase6.*"):
        if path.name != part:
            shutil.copy(path, tmp_path)
    with pytest.raises(EvidenceError, match=part):
        Reach({"E": str(tmp_path / "encase6.E01")}).tree(Address("E"))


def test_a_segment_of_another_number_than_its_name_says_is_refused(files: dict[str, bytes]) -> None:
    swapped = files | {"encase6.E02": files["encase6.E03"], "encase6.E03": files["encase6.E02"]}
    with pytest.raises(RefusedError, match=r"encase6\.E02 is not segment 2"):
        unwrap(source("encase6.E01", swapped))


def test_segments_are_named_by_letters_after_the_99th(files: dict[str, bytes]) -> None:
    asked: list[str] = []

    def beside(name: str) -> Stream | None:
        asked.append(name)
        return Memory(ewf.SIGNATURE + b"\x01" + (len(asked) + 1).to_bytes(2, "little")) if len(asked) < 800 else None

    found = list(ewf.segments(Source("a.E01", Memory(files["encase6.E01"]), beside)))
    assert len(found) == 800
    assert [asked[index] for index in (0, 97, 98, 773, 774, 775)] == [
        "a.E02", "a.E99", "a.EAA", "a.EZZ", "a.FAA", "a.FAB",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a.\u00c901", "a.E01.bak", "a", ".E01", "a.e01", "a.raw"])
def test_an_e01_of_one_segment_opens_under_any_name(
    name: str, files: dict[str, bytes], disk: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(files["ftk.E01"])
    assert open_container(tmp_path / name).stream.read() == disk


ELSEWHERE = [
    "/etc/passwd",
    "../../secret",
    "C:\\x\\secret.vmdk",
    "json:{x}",
    "nbd://host/secret",
    "..",
    "a/..",
    "x" * 900,
]


def naming(kind: str, name: str, files: dict[str, bytes]) -> bytes:
    """An image that names that file as one of its parts."""
    if kind == "vmdk extent":
        return files["flat.vmdk"].replace(b"flat-flat.vmdk", name.encode()).rstrip(b"\0") + b"\n"
    if kind == "vmdk parent":
        text = files["flat.vmdk"].rstrip(b"\0").replace(b"parentCID=ffffffff", b"parentCID=12345678")
        return text.replace(b"createType", b'parentFileNameHint="%s"\ncreateType' % name.encode())
    if kind == "qcow":
        data = patched(files["over.qcow2"], 8, ">QI", 600, len(name))
        return data[:600] + name.encode().ljust(1000, b"\0") + data[1600:]
    data = bytearray(files["over.vhd"])
    data[576:1088] = name.encode("utf-16-be")[:510].ljust(512, b"\0")
    data[548:552] = bytes(4)
    data[548:552] = struct.pack(">I", ~sum(data[512:1536]) & 0xFFFF_FFFF)
    return bytes(data)


@pytest.mark.parametrize("kind", ["vmdk extent", "vmdk parent", "qcow", "vhd"])
@pytest.mark.parametrize("name", ELSEWHERE, ids=range(len(ELSEWHERE)))
def test_a_name_that_leads_elsewhere_opens_nothing_but_a_file_in_the_same_folder(
    kind: str, name: str, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "one" / "two"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    for secret in ("secret", "secret.vmdk", "passwd"):
        (tmp_path / secret).write_bytes(files["disk.raw"])
    (inner / "image").write_bytes(naming(kind, name, files))
    for beside in ("flat-flat.vmdk", "older.qcow2", "older.vhd"):
        (inner / beside).write_bytes(files[beside])
    asked: list[str] = []
    given = of_path(inner / "image")

    def recorded(other: str) -> Stream | None:
        asked.append(other)
        return given.beside(other)

    with pytest.raises(EvidenceError):
        unwrap(replace(given, beside=recorded))
    bare = re.split(r"[/\\]", name)[-1]
    assert set(asked) <= {bare, bare[:255], "flat-flat.vmdk"}
    assert bare == ".." or set(asked) & {bare, bare[:255]}


def test_a_name_that_leads_elsewhere_is_looked_for_beside_the_image(files: dict[str, bytes], disk: bytes) -> None:
    for name in ELSEWHERE[:3]:
        last = re.split(r"[/\\]", name)[-1]
        for kind, part in (("vmdk extent", "flat-flat.vmdk"), ("qcow", "older.qcow2"), ("vhd", "older.vhd")):
            parts = {"image": naming(kind, name, files), last: files[part]}
            assert unwrap(source("image", parts)).stream.read() == disk


@pytest.mark.parametrize("kind", ["qcow", "vhd", "vmdk parent"])
def test_images_that_stand_on_themselves_are_refused(kind: str, files: dict[str, bytes]) -> None:
    data = naming(kind, "loop", files)
    if kind == "vhd":
        data = data[:552] + data[68:84] + data[568:]  # its own identifier as that of its parent
        data = data[:548] + bytes(4) + data[552:]
        data = patched(data, 548, ">I", ~sum(data[512:1536]) & 0xFFFF_FFFF)
    with pytest.raises(EvidenceError, match="stand on one another"):
        unwrap(source("loop", files | {"loop": data}))


def test_a_chain_of_backing_files_is_read_to_a_depth_of_64(files: dict[str, bytes], disk: bytes) -> None:
    empty = struct.pack(">4sIQIIQIIQ", b"QFI\xfb", 2, 600, 4, 16, len(disk), 0, 1, 8192).ljust(600, b"\0")
    chain = {f"b{number:03}": (empty + f"b{number + 1:03}".encode()).ljust(8200, b"\0") for number in range(66)}
    chain["b064"] = disk
    assert unwrap(source("b000", chain)).stream.read() == disk
    chain["b064"], chain["b065"] = chain["b063"].replace(b"b064", b"b065"), disk
    with pytest.raises(RefusedError, match="More than 64 images"):
        unwrap(source("b000", chain))


def test_a_virtual_disk_beside_that_is_not_the_parent_is_refused(files: dict[str, bytes]) -> None:
    for kind in ("vhd", "vhdx", "vmdk"):
        other = "fixed" if kind != "vmdk" else "sparse"
        with pytest.raises(EvidenceError):
            unwrap(source(f"over.{kind}", files | {f"older.{kind}": files[f"{other}.{kind}"]}))


def test_what_an_image_stands_on_is_read_as_it_says_and_never_a_container_as_raw(files: dict[str, bytes]) -> None:
    raw = files["over raw.qcow2"]
    stream = unwrap(source("over raw.qcow2", files | {"older.raw": files["older.qcow2"]})).stream
    assert stream.read_at(0, 4) == b"QFI\xfb"  # it says raw: whoever wrote to that disk cannot make it an image
    unnamed = raw.replace(struct.pack(">II", 0xE279_2ACA, 3), struct.pack(">II", 0x1234_5678, 3))
    assert unnamed != raw
    assert unwrap(source("a", files | {"a": unnamed})).stream.read() == files["disk.raw"]
    for below in ("older.vmdk", "older.vhd", "older.vhdx"):
        with pytest.raises(RefusedError, match="neither raw nor QCOW"):
            unwrap(source("a", files | {"a": unnamed, "older.raw": files[below]}))


def test_a_qcow_that_is_encrypted_is_refused_as_such(files: dict[str, bytes]) -> None:
    for name, at in (("v1.qcow", 36), ("v2.qcow2", 32), ("v3.qcow2", 32)):
        with pytest.raises(RefusedError) as raised:
            unwrap(source("a", {"a": patched(files[name], at, ">I", 1)}))
        assert raised.value.reason == Reason.ENCRYPTED


def test_a_qcow_with_subclusters_or_a_data_file_is_refused_and_not_misread(files: dict[str, bytes]) -> None:
    for data in (files["subclusters.qcow2"], patched(files["v3.qcow2"], 72, ">Q", 4)):
        with pytest.raises(RefusedError, match="sub-clusters") as raised:
            unwrap(source("a", {"a": data}))
        assert raised.value.reason == Reason.UNSUPPORTED


# Damage


@pytest.mark.parametrize("name", E01)
def test_a_flipped_byte_in_an_e01_costs_its_chunk_and_nothing_else(
    name: str, files: dict[str, bytes], disk: bytes
) -> None:
    whole = ewf._Ewf(name, list(ewf.segments(source(name, files))))
    size, draw, errors = whole._chunk, random.Random(name), 0
    for _ in range(40):
        number = draw.randrange(-(-len(disk) // size))
        which = max(index for index, first in enumerate(whole._firsts) if first <= number)
        table, index = whole._tables[which], number - whole._firsts[which]
        ends = [table.base + (entry & 0x7FFF_FFFF) for entry in whole._entries(which)] + [table.end]
        segment = name[:-1] + str(table.segment + 1)
        at = draw.randrange(ends[index], ends[index + 1])
        hurt = Damaged(files[segment], len(files[segment]), {at: 1 << draw.randrange(8)})
        stream = unwrap(source(name, files, {segment: hurt})).stream
        try:  # where a run of zeros is packed, a changed distance gives the same
            assert stream.read_at(number * size, size) == disk[number * size : (number + 1) * size]
        except OSError:
            errors += 1
        for other in {0, max(0, number - 1), number + 1} - {number}:
            assert stream.read_at(other * size, size) == disk[other * size : (other + 1) * size]
    assert errors > 10


def test_an_e01_is_read_by_the_copy_of_a_table_that_is_damaged(files: dict[str, bytes], disk: bytes) -> None:
    at = files["ftk.E01"].index(b"table\0") + 76
    hurt = Damaged(files["ftk.E01"], len(files["ftk.E01"]), {at: 1})
    assert unwrap(source("ftk.E01", files, {"ftk.E01": hurt})).stream.read() == disk


def test_what_an_e01_says_of_its_medium_and_digests_is_not_taken_if_it_is_damaged(files: dict[str, bytes]) -> None:
    data = files["ftk.E01"]
    hurt = Damaged(data, len(data), {data.index(b"volume\0") + 76 + 9: 1})
    with pytest.raises(RefusedError, match="damaged"):
        unwrap(source("ftk.E01", files, {"ftk.E01": hurt}))
    hurt = Damaged(data, len(data), {data.index(b"hash\0") + 76: 1})
    assert unwrap(source("ftk.E01", files, {"ftk.E01": hurt})).stored == {}


def test_a_digest_of_zeros_is_none(files: dict[str, bytes], disk: bytes) -> None:
    data = bytearray(files["linen6.E01"])
    at = data.index(b"digest\0") + 76
    data[at + 16 : at + 36] = bytes(20)
    data[at + 76 : at + 80] = zlib.adler32(data[at : at + 76]).to_bytes(4, "little")
    assert unwrap(source("a.E01", {"a.E01": bytes(data)})).stored == {"md5": hashlib.md5(disk).hexdigest()}


@pytest.mark.parametrize("name", [*VMDK, *VHD, *QCOW1, *QCOW2, *OVER])
def test_what_is_cut_short_gives_an_error_and_never_zeros(name: str, files: dict[str, bytes], disk: bytes) -> None:
    for part in range(1, 25):
        length = len(files[name]) * part // 25
        try:
            opened = unwrap(source(name, files, {name: Damaged(files[name], length, {})}))
        except ERRORS:
            continue
        for offset in range(0, len(disk), 64 * 1024) if opened.form != "raw" else ():
            try:
                data = opened.stream.read_at(offset, 4096)
            except OSError:
                continue
            assert data == disk[offset : offset + 4096]


def read_to_damage(stream: Stream) -> bytes:
    """All that comes before the stream says, by an error, that it is cut short."""
    data = b""
    with suppress(OSError):
        while piece := stream.read_at(len(data), CHUNK):
            data += piece
    with pytest.raises(OSError, match="cut short"):
        stream.check_end()
    return data


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, lambda data: zstandard.ZstdCompressor().compress(data)]
)
def test_what_is_compressed_and_cut_short_says_so_at_its_end(pack: Callable[[bytes], bytes], disk: bytes) -> None:
    packed = pack(disk)
    for length in (len(packed) // 2, len(packed) - 1, len(packed) - 9):
        stream = unwrap(source("a", {"a": packed[:length]})).stream
        for _ in range(2):
            assert disk.startswith(read_to_damage(stream))


# Hostile


def mutants(name: str, data: bytes) -> Iterator[Damaged]:
    """Cut at each 4 %, and with bytes changed, half of the time where headers lie."""
    for part in range(25):
        yield Damaged(data, len(data) * part // 25, {})
    for number in range(60):
        draw = random.Random(f"{name}{number}")
        ends = draw.random() < 0.5
        places = [
            draw.choice([draw.randrange(min(4096, len(data))), len(data) - 1 - draw.randrange(min(1024, len(data)))])
            if ends
            else draw.randrange(len(data))
            for _ in range(draw.choice([1, 1, 1, 2, 4, 16]))
        ]
        yield Damaged(
            data, len(data), {at: draw.choice([1 << draw.randrange(8), draw.randrange(1, 256)]) for at in places}
        )


def read_some(opened: Container) -> None:
    """Reads at both ends and between, bounded by what the container says of its size and by 64 KiB a read."""
    try:
        size = opened.stream.size
    except ERRORS:
        return
    for offset in (0, size // 3, MIB - 100, size - 70_000, size - 1):
        with suppress(*ERRORS):
            assert len(opened.stream.read_at(max(0, offset), CHUNK)) <= CHUNK


@pytest.mark.parametrize("name", [*ALL, "encase6.E03", "flat-flat.vmdk", "split-s001.vmdk", "subclusters.qcow2"])
def test_a_damaged_container_gives_an_error_or_bytes_soon_and_in_little_memory(
    name: str, files: dict[str, bytes]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, hurt in enumerate(mutants(name, files[name])):
        start = time.process_time()
        with suppress(*ERRORS):
            read_some(unwrap(source(name, files, {name: hurt})))
        assert time.process_time() - start < 3, number
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024  # in KiB


def hostile(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Claims of sizes that nothing can have."""
    v1, v2, v3, zstd = files["v1.qcow"], files["v2.qcow2"], files["v3.qcow2"], files["zstd.qcow2"]
    for size in (1 << 60, (1 << 63) - 1, (1 << 64) - 1):
        yield "v1 size", patched(v1, 24, ">Q", size)
        yield "v3 size", patched(v3, 24, ">Q", size)
        yield "v3 L1 at", patched(v3, 40, ">Q", size)
        yield "v3 backing at", patched(v3, 8, ">QI", size, 1023)
        yield "v3 L1 entry", patched(v3, struct.unpack_from(">Q", v3, 40)[0], ">Q", size)
    for bits in (0, 8, 22, 63, 0xFFFF_FFFF):
        yield "v2 cluster", patched(v2, 20, ">I", bits)
        yield "v1 cluster", patched(v1, 32, ">BB", bits & 255, 255)
    for entries in (1 << 29, 0xFFFF_FFFF, 4 * MIB, 0):
        yield "v2 L1 of 4 GiB", patched(v2, 36, ">I", entries)
    yield "v3 head", patched(v3, 100, ">I", 0xFFFF_FFF0)
    frame = b"\x28\xb5\x2f\xfd\x80\x78\xff\xff\xff\x7f" + struct.pack("<I", 128 * 1024 << 3 | 2)[:3] + b"\0"
    (l1,) = struct.unpack_from(">Q", zstd, 40)
    (l2,) = struct.unpack_from(">Q", zstd, l1)
    (entry,) = struct.unpack_from(">Q", zstd, l2 & ~(1 << 63))
    at = entry & ((1 << 54) - 1)
    bomb = frame + b"\x02\x00\x10\x00" * 20_000
    yield "zstd cluster", zstd[:at] + bomb + zstd[at + len(bomb) :]
    data = files["encase5.E01"]
    volume, table = data.index(b"volume\0") + 76, data.index(b"table\0") + 76
    for per_chunk, per_sector, sectors in (
        (0, 512, 1), (64, 0, 1), (1 << 31, 512, 1), (64, 512, 1 << 60), (64, 512, 1 << 52), (1, 1, (1 << 61)),
    ):  # fmt: skip
        body = patched(data[volume : volume + 1052], 8, "<IIQ", per_chunk, per_sector, sectors)
        body = body[:-4] + zlib.adler32(body[:-4]).to_bytes(4, "little")
        yield "E01 volume", data[:volume] + body + data[volume + 1052 :]
    for count, base in ((1 << 31, 0), (0xFFFF_FFFF, 0), (513, (1 << 64) - 1), (513, 1 << 62), (0, 0)):
        head = patched(data[table : table + 20], 0, "<I4xQ", count, base)
        yield "E01 table", data[:table] + head + zlib.adler32(head).to_bytes(4, "little") + data[table + 24 :]
    for after, size in ((13, 1 << 63), ((1 << 64) - 1, 0), (14, 76), (1 << 40, 0)):
        head = patched(data[13:85], 16, "<QQ", after, size)
        yield "E01 section", data[:13] + head + zlib.adler32(head).to_bytes(4, "little") + data[89:]
    sparse = files["sparse.vmdk"]
    for at, form in ((12, "<Q"), (20, "<Q"), (28, "<Q"), (36, "<Q"), (44, "<I"), (48, "<Q"), (56, "<Q"), (64, "<Q")):
        for value in (0, 1, (1 << 31) - 1, 1 << 60, (1 << 64) - 1):
            yield f"VMDK {at}", patched(sparse, at, form, value & (0xFFFF_FFFF if form == "<I" else (1 << 64) - 1))
    text = files["flat.vmdk"].rstrip(b"\0")
    yield "VMDK extents", text.replace(b"# Extent", b'RW 1 FLAT "flat-flat.vmdk" 0\n' * 5000 + b"# Extent")
    yield "VMDK extent", text.replace(b"RW 8195", b"RW %d" % (1 << 60))
    for at, form in ((528, ">Q"), (540, ">I"), (544, ">I")):
        for value in (0, 1, 1 << 31, (1 << 64) - 1):
            changed = patched(files["dynamic.vhd"], at, form, value & (0xFFFF_FFFF if form == ">I" else (1 << 64) - 1))
            head = changed[512:548] + bytes(4) + changed[552:1536]
            yield f"VHD {at}", patched(changed, 548, ">I", ~sum(head) & 0xFFFF_FFFF)
    for value in (0, 1 << 60, (1 << 64) - 512):
        foot = patched(files["dynamic.vhd"][:512], 48, ">Q", value)
        foot = patched(foot, 64, ">I", ~sum(foot[:64] + foot[68:]) & 0xFFFF_FFFF)
        yield "VHD size", foot + files["dynamic.vhd"][512:-512] + foot


def test_no_claim_of_a_size_takes_the_memory_or_the_time_for_it(files: dict[str, bytes], tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        for number, (claim, data) in enumerate(hostile(files)):
            path = tmp_path / f"{number}.bin"
            path.write_bytes(data)
            tracemalloc.reset_peak()
            start, before = time.process_time(), tracemalloc.get_traced_memory()[0]
            given = of_path(path)  # as a file: `os.pread` takes the memory for what it is asked
            with suppress(*ERRORS):
                read_some(unwrap(replace(given, beside=source("", files).beside)))
            assert tracemalloc.get_traced_memory()[1] - before < 96 * MIB, claim
            assert time.process_time() - start < 3, claim
            path.unlink()
    finally:
        tracemalloc.stop()


def test_many_empty_streams_end_to_end_are_read_in_linear_time(disk: bytes) -> None:
    packs = (gzip.compress, bz2.compress, lzma.compress, lambda data: zstandard.ZstdCompressor().compress(data))
    for pack, count in zip(packs, (20_000, 20_000, 120_000, 20_000), strict=True):
        start = time.process_time()
        data = pack(b"") * count + pack(disk[:CHUNK])
        assert unwrap(source("a", {"a": data})).stream.read() == disk[:CHUNK]
        assert time.process_time() - start < 3


def test_a_bomb_of_zstd_is_inflated_in_pieces() -> None:
    frame = b"\x28\xb5\x2f\xfd\x00\x68" + b"\x02\x00\x10\x00" * 16_000
    tracemalloc.start()
    try:
        stream = unwrap(source("a", {"a": frame})).stream
        assert stream.read_at(0, CHUNK) == bytes(CHUNK)
        assert tracemalloc.get_traced_memory()[1] < 96 * MIB
    finally:
        tracemalloc.stop()


def test_opening_and_reading_writes_nothing(folder: Path) -> None:
    before = {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}
    for name in ALL:
        open_container(folder / name).stream.read_at(0, 10)
    assert {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()} == before
