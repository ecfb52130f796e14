"""Pictures for the page, drawn from the exhibit when they are asked for.

Veiled tiles are kept in memory, up to a limit; clear pictures are drawn anew each time and kept nowhere. Blur and
grey are put on by the boxed worker, so that clear pixels leave it only when a person asks to look. It sends pixels;
the JPEG for the browser is made here, so that no file from a worker ever reaches the browser's decoder.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

import msgspec
import numpy as np
import simplejpeg

from mantlet.case import queries
from mantlet.case.case import Case
from mantlet.engine.local import Drawer
from mantlet.engine.messages import Draw, Drawn
from mantlet.settings import MIB
from mantlet.types import Absent, Reason

TILE_SIDE: Final = 192
"""Pixels of a veiled tile's longest side."""
LOOK_SIDE: Final = 640
"""Pixels of a clear picture's longest side."""
CACHE_BYTES: Final = 64 * MIB
_COPIES: Final = 4
"""How many copies of a content are tried, where the first cannot be reached."""


class Shown(msgspec.Struct, frozen=True):
    """A JPEG, or why there is none."""

    jpeg: bytes = b""
    absent: Absent | None = None


class Tiles:
    """May be used from several threads. A worker of its own draws clear pictures, so that none waits for tiles."""

    def __init__(self, case: Case, cache_bytes: int = CACHE_BYTES) -> None:
        self._case = case
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached, self._most = 0, cache_bytes
        self._lock = threading.Lock()
        self._tiles, self._looks = _Easel(), _Easel()

    def veiled(self, sha256: str) -> Shown:
        with self._lock:
            kept = self._cache.get(sha256)
            if kept is not None:
                self._cache.move_to_end(sha256)
                return Shown(kept)
        drawn = self._draw(self._tiles, sha256, TILE_SIDE, veiled=True)
        if drawn.absent is None:
            self._keep(sha256, drawn.jpeg)
        return drawn

    def clear(self, sha256: str) -> Shown:
        """Drawn, and not yet shown to anyone: who sends it on records that it was seen."""
        return self._draw(self._looks, sha256, LOOK_SIDE, veiled=False)

    def _draw(self, easel: _Easel, sha256: str, side: int, *, veiled: bool) -> Shown:
        exhibits = {each.id: each.path for each in self._case.exhibits()}
        drawn = Drawn(absent=Absent(Reason.NOT_RUN, "There is no such content in this case."))
        for address in queries.addresses(self._case, sha256)[:_COPIES]:
            drawn = easel.draw(Draw(sha256, address, exhibits, side, veiled))
            if drawn.absent is None or drawn.absent.reason in (Reason.CRASHED, Reason.LIMIT):
                break  # a copy has the same bytes, and would cost another worker
        return _jpeg(drawn) if drawn.absent is None else Shown(absent=drawn.absent)

    def _keep(self, sha256: str, jpeg: bytes) -> None:
        with self._lock:
            self._cached += len(jpeg) - len(self._cache.pop(sha256, b""))
            self._cache[sha256] = jpeg
            while self._cached > self._most:
                self._cached -= len(self._cache.popitem(last=False)[1])

    def close(self) -> None:
        self._tiles.close()
        self._looks.close()


def _jpeg(drawn: Drawn) -> Shown:
    """The drawn pixels, whose number the drawer has checked, as a file."""
    rows = np.frombuffer(drawn.pixels, np.uint8).reshape(drawn.height, drawn.width, drawn.channels)
    colours, sampling = ("GRAY", "Gray") if drawn.channels == 1 else ("RGB", "420")
    return Shown(simplejpeg.encode_jpeg(rows, 80, colours, sampling))


class _Easel:
    """A drawing worker that several threads take turns at."""

    def __init__(self) -> None:
        self._drawer = Drawer()
        self._turn = threading.Lock()

    def draw(self, request: Draw) -> Drawn:
        with self._turn:
            return self._drawer.draw(request)

    def close(self) -> None:
        self._drawer.close()  # without waiting for a turn: a picture in the making ends with its worker
