"""Walking and reading alone, no decoding: CPU a GB of medium, raw and E01, against The Sleuth Kit's `tsk_recover`.

The disk: 320 MiB of ext4 with 5,088 files of random bytes, 88 of them as large as a camera's. Made by `mkfs.ext4 -d`
(e2fsprogs) and `ewfacquire` (ewf-tools); the peer is of the package sleuthkit.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from mantlet.evidence.reach import Reach
from mantlet.types import Address

SIZE = 320 << 20
TOOLS = ("mkfs.ext4", "ewfacquire", "tsk_recover")


def missing() -> list[str]:
    """Tools that this machine lacks."""
    return [tool for tool in TOOLS if not shutil.which(tool)]


def disk(folder: Path) -> Path:
    """Makes the raw image; the E01 lies beside it."""
    files, image = folder / "files", folder / "disk.dd"
    random_of = random.Random(1)
    for number in range(5088):
        path = files / str(number // 500) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random_of.randbytes(900_000 if number >= 5000 else random_of.randrange(8000, 24000)))
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", files, image], check=True)
    acquire = ["ewfacquire", "-u", "-q", "-t", folder / "disk", "-c", "deflate:fast", "-f", "encase6", image]
    subprocess.run(acquire, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    shutil.rmtree(files)
    return image


def read(path: Path) -> int:
    """Every file's bytes, in the order of the walk; how many files."""
    reach, count = Reach({"E": str(path)}), 0
    for entry in reach.tree(Address("E")).walk():
        if not entry.absent and entry.size:
            with reach.open(Address("E", (entry.step,))) as stream:
                count += len(stream.read()) == entry.size
    return count


if __name__ == "__main__":
    started = time.process_time()
    found = read(Path(sys.argv[1]))
    print(f"{found} files, {(time.process_time() - started) / SIZE * 1e9:.2f} s of CPU a GB")
