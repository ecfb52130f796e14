"""Clips as key frames, duration and sound; made by code."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.stream import Memory
from mantlet.media import clip
from mantlet.sight import Sight
from mantlet.types import Content, Kind


def video(seconds: int, *, width: int = 320, height: int = 240, sound: bool = False, gop: int = 10) -> bytes:
    """MPEG-4 at 10 frames a second; a key frame every `gop` frames; each second another colour."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.gop_size, stream.pix_fmt = width, height, gop, "yuv420p"
        tone: Any = container.add_stream("aac", rate=8000, layout="mono") if sound else None
        for number in range(seconds * 10):
            pixels = np.zeros((height, width, 3), np.uint8)
            pixels[:, : 10 + (number // 10 * 37) % (width - 10)] = (number // 10 * 53 % 256, 120, 200)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
        if tone:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 8000
            container.mux(tone.encode(frame))
            container.mux(tone.encode())
    return file.getvalue()


def test_a_clip_says_its_size_duration_and_whether_there_is_sound() -> None:
    about, _ = clip.open_clip(Memory(video(3, sound=True)))
    assert (about.width, about.height, about.sound, about.codec) == (320, 240, True, "mpeg4")
    assert about.duration == pytest.approx(3.0, abs=0.2)
    assert clip.open_clip(Memory(video(3)))[0].sound is False


def test_every_key_frame_of_a_short_clip_is_given_in_order() -> None:
    _, frames = clip.open_clip(Memory(video(4)))
    assert [frame.seconds for frame in frames] == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.01)


def test_a_long_clip_is_sampled_evenly_from_start_to_end() -> None:
    _, frames = clip.open_clip(Memory(video(200, width=64, height=48)))
    times = [frame.seconds for frame in frames]
    assert len(times) <= 2 * settings.KEY_FRAMES
    assert times == sorted(set(times))
    assert times[0] == 0.0
    assert times[-1] > 190
    assert max(b - a for a, b in itertools.pairwise(times)) < 8


@pytest.mark.parametrize(("frames", "shown"), [(5, 5), (100, settings.KEY_FRAMES)])
def test_models_are_shown_frames_from_all_of_a_clip(frames: int, shown: int) -> None:
    """Each frame is shuffled anew and a little brighter than the one before: that tells where those shown come from."""
    shuffled = np.random.default_rng(1).permuted(np.tile(np.linspace(0, 49, 48, dtype=np.uint8), (frames, 1)), axis=1)
    grey = shuffled.reshape(frames, 6, 8) + np.arange(0, 2 * frames, 2, dtype=np.uint8)[:, None, None]
    pictures = [Image.fromarray(each).resize((320, 240), Image.Resampling.NEAREST).convert("RGB") for each in grey]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.gop_size, stream.pix_fmt, stream.bit_rate = 320, 240, 1, "yuv420p", 9**7
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    data = file.getvalue()
    content = Content("0" * 64, "0" * 32, "0" * 40, len(data), Kind.MOVING, "video/mp4")
    seen = [float(pixels.mean()) for pixels in Sight(content, data, Memory(data), shown=True).shown]
    assert len(seen) == shown
    at = np.argmin(np.abs(np.asarray(seen)[:, None] - [np.asarray(picture).mean() for picture in pictures]), axis=1)
    assert at[0] < frames / 10
    assert at[-1] >= frames * 0.8
    assert np.abs(np.diff(at) - frames / shown).max() <= frames / 20 + 2


def test_what_is_cut_or_no_clip_at_all_is_refused_by_an_exception() -> None:
    data = video(3)
    with pytest.raises((OSError, ValueError)):
        clip.open_clip(Memory(data[: len(data) // 2]))
    with pytest.raises((OSError, ValueError)):
        clip.open_clip(Memory(b"\x00\x00\x00\x18ftypisom" + bytes(100)))


def test_sound_alone_is_no_clip() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        tone: Any = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(tone.encode(frame))
        container.mux(tone.encode())
    with pytest.raises(RefusedError, match="no stream of pictures"):
        clip.open_clip(Memory(file.getvalue()))


def test_an_animation_gives_frames_over_its_whole_length() -> None:
    images = [Image.new("RGB", (40, 30), (value, 0, 0)) for value in range(0, 250, 2)]
    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=50)
    about, frames = clip.animation_frames(file.getvalue())
    listed = list(frames)
    assert (about.width, about.height, about.sound) == (40, 30, False)
    assert len(listed) == 2 * settings.KEY_FRAMES
    assert listed[-1].seconds > 6


def test_real_clips_give_frames(shared: Path) -> None:
    for path in sorted((shared / "videos").iterdir()):
        with path.open("rb") as file:
            about, frames = clip.open_clip(file)
            assert about.sound
            assert len(list(frames)) >= 3
