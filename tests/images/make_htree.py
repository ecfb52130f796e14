"""Makes htree.img.xz: an ext4 folder so large that its index has inner nodes, which The Sleuth Kit takes for names.

Needs mke2fs and e2fsck, which builds the index. Every file is named "a rather long name ... N" or is a picture;
all are alone with their record. Run it beside the image: python tests/images/make_htree.py
"""

from __future__ import annotations

import io
import lzma
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
FILES = 4000
PICTURES = 300


def picture(number: int) -> bytes:
    """A distinct JPEG of a few hundred bytes: one pattern, and its number in a comment."""
    file = io.BytesIO()
    Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint32).reshape(64, 64, 3).astype(np.uint8)).save(
        file, "JPEG", quality=5
    )
    data = file.getvalue()
    return data[:2] + b"\xff\xfe\x00\x06" + number.to_bytes(4, "big") + data[2:]


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        source, image = Path(temporary) / "source", Path(temporary) / "htree.img"
        folder = source / "big"
        folder.mkdir(parents=True)
        for number in range(PICTURES):
            (folder / f"a picture with a long name, to fill blocks quickly {number}.jpg").write_bytes(picture(number))
        for number in range(FILES):
            (folder / f"a rather long name of a file to fill blocks quickly {number}.txt").touch()
        with image.open("wb") as file:
            file.truncate(6 * 1024 * 1024)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "1024", "-N", "5000", "-d", source, image], check=True)
        subprocess.run(["e2fsck", "-fyD", image], check=False, stdout=subprocess.DEVNULL)
        (HERE / "htree.img.xz").write_bytes(lzma.compress(image.read_bytes(), preset=9))


if __name__ == "__main__":
    main()
