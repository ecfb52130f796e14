"""PDQ, Meta's perceptual hash of stills, compiled: near copies of a picture get hashes a few bits apart.

Source: "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (`hashing/hashing.pdf` in
facebook/ThreatExchange), its part on PDQ, and the reference code in `pdq/cpp`, named below by function.

Hash lists hold hashes that others made, so every bit counts. Each operation here is that of the reference as
the package `pdqhash` 0.2.8 runs it: luma in float64, rounded once, then float32 in the same order, never
reassociated or fused. What differs cannot be seen in the result: rows stream through instead of four filters
running over the whole picture, and means between the places of the 64x64 grid are not divided out.
`pdqhash` itself needs a compiler to install, holds the GIL and takes four times as long or more.

A picture that was turned or mirrored has quite another hash. `pdq_and_forms` gives those of all eight forms at little
more than the cost of one: the blur of a mirrored picture is the same blur read at other places (`_places`), and to
swap the axes is to transpose the coefficients. The reference changes signs of the coefficients instead
(`dihedralHash256es`): that forgets that its grid and its window lie off centre, and loses one turned copy in ten.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from mantlet.compiled import inner, kernel
from mantlet.fingerprint import FORMS

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
_SAMPLED = numba.types.Array(numba.float32, 2, "C")


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
    """Luma of up to eight rows, uint8 [1 to 8, width * 3], blurred along them into float32 [8, ...]; then the first
    luma of each, for `_sample_rows`."""
    width = len(spans)
    luma = _rows(_LANES, width)
    for lane in range(len(pixels)):
        _luma(pixels[lane], luma[lane, :width])
    _running_sums(luma, width, blurred)
    for lane in range(_LANES):
        for column in range(width):
            blurred[lane, column] /= spans[column]
        blurred[lane, width] = luma[lane, 0]


@inner
def _places(length: int, cells: int) -> NDArray[np.int64]:
    """int64 [64 or 128]: where a side of that length is sampled; then, the side mirrored, where it is then.

    A place is the centre of a cell, rounded down (`decimateFloat`); small pictures give some of them twice. A window
    of an even number of elements lies half an element ahead of its place, so two passes lie one ahead, and one behind
    where the side is mirrored: these two are made good. Windows cut off at an end then agree as well; where the
    window is 2, the last place is -1 (see `_sample_rows`).
    """
    shift = 0 if _window(length) % 2 else 2
    places = np.empty(cells, np.int64)
    for cell in range(_GRID):
        centre = int((cell + 0.5) * length / _GRID)
        places[cell] = centre
        if cells > _GRID:
            places[_GRID + cell] = length - 1 - centre - shift
    return places


@inner
def _sample_rows(
    lanes: NDArray[np.float32], spans: NDArray[np.float32], places: NDArray[np.int64], grid: NDArray[np.float32]
) -> None:
    """Blur up to eight rows along them, float32 [8, ...], and keep `places`: [places, 1 to 8].

    Place -1, before the first, exists only where the side is mirrored, and a window of 2 is over it and the first. What
    it holds follows the last place of each row: the first element, as its own window was cut off to it alone.
    """
    length = len(spans)
    sums = _rows(_LANES, length)
    _running_sums(lanes, length, sums)
    for cell, place in enumerate(places):
        for lane in range(grid.shape[1]):
            if place >= 0:
                grid[cell, lane] = sums[lane, place] / spans[place]
            else:
                grid[cell, lane] = (lanes[lane, length] + lanes[lane, 0]) / np.float32(2)


@inner
def _grid(pixels: NDArray[np.uint8], cells: int) -> NDArray[np.float32]:
    """Blur along rows, then columns, twice, and sample: uint8 [height, width * 3] to float32 [cells, cells].

    `cells`: 64, or 128 for the four grids of the picture as it is and mirrored, left to right and top to bottom.

    `jaroszFilterFloat`, then `decimateFloat`. Rows enter eight at a time; those that the first blur along
    columns has yet to take out again stay in a ring. The second blur is kept at the grid's places only.
    """
    height, width = len(pixels), pixels.shape[1] // 3
    window = _window(height)
    ahead = window // 2
    row_spans, column_spans = _spans(width), _spans(height)
    row_places, column_places = _places(width, cells), _places(height, cells)

    ring = _rows((window + 2 * _LANES - 1) // _LANES * _LANES, width + 1)
    column_sums = np.zeros(width + 1, np.float32)
    blurred = _rows(_LANES, width + 1)
    columns = _rows(cells, height + 1)  # transposed: a column of the picture is a row here
    for entering in range(height + ahead):
        if entering < height:
            slot = entering % len(ring)
            if entering % _LANES == 0:
                _blur_rows(pixels[entering : entering + _LANES], row_spans, ring[slot : slot + _LANES])
            if entering == 0 and cells > _GRID:
                _sample_rows(ring[:_LANES], row_spans, row_places, columns[:, height : height + 1])
            for column in range(width + 1):
                column_sums[column] += ring[slot, column]
        if entering >= window:
            slot = (entering - window) % len(ring)
            for column in range(width + 1):
                column_sums[column] -= ring[slot, column]
        row = entering - ahead
        if row >= 0:
            lane = row % _LANES
            for column in range(width + 1):
                blurred[lane, column] = column_sums[column] / column_spans[row]
            if lane == _LANES - 1 or row == height - 1:
                _sample_rows(blurred, row_spans, row_places, columns[:, row - lane : row + 1])

    grid = np.empty((cells, cells), np.float32)
    for first in range(0, cells, _LANES):
        lanes = slice(first, first + _LANES)
        _sample_rows(columns[lanes], column_spans, column_places, grid[:, lanes])
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


@inner
def _own_grid(pixels: NDArray[np.uint8], cells: int) -> NDArray[np.float32]:
    """As `_grid`, of 64x64 pixels: these are the grid, without a blur (`pdqFloat256FromFloatLuma`)."""
    grid = np.empty((cells, cells), np.float32)
    for row in range(_GRID):
        _luma(pixels[row], grid[row, :_GRID])
    for row in range(cells):
        for column in range(cells):
            own = row if row < _GRID else 2 * _GRID - 1 - row, column if column < _GRID else 2 * _GRID - 1 - column
            grid[row, column] = grid[own]
    return grid


@kernel(_SAMPLES, numba.int64)
def _grids(pixels: NDArray[np.uint8], cells: int) -> NDArray[np.float32]:
    """As `_grid`, of any picture."""
    return _own_grid(pixels, cells) if pixels.shape == (_GRID, 3 * _GRID) else _grid(pixels, cells)


@kernel(_SAMPLED)
def _transform(grid: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """float32 [64, 64] to the coefficients, float32 [16, 16], and the quality."""
    return _product(_product(_DCT, grid), _DCT_TRANSPOSED), _quality(grid)


def _sampled(rgb: NDArray[np.uint8], cells: int) -> NDArray[np.float32] | None:
    """As `_grid`; None where a side is too short."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"PDQ takes uint8 [height, width, 3], not {rgb.dtype} {list(rgb.shape)}")
    height, width, _ = rgb.shape
    if min(height, width) < _LEAST_SIDE:
        return None
    return _grids(np.ascontiguousarray(rgb).reshape(height, 3 * width), cells)


def _hash(coefficients: NDArray[np.float32]) -> bytes:
    from_bit_255 = coefficients.reshape(256)[::-1]
    # The reference's median of 256 values (`torben`) is the lower of the two in the middle.
    return np.packbits(from_bit_255 > np.partition(from_bit_255, 127)[127]).tobytes()


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
    grid = _sampled(rgb, _GRID)
    if grid is None:
        return bytes(32), 0
    coefficients, quality = _transform(grid)
    return _hash(coefficients), quality


def pdq_and_forms(rgb: NDArray[np.uint8]) -> tuple[bytes, int, list[bytes]]:
    """Hash and quality as `pdq`, and the hash of each of `FORMS` of the picture, in that order.

    A form's hash is what `pdq` gives for the pixels really turned, but for rounding, as the sums run from the other
    end: at most 2 bits apart (1 form in 300 or so). Under 64 pixels a side, where cells of the grid repeat, many
    coefficients are ties, and rounding may move more.
    """
    grids = _sampled(rgb, 2 * _GRID)
    if grids is None:
        return bytes(32), 0, [bytes(32)] * len(FORMS)
    ahead, mirrored = slice(_GRID), slice(_GRID, None)
    plain, quality = _transform(np.ascontiguousarray(grids[ahead, ahead]))
    across, down, both = (
        _transform(np.ascontiguousarray(grids[rows, columns]))[0]
        for rows, columns in ((ahead, mirrored), (mirrored, ahead), (mirrored, mirrored))
    )
    # Turned clockwise is mirrored top to bottom, with the axes swapped; mirrored both ways is turned 180.
    forms = (down.T, both, across.T, across, both.T, down, plain.T)
    return _hash(plain), quality, [_hash(form) for form in forms]


def distance(a: bytes, b: bytes) -> int:
    """Hamming distance of two hashes of one length, in bits: 0 to 256 for PDQ.

    The slow and obviously right one, for an index to agree with. ValueError when the lengths differ.
    """
    if len(a) != len(b):
        raise ValueError(f"hashes of {len(a)} and {len(b)} bytes have no distance")
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()
