"""What stages see of one content, and what a page shows of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from PIL import Image

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.reach import Reach
from mantlet.evidence.stream import Memory, Stream
from mantlet.fingerprint import digests, pdq
from mantlet.media import clip, picture, probe
from mantlet.media.picture import Pixels
from mantlet.types import Address, Content, Kind, Reason

T = TypeVar("T")


class Sight:
    """What stages see of one content: decoded at most once, however many ask. `data` is None for a long clip.

    `shown`: whether a model will ask for the pixels of a clip's frames.
    """

    def __init__(self, content: Content, data: bytes | None, stream: Stream, *, shown: bool = False) -> None:
        self.content = content
        self.data = data
        self._stream = stream
        self._pixels = _Thinned(settings.KEY_FRAMES) if shown else None

    @cached_property
    def _decoded(self) -> picture.Picture | Exception:
        return _or_error(lambda: picture.decode(self.data or b""))

    @cached_property
    def _frames(self) -> tuple[clip.Clip, list[tuple[float, bytes, int]]] | Exception:
        return _or_error(self._read_frames)

    @cached_property
    def _pdq(self) -> tuple[bytes, int, list[bytes]]:
        return pdq.pdq_and_forms(self.picture.pixels)

    @property
    def still(self) -> bool:
        return self.content.kind is Kind.STILL

    @property
    def picture(self) -> picture.Picture:
        return _raised(self._decoded)

    @property
    def about_clip(self) -> clip.Clip:
        return _raised(self._frames)[0]

    @property
    def frames(self) -> list[tuple[float, bytes, int]]:
        """Key frames of a clip that differ: seconds, PDQ, quality; at most `settings.KEY_FRAMES`."""
        return _raised(self._frames)[1]

    @cached_property
    def shown(self) -> list[Pixels]:
        """The pixels of a still, or of frames of a clip that differ, at even distances: what a model looks at."""
        if self.still:
            return [self.picture.pixels]
        _raised(self._frames)
        return self._pixels.kept() if self._pixels else []

    @property
    def pdq(self) -> tuple[bytes, int, list[bytes]]:
        """Hash and quality of a still, and the hashes of its forms (`pdq.FORMS`). Raises RefusedError for a damaged
        one."""
        self._refuse_damaged()
        return self._pdq

    @property
    def stretched_pdq(self) -> tuple[bytes, int, list[bytes]]:
        """As `pdq`, by `picture.STRETCHED`."""
        self._refuse_damaged()
        return pdq.pdq_and_forms(picture.stretched(self.picture))

    def _refuse_damaged(self) -> None:
        if self.picture.damage:
            raise RefusedError(Reason.DAMAGED, f"Parts of the picture are missing: {self.picture.damage}.")

    def _read_frames(self) -> tuple[clip.Clip, list[tuple[float, bytes, int]]]:
        if self.content.mime.startswith("image/"):
            about, frames = clip.animation_frames(self.data or b"")
        else:
            about, frames = clip.open_clip(Memory(self.data) if self.data is not None else self._stream)
        kept: list[tuple[float, bytes, int]] = []
        for frame in frames:
            value, quality = pdq.pdq(frame.pixels)
            if all(pdq.distance(value, other) > settings.PDQ_DISTANCE for _, other, _ in kept):
                kept.append((round(frame.seconds, 3), value, quality))
                if self._pixels:
                    self._pixels.add(frame.pixels)
        if not kept:
            raise RefusedError(Reason.UNREADABLE, "No frame of it can be decoded.")
        most = settings.KEY_FRAMES
        return about, [kept[number * len(kept) // most] for number in range(most)] if len(kept) > most else kept


class _Thinned:
    """At most so many pictures, evenly from however many come: never more than twice as many are held."""

    def __init__(self, most: int) -> None:
        self._most, self._every, self._met = most, 1, 0
        self._held: list[Pixels] = []

    def add(self, pixels: Pixels) -> None:
        if self._met % self._every == 0:
            self._held.append(pixels)
        self._met += 1
        if len(self._held) == 2 * self._most:
            self._held, self._every = self._held[::2], 2 * self._every

    def kept(self) -> list[Pixels]:
        most = min(self._most, len(self._held))
        return [self._held[number * len(self._held) // most] for number in range(most)]


def draw(address: Address, reach: Reach, side: int, sha256: str) -> Image.Image:
    """The picture, or a clip's first key frame, within a square of `side` pixels: for showing, never for storing.

    A picture is refused whose bytes are no longer those scanned, `sha256`; of a clip they are too many to check.
    """
    with reach.open(address) as stream:
        form = probe.probe(stream.read_at(0, probe.HEAD_BYTES))
        if form is not None and form.kind is Kind.MOVING:
            pixels = clip.first_frame(stream)
        else:
            data = stream.read_at(0, min(stream.size, settings.IN_MEMORY_BYTES))
            if digests.of_bytes(data).sha256 != sha256:
                raise RefusedError(Reason.UNREADABLE, "Other bytes lie there now than when it was scanned.")
            pixels = picture.decode(data).pixels
        return picture.thumbnail(pixels, side)


def _or_error(call: Callable[[], T]) -> T | Exception:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - kept, to be raised to each stage that asks
        return error


def _raised(value: T | Exception) -> T:
    if isinstance(value, Exception):
        raise value
    return value
