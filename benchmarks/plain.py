"""The plain path: what a script does with the usual packages. `python -m benchmarks.plain FOLDER COUNT`."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

import numpy as np
import pdqhash
from PIL import Image


def measure(path: Path) -> tuple[str, str, str, bytes]:
    """MD5, SHA-1, SHA-256 and PDQ of a picture decoded whole."""
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        bits, _ = pdqhash.compute(np.asarray(image.convert("RGB")))
    digests = (hashlib.new(name, data).hexdigest() for name in ("md5", "sha1", "sha256"))
    return *digests, np.packbits(bits).tobytes()


if __name__ == "__main__":
    for each in sorted(Path(sys.argv[1]).iterdir())[: int(sys.argv[2])]:
        measure(each)
