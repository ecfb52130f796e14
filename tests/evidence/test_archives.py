"""Archives of every kind: all members with their bytes, in whatever order they are opened, and hostile ones."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import tracemalloc
import zipfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from packing import COMPRESSIONS, Files, cabinet, rar, seven_zipped, tarred, zipped

from mantlet import settings
from mantlet.errors import MantletError
from mantlet.evidence.reach import Reach
from mantlet.evidence.source import Source
from mantlet.evidence.stream import Memory
from mantlet.evidence.tree import holds, open_tree
from mantlet.types import Absent, Address, Reason, Step, unescape

FILES = {
    "a.jpg": b"first " * 100,
    "folder/b.jpg": random.Random(1).randbytes(700_000),
    "folder/empty": b"",
    "été %! \u202e.jpg": b"third " * 100_000,
}
ARCHIVES: dict[str, Callable[[Files], bytes]] = {
    "stored zip": zipped,
    **{
        f"{name} zip": lambda files, method=method: zipped(files, method)  # type: ignore[misc]
        for name, method in (("deflated", zipfile.ZIP_DEFLATED), ("bzip2", zipfile.ZIP_BZIP2))
    },
    "tar": tarred,
    "GNU tar": lambda files: tarred(files, tarfile.GNU_FORMAT),
    **{f"tar.{name}": lambda files, pack=pack: pack(tarred(files)) for name, pack in COMPRESSIONS.items()},  # type: ignore[misc]
    "7z": seven_zipped,
    "rar": rar,
    "cabinet": cabinet,
}


def tree(data: bytes) -> Any:
    return open_tree(Source("archive.bin", Memory(data)))


def members(data: bytes) -> dict[str, bytes]:
    opened = tree(data)
    return {unescape(each.step.name).decode(): opened.open(each.step).read() for each in opened.walk()}


def refusals(data: bytes) -> list[Absent]:
    return [each.absent for each in tree(data).walk() if each.absent]


@pytest.mark.parametrize("kind", ARCHIVES)
def test_every_member_comes_out_as_it_went_in(kind: str) -> None:
    data = ARCHIVES[kind](FILES)
    assert members(data) == FILES


@pytest.mark.parametrize("kind", ARCHIVES)
def test_each_member_opens_by_its_step_alone_in_any_order(kind: str) -> None:
    """The conformance test of the tree seam, for archives."""
    data = ARCHIVES[kind](FILES)
    entries = list(tree(data).walk())
    assert entries == list(tree(data).walk())
    opened = tree(data)
    for entry in [*reversed(entries), *entries]:
        stream = opened.open(entry.step)
        assert stream.size == entry.size
        assert stream.read() == FILES[unescape(entry.step.name).decode()]
        if entry.size:
            assert stream.read_at(entry.size - 1, 10) == FILES[unescape(entry.step.name).decode()][-1:]


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_file_of_that_kind_inside_an_exhibit_is_looked_into(kind: str) -> None:
    stream = Memory(ARCHIVES[kind](FILES))
    assert holds(stream, stream.read_at(0, 4096), lambda _: False)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_one_that_is_cut_or_changed_gives_what_can_be_read_and_says_so(kind: str) -> None:
    whole = ARCHIVES[kind](FILES)
    flips = random.Random(kind)
    damaged = [whole[: len(whole) * part // 25] for part in range(25)]
    for _ in range(40):
        changed = bytearray(whole)
        for _ in range(3):
            changed[flips.randrange(len(changed))] ^= 1 << flips.randrange(8)
        damaged.append(bytes(changed))
    for data in damaged:
        with suppress(OSError, MantletError):
            opened = tree(data)
            for entry in opened.walk():
                if entry.absent is None:
                    with suppress(OSError, MantletError):
                        opened.open(entry.step).read()


def test_a_compressed_file_holds_what_it_is_named_for_without_its_last_extension() -> None:
    opened = open_tree(Source("photo.jpg.gz", Memory(gzip.compress(b"picture"))))
    [entry] = opened.walk()
    assert (entry.step, entry.size, opened.open(entry.step)) is not None
    assert (entry.step.name, entry.size) == ("photo.jpg", 7)


def test_only_a_compressed_file_that_holds_what_is_wanted_is_looked_into() -> None:
    for data, expected in ((b"\xff\xd8\xff", True), (b"a line of a log\n", False)):
        stream = Memory(gzip.compress(data))
        found = holds(stream, stream.read_at(0, 4096), lambda inner: inner.startswith(b"\xff\xd8\xff"))
        assert bool(found) == expected


def test_gzip_of_several_members_and_padding_is_read_to_its_end() -> None:
    data = gzip.compress(b"one ") + gzip.compress(b"two") + bytes(1000)
    [entry] = tree(data).walk()
    assert (entry.size, tree(data).open(entry.step).read()) == (7, b"one two")


def test_what_was_inflated_is_read_again_from_anywhere() -> None:
    data = random.Random(3).randbytes(1000) * 40_000  # 40 MB: several kept states of the inflater
    [entry] = tree(gzip.compress(data, 1)).walk()
    stream = tree(gzip.compress(data, 1)).open(entry.step)
    places = random.Random(4)
    for _ in range(60):
        at = places.randrange(len(data))
        assert stream.read_at(at, 300_000) == data[at : at + 300_000]


def test_a_zip_behind_other_bytes_and_with_a_comment_is_read() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", b"content")
        archive.comment = b"PK\x05\x06 in a comment"
    assert members(b"PK\x03\x04" + b"program" * 999 + file.getvalue()) == {"a": b"content"}


def test_a_zip_larger_than_four_gigabytes_is_read_by_its_64_bit_fields() -> None:
    """One made by hand, as if its member lay behind 4 GiB; `Sparse` gives the holes."""
    data = b"content"
    at = 5 << 30
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 45, 0, 0, 0, 0x21, 0, 7, 7, 1, 0) + b"a"
    extra = struct.pack("<HHQ", 1, 8, at)
    record = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 45, 45, 0, 0, 0, 0x21, 0, 7, 7, 1, len(extra), 0, 0, 0, 0, 0xFFFFFFFF
    ) + b"a" + extra  # fmt: skip
    start = at + len(local) + len(data)
    end = start + len(record)
    tail = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(record), start)
    tail += struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    tail += struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    stream = Sparse({0: b"PK\x03\x04", at: local + data + record + tail})
    opened = open_tree(Source("a.zip", stream))
    [entry] = opened.walk()
    assert opened.open(entry.step).read() == data


class Sparse(Memory):
    """Pieces of data at their offsets, and zeros between."""

    def __init__(self, pieces: dict[int, bytes]) -> None:
        super().__init__(b"")
        self._pieces = pieces
        self._size = max(at + len(data) for at, data in pieces.items())

    def read_at(self, offset: int, length: int) -> bytes:
        data = bytearray(max(0, min(length, self.size - offset)))
        for at, piece in self._pieces.items():
            low, high = max(at, offset), min(at + len(piece), offset + len(data))
            if low < high:
                data[low - offset : high - offset] = piece[low - at : high - at]
        return bytes(data)


def test_members_beyond_the_limit_are_told_and_all_are_listed_in_little_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "MEMBERS", 50_000)
    record = (
        struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 20, 20, 0, 0, 0, 0x21, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    )
    count = 50_001
    end = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, count * 47, 0)
    end += struct.pack("<4sIQI", b"PK\x06\x07", 0, count * 47, 1)
    data = (
        record * count + end + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    )
    stream = Memory(b"PK\x03\x04" + data)
    tracemalloc.start()
    [last] = deque(open_tree(Source("a.zip", stream)).walk(), maxlen=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert last.absent == Absent(Reason.LIMIT, "The archive has more than 50,000 members.")
    assert peak < 4 * 1024 * 1024  # zipfile takes 32


def test_names_that_repeat_lead_out_or_are_absolute_are_only_text() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, name in enumerate(["same", "../../up", "/etc/passwd"]):
            archive.writestr(name, bytes([number]))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("same", b"\3")
    opened = tree(file.getvalue())
    assert [opened.open(entry.step).read() for entry in opened.walk()] == [b"\0", b"\1", b"\2", b"\3"]


def test_links_of_a_tar_lead_nowhere() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo("link")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert members(file.getvalue()) == {}


def test_a_bomb_of_any_compression_is_refused_and_not_inflated() -> None:
    for name in COMPRESSIONS:
        bomb = COMPRESSIONS[name](bytes(100 << 20))
        with pytest.raises(MantletError, match="likely a bomb"):
            [each.size for each in tree(bomb).walk()]


def test_compression_upon_compression_ends_at_a_limit() -> None:
    data = b"\xff\xd8\xff"
    for _ in range(10_000):
        data = gzip.compress(data, 0)
        if len(data) > 200_000:
            break
    stream = Memory(data)
    with pytest.raises(MantletError, match="more than 8 times"):
        holds(stream, stream.read_at(0, 4096), lambda head: head.startswith(b"\xff\xd8\xff"))
    with pytest.raises(MantletError, match="more than 8 deep"):
        tree(data)


def test_a_locked_archive_says_so() -> None:
    data = bytearray(zipped({"a": b"secret"}))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    assert [absent.reason for absent in refusals(bytes(data))] == [Reason.ENCRYPTED]


def test_a_member_that_lies_about_its_size_is_no_longer_than_it_says(tmp_path: Path) -> None:
    data = bytearray(zipped({"a": bytes(50_000_000)}, zipfile.ZIP_DEFLATED))
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 100)
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    reach = Reach({"E": str(path)})
    stream = reach.open(Address("E", (Step("member", 0, "a"),)))
    assert stream.size == 100
    with pytest.raises(MantletError):
        stream.read_at(0, 1 << 20)
