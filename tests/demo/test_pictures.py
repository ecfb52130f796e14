"""The stand-in pictures: good to hash, far apart, and near to their copies."""

from __future__ import annotations

import io
from itertools import combinations
from typing import get_args

import av
import numpy as np
import pytest
from PIL import Image

from mantlet.demo.pictures import Edit, clip, edited, flat, jpeg, png
from mantlet.demo.scenes import KINDS, scene
from mantlet.fingerprint.pdq import pdq
from mantlet.media.picture import decode
from mantlet.settings import PDQ_DISTANCE


def hashed(data: bytes) -> tuple[int, int]:
    """The PDQ as a number, and its quality."""
    value, quality = pdq(decode(data).pixels)
    return int.from_bytes(value, "big"), quality


def distance(first: bytes, second: bytes) -> int:
    return (hashed(first)[0] ^ hashed(second)[0]).bit_count()


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_hash_well_and_lie_far_apart(kind: str) -> None:
    hashes = [hashed(jpeg(scene(kind, seed))) for seed in range(4)]
    assert min(quality for _, quality in hashes) >= 80
    assert min((a ^ b).bit_count() for (a, _), (b, _) in combinations(hashes, 2)) > 60


@pytest.mark.parametrize("how", get_args(Edit))
def test_edits_stay_near(how: Edit) -> None:
    for kind, seed in (("boat", 10), ("camera", 5), ("lighthouse", 4)):
        image = scene(kind, seed)
        assert distance(jpeg(image), edited(image, how)) <= PDQ_DISTANCE
        assert edited(image, how) != jpeg(image)


def test_edits_are_what_they_say() -> None:
    image = scene("kite", 9)
    forms = {how: Image.open(io.BytesIO(edited(image, how))) for how in get_args(Edit)}
    assert [forms[how].format for how in ("palette", "cmyk")] == ["PNG", "JPEG"]
    assert [forms[how].mode for how in ("palette", "cmyk")] == ["P", "CMYK"]
    assert forms["turned"].getexif()[0x0112] == 6
    assert forms["turned"].size == image.size[::-1]
    assert forms["resized"].width == image.width * 4 // 5
    assert len(edited(image, "recompressed")) < len(jpeg(image)) / 2


def test_turned_shows_upright() -> None:
    image = scene("house", 12)
    upright = decode(edited(image, "turned"))
    assert (upright.width, upright.height) == image.size
    assert np.abs(upright.pixels.astype(int) - np.asarray(image)).mean() < 4


def test_flat_is_too_flat() -> None:
    assert hashed(flat())[1] < 50


def test_png_loses_nothing() -> None:
    image = scene("teapot", 7)
    assert (np.asarray(Image.open(io.BytesIO(png(image)))) == np.asarray(image)).all()


def test_clip_has_two_scenes_and_sound() -> None:
    with av.open(io.BytesIO(clip())) as film:
        assert film.duration == pytest.approx(4 * av.time_base, rel=0.02)
        assert len(film.streams.audio) == 1
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 48
    assert frames[0].shape == (240, 320, 3)
    hashes = [int.from_bytes(pdq(np.ascontiguousarray(frames[n]))[0], "big") for n in (0, 2, 46)]
    assert (hashes[0] ^ hashes[1]).bit_count() < 60
    assert (hashes[0] ^ hashes[2]).bit_count() > 60


def test_same_bytes_each_time() -> None:
    assert jpeg(scene("boat", 7)) == jpeg(scene("boat", 7))
    assert clip() == clip()
