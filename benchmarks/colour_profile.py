"""How far PDQ moves when a wide-gamut profile is applied: `python -m benchmarks.colour_profile FOLDER`.

Takes the JPEGs of a folder as if they were Display P3, converts them to sRGB, and prints the distances. The figures
of docs/decisions/0004 come from it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mantlet.fingerprint.pdq import distance, pdq
from mantlet.media.picture import decode

# Linear Display P3 to linear sRGB (both D65), from their primaries.
_MATRIX = np.array([[1.2249401, -0.2249404, 0], [-0.0420569, 1.0420571, 0], [-0.0196376, -0.0786361, 1.0982735]])


def _srgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    value = pixels / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) @ _MATRIX.T
    linear = linear.clip(0, 1)
    coded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (coded * 255).round().astype(np.uint8)


def main() -> None:
    distances = []
    for path in sorted(Path(sys.argv[1]).rglob("*.jpg"))[::20]:
        pixels = decode(path.read_bytes()).pixels
        distances.append(distance(pdq(pixels)[0], pdq(_srgb(pixels))[0]))
    middle, most, all_ = np.percentile(distances, [50, 90, 100])
    print(
        f"{len(distances)} pictures: {middle:.0f} bits in the middle, "
        f"{most:.0f} at the 90th percentile, {all_:.0f} at most"
    )


if __name__ == "__main__":
    main()
