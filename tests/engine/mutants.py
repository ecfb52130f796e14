"""Images of disks, archives and documents to be damaged, and the ways to damage them, by seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from mantlet.settings import MIB
from tests.conftest import SHARED
from tests.engine.hostile_disks import IMAGES, image
from tests.test_inside import KINDS, pictures

DISKS: Final = (
    "disk.E01", "disk.img", "exfat.img", "ext2.img", "ext3.img", "ext4.img", "fat16.img", "fat32.img", "htree.img",
    "iso.img", "mbr.img", "ntfs.img", "xfs.img",
)  # fmt: skip
_LEFT_OUT: Final = (".json", ".txt", ".md", ".E02", ".001", ".raw.gz")
"""What is no image, later parts, which are nothing by themselves, and what inflates to a GiB."""
_SECTOR: Final = 512
_LARGEST: Final = 16 * MIB
"""Of the shared disks; larger ones would be most of the time."""


class Original(NamedTuple):
    name: str
    data: bytes
    disk: bool
    """Given as an exhibit of its own; anything else as a file in a folder."""


def originals(names: tuple[str, ...] = DISKS, *, shared: bool = False) -> Iterator[Original]:
    """Images of tests/images, an archive or document of each kind, and the disks of the shared data."""
    yield from (Original(name, image(name), disk=True) for name in names if _there(name))
    yield from (Original(name, make(pictures(name, 3)), disk=False) for name, make in KINDS.items())
    for path in sorted((SHARED / "data" / "disks").rglob("*")) if shared else ():
        if path.is_file() and not path.name.endswith(_LEFT_OUT) and 0 < path.stat().st_size <= _LARGEST:
            yield Original(f"{path.parent.name}-{path.name}", path.read_bytes(), disk=True)


def _there(name: str) -> bool:
    return (IMAGES / name).exists() or (IMAGES / f"{name}.xz").exists()


def cut(data: bytes, percent: int) -> bytes:
    return data[: max(1, len(data) * percent // 100)]


def flipped(data: bytes, flips: int, random_of: random.Random) -> bytes:
    """With so many bytes changed, three of four of them where something is written: most of a disk is empty."""
    changed = bytearray(data)
    for _ in range(flips):
        at = random_of.randrange(len(data))
        for _ in range(random_of.choice((0, 50, 50, 50))):
            if any(data[at - at % _SECTOR : at - at % _SECTOR + _SECTOR]):
                break
            at = random_of.randrange(len(data))
        changed[at] = random_of.choice((changed[at] ^ 1 << random_of.randrange(8), 0, 0xFF, random_of.randrange(256)))
    return bytes(changed)


def placed(folder: Path, number: int, original: Original, data: bytes) -> tuple[str, Path]:
    """Writes a mutant, read-only; its label and the path to be given as an exhibit."""
    own = folder / str(number)
    own.mkdir()
    path = own / original.name
    path.write_bytes(data)
    path.chmod(0o444)
    return f"{number} {original.name}", path if original.disk else own
