"""From decoded pixels to what a network takes, as its recipe says, fast enough to keep the network busy.

Pillow is right, and slower than what a small network takes itself. Here its filters (`Resample.c`: the triangle, and
the cubic with a = -0.5, widened by the reduction so that nothing aliases) run over the same places with the same
weights: down the columns first, where a row of samples is one stride of memory, then along the few rows that are left,
straight into the normalised planes. Nothing is rounded between, so a sample is within one of Pillow's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, Literal

import numba
import numpy as np
from numpy.typing import NDArray

from mantlet.compiled import inner, kernel
from mantlet.recognise.manifest import Recipe

GREY: Final = 114
"""The sample that "pad" puts around a picture, in each channel."""

_PIXELS = numba.types.Array(numba.uint8, 2, "C", readonly=True)
_FIRST = numba.types.Array(numba.int64, 1, "C")
_WEIGHTS = numba.types.Array(numba.float32, 2, "C")
_PLANES = numba.types.Array(numba.float32, 3, "A")
_CHANNELS = numba.types.Array(numba.float32, 1, "C")

Taps = tuple[NDArray[np.int64], NDArray[np.float32]]


@lru_cache(maxsize=256)
def _taps(length: int, low: float, high: float, target: int, resample: Literal["bilinear", "bicubic"]) -> Taps:
    """The first sample that each target takes, int64 [target], and the weights from there on, float32 [target, most],
    zero where a filter is narrower: of the part from `low` to `high` of a side (`precompute_coeffs`)."""
    scale = (high - low) / target
    widened = max(scale, 1.0)
    reach = (1.0 if resample == "bilinear" else 2.0) * widened
    centres = low + (np.arange(target) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + reach + 0.5).astype(np.int64), length)
    places = first[:, None] + np.arange((last - first).max())
    away = np.abs((places - centres[:, None] + 0.5) / widened)
    if resample == "bilinear":
        weights = np.maximum(1 - away, 0)
    else:
        near = (1.5 * away - 2.5) * away * away + 1
        far = ((-0.5 * away + 2.5) * away - 4) * away + 2
        weights = np.where(away < 1, near, np.where(away < 2, far, 0))
    weights[places >= last[:, None]] = 0
    return first, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@inner
def _down(pixels: NDArray[np.uint8], weights: NDArray[np.float32], row: NDArray[np.float32]) -> None:
    """The weighted sum of rows, uint8 [at least as many as weights, samples] to float32 [samples]. Where the picture
    ends before a filter, the weights that are left over are zero, and so are never looked up."""
    row[:] = 0
    for tap in range(len(weights)):
        weight = weights[tap]
        if weight != 0:
            samples = pixels[tap]
            for place in range(len(row)):
                row[place] += weight * np.float32(samples[place])


@inner
def _bounded(sample: np.float32) -> np.float32:
    """As Pillow stores it: the cubic overshoots black and white."""
    return min(max(sample, np.float32(0)), np.float32(255))


@kernel(_PIXELS, _FIRST, _WEIGHTS, _FIRST, _WEIGHTS, _CHANNELS, _CHANNELS, _PLANES)
def _resize(
    pixels: NDArray[np.uint8],
    tops: NDArray[np.int64],
    heights: NDArray[np.float32],
    lefts: NDArray[np.int64],
    widths: NDArray[np.float32],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    planes: NDArray[np.float32],
) -> None:
    """uint8 [height, width * 3] to (sample - mean) / std, float32 [3, height, width of the target]."""
    taps = widths.shape[1]
    left, right = 3 * lefts[0], min(3 * (lefts[-1] + taps), pixels.shape[1])
    row = np.zeros(3 * (lefts[-1] + taps), np.float32)
    for y in range(len(tops)):
        _down(pixels[tops[y] :, left:right], heights[y], row[left:right])
        for x in range(len(lefts)):
            red = green = blue = np.float32(0)
            weights = widths[x]
            samples = row[3 * lefts[x] : 3 * (lefts[x] + taps)]
            for tap in range(taps):
                red += weights[tap] * samples[3 * tap]
                green += weights[tap] * samples[3 * tap + 1]
                blue += weights[tap] * samples[3 * tap + 2]
            planes[0, y, x] = (_bounded(red) - mean[0]) / std[0]
            planes[1, y, x] = (_bounded(green) - mean[1]) / std[1]
            planes[2, y, x] = (_bounded(blue) - mean[2]) / std[2]


def _spans(height: int, width: int, recipe: Recipe) -> tuple[tuple[float, float], tuple[float, float]]:
    """Which part of a picture is taken: top and bottom, left and right, in samples and parts of them."""
    if recipe.fit != "crop":
        return (0.0, float(height)), (0.0, float(width))
    scale = min(height / recipe.height, width / recipe.width) * recipe.keep
    tall, wide = recipe.height * scale, recipe.width * scale
    return ((height - tall) / 2, (height + tall) / 2), ((width - wide) / 2, (width + wide) / 2)


def _room(height: int, width: int, recipe: Recipe) -> tuple[slice, slice]:
    """Which rows and columns of the network's input the picture fills."""
    if recipe.fit != "pad":
        return slice(0, recipe.height), slice(0, recipe.width)
    scale = min(recipe.height / height, recipe.width / width)
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (recipe.height - tall) // 2, (recipe.width - wide) // 2
    return slice(top, top + tall), slice(left, left + wide)


def prepare(pixels: NDArray[np.uint8], recipe: Recipe) -> NDArray[Any]:
    """The network's input for one picture, as `Recipe` says, without the axis of the batch.

    `pixels`: uint8 [height, width, 3], upright sRGB, no side 0; any other array is a ValueError. Gives float32 or
    uint8, [3, height, width] or [height, width, 3] of the recipe, C-contiguous, the same bytes each time.

    A float input is not rounded to whole samples as Pillow rounds (0.3 of 255 in the mean), an uint8 input is.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise ValueError(f"a picture is uint8 [height, width, 3], not {pixels.dtype} {list(pixels.shape)}")
    height, width, _ = pixels.shape
    (top, bottom), (left, right) = _spans(height, width, recipe)
    rows, columns = _room(height, width, recipe)

    as_float = recipe.type == "float32"
    mean = np.array(recipe.mean if as_float else (0, 0, 0), np.float32)
    std = np.array(recipe.std if as_float else (1, 1, 1), np.float32)
    nchw = recipe.layout == "nchw"
    prepared = np.empty((3, recipe.height, recipe.width) if nchw else (recipe.height, recipe.width, 3), np.float32)
    planes = prepared if nchw else prepared.transpose(2, 0, 1)
    if recipe.fit == "pad":
        planes[:] = ((GREY - mean) / std)[:, None, None]
    if recipe.channels == "bgr":
        planes, mean, std = planes[::-1], mean[::-1].copy(), std[::-1].copy()
    _resize(
        np.ascontiguousarray(pixels).reshape(height, 3 * width),
        *_taps(height, top, bottom, rows.stop - rows.start, recipe.resample),
        *_taps(width, left, right, columns.stop - columns.start, recipe.resample),
        mean,
        std,
        planes[:, rows, columns],
    )
    return prepared if as_float else np.rint(prepared).astype(np.uint8)
