"""PDQ, Meta's perceptual hash of stills, compiled: near copies of a picture get hashes a few bits apart.

Source: "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (`hashing/hashing.pdf` in
facebook/ThreatExchange), its part on PDQ, and the reference code in `pdq/cpp`, named below by function.

Hash lists hold hashes that others made, so every bit counts. Each operation here is that of the reference as
the package `pdqhash` 0.2.8 runs it: luma in float64, rounded once, then float32 in the same order, never
reassociated or fused. What differs cannot be seen in the result: rows stream through instead of four filters
running over the whole picture, and means between the places of the 64x64 grid are not divided out.
`pdqhash` itself needs a compiler to install, holds the GIL and takes four times as long or more.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from mantlet.compiled import inner, kernel

_LEAST_SIDE = 5  # pixels: `MIN_HASHABLE_DIM` of pdqhashing.cpp
_GRID = 64  # side of the picture that is transformed
_LANES = 8  # rows filtered side by side: each sum waits on the one before it, eight of them hide the wait

# `dct_matrix_64` of pdqhashing.cpp: rows 1 to 16 of the DCT-II of 64 points, without row 0, the mean.
_DCT = np.array(
    [
        [
            float(np.float32(math.sqrt(2 / _GRID))) * math.cos(math.pi / 2 / _GRID * row * (2 * column + 1))
            for column in range(_GRID)
        ]
        for row in range(1, 17)
    ],
    np.float32,
)
_DCT_TRANSPOSED = np.ascontiguousarray(_DCT.T)

_SAMPLES = numba.types.Array(numba.uint8, 2, "C", readonly=True)


@inner
def _window(length: int) -> int:
    """Elements one pass of the box filter spans along a side: half a cell of the grid, rounded up.

    Two passes of a box make the paper's tent (`computeJaroszFilterWindowSize` of downscaling.cpp).
    """
    return (length + 2 * _GRID - 1) // (2 * _GRID)


@inner
def _spans(length: int) -> NDArray[np.float32]:
    """float32 [length]: how many elements the window covers at each place; fewer at both ends."""
    window = _window(length)
    ahead = window // 2
    spans = np.empty(length, np.float32)
    for place in range(length):
        spans[place] = min(place + ahead + 1, length) - max(place + ahead + 1 - window, 0)
    return spans


@inner
def _luma(samples: NDArray[np.uint8], luma: NDArray[np.float32]) -> None:
    """One row, uint8 [width * 3] to float32 [width], weighted and rounded as in `pdqhash.compute`."""
    for column in range(len(luma)):
        luma[column] = np.float32(
            samples[3 * column] * 0.299 + samples[3 * column + 1] * 0.587 + samples[3 * column + 2] * 0.114
        )


@inner
def _rows(count: int, length: int) -> NDArray[np.float32]:
    """Room for rows of `length`, float32 [count, length or a little more], unset.

    A row takes an odd number of cache lines: at a width of 1024 eight rows would else evict each other.
    Where a picture's last rows are fewer than eight, the other lanes are computed on and never kept.
    """
    return np.empty((count, (length + 15) // 32 * 32 + 16), np.float32)


@inner
def _running_sums(lanes: NDArray[np.float32], length: int, sums: NDArray[np.float32]) -> None:
    """Sum the window around each of the first `length` places of each row, float32 [8, ...] to the same.

    The sum runs: one element enters, then one leaves, each with its rounding (`box1DFloat`). So the result
    depends on the whole row, and no place can be skipped or summed afresh, not even with a window of one.
    """
    window = _window(length)
    ahead = window // 2
    for lane in range(_LANES):
        total = np.float32(0)
        for place in range(ahead + 1):
            total += lanes[lane, place]
        sums[lane, 0] = total
    for place in range(1, length):
        right = place + ahead
        if right < window:
            for lane in range(_LANES):
                sums[lane, place] = sums[lane, place - 1] + lanes[lane, right]
        elif right < length:
            for lane in range(_LANES):
                sums[lane, place] = sums[lane, place - 1] + lanes[lane, right] - lanes[lane, right - window]
        else:
            for lane in range(_LANES):
                sums[lane, place] = sums[lane, place - 1] - lanes[lane, right - window]


@inner
def _blur_rows(pixels: NDArray[np.uint8], spans: NDArray[np.float32], blurred: NDArray[np.float32]) -> None:
    """Luma of up to eight rows, uint8 [1 to 8, width * 3], blurred along them into float32 [8, ...]."""
    width = len(spans)
    luma = _rows(_LANES, width)
    for lane in range(len(pixels)):
        _luma(pixels[lane], luma[lane, :width])
    _running_sums(luma, width, blurred)
    for lane in range(_LANES):
        for column in range(width):
            blurred[lane, column] /= spans[column]


@inner
def _sample_rows(lanes: NDArray[np.float32], spans: NDArray[np.float32], grid: NDArray[np.float32]) -> None:
    """Blur up to eight rows along them, float32 [8, ...], and keep the grid's places: [64, 1 to 8].

    A place is the centre of a cell, rounded down (`decimateFloat`); small pictures give some of them twice.
    """
    length = len(spans)
    sums = _rows(_LANES, length)
    _running_sums(lanes, length, sums)
    for cell in range(_GRID):
        centre = int((cell + 0.5) * length / _GRID)
        for lane in range(grid.shape[1]):
            grid[cell, lane] = sums[lane, centre] / spans[centre]


@inner
def _grid(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Blur along rows, then columns, twice, and sample: uint8 [height, width * 3] to float32 [64, 64].

    `jaroszFilterFloat`, then `decimateFloat`. Rows enter eight at a time; those that the first blur along
    columns has yet to take out again stay in a ring. The second blur is kept at the grid's places only.
    """
    height, width = len(pixels), pixels.shape[1] // 3
    window = _window(height)
    ahead = window // 2
    row_spans, column_spans = _spans(width), _spans(height)

    ring = _rows((window + 2 * _LANES - 1) // _LANES * _LANES, width)
    column_sums = np.zeros(width, np.float32)
    blurred = _rows(_LANES, width)
    columns = _rows(_GRID, height)  # transposed: a column of the picture is a row here
    for entering in range(height + ahead):
        if entering < height:
            slot = entering % len(ring)
            if entering % _LANES == 0:
                _blur_rows(pixels[entering : entering + _LANES], row_spans, ring[slot : slot + _LANES])
            for column in range(width):
                column_sums[column] += ring[slot, column]
        if entering >= window:
            slot = (entering - window) % len(ring)
            for column in range(width):
                column_sums[column] -= ring[slot, column]
        row = entering - ahead
        if row >= 0:
            lane = row % _LANES
            for column in range(width):
                blurred[lane, column] = column_sums[column] / column_spans[row]
            if lane == _LANES - 1 or row == height - 1:
                _sample_rows(blurred, row_spans, columns[:, row - lane : row + 1])

    grid = np.empty((_GRID, _GRID), np.float32)
    for first in range(0, _GRID, _LANES):
        _sample_rows(columns[first : first + _LANES], column_spans, grid[:, first : first + _LANES])
    return grid


@inner
def _quality(grid: NDArray[np.float32]) -> int:
    """0, flat, to 100: the steps between neighbours in whole percents of white, summed and scaled.

    `pdqImageDomainQualityMetric`: a step of less than one percent counts as none.
    """
    steps = 0
    for i in range(_GRID):
        for j in range(_GRID - 1):
            steps += abs(int((grid[i, j] - grid[i, j + 1]) * np.float32(100) / np.float32(255)))
            steps += abs(int((grid[j, i] - grid[j + 1, i]) * np.float32(100) / np.float32(255)))
    return min(steps // 90, 100)


@inner
def _product(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Matrix product whose terms are added in the order of `dct64To16`, as a BLAS would not."""
    product = np.zeros((left.shape[0], right.shape[1]), np.float32)
    for i in range(left.shape[0]):
        for k in range(left.shape[1]):
            for j in range(right.shape[1]):
                product[i, j] += left[i, k] * right[k, j]
    return product


@kernel(_SAMPLES)
def _transform(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], int]:
    """uint8 [height, width * 3] to the coefficients, float32 [16, 16], and the quality.

    A picture of 64x64 pixels is the grid, without a blur (`pdqFloat256FromFloatLuma`).
    """
    if pixels.shape == (_GRID, 3 * _GRID):
        grid = np.empty((_GRID, _GRID), np.float32)
        for row in range(_GRID):
            _luma(pixels[row], grid[row])
    else:
        grid = _grid(pixels)
    return _product(_product(_DCT, grid), _DCT_TRANSPOSED), _quality(grid)


def pdq(rgb: NDArray[np.uint8]) -> tuple[bytes, int]:
    """The PDQ hash of a picture, 32 bytes, and its quality, 0 to 100.

    `rgb`: uint8 [height, width, 3], sRGB, upright; read-only or not, any strides (`pdqhash` misreads an array
    that lies in memory column by column, as `np.rot90` leaves it). Nothing is resized first: that is a
    convention of the caller's, to be recorded with the hash, since it moves some bits.

    The bytes in hex are the text that hash lists carry: bit 255 first, as `Hash256::format` of the reference
    and `threatexchange` print it, and as `np.packbits` packs the vector of `pdqhash.compute`.

    A side under 5 pixels gives 32 zero bytes and quality 0, as in the reference (`pdqhash` fails where a side
    is 0). Of one colour, the hash is the reference's rounding noise: match none below `settings.PDQ_QUALITY`. Any
    other shape or type of array is a ValueError.

    Equal to `pdqhash` as built for x86-64. Elsewhere its compiler may fuse multiplications with additions,
    which moves a coefficient that lies on the median to the other side; here nothing is fused on any machine.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"PDQ takes uint8 [height, width, 3], not {rgb.dtype} {list(rgb.shape)}")
    height, width, _ = rgb.shape
    if min(height, width) < _LEAST_SIDE:
        return bytes(32), 0
    coefficients, quality = _transform(np.ascontiguousarray(rgb).reshape(height, 3 * width))
    from_bit_255 = coefficients.reshape(256)[::-1]
    # The reference's median of 256 values (`torben`) is the lower of the two in the middle.
    return np.packbits(from_bit_255 > np.partition(from_bit_255, 127)[127]).tobytes(), quality


def distance(a: bytes, b: bytes) -> int:
    """Hamming distance of two hashes of one length, in bits: 0 to 256 for PDQ.

    The slow and obviously right one, for an index to agree with. ValueError when the lengths differ.
    """
    if len(a) != len(b):
        raise ValueError(f"hashes of {len(a)} and {len(b)} bytes have no distance")
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()
