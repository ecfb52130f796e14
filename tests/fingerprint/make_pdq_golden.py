"""Write pdq_golden.json: what `pdqhash` (the `bench` extra) makes of pictures that this file can draw again.

Run as `python tests/fingerprint/make_pdq_golden.py` on x86-64, and only to add pictures: the values are the
reference, so a changed value is a finding. Pictures are drawn in whole numbers from `RandomState`, whose
stream numpy has frozen, so that they are the same bytes on every machine.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GOLDEN = Path(__file__).with_name("pdq_golden.json")

Picture = NDArray[np.uint8]  # [height, width, 3]


def noise(seed: int, height: int, width: int) -> Picture:
    drawn = np.random.RandomState(seed).bytes(height * width * 3)
    return np.frombuffer(drawn, np.uint8).reshape(height, width, 3)


def smooth(seed: int, height: int, width: int, cells: int, contrast: int = 255) -> Picture:
    """Random colours at the corners of cells x cells fields, blended in between; `contrast` 0 to 255."""
    corners = noise(seed, cells + 1, cells + 1).astype(np.int64) * contrast // 255

    def blend(ends: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        field, part = np.divmod(np.arange(length) * cells * 256 // length, 256)
        part = part[:, None, None]
        return ends[field] * (256 - part) + ends[field + 1] * part

    across = blend(corners.transpose(1, 0, 2), width).transpose(1, 0, 2)
    return (blend(across, height) >> 16).astype(np.uint8)


def texture(seed: int, height: int, width: int, grain: int) -> Picture:
    """Smooth colours under noise of up to `grain` levels."""
    return smooth(seed, height, width, 4, 255 - grain) + noise(seed + 1, height, width) % np.uint8(grain)


def flat(height: int, width: int, colour: tuple[int, int, int]) -> Picture:
    return np.full((height, width, 3), colour, np.uint8)


def stripes(height: int, width: int, period: int) -> Picture:
    rows, columns = np.indices((height, width))
    light = ((rows + 2 * columns) // period % 2 * 255).astype(np.uint8)
    return np.stack([light, 255 - light, light // 2], axis=2)


def pictures() -> Iterator[tuple[str, Picture]]:
    """Sizes around each limit of the algorithm (5, 64, windows of 1, 2 and more), qualities from 0 to 100."""
    for width, height in [
        (1, 1),
        (9, 1),
        (5, 4),
        (4, 5),
        (5, 5),
        (6, 5),
        (3, 7),
        (8, 8),
        (40, 13),
        (900, 5),
        (5, 900),
    ]:
        yield f"noise {width}x{height}", noise(height * width, height, width)
    for width, height in [
        (64, 63),
        (64, 64),
        (64, 65),
        (128, 64),
        (128, 127),
        (129, 128),
        (257, 129),
        (256, 256),
    ]:
        yield f"noise {width}x{height}", noise(height + width, height, width)
        yield f"smooth 8 {width}x{height}", smooth(height, height, width, 8)
    for seed, (width, height) in enumerate([(300, 200), (512, 384), (672, 448), (513, 511), (1000, 750), (768, 1024)]):
        for cells in (2, 3, 5, 12):
            yield f"smooth {cells} {width}x{height}", smooth(seed, height, width, cells)
        yield f"texture {width}x{height}", texture(seed, height, width, 10 + 30 * seed)
    for contrast in (3, 12, 50):
        yield f"faint {contrast} 320x240", smooth(contrast, 240, 320, 7, contrast)
    yield "flat black 5x5", flat(5, 5, (0, 0, 0))
    yield "flat white 64x64", flat(64, 64, (255, 255, 255))
    yield "flat dark 150x100", flat(100, 150, (1, 2, 3))
    yield "flat red 222x333", flat(333, 222, (200, 30, 77))
    for period in (1, 7, 60):
        yield f"stripes {period} 400x300", stripes(300, 400, period)


def sha256(picture: Picture) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()


def main() -> None:
    import pdqhash

    golden = {}
    for name, picture in pictures():
        vector, quality = pdqhash.compute(picture)
        golden[name] = {
            "pixels": sha256(picture),
            "pdq": np.packbits(vector).tobytes().hex(),
            "quality": quality,
        }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
