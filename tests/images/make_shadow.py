"""Makes shadow.img.xz, an NTFS volume with two shadow copies, and shadow.json, which says what is in it.

The volume is made by mkntfs and ntfs-3g in three states, each a change of the one before: first, second, today. What
Windows would have kept of the first two is then written into today's volume by hand, after "Volume Shadow Snapshot
(VSS) format" (J. Metz, documentation of libvshadow): of each block of 16 KiB that differs, the older bytes, where the
snapshot or the one before it used the block; bytes of deleted files in unused blocks Windows does not keep either.

Needs Linux, root, /dev/fuse and ntfs-3g. Run it beside the image: python tests/images/make_shadow.py
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import struct
import tempfile
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyvshadow
from make import Ntfs, _seeded, icon, text
from PIL import Image

HERE = Path(__file__).parent
SIZE = 6 << 20
CLUSTER = 4096
BLOCK = 16384
PER_BLOCK = BLOCK // CLUSTER
NOON = 1_563_710_400
DAYS = (1, 7)
"""After 2019-07-21, 12:00 UTC: when the snapshots were taken."""
VSS = uuid.UUID("3808876b-c176-4e48-b7ae-04046e6cc752")
STORES = [uuid.UUID(f"4d414e54-4c45-11e9-8000-00000000000{number}") for number in (1, 2)]
HEADER, LIST, LIST_TOO, RANGES, BITMAP, PREVIOUS, DATA = range(7)
"""Where in a store what lies, in blocks: the list of blocks is in two, so that its chain is followed."""
STORE_BLOCKS = 40
FOLDER = "System Volume Information"
HOME = "Users/anna/Pictures"


def jpeg(seed: str) -> bytes:
    """Noise over a gradient, some 20 KB."""
    rng = _seeded(seed)
    across = np.linspace(rng.integers(20, 120, size=3), rng.integers(130, 230, size=3), 340)
    noisy = np.repeat(across[None], 260, axis=0) + rng.normal(0, 12, size=(260, 340, 3))
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=80)
    return out.getvalue()


def fitted(data: bytes, old: bytes) -> bytes:
    """Cut or filled to the size of what it is written over."""
    return data[: len(old)].ljust(len(old), b"\0")


class State(NamedTuple):
    """The volume at one time, and its free clusters then."""

    volume: bytes
    free: frozenset[int]

    def block(self, number: int) -> bytes:
        return self.volume[number * BLOCK : (number + 1) * BLOCK]

    def unused(self, number: int) -> bool:
        return self.free.issuperset(range(number * PER_BLOCK, (number + 1) * PER_BLOCK))


class Story:
    """The volume as it changes."""

    def __init__(self, image: Path) -> None:
        self.volume = Ntfs(image, SIZE, CLUSTER)
        self.minutes = 0

    def put(self, path: str, data: bytes, clusters: list[int] | None = None) -> None:
        self.minutes += 1
        self.volume.write(path, data, NOON + 60 * self.minutes, clusters)

    def put_apart(self, path: str, data: bytes, lead: int = 0) -> list[int]:
        """Into blocks that nothing else lies in, the first `lead` clusters of them left free; gives its clusters."""
        need = self.volume.need(data)
        free = set(self.volume.free())
        room = (-(-(lead + need) // PER_BLOCK) + 1) * PER_BLOCK
        for first in range(SIZE // CLUSTER // 4, SIZE // CLUSTER, PER_BLOCK):  # behind the room for the MFT
            if free.issuperset(range(first, first + room)):
                clusters = list(range(first + lead, first + lead + need))
                self.put(path, data, clusters)
                return clusters
        raise RuntimeError("the volume is too small")

    def state(self) -> State:
        return State(self.volume.image.read_bytes(), frozenset(self.volume.free()))

    def write_over(self, path: str, data: bytes) -> None:
        """The same record, the same clusters, other bytes."""
        with self.volume.mounted() as root, (root / path).open("r+b") as file:
            file.write(data)


def tell(story: Story) -> tuple[list[State], list[int]]:
    """The three states; where the catalog and the stores are to lie (bytes)."""
    files = [f"{{{VSS}}}", *(f"{{{each}}}{{{VSS}}}" for each in STORES)]
    rooms = [bytes(BLOCK), *(bytes(STORE_BLOCKS * BLOCK) for _ in STORES)]
    areas = [story.put_apart(f"{FOLDER}/{name}", room)[0] * CLUSTER for name, room in zip(files, rooms, strict=True)]
    volume, at = story.volume, {}
    for name in ("erased", "gone from the index", "beach", "garden", "harbour", "vanished", "thrown away", "tower"):
        at[name] = story.put_apart(f"{HOME}/{name}.jpg", jpeg(name))
    market = story.put_apart(f"{HOME}/market.jpg", jpeg("market"), lead=3)
    story.put(f"{HOME}/notes.txt", text("notes"), [market[0] - 3])  # in one block with the beginning of market.jpg
    story.put(f"{HOME}/small.png", icon("small"))
    story.put(f"{HOME}/small that stays.png", icon("small that stays"))
    for name in ("erased", "gone from the index", "thrown away"):
        volume.delete(f"{HOME}/{name}.jpg")
    first = story.state()

    story.write_over(f"{HOME}/beach.jpg", fitted(jpeg("beach today"), jpeg("beach")))
    story.write_over(f"{HOME}/notes.txt", text("notes today"))
    story.write_over(f"{HOME}/small.png", fitted(icon("small today"), icon("small")))
    volume.delete(f"{HOME}/vanished.jpg")
    second = story.state()

    for name in ("garden", "harbour"):
        volume.delete(f"{HOME}/{name}.jpg")
    for name in ("erased", "garden", "vanished"):  # take the clusters, and the records that are free
        story.put(f"{HOME}/in place of {name}.jpg", jpeg(f"{name} today"), at[name])
    story.put_apart(f"{HOME}/harbour.jpg", jpeg("harbour today"))
    volume.move(f"{HOME}/market.jpg", f"{HOME}/market renamed.jpg")
    return [first, second, story.state()], areas


def truth() -> dict[str, Any]:
    """What each shadow copy has that no newer state has, and what is live today.

    `vanished.jpg` is there in the first and deleted, but whole, in the second. Of `erased.jpg` the second has the
    name, and other bytes: nobody used its blocks then, so Windows did not keep them. Of `gone from the index.jpg`
    nothing is left today but the bytes in free clusters. `thrown away.jpg` is deleted alike in all three.
    """
    first = {"beach.jpg": jpeg("beach"), "small.png": icon("small"), "vanished.jpg": jpeg("vanished")}
    second = {f"{name}.jpg": jpeg(name) for name in ("garden", "harbour", "vanished", "gone from the index")}
    today = {f"in place of {name}.jpg": jpeg(f"{name} today") for name in ("erased", "garden", "vanished")}
    today |= {"beach.jpg": fitted(jpeg("beach today"), jpeg("beach")), "harbour.jpg": jpeg("harbour today")}
    today |= {"market renamed.jpg": jpeg("market"), "tower.jpg": jpeg("tower"), "thrown away.jpg": jpeg("thrown away")}
    today |= {"small.png": fitted(icon("small today"), icon("small")), "small that stays.png": icon("small that stays")}
    digests = [
        {f"/{HOME}/{name}": hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
        for files in (first, second, today)
    ]
    deleted = [[], [f"/{HOME}/gone from the index.jpg", f"/{HOME}/vanished.jpg"]]
    gone = [[], [f"/{HOME}/erased.jpg"]]
    created = [f"2019-07-{21 + days}T12:00:00Z" for days in DAYS]
    shadows = [
        {"created": moment, "pictures": pictures, "deleted": names, "gone": lost}
        for moment, pictures, names, lost in zip(created, digests, deleted, gone, strict=False)
    ]
    return {"shadows": shadows, "today": digests[-1]}


def record(kind: int, relative: int, current: int, following: int = 0, size: int = 0) -> bytes:
    """The header that begins every block of the format ("Catalog block header", "Store block header")."""
    return struct.pack("<16sIIQQQQ72x", VSS.bytes_le, 1, kind, relative, current, following, size)


def volume_header(catalog: int) -> bytes:
    """At 0x1e00 of the volume ("Volume header")."""
    same = uuid.UUID("4d414e54-4c45-5400-8000-000000000004").bytes_le
    return struct.pack("<16sIIQQQQQ16s16sI", VSS.bytes_le, 1, 1, 0x1E00, 0x1E00, 0, catalog, 0, same, same, 0)


def catalog_block(at: int, areas: list[int]) -> bytes:
    """The catalog, the newest snapshot first: its order is not that of age."""
    block = record(2, 0, at)
    for number in reversed(range(len(STORES))):
        store, identifier = areas[number], STORES[number].bytes_le
        filetime = (NOON + 86_400 * DAYS[number] + 11_644_473_600) * 10_000_000
        where = [store + part * BLOCK for part in (HEADER, RANGES, BITMAP)]
        previous = store + PREVIOUS * BLOCK if number else 0
        block += struct.pack("<QQ16sQQQ72x", 2, SIZE, identifier, number + 1, 0x40, filetime)
        block += struct.pack("<QQ16s", 3, store + LIST * BLOCK, identifier)
        block += struct.pack("<7Q40x", *where, 0, STORE_BLOCKS * BLOCK, previous, 0)
    return block.ljust(BLOCK, b"\0")


def bitmap(state: State) -> bytes:
    """A bit for each block, set where nobody used it ("Store bitmap")."""
    unused = [state.unused(number) for number in range(SIZE // BLOCK)]
    return np.packbits(unused, bitorder="little").tobytes()


def store(number: int, at: int, states: list[State]) -> bytes:
    """A store, which makes the state `number` of the one after it; it begins at this byte of the volume."""
    before, state, after = states[max(0, number - 1)], states[number], states[number + 1]
    kept = [
        block
        for block in range(SIZE // BLOCK)
        if state.block(block) != after.block(block) and not (state.unused(block) and before.unused(block))
    ]
    if len(kept) > STORE_BLOCKS - DATA:
        raise RuntimeError("the store is too small")
    places = [(DATA + index) * BLOCK for index in range(len(kept))]
    listed = [
        struct.pack("<QQQII", block * BLOCK, place, at + place, 0, 0) for block, place in zip(kept, places, strict=True)
    ]
    machine = "ANNA".encode("utf-16-le")
    same = [uuid.UUID(f"4d414e54-4c45-5400-800{part}-00000000000{number}").bytes_le for part in range(3)]
    about = struct.pack("<16s16s16sIII4x", *same, 0x0D, 1, 0x0042_0009)
    about += (struct.pack("<H", len(machine)) + machine) * 2
    half = len(listed) // 2
    blocks = {
        HEADER: record(4, 0, at, size=len(about)) + about,
        LIST: record(3, LIST * BLOCK, at + LIST * BLOCK, at + LIST_TOO * BLOCK) + b"".join(listed[:half]),
        LIST_TOO: record(3, LIST_TOO * BLOCK, at + LIST_TOO * BLOCK) + b"".join(listed[half:]),
        RANGES: record(5, RANGES * BLOCK, at + RANGES * BLOCK) + struct.pack("<QQQ", at, 0, STORE_BLOCKS * BLOCK),
        BITMAP: record(6, BITMAP * BLOCK, at + BITMAP * BLOCK) + bitmap(state),
        PREVIOUS: record(6, PREVIOUS * BLOCK, at + PREVIOUS * BLOCK) + bitmap(before),
    }
    parts = [blocks[part].ljust(BLOCK, b"\0") for part in range(DATA)]
    return b"".join([*parts, *(state.block(block) for block in kept)])


def check(image: bytes, states: list[State], areas: list[int]) -> None:
    """That libvshadow gives back the older states, but for blocks that nobody used, and those of the stores."""
    volume = pyvshadow.volume()
    volume.open_file_object(io.BytesIO(image))
    stores = {at // BLOCK + part for at in areas for part in range(STORE_BLOCKS)} | {
        at // BLOCK - 1 for at in areas[:1]
    }
    for number, shadow in enumerate(volume.stores):
        given = State(shadow.read_buffer_at_offset(len(image), 0), states[number].free)
        for block in set(range(SIZE // BLOCK)) - stores:
            if given.block(block) != states[number].block(block) and not given.unused(block):
                raise RuntimeError(f"block {block} of shadow copy {number} is otherwise")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        states, (catalog, *areas) = tell(Story(Path(temporary) / "shadow.img"))
    image = bytearray(states[-1].volume)
    pieces = {0x1E00: volume_header(catalog), catalog: catalog_block(catalog, areas)}
    pieces |= {at: store(number, at, states) for number, at in enumerate(areas)}
    for at, piece in pieces.items():
        image[at : at + len(piece)] = piece
    check(bytes(image), states, areas)
    (HERE / "shadow.img.xz").write_bytes(lzma.compress(image, preset=9 | lzma.PRESET_EXTREME))
    (HERE / "shadow.json").write_text(json.dumps(truth(), indent=1).replace('"/', '"') + "\n")


if __name__ == "__main__":
    main()
