"""Preparing against Pillow: slow and obviously right, the compiled one must agree with it."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mantlet.recognise.manifest import Recipe
from mantlet.recognise.prepare import GREY, prepare

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SIZES = [(1, 1), (1, 1000), (1000, 1), (7, 1023), (1023, 7), (3, 5), (48, 40), (49, 41), (200, 300), (700, 1023)]


def drawn(height: int, width: int) -> NDArray[np.uint8]:
    """Discs and stripes over a slope of colour: sharp edges and smooth parts, as photographs have."""
    slope = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 100, width))
    image = Image.fromarray(np.stack([slope, 220 - slope, slope / 2 + 90], axis=2).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    side = min(height, width)
    draw.ellipse((width // 5, height // 5, width // 5 + side // 2, height // 5 + side // 2), fill=(250, 30, 10))
    for stripe in range(0, width, 9):
        draw.line((stripe, height // 2, stripe + 4, height), fill=(5, 5, 60), width=2)
    return np.array(image)


def noise(height: int, width: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def by_pillow(pixels: NDArray[np.uint8], recipe: Recipe) -> NDArray[Any]:
    """What the recipe says, in Pillow's steps."""
    height, width, _ = pixels.shape
    image, filter_ = Image.fromarray(pixels), RESAMPLING[recipe.resample]
    size = (recipe.width, recipe.height)
    if recipe.fit == "stretch":
        fitted = image.resize(size, filter_)
    elif recipe.fit == "crop":
        scale = min(width / recipe.width, height / recipe.height) * recipe.keep
        left, top = (width - scale * recipe.width) / 2, (height - scale * recipe.height) / 2
        fitted = image.resize(size, filter_, box=(left, top, width - left, height - top))
    else:
        scale = min(recipe.width / width, recipe.height / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        fitted = Image.new("RGB", size, (GREY, GREY, GREY))
        place = (recipe.width - inner[0]) // 2, (recipe.height - inner[1]) // 2
        fitted.paste(image.resize(inner, filter_), place)
    samples = np.asarray(fitted)
    if recipe.channels == "bgr":
        samples = samples[:, :, ::-1]
    if recipe.type == "float32":
        samples = ((samples - np.array(recipe.mean)) / np.array(recipe.std)).astype(np.float32)
    return samples.transpose(2, 0, 1) if recipe.layout == "nchw" else samples


def agree(pixels: NDArray[np.uint8], recipe: Recipe) -> None:
    """To half a sample of 255 in the mean, and to one anywhere: but the cubic overshoots, and Pillow cuts that off
    between its two passes as well."""
    made, right = prepare(pixels, recipe), by_pillow(pixels, recipe)
    assert (made.shape, made.dtype, made.flags.c_contiguous) == (right.shape, right.dtype, True)
    apart = np.abs(made.astype(np.float64) - right)
    if recipe.type == "float32":
        std = np.array(recipe.std)
        apart *= std[:, None, None] if recipe.layout == "nchw" else std
    bilinear = recipe.resample == "bilinear"
    assert apart.mean() <= (0.5 if bilinear else 1.0)
    assert apart.max() <= (1.01 if bilinear else 40)


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_fit_of_every_size(size: tuple[int, int], fit: Any, resample: Any) -> None:
    for width, height in ((48, 40), (224, 224)):
        recipe = Recipe(input="x", width=width, height=height, fit=fit, resample=resample)
        agree(drawn(*size), recipe)
        agree(noise(*size), recipe)


@pytest.mark.parametrize(
    ("layout", "channels", "type_"), list(itertools.product(["nchw", "nhwc"], ["rgb", "bgr"], ["float32", "uint8"]))
)
def test_every_layout_and_type(layout: Any, channels: Any, type_: Any) -> None:
    for fit in ("stretch", "pad"):
        recipe = Recipe(
            input="x",
            width=56,
            height=64,
            fit=fit,  # type: ignore[arg-type]
            layout=layout,
            channels=channels,
            type=type_,
            mean=(123.7, 116.3, 103.5),
            std=(58.4, 57.1, 57.4),
        )
        agree(drawn(90, 130), recipe)


@given(
    st.tuples(st.integers(1, 80), st.integers(1, 80)),
    st.tuples(st.integers(8, 70), st.integers(8, 70)),
    st.sampled_from(["stretch", "crop", "pad"]),
    st.sampled_from(["bilinear", "bicubic"]),
    st.floats(0.1, 1),
)
@settings(max_examples=150, deadline=None)
def test_any_size_to_any_size(
    size: tuple[int, int], target: tuple[int, int], fit: Any, resample: Any, keep: float
) -> None:
    agree(drawn(*size), Recipe(input="x", width=target[1], height=target[0], fit=fit, keep=keep, resample=resample))


def test_a_crop_keeps_the_middle() -> None:
    pixels = np.zeros((100, 300, 3), np.uint8)
    pixels[:, 100:200] = 200
    cropped = prepare(pixels, Recipe(input="x", width=50, height=50, fit="crop", keep=0.9, type="uint8"))
    assert (cropped == 200).all()
    whole = prepare(pixels, Recipe(input="x", width=50, height=50, type="uint8"))
    assert (whole == 0).mean() > 0.6


def test_padding_is_grey_and_only_around_the_picture() -> None:
    padded = prepare(
        np.full((100, 300, 3), 255, np.uint8), Recipe(input="x", width=60, height=60, fit="pad", layout="nhwc")
    )
    assert np.allclose(padded[20:40], 1)
    assert np.allclose(np.delete(padded, slice(20, 40), axis=0), GREY / 255)


def test_a_fine_pattern_becomes_grey_and_not_another_pattern() -> None:
    """What a filter that is not widened by the reduction gets wrong."""
    lines = np.zeros((900, 900, 3), np.uint8)
    lines[:, ::2] = 255
    made = prepare(lines, Recipe(input="x", width=64, height=64, type="uint8"))
    assert np.abs(made.astype(int) - 127).max() < 12


def test_the_same_pixels_give_the_same_bytes_however_they_lie_in_memory() -> None:
    pixels = drawn(333, 222)
    recipe = Recipe(input="x", width=96, height=96)
    once = prepare(pixels, recipe).tobytes()
    assert prepare(pixels, recipe).tobytes() == once
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2)).transpose(1, 0, 2)
    assert prepare(turned, recipe).tobytes() == once
    locked = pixels.copy()
    locked.flags.writeable = False
    assert prepare(locked, recipe).tobytes() == once


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=lambda pixels: f"{pixels.dtype} {pixels.shape}",
)
def test_what_is_no_picture_is_said_so(pixels: Any) -> None:
    with pytest.raises(ValueError, match="a picture is uint8"):
        prepare(pixels, Recipe(input="x", width=8, height=8))
