"""HFS+, APFS and XFS: against The Sleuth Kit, against what made the image, and against damage."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mantlet import settings
from mantlet.evidence.stream import Memory, Stream
from mantlet.evidence.trees.libyal import Apfs, Hfs, Xfs
from mantlet.types import Entry, Reason, Step, Times, unescape

SHARED = Path(__file__).parents[3] / "shared" / "data" / "disks" / "dfvfs"
TRUTH: dict[str, tuple[int, str]] = json.loads((Path(__file__).parents[1] / "images" / "xfs.json").read_text())
APSB_BLOCK = "107"  # `pstat apfs.raw`

shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared images are not on this machine")


def files(tree: Hfs | Apfs | Xfs) -> Iterator[tuple[Entry, Stream]]:
    """Every file that can be read, opened; those of an APFS container through its volumes."""
    for entry in tree.walk():
        if isinstance(tree, Apfs):
            yield from files(tree.open(entry.step))
        elif not entry.absent:
            yield entry, tree.open(entry.step)


def opened(name: str, data: bytes | None = None) -> Hfs | Apfs | Xfs:
    stream = Memory(data if data is not None else (SHARED / name).read_bytes())
    return Apfs(stream) if name == "apfs.raw" else Hfs(stream)


def summary(entry: Entry, stream: Stream) -> tuple[str, int, str]:
    data = stream.read()
    assert len(data) == entry.size
    return unescape(entry.step.name).decode(), entry.step.at, hashlib.sha1(data).hexdigest()


@shared
@pytest.mark.skipif(not shutil.which("fls"), reason="The Sleuth Kit's tools are not installed")
@pytest.mark.parametrize(("name", "options"), [("hfsplus.raw", []), ("apfs.raw", ["-B", APSB_BLOCK])])
def test_every_file_has_the_path_number_and_digest_that_the_sleuth_kit_gives_it(name: str, options: list[str]) -> None:
    truth = set()
    listing = subprocess.run(["fls", "-r", "-p", "-F", *options, SHARED / name], capture_output=True, check=True)
    for line in listing.stdout.decode().splitlines():
        kind, number, path = line.replace(":\t", " ", 1).split(" ", 2)
        if kind == "r/r" and not path.startswith("$"):
            # icat of APFS ends with 1 for a file without content
            content = subprocess.run(["icat", *options, SHARED / name, number], capture_output=True, check=False).stdout
            truth.add((f"/{path}", int(number), hashlib.sha1(content).hexdigest()))
    assert {summary(*file) for file in files(opened(name))} == truth
    assert len(truth) == 7


@shared
def test_a_container_lists_its_volumes_and_each_opens_to_its_files() -> None:
    tree = opened("apfs.raw")
    assert [entry.step for entry in tree.walk()] == [Step("volume", 0, "apfs_test")]
    assert "/passwords.txt" in {entry.step.name for entry, _ in files(tree)}


@shared
@pytest.mark.parametrize(("name", "second"), [("hfsplus.raw", 42), ("apfs.raw", 41)])
def test_times_are_utc_and_none_where_unset(name: str, second: int) -> None:
    time = f"2022-01-14T07:19:{second}Z"
    assert {entry.times for entry, _ in files(opened(name)) if entry.step.name == "/passwords.txt"} == {
        Times(time, time, time)
    }


@pytest.fixture(scope="session")
def xfs(image: Callable[[str], Path]) -> bytes:
    return image("xfs.img").read_bytes()


def test_every_file_of_xfs_is_what_mkfs_placed_there(xfs: bytes) -> None:
    """Holes and blocks never written read as zeros; links, pipes and folders are no files."""
    found = {
        entry.step.name: (entry.size, hashlib.sha1(stream.read()).hexdigest())
        for entry, stream in files(Xfs(Memory(xfs)))
    }
    latin = found.pop(next(name for name in found if name.startswith("/$Unnamed-")))
    assert {**found, "/caf\u00e9.txt": latin} == {path: tuple(row) for path, row in TRUTH.items()}


@pytest.mark.parametrize("name", ["hfsplus.raw", "apfs.raw", "xfs.img"])
def test_an_entry_opens_again_by_its_step_alone_in_any_order(name: str, xfs: bytes) -> None:
    if name != "xfs.img" and not SHARED.exists():
        pytest.skip("the shared images are not on this machine")
    first, again = (Xfs(Memory(xfs)) if name == "xfs.img" else opened(name) for _ in range(2))
    entries = [entry for entry, _ in files(first)]
    assert entries == [entry for entry, _ in files(again)]
    if isinstance(first, Apfs):
        first, again = (tree.open(Step("volume")) for tree in (first, again))
    for entry in reversed(entries):
        stream = again.open(Step("file", entry.step.at))
        data = stream.read()
        assert len(data) == entry.size
        assert first.open(entry.step).read_at(entry.size // 2, 10) == data[entry.size // 2 :][:10]
        assert stream.read_at(entry.size, 10) == b""


def test_folders_deeper_than_the_limit_are_refused_and_the_rest_is_listed(
    xfs: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "TREE_DEPTH", 10)
    entries = list(Xfs(Memory(xfs)).walk())
    assert [entry.absent.reason for entry in entries if entry.absent] == [Reason.LIMIT]
    assert sum(not entry.absent for entry in entries) == len(TRUTH) - 1


def test_a_number_that_no_file_has_is_an_error(xfs: bytes) -> None:
    with pytest.raises(OSError, match="inode number"):
        Xfs(Memory(xfs)).open(Step("file", 2**40))


@pytest.mark.parametrize("kind", [Hfs, Apfs, Xfs])
@pytest.mark.parametrize("data", [b"", bytes(1 << 16), b"XFSB" + bytes(5000), bytes(32) + b"NXSB" + bytes(5000)])
def test_what_is_no_such_file_system_is_an_oserror(kind: type[Hfs] | type[Apfs] | type[Xfs], data: bytes) -> None:
    with pytest.raises(OSError, match=r".+"):
        kind(Memory(data))


@shared
def test_files_whose_mode_mac_os_9_left_unset_are_still_files() -> None:
    data = bytearray((SHARED / "hfsplus.raw").read_bytes())
    for parent, name, kind in ((2, "passwords.txt", 2), (2, "a_directory", 1), (18, "a_file", 2)):
        key = struct.pack(">IH", parent, len(name)) + name.encode("utf-16-be") + struct.pack(">H", kind)
        struct.pack_into(">H", data, data.index(key) + len(key) - 2 + 42, 0)
    changed = [summary(*file) for file in files(opened("hfsplus.raw", bytes(data)))]
    assert changed == [summary(*file) for file in files(opened("hfsplus.raw"))]


@shared
def test_a_folder_that_contains_itself_is_listed_once() -> None:
    data = bytearray((SHARED / "hfsplus.raw").read_bytes())
    name = "a_directory"
    key = struct.pack(">IH", 2, len(name)) + name.encode("utf-16-be") + struct.pack(">H", 1)
    struct.pack_into(">I", data, data.index(key) + len(key) - 2 + 8, 2)  # its record says that it is the root
    assert [entry.step.name for entry, _ in files(opened("hfsplus.raw", bytes(data)))].count("/passwords.txt") == 1


@pytest.mark.parametrize("name", ["hfsplus.raw", "apfs.raw", "xfs.img"])
def test_a_damaged_file_system_gives_files_or_reasons_and_never_another_error(name: str, xfs: bytes) -> None:
    if name != "xfs.img" and not SHARED.exists():
        pytest.skip("the shared images are not on this machine")
    whole = xfs if name == "xfs.img" else (SHARED / name).read_bytes()
    for data in damaged(whole):
        try:
            tree = Xfs(Memory(data)) if name == "xfs.img" else opened(name, data)
        except OSError:
            continue
        for tree_or_volume in volumes(tree):
            for entry in tree_or_volume.walk():
                readable(tree_or_volume, entry)


def damaged(whole: bytes) -> Iterator[bytes]:
    """Cut short at each 5 %, and bytes written over in the blocks that hold something."""
    yield from (whole[: len(whole) * part // 20] for part in range(20))
    blocks = [at for at in range(0, len(whole), 4096) if any(whole[at : at + 4096])]
    for seed in range(40):
        chance = random.Random(seed)
        data = bytearray(whole)
        for _ in range(chance.choice((1, 4, 16, 64))):
            data[chance.choice(blocks) + chance.randrange(256)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        yield bytes(data)


def volumes(tree: Hfs | Apfs | Xfs) -> Iterator[Hfs | Xfs]:
    if not isinstance(tree, Apfs):
        yield tree
        return
    for entry in tree.walk():
        try:
            yield tree.open(entry.step)
        except OSError:
            assert entry.absent or entry.step.kind == "volume"


def readable(tree: Hfs | Xfs, entry: Entry) -> None:
    """Either the entry gives exactly its size, or an OSError."""
    try:
        if not entry.absent and entry.size < 1 << 22:
            assert len(tree.open(entry.step).read()) == entry.size
    except OSError:
        pass


@pytest.mark.timeout(10)
def test_a_date_that_hangs_libfsxfs_is_never_asked_of_it(xfs: bytes) -> None:
    tree = Xfs(Memory(xfs))
    number = next(entry.step.at for entry in tree.walk() if entry.step.name == "/extents")
    data = bytearray(xfs)
    inode = number * struct.unpack_from(">H", data, 104)[0]  # of one allocation group: number times sb_inodesize
    assert data[inode : inode + 2] == b"IN"
    data[inode + 144 : inode + 152] = bytes(8)  # di_crtime
    entry = next(entry for entry in Xfs(Memory(bytes(data))).walk() if entry.step.at == number)
    assert entry.times.created == "1901-12-13T20:45:52Z"


def test_a_locked_volume_and_one_that_is_damaged_say_so_and_hide_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Volume:
        def __init__(self, locked: bool) -> None:
            self.is_locked = lambda: locked
            self.get_name = lambda: "Mac%ntosh\u202e HD"

    class Container:
        def get_number_of_volumes(self) -> int:
            return 3

        def get_volume(self, index: int) -> Volume:
            if index == 1:
                raise OSError("damaged")
            return Volume(index == 0)

    monkeypatch.setattr("pyfsapfs.open_file_object", lambda _: Container())
    entries = list(Apfs(Memory(b"")).walk())
    assert [entry.absent and entry.absent.reason for entry in entries] == [Reason.ENCRYPTED, Reason.UNREADABLE, None]
    assert entries[2].step == Step("volume", 2, "Mac%25ntosh%E2%80%AE HD")
