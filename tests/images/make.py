"""Makes the disk images of this folder, and truth.json, which says what is on each of them.

Every picture is drawn here, from a seed: gradients, shapes and noise. Nothing is a photograph.

    python tests/images/make.py             all images
    python tests/images/make.py fat16 iso   these only; the rest of truth.json stays
    python tests/images/make.py --check     makes nothing, reads the stored images back

Needs Linux, root, loop devices with ext2/3/4, /dev/fuse, and of Debian: dosfstools mtools ntfs-3g exfatprogs
e2fsprogs genisoimage ewf-tools. README.md says what is in each image and what the words in truth.json mean.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytsk3
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
SECTOR = 512
NOON = 1_563_710_400  # 2019-07-21 12:00:00 UTC: the first modification time, each later file has the next minute
ENV = {
    **os.environ,
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "SOURCE_DATE_EPOCH": str(NOON),
    "MTOOLS_SKIP_CHECK": "1",
}


def sh(begin: str, *rest: str | Path | int) -> str:
    """Runs a program, given as words and what follows them; what it printed, if it went well."""
    command = [*begin.split(), *(str(word) for word in rest)]
    done = subprocess.run(command, env=ENV, capture_output=True, check=False)
    if done.returncode:
        message = f"{' '.join(command)}: {done.returncode}\n{done.stdout!r}\n{done.stderr!r}"
        raise RuntimeError(message)
    return done.stdout.decode("utf-8", "replace")


# --- pictures ---------------------------------------------------------------------------------------------


def _seeded(seed: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))


SIDES = {"JPEG": (96, 150), "LARGE": (190, 201), "PNG": (64, 84)}


def picture(seed: str, kind: str = "JPEG") -> bytes:
    """A gradient with shapes and noise on it, 2 to 12 KB: JPEG, large JPEG or PNG."""
    rng = _seeded(seed)
    width, height = (int(n) for n in rng.integers(*SIDES[kind], size=2))
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    corners = rng.integers(20, 236, size=(4, 3))
    plain = (
        corners[0] * ((1 - across) * (1 - down))[..., None]
        + corners[1] * (across * (1 - down))[..., None]
        + corners[2] * ((1 - across) * down)[..., None]
        + corners[3] * (across * down)[..., None]
    )
    image = Image.fromarray(plain.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 7))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = (int(n) for n in rng.integers(8, 48, size=2))
        shape = draw.ellipse if rng.integers(2) else draw.rectangle
        shape((x, y, x + w, y + h), fill=tuple(int(c) for c in rng.integers(0, 256, size=3)))
    noisy = np.asarray(image).astype(np.int16)
    if kind != "PNG":
        noisy += rng.normal(0, 5, size=noisy.shape).astype(np.int16)
    else:  # noise in a PNG is dear: one bit of it
        noisy += rng.integers(0, 2, size=noisy.shape, dtype=np.int16)
    out = io.BytesIO()
    done = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    done.save(out, "PNG", optimize=True) if kind == "PNG" else done.save(
        out, "JPEG", quality=93 if kind == "LARGE" else 82
    )
    return out.getvalue()


def icon(seed: str) -> bytes:
    """A PNG of less than 700 bytes, which NTFS keeps inside the file's record."""
    rng = _seeded(seed)
    image = Image.new("P", (64, 64), 0)
    image.putpalette([int(c) for c in rng.integers(0, 256, size=12)])
    draw = ImageDraw.Draw(image)
    for colour in (1, 2, 3):
        x, y = (int(n) for n in rng.integers(0, 40, size=2))
        draw.rectangle((x, y, x + 20, y + 14), fill=colour)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def poster(seed: str) -> bytes:
    """A PNG of some 370 KB that is not deflated: takes many blocks, and xz makes little of it."""
    rng = _seeded(seed)
    row = np.linspace(rng.integers(0, 100, size=3), rng.integers(150, 256, size=3), 360).astype(np.uint8)
    image = Image.fromarray(np.repeat(row[None], 340, axis=0))
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = (int(n) for n in rng.integers(0, 260, size=2))
        draw.ellipse((x, y, x + 70, y + 60), fill=tuple(int(c) for c in rng.integers(0, 256, size=3)))
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=0)
    return out.getvalue()


def text(seed: str, size: int = 3000) -> bytes:
    """Words, which are no picture."""
    words = [
        "harbour",
        "window",
        "ladder",
        "copper",
        "meadow",
        "signal",
        "winter",
        "paper",
        "corner",
        "river",
    ]
    return " ".join(_seeded(seed).choice(words, size=size // 6)).encode()[:size]


# --- what is where ------------------------------------------------------------------------------------------


class Ledger:
    """What was put on one image; becomes that image's list in truth.json."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.partition: int | None = None
        self.rows: list[dict[str, object]] = []

    def draw(self, path: str, kind: str = "JPEG") -> bytes:
        """The picture that belongs at a path of this image."""
        seed = f"{self.image}/{self.partition}/{path}"
        if kind in SIDES:
            return picture(seed, kind)
        return icon(seed) if kind == "ICON" else poster(seed)

    def note(self, path: str, data: bytes, recovery: str = "live", **more: object) -> int:
        """Writes a file down; the modification time that it is to have."""
        mtime = NOON + 60 * len(self.rows)
        row: dict[str, object] = {} if self.partition is None else {"partition": self.partition}
        row |= {"path": path}
        row |= {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "recovery": recovery}
        row |= {"fragmented": False, "mtime": mtime, "picture": True, **more}
        self.rows.append(row)
        return mtime


# --- file systems -------------------------------------------------------------------------------------------


class Volume:
    """A file system in an image file. Clusters, where given, are the very ones that a file gets, in order."""

    image: Path
    cluster_size: int

    def mkdir(self, path: str) -> None:
        """Makes a folder and what is missing above it."""
        raise NotImplementedError

    def write(self, path: str, data: bytes, mtime: int, clusters: Sequence[int] | None = None) -> None:
        """Writes a new file."""
        raise NotImplementedError

    def delete(self, path: str) -> None:
        """Deletes a file, or a folder with all that is in it."""
        raise NotImplementedError

    def move(self, old: str, new: str) -> None:
        """Moves a file or a folder."""
        raise NotImplementedError

    def reserve(self, *paths: str) -> None:
        """Makes the records of files to come, where there are such, so that they take no deleted one's."""

    def free(self) -> list[int]:
        """The free clusters, ascending."""
        raise NotImplementedError

    def need(self, data: bytes) -> int:
        """How many clusters this takes."""
        return -(-len(data) // self.cluster_size)

    def free_run(self, count: int, margin: int = 8) -> list[int]:
        """The first so many free clusters in one piece, well away from all that is used."""
        run = [0]
        for cluster in self.free() if count else ():
            run = [*run, cluster] if run[-1] + 1 == cluster else [cluster]
            if len(run) == count + margin:
                return run[margin:]
        if count:
            raise RuntimeError("the image is too small")
        return []


class Fat(Volume):
    """FAT16 or FAT32, written by mtools; steered by marking all other clusters as bad meanwhile."""

    def __init__(self, image: Path, bits: int, clusters: int, sectors_per_cluster: int) -> None:
        self.image, self.bits, self.cluster_size = image, bits, sectors_per_cluster * SECTOR
        fat = -(-(clusters + 2) * bits // 8 // SECTOR)
        sectors = (32 if bits == 32 else 4) + 2 * fat + 32 + clusters * sectors_per_cluster
        image.write_bytes(b"")
        os.truncate(image, sectors * SECTOR)
        shape = "-F 32 -R 32" if bits == 32 else "-F 16 -R 4 -r 512"
        sh(f"mkfs.vfat --invariant -a -i 4d414e54 -n TEST {shape} -s {sectors_per_cluster}", image)
        boot = image.read_bytes()[:SECTOR]
        self.fat_start = struct.unpack_from("<H", boot, 14)[0] * SECTOR
        per_fat = struct.unpack_from("<H", boot, 22)[0] or struct.unpack_from("<I", boot, 36)[0]
        self.fat_bytes = per_fat * SECTOR
        total = struct.unpack_from("<H", boot, 19)[0] or struct.unpack_from("<I", boot, 32)[0]
        root = struct.unpack_from("<H", boot, 17)[0] * 32 // SECTOR
        self.clusters = (total - self.fat_start // SECTOR - 2 * per_fat - root) // sectors_per_cluster
        self.folders: set[str] = {"."}

    def table(self, copy: int = 0) -> np.memmap:
        """One of the two FATs, as numbers."""
        kind = np.dtype("<u2" if self.bits == 16 else "<u4")
        at = self.fat_start + copy * self.fat_bytes
        return np.memmap(self.image, dtype=kind, mode="r+", offset=at, shape=(self.clusters + 2,))

    def free(self) -> list[int]:
        return [int(c) for c in np.flatnonzero(self.table() == 0)]

    @contextmanager
    def only(self, clusters: Sequence[int] | None) -> Iterator[None]:
        """Meanwhile no other clusters are free."""
        if clusters is None:
            yield
            return
        others = np.setdiff1d(self.free(), clusters)
        for copy in (0, 1):
            self.table(copy)[others] = 0xFFF7 if self.bits == 16 else 0x0FFFFFF7
        if self.bits == 32:  # FSINFO: where to look first
            np.memmap(self.image, dtype="<u4", mode="r+", offset=SECTOR + 492, shape=(1,))[0] = clusters[0] - 1
        yield
        if (self.table()[clusters] == 0).any():
            raise RuntimeError("did not take the clusters that it was to take")
        for copy in (0, 1):
            self.table(copy)[others] = 0

    def mkdir(self, path: str) -> None:
        for parent in [*reversed(PurePosixPath(path).parents), PurePosixPath(path)]:
            if str(parent) not in self.folders:
                sh("mmd", "-i", self.image, f"::/{parent}")
                self.folders.add(str(parent))

    def write(self, path: str, data: bytes, mtime: int, clusters: Sequence[int] | None = None) -> None:
        self.mkdir(str(PurePosixPath(path).parent))
        with tempfile.NamedTemporaryFile() as source, self.only(clusters):
            source.write(data)
            source.flush()
            os.utime(source.name, (mtime, mtime))
            # mtools knows no letters above U+FFFF: two others stand in for each, and are put right afterwards
            stand_in = "".join("\ue0f1\ue0f2" if ord(letter) > 0xFFFF else letter for letter in path)
            sh("mcopy", "-m", "-i", self.image, source.name, f"::/{stand_in}")
        if stand_in != path:
            beyond = "".join(letter for letter in path if ord(letter) > 0xFFFF)
            raw = self.image.read_bytes()
            self.image.write_bytes(raw.replace("\ue0f1\ue0f2".encode("utf-16-le"), beyond.encode("utf-16-le"), 1))

    def delete(self, path: str) -> None:
        sh("mdeltree", "-i", self.image, f"::/{path}")

    def move(self, old: str, new: str) -> None:
        self.mkdir(str(PurePosixPath(new).parent))
        sh("mmove", "-i", self.image, f"::/{old}", f"::/{new}")


class ExFat(Volume):
    """exFAT: mkfs.exfat makes it, and what is in it is written here, after the specification."""

    def __init__(self, image: Path, size: int, cluster_size: int) -> None:
        self.image, self.cluster_size = image, cluster_size
        image.write_bytes(b"")
        os.truncate(image, size)
        sh("mkfs.exfat", "-L", "TEST", "-c", str(cluster_size), "-b", "64K", image)
        self.disk = np.memmap(image, dtype=np.uint8, mode="r+")
        fat, _, heap, self.clusters, root = struct.unpack_from("<5I", self.disk, 80)
        self.table = self.disk[fat * SECTOR :][: 4 * (self.clusters + 2)].view("<u4")
        self.heap = heap * SECTOR
        self.folders = {".": [root]}
        for slot in range(0, cluster_size, 32):  # the root folder: allocation bitmap and up-case table
            entry = bytes(self.block(root)[slot : slot + 32])
            first, length = struct.unpack_from("<IQ", entry, 20)
            at = self.heap + (first - 2) * cluster_size
            if entry[0] == 0x81:
                self.bitmap = self.disk[at : at + length]
            elif entry[0] == 0x82:
                self.upcase = self.read_upcase(self.disk[at : at + length].view("<u2"))

    @staticmethod
    def read_upcase(words: np.ndarray) -> list[int]:
        """The up-case table, which is stored with its unchanged runs squeezed out."""
        table: list[int] = []
        rest = iter(int(word) for word in words)
        for word in rest:
            if word == 0xFFFF and len(table) < 0xFFFF:
                start = len(table)
                table.extend(range(start, start + next(rest, 0)))
            else:
                table.append(word)
        return table

    def block(self, cluster: int) -> np.ndarray:
        """The bytes of a cluster."""
        at = self.heap + (cluster - 2) * self.cluster_size
        return self.disk[at : at + self.cluster_size]

    def free(self) -> list[int]:
        bits = np.unpackbits(self.bitmap, bitorder="little")[: self.clusters]
        return [int(c) + 2 for c in np.flatnonzero(bits == 0)]

    def mark(self, clusters: Sequence[int], used: bool) -> None:
        """Sets or clears clusters in the allocation bitmap."""
        for cluster in clusters:
            byte, bit = divmod(cluster - 2, 8)
            self.bitmap[byte] = self.bitmap[byte] & ~np.uint8(1 << bit) | (used << bit)

    def take(self, clusters: Sequence[int], data: bytes) -> int:
        """Puts data into clusters; the flags of the stream. No chain in the FAT where all is in one piece."""
        self.mark(clusters, used=True)
        for index, cluster in enumerate(clusters):
            piece = data[index * self.cluster_size :][: self.cluster_size]
            self.block(cluster)[:] = np.frombuffer(piece.ljust(self.cluster_size, b"\0"), dtype=np.uint8)
        if list(clusters) == list(range(clusters[0], clusters[0] + len(clusters))):
            return 0x03
        self.chain(clusters)
        return 0x01

    def chain(self, clusters: Sequence[int]) -> None:
        """Writes the chain of these clusters into the FAT."""
        for cluster, following in zip(clusters, [*clusters[1:], 0xFFFFFFFF], strict=True):
            self.table[cluster] = following

    @staticmethod
    def roll(data: bytes) -> int:
        """The 16-bit checksum of exFAT."""
        total = 0
        for byte in data:
            total = ((total << 15 | total >> 1) + byte) & 0xFFFF
        return total

    def entries(self, path: str, flags: int, first: int, length: int, mtime: int, folder: bool) -> bytes:
        """The entry set of a file or folder."""
        name = PurePosixPath(path).name.encode("utf-16-le")
        units = struct.unpack(f"<{len(name) // 2}H", name)
        upper = struct.pack(f"<{len(units)}H", *(self.upcase[u] if u < len(self.upcase) else u for u in units))
        slots = -(-len(units) // 15)
        days, seconds = divmod(mtime, 86400)
        year, month, day = (np.datetime64("1970-01-01") + days).astype(object).timetuple()[:3]
        stamp = (year - 1980) << 25 | month << 21 | day << 16 | seconds // 3600 << 11 | seconds // 60 % 60 << 5
        stamp |= seconds % 60 // 2
        attributes = 0x10 if folder else 0x20
        out = struct.pack("<BBHHHIIIBBBBB7x", 0x85, 1 + slots, 0, attributes, 0, *[stamp] * 3, 0, 0, *[0x80] * 3)
        out += struct.pack("<BBBBHHQIIQ", 0xC0, flags, 0, len(units), self.roll(upper), 0, length, 0, first, length)
        for slot in range(slots):
            out += b"\xc1\0" + name[30 * slot : 30 * slot + 30].ljust(30, b"\0")
        return out[:2] + struct.pack("<H", self.roll(out[:2] + out[4:])) + out[4:]

    def slots(self, folder: str) -> Iterator[np.ndarray]:
        """The 32-byte slots of a folder, in order."""
        for cluster in self.folders[folder]:
            yield from self.block(cluster).reshape(-1, 32)

    def add(self, path: str, entries: bytes) -> None:
        """Puts an entry set into the first gap of the folder that takes it, used before or not."""
        want, gap = len(entries) // 32, []
        for slot in self.slots(str(PurePosixPath(path).parent)):
            gap = [] if slot[0] & 0x80 else [*gap, slot]
            if len(gap) == want:
                for index, free in enumerate(gap):
                    free[:] = np.frombuffer(entries[32 * index : 32 * index + 32], dtype=np.uint8)
                return
        raise RuntimeError("the folder is full")

    def find(self, path: str) -> list[np.ndarray]:
        """The entry set of a file or folder that is there."""
        found: list[np.ndarray] = []
        for slot in self.slots(str(PurePosixPath(path).parent)):
            if slot[0] == 0x85:
                found = []
            if slot[0] & 0x80:
                found.append(slot)
                name = b"".join(bytes(s[2:]) for s in found if s[0] == 0xC1).decode("utf-16-le")
                if (
                    found[0][0] == 0x85
                    and len(found) == 1 + found[0][1]
                    and name.rstrip("\0") == PurePosixPath(path).name
                ):
                    return found
        raise FileNotFoundError(path)

    def mkdir(self, path: str) -> None:
        for parent in [*reversed(PurePosixPath(path).parents), PurePosixPath(path)]:
            if str(parent) in self.folders:
                continue
            free = self.free()
            # one folder lies in two pieces that the FAT chains
            clusters = [free[0], free[2]] if parent.name == "Pictures" else free[:1]
            flags = self.take(clusters, b"")
            size = len(clusters) * self.cluster_size
            self.add(str(parent), self.entries(str(parent), flags, clusters[0], size, NOON, folder=True))
            self.folders[str(parent)] = clusters

    def write(self, path: str, data: bytes, mtime: int, clusters: Sequence[int] | None = None) -> None:
        self.mkdir(str(PurePosixPath(path).parent))
        clusters = self.free_run(self.need(data), margin=0) if clusters is None else clusters
        flags = self.take(clusters, data) if clusters else 0x01
        if flags == 0x03 and clusters[0] % 2:  # one piece, but chained all the same: as common as the other
            self.chain(clusters)
            flags = 0x01
        first = clusters[0] if clusters else 0
        self.add(path, self.entries(path, flags, first, len(data), mtime, folder=False))

    def delete(self, path: str) -> None:
        for inner in [p for p in self.folders if PurePosixPath(p).parent == PurePosixPath(path)]:
            self.delete(inner)
        if path in self.folders:
            for slot in self.slots(path):
                if slot[0] == 0xC0:
                    self.let_go(bytes(slot))
                slot[0] &= 0x7F
        found = self.find(path)
        self.let_go(bytes(found[1]))
        for slot in found:
            slot[0] &= 0x7F
        self.folders.pop(path, None)

    def let_go(self, stream: bytes) -> None:
        """Frees what a stream entry points at. As Windows does, the chain in the FAT is left."""
        first, length = struct.unpack_from("<IQ", stream, 20)
        count = -(-length // self.cluster_size)
        clusters = list(range(first, first + count))
        if not stream[1] & 2:
            clusters = [first][:count]
            while len(clusters) < count:
                clusters.append(int(self.table[clusters[-1]]))
        self.mark(clusters, used=False)

    def move(self, old: str, new: str) -> None:
        self.mkdir(str(PurePosixPath(new).parent))
        found = self.find(old)
        flags, first, length = int(found[1][1]), *struct.unpack_from("<IQ", bytes(found[1]), 20)
        folder = bool(found[0][4] & 0x10)
        # the same times: the stamp is taken over as it is
        entries = bytearray(self.entries(new, flags, first, length, NOON, folder))
        entries[8:20] = bytes(found[0][8:20])
        entries[2:4] = struct.pack("<H", self.roll(bytes(entries[:2] + entries[4:])))
        self.add(new, bytes(entries))
        for slot in found:
            slot[0] &= 0x7F
        for path in [p for p in self.folders if PurePosixPath(p).is_relative_to(old)]:
            self.folders[str(PurePosixPath(new) / PurePosixPath(path).relative_to(old))] = self.folders.pop(path)


class Mounted(Volume):
    """A file system that Linux or FUSE writes; mounted anew for every step."""

    def __init__(self, image: Path) -> None:
        self.image = image

    def attach(self, point: str) -> None:
        """Mounts the image."""
        sh("mount", "-o", "loop,noatime", self.image, point)

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """The folder where the image is mounted meanwhile."""
        with tempfile.TemporaryDirectory() as point:
            self.attach(point)
            try:
                yield Path(point)
                os.sync()
            finally:
                sh("umount", point)

    @contextmanager
    def only(self, clusters: Sequence[int] | None) -> Iterator[None]:
        """Meanwhile no other clusters are free."""
        if clusters is not None:
            raise NotImplementedError
        yield

    def stamp(self, path: Path, mtime: int) -> None:
        """Sets the times of a file."""
        os.utime(path, (mtime, mtime))

    def mkdir(self, path: str) -> None:
        with self.mounted() as root:
            (root / path).mkdir(parents=True, exist_ok=True)

    def write(self, path: str, data: bytes, mtime: int, clusters: Sequence[int] | None = None) -> None:
        if clusters is not None:
            self.reserve(path)
        with self.only(clusters), self.mounted() as root:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
            self.stamp(root / path, mtime)

    def reserve(self, *paths: str) -> None:
        with self.mounted() as root:
            for path in paths:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).touch()

    def delete(self, path: str) -> None:
        with self.mounted() as root:
            target = root / path
            shutil.rmtree(target) if target.is_dir() else target.unlink()

    def move(self, old: str, new: str) -> None:
        with self.mounted() as root:
            (root / new).parent.mkdir(parents=True, exist_ok=True)
            (root / old).rename(root / new)


class Ntfs(Mounted):
    """NTFS, written by ntfs-3g; steered by setting bits in $Bitmap while it is not mounted."""

    def __init__(self, image: Path, size: int, cluster_size: int = 4096) -> None:
        super().__init__(image)
        self.cluster_size = cluster_size
        image.write_bytes(b"")
        os.truncate(image, size)
        sh(f"mkntfs -F -q -Q -L TEST -s 512 -p 0 -H 0 -S 0 -c {cluster_size}", image)

    def attach(self, point: str) -> None:
        sh("ntfs-3g", "-o", "compression,streams_interface=xattr", self.image, point)

    def stamp(self, path: Path, mtime: int) -> None:
        # created, modified, read, changed: in tenths of microseconds since 1601
        moment = (mtime + 11_644_473_600) * 10_000_000
        os.setxattr(path, "system.ntfs_times", struct.pack("<4Q", *[moment] * 4))

    def bitmap(self) -> tuple[int, bytearray]:
        """Where $Bitmap lies in the image, and what it says."""
        file = pytsk3.FS_Info(pytsk3.Img_Info(str(self.image))).open_meta(6)
        data = next(a for a in file if int(a.info.type) == 128)
        return next(iter(data)).addr * self.cluster_size, bytearray(file.read_random(0, file.info.meta.size))

    def free(self) -> list[int]:
        _, bits = self.bitmap()
        count = self.image.stat().st_size // self.cluster_size
        each = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[:count]
        return [int(c) for c in np.flatnonzero(each == 0)]

    def set_bits(self, clusters: Sequence[int], used: bool) -> None:
        """Sets or clears clusters in $Bitmap."""
        at, bits = self.bitmap()
        for cluster in clusters:
            byte, bit = divmod(cluster, 8)
            bits[byte] = bits[byte] & ~(1 << bit) | used << bit
        with self.image.open("r+b") as file:
            file.seek(at)
            file.write(bits)

    @contextmanager
    def only(self, clusters: Sequence[int] | None) -> Iterator[None]:
        if clusters is None:
            yield
            return
        others = [c for c in self.free() if c not in set(clusters)]
        self.set_bits(others, used=True)
        yield
        self.set_bits(others, used=False)


class Ext(Mounted):
    """ext2, ext3 or ext4, with blocks of 1 KiB, written by Linux."""

    cluster_size = 1024

    def __init__(self, image: Path, kind: str, size: int) -> None:
        super().__init__(image)
        image.write_bytes(b"")
        os.truncate(image, size)
        journal = "-J size=1" if kind != "ext2" and size > 4 << 20 else "-O ^has_journal"
        same = "4d414e54-4c45-5400-8000-00000000000"
        options = f"lazy_itable_init=0,hash_seed={same}2"
        sh(f"mke2fs -q -F -t {kind} -b 1024 -m 0 -N 256 -L TEST -U {same}1 {journal} -E {options}", image)

    def scatter(self, files: dict[str, tuple[bytes, int]]) -> None:
        """Writes files where only every other block is free (ext4 only)."""
        holes = sum(self.need(data) + 8 for data, _ in files.values())
        with self.mounted() as root:
            for path in files:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
            device = Path(sh("findmnt", "-n", "-o", "SOURCE", root).strip()).name
            Path(f"/sys/fs/ext4/{device}/reserved_clusters").write_text("0")  # else Linux keeps some in one piece
            comb, rest = root / "comb", root / "rest"
            with comb.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 2 * holes * 1024)
            for step in (64, 8, 1, 1):  # closed each time, so that Linux lets go of what it held back
                with rest.open("ab") as file:
                    self.grow(file.fileno(), step * 1024)
            for index in range(holes):
                sh("fallocate", "-p", "-o", str(2048 * index), "-l", "1024", comb)
            os.sync()
            for path, (data, mtime) in files.items():
                with (root / path).open("wb") as file:
                    file.write(data)
                    os.fsync(file.fileno())
                self.stamp(root / path, mtime)
            comb.unlink()
            rest.unlink()

    @staticmethod
    def grow(descriptor: int, step: int) -> None:
        """Lengthens a file until nothing more is free in pieces of this size."""
        try:
            while True:
                os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, step)
        except OSError:
            return

    def name_in(self, path: str) -> tuple[int, bytes]:
        """Where the name of a file lies in the image, with the number of its inode; and that entry."""
        above, name = str(PurePosixPath("/") / PurePosixPath(path).parent), PurePosixPath(path).name.encode()
        fs = pytsk3.FS_Info(pytsk3.Img_Info(str(self.image)))
        inode = next(e.info.name.meta_addr for e in fs.open_dir(path=above) if e.info.name.name == name)
        start = next(iter(next(iter(fs.open(above))))).addr * 1024
        kept = struct.pack("<IHBB", inode, 0, len(name), 1) + name
        block = bytearray(self.image.read_bytes()[start : start + 1024])
        at = next(n for n in range(0, 1024, 4) if block[n : n + 4] == kept[:4] and block[n + 6 :].startswith(kept[6:]))
        return start + at, bytes(block[at : at + len(kept)])

    def braid(self, files: dict[str, tuple[bytes, int]]) -> None:
        """Writes files a piece at a time, by turns, so that they lie between one another."""
        with self.mounted() as root:
            for start in range(0, max(len(data) for data, _ in files.values()), 2048):
                for path, (data, _) in files.items():
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    with (root / path).open("ab") as file:
                        file.write(data[start : start + 2048])
                        os.fsync(file.fileno())
            for path, (_, mtime) in files.items():
                self.stamp(root / path, mtime)


# --- the story that each file system tells ------------------------------------------------------------------

HOME = "Users/anna"
KEPT = {
    "cover.png": "PNG",
    "DCIM/100CANON/IMG_0001.JPG": "JPEG",
    "DCIM/100CANON/IMG_0002.JPG": "JPEG",
    f"{HOME}/Pictures/Urlaub am Meer – Sonnenuntergang über der Bucht, dritter Abend.jpg": "JPEG",
    f"{HOME}/Pictures/写真/夏休み_京都.png": "PNG",
    f"{HOME}/Pictures/Фото/Лето 2019.jpg": "JPEG",
    f"{HOME}/Pictures/beach 🏖 with emoji.jpg": "JPEG",
    f"{HOME}/Pictures/a/b/c/d/deep.jpeg": "JPEG",
    f"{HOME}/Pictures/{'a name that is long ' * 8}1.png": "PNG",
    f"{HOME}/Pictures/icon.png": "ICON",
    f"{HOME}/Documents/shopping list.txt": "JPEG",  # the wrong extension
    f"{HOME}/AppData/Cache/f_00004e": "PNG",  # none
}
DELETED = {
    "DCIM/100CANON/IMG_0003.JPG": "JPEG",
    "DCIM/100CANON/IMG_0004.JPG": "JPEG",
    f"{HOME}/Pictures/gelöschtes Bild.png": "PNG",
    f"{HOME}/Pictures/old icon.png": "ICON",
    f"{HOME}/Old holiday/beach one.jpg": "JPEG",
    f"{HOME}/Old holiday/beach two.png": "PNG",
    f"{HOME}/Old holiday/sub folder/beach three.jpg": "JPEG",
}
BOX = f"{HOME}/Box"
DESK = f"{HOME}/Desktop"
SPARE = f"{HOME}/Spare"


def put(
    vol: Volume, led: Ledger, path: str, kind: str = "JPEG", clusters: Sequence[int] | None = None, **more: object
) -> None:
    """Draws, writes and notes a picture."""
    data = led.draw(path, kind)
    vol.write(path, data, led.note(path, data, **more), clusters)


def put_plain(vol: Volume, led: Ledger, deleted: str = "deleted") -> None:
    """What is simply there, what is going to be deleted, and what is no picture."""
    for path, kind in KEPT.items():
        put(vol, led, path, kind)
    for path, kind in DELETED.items():
        put(vol, led, path, kind, recovery=deleted)
    for path in (f"{HOME}/Documents/letter.txt", f"{HOME}/Pictures/not a picture.jpg"):
        words = text(f"{led.image}/{path}")
        vol.write(path, words, led.note(path, words, picture=False))
    empty = f"{HOME}/Documents/empty.jpg"
    vol.write(empty, b"", led.note(empty, b"", picture=False))


def put_moved(vol: Volume, led: Ledger) -> None:
    """Pictures moved elsewhere, one renamed where it is, and one in a folder that is moved."""
    moves = [
        # NTFS: the first shifts the entries of its folder, and leaves a copy of the last one behind them
        (f"{HOME}/Pictures/{'a name for shifting ' * 7}.jpg", f"{HOME}/Pictures/kept/was shifted.jpg", ""),
        (f"{HOME}/Pictures/龠.jpg", f"{HOME}/Pictures/kept/was last.jpg", ""),
        (f"{DESK}/before.jpg", f"{DESK}/after the rename it is longer.jpg", ""),
        (f"{DESK}/project", f"{HOME}/Documents/renamed project", "/plan.jpg"),
        (f"{DESK}/zz old name.jpg", f"{HOME}/Pictures/kept/new name.jpg", ""),
        (f"{DESK}/zz speck.jpg", f"{HOME}/Pictures/kept/was a speck.png", ""),
    ]
    for folder in (f"{HOME}/Pictures/kept", f"{HOME}/Documents"):
        vol.mkdir(folder)
    for old, new, inner in moves:
        data = led.draw(new + inner, "ICON" if "speck" in new else "JPEG")
        mtime = led.note(new + inner, data)
        led.note(old + inner, data, "moved", mtime=mtime, now=new + inner)
        vol.write(old + inner, data, mtime)
    for old, new, _ in moves:
        vol.move(old, new)


def put_pieces(vol: Volume, led: Ledger, chain_lost: bool) -> None:
    """Pictures in pieces: one stays, one is deleted around a file that stays, one with the gaps free."""
    vol.mkdir(f"{HOME}/Pieces")
    path = f"{HOME}/Pieces/in pieces.jpg"
    data = led.draw(path, "LARGE")
    put(vol, led, path, "LARGE", vol.free_run(2 * vol.need(data))[::2], fragmented=True)

    around, within = f"{HOME}/Pieces/around.jpg", f"{HOME}/Pieces/within.jpg"
    outer, inner = (vol.need(led.draw(p, k)) for p, k in ((around, "LARGE"), (within, "JPEG")))
    run = vol.free_run(outer + inner)
    put(vol, led, around, "LARGE", [*run[:1], *run[1 + inner :]], recovery="deleted", fragmented=True)
    put(vol, led, within, "JPEG", run[1 : 1 + inner])

    path = f"{HOME}/Pieces/gaps.jpg"
    run = vol.free_run(2 * vol.need(led.draw(path, "LARGE")))[::2]
    how = {"recovery": "gone", "note": "in pieces, the gaps free: the order of its clusters is lost"}
    put(vol, led, path, "LARGE", run, fragmented=True, **(how if chain_lost else {"recovery": "deleted"}))


def put_overwritten(vol: Volume, led: Ledger) -> str:
    """Deleted pictures whose clusters others have taken; one of those is to be deleted at the end."""
    vol.mkdir(f"{SPARE}/New")
    lost = {
        f"{SPARE}/whole.jpg": ("JPEG", "by a live file, all of it"),
        f"{SPARE}/tail.jpg": ("LARGE", "by a live file, all but its start"),
        f"{SPARE}/twice.jpg": ("LARGE", "its start, by a file that is deleted as well"),
        f"{SPARE}/speck.jpg": ("ICON", "its one cluster, by a live file"),
    }
    if isinstance(vol, Ntfs):  # keeps so small a file in its record
        del lost[f"{SPARE}/speck.jpg"]
    taken = [f"{SPARE}/New/by {PurePosixPath(path).name}" for path in lost]
    vol.reserve(*taken)
    room = vol.need(bytes(16_384))  # for each: more than any of the pictures takes
    free = vol.free_run(len(lost) * room)
    runs = [free[start : start + room] for start in range(0, len(free), room)]
    for run, (path, (kind, note)) in zip(runs, lost.items(), strict=True):
        put(vol, led, path, kind, run[: vol.need(led.draw(path, kind))], recovery="overwritten", note=note)
    for path in lost:
        vol.delete(path)
    by_whole, by_tail, by_twice, *by_speck = taken
    put(vol, led, by_whole, "LARGE", runs[0][: vol.need(led.draw(by_whole, "LARGE"))])
    put(vol, led, by_tail, "JPEG", runs[1][1:][: vol.need(led.draw(by_tail))])
    for path in by_speck:
        put(vol, led, path, "ICON", runs[3][:1])
    put(vol, led, by_twice, "JPEG", runs[2][: vol.need(led.draw(by_twice))], recovery="deleted")
    return by_twice


def tell(vol: Volume, led: Ledger, chain_lost: bool) -> None:
    """All of it, in an order in which nothing overwrites what it is not meant to overwrite."""
    lost, note = f"{BOX}/lost folder", f"{BOX}/kept note.txt"
    put(vol, led, f"{lost}/lost one.jpg", recovery="deleted", note="its folder's own entry is overwritten")
    put_plain(vol, led)
    put_moved(vol, led)
    put_pieces(vol, led, chain_lost)
    words = text(f"{led.image}/box")
    run = vol.free()[-vol.need(words) :]
    doomed = put_overwritten(vol, led)
    vol.delete(lost)
    vol.write(note, words, led.note(note, words, picture=False), run)  # the new file gets the folder's entry
    lone = [path for path in DELETED if "Old holiday" not in path]
    for path in [*lone, f"{HOME}/Old holiday", f"{HOME}/Pieces/around.jpg", f"{HOME}/Pieces/gaps.jpg", doomed]:
        vol.delete(path)


# --- the images ---------------------------------------------------------------------------------------------


def make_fat16(folder: Path) -> Ledger:
    """FAT16, clusters of 2 KiB."""
    led = Ledger("fat16.img")
    vol = Fat(folder / led.image, 16, 4200, 4)
    endless = f"{HOME}/Pictures/Endless/{'a name that is long ' * 11}1.png"
    put(vol, led, endless, "PNG", note="more than 195 letters: TSK loses the end of such a name on FAT")
    tell(vol, led, chain_lost=True)
    return led


def make_fat32(folder: Path) -> Ledger:
    """FAT32, clusters of 512 bytes; with a picture above cluster 65536 deleted as Windows does it."""
    led = Ledger("fat32.img")
    vol = Fat(folder / led.image, 32, 66_500, 1)
    high, stays = f"{HOME}/High/deleted by windows.jpg", f"{HOME}/High/stays.jpg"
    vol.mkdir(f"{HOME}/High")
    tell(vol, led, chain_lost=True)
    for path, recovery, note in (
        (stays, "live", "starts above cluster 65536"),
        (high, "gone", "high half of the start cluster cleared, as by Windows"),
    ):
        above = [c for c in vol.free() if c > 65_800][: vol.need(led.draw(path))]
        put(vol, led, path, clusters=above, recovery=recovery, note=note)
    vol.delete(high)
    # the deleted short entry: its first letter is gone, and now the upper half of the cluster number as well
    raw = bytearray(vol.image.read_bytes())
    at = raw.index(b"\xe5ELETE~1JPG")
    raw[at + 20 : at + 22] = bytes(2)
    vol.image.write_bytes(raw)
    return led


def make_exfat(folder: Path) -> Ledger:
    """exFAT, clusters of 4 KiB."""
    led = Ledger("exfat.img")
    vol = ExFat(folder / led.image, 8 << 20, 4096)
    tell(vol, led, chain_lost=True)
    vol.disk.flush()
    return led


def make_ntfs(folder: Path) -> Ledger:
    """NTFS, clusters of 4 KiB, with a record used again, a compressed picture and one in a second stream."""
    led = Ledger("ntfs.img")
    vol = Ntfs(folder / led.image, 8 << 20)
    squeezed = f"{HOME}/Compressed/poster.png"
    with vol.mounted() as root:
        (root / squeezed).parent.mkdir(parents=True)
        os.setxattr((root / squeezed).parent, "system.ntfs_attrib", struct.pack("<I", 0x810))
    put(vol, led, squeezed, "POSTER", fragmented=True, note="compressed by NTFS")
    host = f"{HOME}/Documents/host.txt"
    words, hidden = text(led.image), led.draw(f"{host}:hidden.jpg")
    vol.write(host, words, led.note(host, words, picture=False))
    with vol.mounted() as root:
        os.setxattr(root / host, "user.hidden.jpg", hidden)
        vol.stamp(root / host, int(str(led.rows[-1]["mtime"])))
    mtime = led.rows[-1]["mtime"]
    led.note(f"{host}:hidden.jpg", hidden, "stream", mtime=mtime, note="alternate data stream")
    # a name left over in a folder's index, whose record belongs to another file now
    many, shift = f"{SPARE}/Many", "a name for shifting " * 7
    reused = f"{many}/zz record reused.jpg"
    for number in range(4):
        path = f"{many}/b{number} {shift}.txt"
        vol.write(path, words, led.note(path, words, picture=False))
    put(vol, led, reused, recovery="gone", note="its MFT record belongs to another file now")
    vol.write(f"{many}/{shift}.txt", b"", NOON)
    vol.delete(f"{many}/{shift}.txt")  # the entries behind it move up, and of the last one a copy is left
    vol.delete(reused)
    put(vol, led, f"{SPARE}/took the record.jpg", clusters=vol.free_run(4))
    tell(vol, led, chain_lost=False)
    return led


def make_ext(folder: Path, kind: str) -> Ledger:
    """ext2, ext3 or ext4: nothing is left of what Linux deletes there."""
    led = Ledger(f"{kind}.img")
    vol = Ext(folder / led.image, kind, 3 << 20 if kind == "ext2" else 5 << 20)
    put_plain(vol, led, deleted="gone")
    put_moved(vol, led)
    files = {}
    for name, drawn in (("one.jpg", "LARGE"), ("two.jpg", "LARGE"), ("poster.png", "POSTER")):
        path = f"{HOME}/Pieces/{name}"
        data = led.draw(path, drawn)
        files[path] = (data, led.note(path, data, fragmented=True))
    (vol.scatter if kind == "ext4" else vol.braid)(files)
    lone = [path for path in DELETED if "Old holiday" not in path]
    names = {path: vol.name_in(path) for path in lone}
    for path in [*lone, f"{HOME}/Old holiday"]:
        vol.delete(path)
    if kind == "ext2":  # debugfs deletes as other writers of ext2 may: the inode keeps its blocks
        path = f"{HOME}/Pictures/deleted by others.jpg"
        put(vol, led, path, recovery="deleted", note="by debugfs, which leaves the block numbers in the inode")
        sh("debugfs", "-w", "-R", f'rm "/{path}"', vol.image)
    if kind == "ext3":  # Linux before 5.13 left the names; and the first of the inodes goes to a new picture
        put(vol, led, f"{HOME}/Documents/took the inode.jpg", note="has the inode of a deleted name")
        raw = bytearray(vol.image.read_bytes())
        for at, entry in names.values():
            raw[at : at + len(entry)] = entry
        vol.image.write_bytes(raw)
    return led


def make_iso(folder: Path) -> Ledger:
    """ISO 9660 with Joliet and Rock Ridge."""
    led = Ledger("iso.img")
    tree = folder / "iso"
    short = [path for path in KEPT if len(path) < 100 and "🏖" not in path][:7]
    for path in [*short, "photos/eighth picture.jpg"]:
        data = led.draw(path, KEPT.get(path, "JPEG"))
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
        moment = led.note(path, data)
        os.utime(tree / path, (moment, moment))
    words = text(led.image)
    (tree / "readme.txt").write_bytes(words)
    moment = led.note("readme.txt", words, picture=False)
    os.utime(tree / "readme.txt", (moment, moment))
    sh("genisoimage -quiet -J -joliet-long -r -input-charset utf-8 -V TEST -o", folder / led.image, tree)
    return led


def tell_briefly(vol: Volume, led: Ledger, deleted: str = "deleted") -> None:
    """Three pictures that stay, two deleted: for the partitions of a whole disk."""
    for path, kind in [*list(KEPT.items())[:2], (f"{HOME}/Pictures/Фото/Лето 2019.jpg", "JPEG")]:
        put(vol, led, path, kind)
    for path in list(DELETED)[:2]:
        put(vol, led, path, recovery=deleted)
    for path in list(DELETED)[:2]:
        vol.delete(path)


def guid(written: str) -> bytes:
    """A GUID as GPT stores it."""
    a, b, c, d, e = written.split("-")
    return struct.pack("<IHH", int(a, 16), int(b, 16), int(c, 16)) + bytes.fromhex(d + e)


def mbr_entry(kind: int, start: int, count: int) -> bytes:
    """A partition in an MBR."""
    return struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start, count)


def mbr_sector(*entries: bytes) -> bytes:
    """An MBR, or one of the boot records of an extended partition."""
    return (bytes(440) + b"TNAM" + bytes(2) + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa").ljust(SECTOR, b"\0")


def make_disk(folder: Path) -> Ledger:
    """A disk with a GPT: FAT16, ext4, NTFS; as it is and as Expert Witness files, in one and in segments."""
    led = Ledger("disk.img")
    parts: list[tuple[str, str, Path]] = []
    basic, linux = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
    for number, (kind, name) in enumerate(((basic, "camera"), (linux, "linux"), (basic, "windows"))):
        led.partition = number
        part = folder / f"disk-{name}"
        if name == "camera":
            tell_briefly(Fat(part, 16, 4200, 1), led)
        elif name == "linux":
            tell_briefly(Ext(part, "ext4", 2 << 20), led, deleted="gone")
        else:
            tell_briefly(Ntfs(part, 2 << 20), led)
        parts.append((kind, name, part))

    step, at, table, body = 2048, 2048, b"", b""
    for number, (kind, name, part) in enumerate(parts):
        raw = part.read_bytes()
        count = len(raw) // SECTOR
        unique = struct.pack("<IHH8s", 0x4D414E54, number, 0x4000, b"\x80" + bytes(7))
        table += guid(kind) + unique + struct.pack("<QQQ", at, at + count - 1, 0)
        table += name.encode("utf-16-le").ljust(72, b"\0")
        room = -(-count // step) * step
        body += raw.ljust(room * SECTOR, b"\0")
        at += room
    last = at + step - 1
    table = table.ljust(128 * 128, b"\0")

    def header(here: int, other: int, entries: int) -> bytes:
        disk = guid("4D414E54-4C45-5400-8000-000000000003")
        fields = [here, other, 34, last - 33, disk, entries, 128, 128, zlib.crc32(table)]
        made = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, *fields)
        return (made[:16] + struct.pack("<I", zlib.crc32(made)) + made[20:]).ljust(SECTOR, b"\0")

    image = mbr_sector(mbr_entry(0xEE, 1, last)) + header(1, last, 2) + table
    image = image.ljust(2048 * SECTOR, b"\0") + body
    image = image.ljust((last - 32) * SECTOR, b"\0") + table + header(last, 1, last - 32)
    (folder / led.image).write_bytes(image)
    for name, compression, segment in (("disk", "best", "64MiB"), ("split", "none", "4MiB")):
        how = f"-c {compression} -d sha1 -f encase6 -S {segment} -B {len(image)} -o 0 -P 512"
        case = "-m fixed -M physical -C TEST-1 -D synthetic -e nobody -E 1 -N none"
        sh(f"ewfacquire -u -q {how} {case}", "-t", folder / name, folder / led.image)
    return led


def make_mbr(folder: Path) -> Ledger:
    """A disk with an MBR: a primary FAT16, and one in an extended partition."""
    led = Ledger("mbr.img")
    raws = []
    for number in range(2):
        led.partition = number
        part = folder / f"mbr-{number}"
        tell_briefly(Fat(part, 16, 4200, 1), led)
        raws.append(part.read_bytes())
    first, second = (len(raw) // SECTOR for raw in raws)
    start = 2048
    extended = start + -(-first // 2048) * 2048
    image = mbr_sector(mbr_entry(0x06, start, first), mbr_entry(0x05, extended, second + 63))
    image = image.ljust(start * SECTOR, b"\0") + raws[0]
    image = image.ljust(extended * SECTOR, b"\0") + mbr_sector(mbr_entry(0x06, 63, second))
    image = image.ljust((extended + 63) * SECTOR, b"\0") + raws[1]
    (folder / led.image).write_bytes(image)
    return led


# --- reading back -------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """A file as pytsk3 shows it."""

    path: str
    live: bool
    sha256: str
    runs: int
    mtime: int


def walk(fs: pytsk3.FS_Info) -> Iterator[Seen]:
    """Every file of a file system, the deleted and the orphaned too; no file twice."""
    todo, done, files = [("", int(fs.info.root_inum), True)], set(), set()
    while todo:
        above, address, kept = todo.pop(0)
        if address in done:
            continue
        done.add(address)
        try:
            folder = fs.open_dir(inode=address)
        except OSError:  # a deleted folder of which nothing is left
            continue
        for entry in folder:
            name = entry.info.name.name.decode("utf-8", "replace")
            number = int(entry.info.name.meta_addr)
            file = entry
            if name in {".", ".."} or not number:
                continue
            if entry.info.meta is None:
                file = fs.open_meta(number)
            meta = file.info.meta
            live = kept and bool(int(entry.info.name.flags) & 1 and int(meta.flags) & 1)
            if int(meta.type) in {pytsk3.TSK_FS_META_TYPE_DIR, pytsk3.TSK_FS_META_TYPE_VIRT_DIR}:
                todo.append((f"{above}/{name}", number, live or name == "$OrphanFiles"))
                continue
            if (name, number) in files or name.startswith("$"):
                continue
            files.add((name, number))
            for attribute in file:
                if int(attribute.info.type) not in {1, 128}:
                    continue
                stream = attribute.info.name.decode() if attribute.info.name else ""
                runs = [run for run in attribute if not int(run.flags) & 2]
                size = int(attribute.info.size)
                data = file.read_random(0, size, int(attribute.info.type), int(attribute.info.id)) if size else b""
                shown = f"{above}/{name}" + (f":{stream}" if stream and stream != "$Data" else "")
                yield Seen(shown.lstrip("/"), live, hashlib.sha256(data).hexdigest(), len(runs), int(meta.mtime))


def file_systems(image: Path) -> list[pytsk3.FS_Info]:
    """The file systems of an image, of a whole disk one for each partition."""
    handle = pytsk3.Img_Info(str(image))
    if image.name not in {"disk.img", "mbr.img"}:
        return [pytsk3.FS_Info(handle)]
    parts = [p for p in pytsk3.Volume_Info(handle) if int(p.flags) == int(pytsk3.TSK_VS_PART_FLAG_ALLOC)]
    return [pytsk3.FS_Info(handle, offset=int(p.start) * SECTOR) for p in parts]


def check(image: Path, rows: list[dict[str, object]]) -> list[str]:
    """Reads an image with pytsk3; what is otherwise than noted. Notes where each file was seen."""
    wrong = []
    shown = [list(walk(fs)) for fs in file_systems(image)]
    for row in rows:
        files = shown[int(str(row.get("partition", 0)))]
        same = [file for file in files if file.sha256 == row["sha256"]]
        at_home = [file for file in same if file.live and file.path == row["path"]]
        says = f"{image.name}: {row['path']}: {row['recovery']}"
        if row["recovery"] in {"live", "stream"}:
            cut = [file.path for file in same if file.live and str(row["path"]).startswith(file.path)]
            if not at_home and cut and len(cut[0]) > 195:  # a name that TSK cuts
                row["seen_as"] = cut
            elif not at_home:
                wrong.append(f"{says}: not read back")
            elif image.name.startswith("ext") and at_home[0].runs > 1:
                row["fragmented"] = True  # where Linux puts a file on ext is its own affair
            elif row["fragmented"] != (at_home[0].runs > 1):
                wrong.append(f"{says}: {at_home[0].runs} runs")
            elif at_home[0].mtime != row["mtime"] and image.name != "iso.img":  # TSK gives the time as crtime there
                wrong.append(f"{says}: mtime {at_home[0].mtime}")
        elif row["recovery"] == "moved":
            pass
        elif row["recovery"] == "deleted":
            row["seen_as"] = sorted({file.path for file in same if not file.live})
            if not row["seen_as"]:
                wrong.append(f"{says}: not read back")
        elif same and row["size"]:
            wrong.append(f"{says}: came back as {same}")
    return wrong


# --- storing ------------------------------------------------------------------------------------------------

MAKERS = {
    "fat16": make_fat16,
    "fat32": make_fat32,
    "exfat": make_exfat,
    "ntfs": make_ntfs,
    "ext2": lambda folder: make_ext(folder, "ext2"),
    "ext3": lambda folder: make_ext(folder, "ext3"),
    "ext4": lambda folder: make_ext(folder, "ext4"),
    "iso": make_iso,
    "disk": make_disk,
    "mbr": make_mbr,
}


def store(folder: Path, name: str) -> None:
    """Puts an image into this folder, compressed unless it is so already."""
    for path in [folder / f"{name}.img", *sorted(folder.glob("*.E0*"))]:
        if path.name == "disk.E01":
            shutil.copy(path, HERE / path.name)
        else:
            packed = lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME)
            (HERE / f"{path.name}.xz").write_bytes(packed)


def main(words: list[str]) -> int:
    """Makes or checks images; how many things are wrong."""
    truth_file = HERE / "truth.json"
    truth = json.loads(truth_file.read_text(encoding="utf-8")) if truth_file.exists() else {}
    only_check = "--check" in words
    wrong = []
    for name in [word for word in words if word in MAKERS] or MAKERS:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            image = folder / f"{name}.img"
            if only_check:
                image.write_bytes(lzma.decompress((HERE / f"{image.name}.xz").read_bytes()))
            else:
                truth[image.name] = MAKERS[name](folder).rows
            wrong += check(image, truth[image.name])
            if not only_check:
                store(folder, name)
        sys.stdout.write(f"{name}: {len(truth[image.name])} files\n")
    if not only_check:
        ordered = {f"{name}.img": truth[f"{name}.img"] for name in MAKERS if f"{name}.img" in truth}
        truth_file.write_text(json.dumps(ordered, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return len(wrong)


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    sys.exit(min(main(sys.argv[1:]), 99))
