"""A moving picture as its key frames, duration and whether there is sound; through FFmpeg (PyAV).

Key frames cost a 28th of the CPU of all frames. They need not fall where something happens: a scene shorter than
the distance of two key frames can be missed, and nothing here says otherwise.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final, cast

import av
import av.error
import msgspec
import numpy as np
from PIL import Image, ImageSequence

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.media.picture import Pixels, reduced
from mantlet.types import Reason

_SHORT_SECONDS: Final = 120.0
"""Up to this duration every key frame is decoded; a longer clip is sought at even distances."""
_SEEKS: Final = 2 * settings.KEY_FRAMES
_MOST_KEY_FRAMES: Final = 600

# PyAV before 19 (the last for Python 3.11) refuses a clip whose title is not UTF-8, unless told otherwise.
_OPTIONS: Final[dict[str, Any]] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

av.logging.set_level(None)


class Frame(msgspec.Struct, frozen=True):
    """One key frame: `seconds` from the start, upright pixels as `Picture.pixels`."""

    seconds: float
    pixels: Any


class Clip(msgspec.Struct, frozen=True):
    """A moving picture: size in pixels as shown, `duration` in seconds or None where the file does not say."""

    width: int
    height: int
    duration: float | None
    sound: bool
    codec: str


def open_clip(file: io.IOBase) -> tuple[Clip, Iterator[Frame]]:
    """What a clip says of itself, and its key frames in order of time, decoded as they are asked for.

    Raises:
        RefusedError: no moving picture in it.
        OSError or av.error.FFmpegError: it cannot be read.
    """
    container = av.open(cast(Any, file), **_OPTIONS)
    if not container.streams.video:
        raise RefusedError(Reason.UNREADABLE, "It holds no stream of pictures.")
    stream = container.streams.video[0]
    if stream.width * stream.height > settings.PIXELS_OTHER:
        raise RefusedError(Reason.LIMIT, f"Its frames say they are {stream.width:,} x {stream.height:,} pixels.")
    duration = container.duration / av.time_base if container.duration and container.duration > 0 else None
    clip = Clip(stream.width, stream.height, duration, bool(container.streams.audio), stream.codec_context.name)
    return clip, _key_frames(container, stream, duration)


def _key_frames(container: Any, stream: Any, duration: float | None) -> Iterator[Frame]:
    stream.codec_context.skip_frame = "NONKEY"
    stream.thread_type = "NONE"
    last = -1.0
    if duration is None or duration <= _SHORT_SECONDS:
        for number, frame in enumerate(container.decode(stream)):
            if number >= _MOST_KEY_FRAMES:
                break
            last = frame.time or 0.0
            yield _frame(frame)
        else:
            return
    # Long, or nothing but key frames: what has not been seen yet, at even distances.
    for number in range(_SEEKS if duration else 0):
        at = (duration or 0.0) * number / _SEEKS
        if at <= last:
            continue
        container.seek(int(at * av.time_base))
        frame = next(container.decode(stream), None)
        if frame is not None and (frame.time or 0.0) > last:
            last = frame.time or 0.0
            yield _frame(frame)


def _frame(frame: Any) -> Frame:
    image = reduced(frame.to_image())
    turns = round((frame.rotation or 0) / 90) % 4
    return Frame(float(frame.time or 0.0), np.ascontiguousarray(np.rot90(image, turns)))


def animation_frames(data: bytes) -> tuple[Clip, Iterator[Frame]]:
    """As `open_clip`, for an animated GIF, PNG, WebP or AVIF: frames at even distances."""
    image = Image.open(io.BytesIO(data))
    count = getattr(image, "n_frames", 1)
    if image.width * image.height > settings.PIXELS_OTHER:
        raise RefusedError(Reason.LIMIT, f"Its frames say they are {image.width:,} x {image.height:,} pixels.")
    wanted = {round(number * (count - 1) / max(1, _SEEKS - 1)) for number in range(_SEEKS)}

    def frames() -> Iterator[Frame]:
        seconds = 0.0
        for number, frame in enumerate(ImageSequence.Iterator(image)):
            if number in wanted:
                yield Frame(seconds, reduced(frame))
            seconds += frame.info.get("duration", 0) / 1000

    return Clip(image.width, image.height, None, False, (image.format or "").lower()), frames()


def first_frame(file: io.IOBase) -> Pixels:
    """The first key frame, for a thumbnail."""
    _, frames = open_clip(file)
    frame = next(frames, None)
    if frame is None:
        raise RefusedError(Reason.UNREADABLE, "No frame of it can be decoded.")
    return cast(Pixels, frame.pixels)
