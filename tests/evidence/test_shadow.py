"""Shadow copies: against what made the image, against libvshadow, and against damage."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvshadow

from mantlet.errors import RefusedError
from mantlet.evidence import vss
from mantlet.evidence.stream import Memory
from mantlet.evidence.trees import shadow
from mantlet.evidence.trees.shadow import ShadowCopy, Shadows
from mantlet.evidence.trees.tsk import FileSystem
from mantlet.evidence.trees.volumes import Disk
from mantlet.evidence.vss import BLOCK, Blocks
from mantlet.types import Containment, Entry, Reason, Recovery, Step

IMAGES = Path(__file__).parents[1] / "images"
TRUTH = json.loads((IMAGES / "shadow.json").read_text().replace('"Users/', '"/Users/'))
HEADER, LIST, LIST_TOO, RANGES, BITMAP, PREVIOUS, DATA = range(7)


@pytest.fixture(scope="module")
def whole(image: Callable[[str], Path]) -> bytes:
    return image("shadow.img").read_bytes()


class Volume:
    """An image as the tree of a volume opens it."""

    def __init__(self, data: bytes) -> None:
        self.live = FileSystem(Memory(data))
        self.shadows = Shadows(Memory(data))

    def entries(self, index: int) -> list[Entry]:
        """What matters in one snapshot: no metadata files of NTFS."""
        tree = self.shadows.open(Step("shadow", index), self.live)
        return [entry for entry in tree.walk() if not entry.step.name.startswith("/$")]

    def names(self, index: int) -> set[str]:
        return {Path(entry.step.name).name for entry in self.entries(index)}

    def digest(self, index: int, entry: Entry) -> str:
        """Opened by the step alone."""
        return sha256(self.shadows.open(Step("shadow", index), self.live).open(entry.step).read())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def catalog(data: bytes) -> int:
    return int(struct.unpack_from("<Q", data, 0x1E00 + 48)[0])


def store(data: bytes, index: int) -> int:
    """Where a store begins; the catalog of the image lists the newest first."""
    return int(struct.unpack_from("<Q", data, catalog(data) + 128 * (4 - 2 * index) + 32)[0])


def patched(data: bytes, at: int, form: str, *values: int) -> bytes:
    copy = bytearray(data)
    struct.pack_into(form, copy, at, *values)
    return bytes(copy)


def test_snapshots_are_listed_with_the_time_when_they_were_made_oldest_first(whole: bytes) -> None:
    entries = list(Shadows(Memory(whole)).walk())
    assert [entry.step for entry in entries] == [
        Step("shadow", index, each["created"]) for index, each in enumerate(TRUTH["shadows"])
    ]
    assert {(entry.size, entry.absent) for entry in entries} == {(len(whole), None)}


@pytest.mark.parametrize("index", [0, 1])
def test_a_snapshot_gives_the_pictures_that_have_changed_or_vanished_since(whole: bytes, index: int) -> None:
    volume, truth = Volume(whole), TRUTH["shadows"][index]
    entries = volume.entries(index)
    readable = {entry.step.name: volume.digest(index, entry) for entry in entries if not entry.absent}
    assert {name: digest for name, digest in readable.items() if not name.endswith(".txt")} == truth["pictures"]
    gone = [entry for entry in entries if entry.absent]
    assert [entry.step.name for entry in gone] == truth["gone"]
    assert {(entry.absent.reason, entry.size) for entry in gone if entry.absent} <= {(Reason.GONE, 0)}
    deleted = {entry.step.name for entry in entries if entry.recovery is Recovery.DELETED}
    assert deleted == {*truth["deleted"], *truth["gone"]}
    assert {entry.containment for entry in entries} == {Containment.SHADOW_COPY}


def test_nothing_that_is_seen_live_is_given_again(whole: bytes) -> None:
    volume = Volume(whole)
    today = {sha256(volume.live.open(entry.step).read()) for entry in volume.live.walk() if not entry.absent}
    assert set(TRUTH["today"].values()) <= today
    older = {volume.digest(index, entry) for index in (0, 1) for entry in volume.entries(index) if not entry.absent}
    assert not older & today


def test_a_snapshot_reads_as_libvshadow_gives_it_and_as_today_where_that_gives_zeros(whole: bytes) -> None:
    volume, library = Volume(whole), pyvshadow.volume()
    library.open_file_object(Memory(whole))
    zeros = 0
    for index in (0, 1):
        ours = volume.shadows.snapshot(index).stream.read()
        theirs = library.get_store(index).read_buffer_at_offset(len(whole), 0)
        for at in range(0, len(whole), BLOCK):
            block = slice(at, at + BLOCK)
            if ours[block] != theirs[block]:
                assert (theirs[block], ours[block]) == (bytes(BLOCK), whole[block])
                zeros += 1
    assert zeros


def test_the_block_lists_are_those_of_libvshadow(whole: bytes) -> None:
    library = pyvshadow.volume()
    library.open_file_object(Memory(whole))
    for index in (0, 1):
        listed = {block.original_offset for block in library.get_store(index).blocks}
        copied = Shadows(Memory(whole)).copied(index, index)
        assert {at for at in range(0, len(whole), BLOCK) if next(copied.split(at, at + 1))[2]} == listed


class Counting(Memory):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[int] = []

    def read_at(self, offset: int, length: int) -> bytes:
        self.reads.append(length)
        return super().read_at(offset, length)


@pytest.mark.parametrize("name", ["ntfs.img", "fat16.img", "shadow.img"])
def test_a_volume_without_snapshots_costs_one_small_read(image: Callable[[str], Path], name: str) -> None:
    data = image(name).read_bytes()
    if name == "shadow.img":  # its header without a catalog, as Windows leaves it when the last one is deleted
        data = patched(data, 0x1E00 + 48, "<Q", 0)
    stream = Counting(data)
    shadows = Shadows(stream)
    assert list(shadows.walk()) == []
    assert len(stream.reads) == 1
    assert max(stream.reads) < 512
    with pytest.raises(OSError, match="no shadow copy 0"):
        shadows.open(Step("shadow", 0), FileSystem(Memory(data)))
    assert list(Shadows(Memory(b"")).walk()) == []


def test_what_a_newer_state_does_not_list_is_listed_whatever_its_record_says(whole: bytes) -> None:
    class Unlistable(FileSystem):
        def walk(self) -> Iterator[Entry]:
            return iter(())

    volume = Volume(whole)
    volume.live = Unlistable(Memory(whole))
    assert volume.names(1) > {"tower.jpg", "market.jpg", "small that stays.png", "thrown away.jpg"}


def test_a_snapshot_that_cannot_be_opened_counts_for_nothing_in_the_older_one(whole: bytes) -> None:
    data = patched(whole, store(whole, 1) + DATA * BLOCK, "<510x2s", b"\0\0")  # the newer one's boot sector
    volume = Volume(data)
    with pytest.raises(OSError, match="file system"):
        volume.shadows.open(Step("shadow", 1), volume.live)
    assert volume.names(0) >= {"beach.jpg", "small.png", "vanished.jpg", "garden.jpg", "harbour.jpg"}
    assert not volume.names(0) & {"tower.jpg", "market.jpg", "small that stays.png"}


def test_a_file_with_much_in_copied_blocks_is_not_compared_but_listed(
    whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "market.jpg" not in Volume(whole).names(0)
    monkeypatch.setattr(shadow, "_COMPARED", 4095)
    assert "market.jpg" in Volume(whole).names(0)  # a cluster of it shares its block with notes.txt, which changed


def test_limits_are_said(whole: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vss, "COPIES", 16)  # there are 8 and 9
    with pytest.raises(RefusedError, match="more than 16 blocks"):
        Volume(whole).entries(0)
    monkeypatch.setattr(shadow, "_SNAPSHOTS", 1)
    entries = list(Shadows(Memory(whole)).walk())
    assert [entry.absent and entry.absent.reason for entry in entries] == [None, Reason.LIMIT]
    with pytest.raises(OSError, match="no shadow copy 1"):
        Volume(whole).entries(1)


def test_a_store_that_is_not_on_the_volume_is_said(whole: bytes) -> None:
    data = patched(whole, catalog(whole) + 128 * 4, "<Q", 1)  # where the first store lies: an entry not in use
    entries = list(Shadows(Memory(data)).walk())
    assert [entry.absent and entry.absent.reason for entry in entries] == [Reason.UNREADABLE, None]
    assert Volume(data).names(1) == Volume(whole).names(1)


def test_a_damaged_catalog_is_said(whole: bytes) -> None:
    for data in (whole[:-BLOCK], patched(whole, catalog(whole), "<Q", 0)):
        entries = list(Shadows(Memory(data)).walk())
        assert [entry.absent and entry.absent.reason for entry in entries] == [Reason.UNREADABLE]


def test_an_image_of_a_logical_drive_lacks_the_copy_of_the_boot_sector_and_reads_all_the_same(whole: bytes) -> None:
    (sectors,) = struct.unpack_from("<Q", whole, 0x28)
    assert sectors * 512 < len(whole)
    volume = Volume(whole[: sectors * 512])
    assert [volume.names(index) for index in (0, 1)] == [Volume(whole).names(index) for index in (0, 1)]


def test_a_header_that_cannot_be_read_is_said_and_hides_no_file(whole: bytes) -> None:
    class BadSector(Memory):
        def read_at(self, offset: int, length: int) -> bytes:
            if offset == 0x1E00:
                raise OSError("a bad sector")
            return super().read_at(offset, length)

    entries = list(Disk(BadSector(whole)).walk())
    assert [entry.absent and entry.absent.reason for entry in entries[-2:]] == [None, Reason.UNREADABLE]


def test_a_disk_lists_its_shadow_copies_behind_its_files_and_opens_them(whole: bytes) -> None:
    disk = Disk(Memory(whole))
    last = list(disk.walk())[-1]
    tree = disk.open(last.step)
    assert isinstance(tree, ShadowCopy)
    assert {entry.step.name for entry in tree.walk()} >= set(TRUTH["shadows"][1]["pictures"])


def test_a_time_beyond_any_calendar_is_left_out(whole: bytes) -> None:
    data = patched(whole, catalog(whole) + 128 + 48, "<Q", 2**64 - 1)
    assert [entry.step.name for entry in Shadows(Memory(data)).walk()] == [TRUTH["shadows"][0]["created"], ""]


@pytest.mark.parametrize("part", [LIST, LIST_TOO])
def test_a_list_that_runs_in_a_circle_or_into_another_is_an_error(whole: bytes, part: int) -> None:
    at = store(whole, 1) + part * BLOCK
    for following in (at, store(whole, 1) + BITMAP * BLOCK, len(whole), 2**64 - 1):
        with pytest.raises(OSError, match="damaged at byte"):
            Volume(patched(whole, at + 40, "<Q", following)).entries(1)


def test_a_block_that_would_corrupt_the_memory_of_libvshadow_is_never_shown_to_it(whole: bytes) -> None:
    at = store(whole, 1) + LIST * BLOCK + 128 + 5 * 32
    for data in (patched(whole, at + 24, "<I", 3), patched(whole, at, "<QQQII", 181 * BLOCK, 0, 0, 3, 0xE6B9356A)):
        for index in (0, 1):
            with pytest.raises(OSError, match="stands both"):
                Volume(data).entries(index)


def test_ranges_are_cut_where_copied_blocks_begin_and_end() -> None:
    chance = random.Random(4)
    for _ in range(50):
        numbers = [chance.randrange(12) for _ in range(chance.randrange(8))]
        blocks = Blocks([np.array(numbers, dtype=np.uint64)])
        start, end = sorted(chance.randrange(12 * BLOCK) for _ in range(2))
        pieces = list(blocks.split(start, end))
        assert [low for low, _, _ in pieces] + [end] == [start] + [high for _, high, _ in pieces] or start == end
        for low, high, copied in pieces:
            assert {at // BLOCK in numbers for at in (low, high - 1)} == {copied}


def structures(data: bytes) -> list[tuple[int, int]]:
    """Where the structures of the snapshots are, and how many bytes of each say something."""
    parts = ((HEADER, 260), (LIST, 300), (LIST_TOO, 300), (RANGES, 160), (BITMAP, 180), (PREVIOUS, 180))
    of_stores = [(store(data, index) + part * BLOCK, length) for index in (0, 1) for part, length in parts]
    return [(0x1E00, 100), (catalog(data), 128 * 5), *of_stores]


def damaged(whole: bytes) -> Iterator[bytes]:
    """Cut short, and bytes written over in the structures of the snapshots and in what they keep."""
    yield from (whole[: len(whole) * part // 12] for part in range(1, 12))
    places = [*structures(whole), *((store(whole, index) + DATA * BLOCK, 9 * BLOCK) for index in (0, 1))]
    for seed in range(60):
        chance = random.Random(seed)
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8, 32))):
            at, length = chance.choice(places)
            data[at + chance.randrange(length)] = chance.choice((0, 1, 4, 0x7F, 0x80, 0xFF))
        yield bytes(data)


def test_damage_gives_files_or_reasons_and_never_another_error(whole: bytes) -> None:
    live, results = FileSystem(Memory(whole)), 0
    for data in damaged(whole):
        shadows = Shadows(Memory(data))
        for entry in shadows.walk():
            try:
                tree = None if entry.absent else shadows.open(entry.step, live)
                for file in tree.walk() if tree else ():
                    results += 1
                    if tree and not file.absent and file.size < 1 << 20:
                        assert len(tree.open(file.step).read()) <= file.size
            except (OSError, RefusedError):
                continue
    assert results > 400
