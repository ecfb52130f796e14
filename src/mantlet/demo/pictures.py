"""Encodes stand-in scenes as picture files, with the edits that copies undergo, and as a short film."""

from __future__ import annotations

import io
from typing import Any, Final, Literal

import av
import numpy as np
from PIL import Image

from mantlet.demo.scenes import scene

Edit = Literal["recompressed", "resized", "turned", "palette", "cmyk"]

_ORIENTATION_TAG: Final = 0x0112
_TURN_CLOCKWISE: Final = 6
"""EXIF orientation of pixels stored a quarter turn anticlockwise (Exif 2.32, section 4.6.4)."""

_FRAME: Final = (320, 240)
_FRAMES_PER_SECOND: Final = 12
_FRAMES_PER_SCENE: Final = 24
_SOUND_RATE: Final = 44_100
# x264 may write other bytes each time, unless it is CPU-independent and on one thread.
_FILM_CODEC: Final = ("libx264", {"crf": "24", "x264-params": "cpu-independent=1"})
_FILM_CODEC_ELSE: Final = ("mpeg4", {"b": "400k"})


def jpeg(image: Image.Image, quality: int = 88) -> bytes:
    """`image` as a plain JPEG, `quality` on libjpeg's scale of 1 to 95."""
    return _encoded(image, "JPEG", quality=quality)


def png(image: Image.Image) -> bytes:
    """`image` as a true-colour PNG."""
    return _encoded(image, "PNG")


def edited(image: Image.Image, how: Edit) -> bytes:
    """`image` as the file a copy of it might be: to the eye, and to a perceptual hash, the same picture.

    "turned" stores the pixels lying on their side with the EXIF orientation that puts them upright.
    """
    if how == "recompressed":
        return jpeg(image, 45)
    if how == "resized":
        return jpeg(image.resize((image.width * 4 // 5, image.height * 4 // 5), Image.Resampling.LANCZOS))
    if how == "turned":
        exif = Image.Exif()
        exif[_ORIENTATION_TAG] = _TURN_CLOCKWISE
        return _encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=88, exif=exif)
    if how == "palette":
        return _encoded(image.quantize(48), "PNG")
    return _encoded(image.convert("CMYK"), "JPEG", quality=85)


def flat() -> bytes:
    """A JPEG of one colour, too flat for a perceptual hash to mean anything."""
    return jpeg(Image.new("RGB", (640, 480), "#5b7f95"))


def clip() -> bytes:
    """An MP4 film of 4 s in 320x240: a pan over a boat, then one over a lighthouse, with a quiet tone."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        codec, options = _FILM_CODEC if _FILM_CODEC[0] in av.codecs_available else _FILM_CODEC_ELSE
        picture = container.add_stream(codec, rate=_FRAMES_PER_SECOND, options=options)
        picture.width, picture.height = _FRAME
        picture.pix_fmt = "yuv420p"
        picture.gop_size = _FRAMES_PER_SCENE
        picture.codec_context.thread_count = 1
        sound = container.add_stream("aac", rate=_SOUND_RATE, layout="mono")
        for image in _pan("boat", 12) + _pan("lighthouse", 12):
            container.mux(picture.encode(av.VideoFrame.from_image(image)))
        container.mux(picture.encode(None))
        container.mux(sound.encode(_tone(2 * _FRAMES_PER_SCENE / _FRAMES_PER_SECOND)))
        container.mux(sound.encode(None))
    return file.getvalue()


def _pan(kind: str, seed: int) -> list[Image.Image]:
    """One scene of the film: a view that drifts to the right over a drawing."""
    image = scene(kind, seed)
    high = image.height * 0.88
    wide = high * _FRAME[0] / _FRAME[1]
    views = []
    for number in range(_FRAMES_PER_SCENE):
        left = (image.width - wide) * number / (_FRAMES_PER_SCENE - 1)
        box = (left, image.height - high, left + wide, image.height)
        views.append(image.resize(_FRAME, Image.Resampling.BILINEAR, box, reducing_gap=2.0))
    return views


def _tone(seconds: float) -> av.AudioFrame:
    """A quiet A (440 Hz)."""
    times = np.arange(round(seconds * _SOUND_RATE)) / _SOUND_RATE
    wave = (0.05 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    frame.sample_rate = _SOUND_RATE
    return frame


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()
