"""Sets of national size, on disk: how fast they open and answer, and that nothing is missed in them.

They are made by the real builder, but from columns of random numbers: 100 million records of Python would take long.
"Realistic" hashes are skewed as real ones are: each 16 bits are those of one of two hashes of crops of photographs.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mantlet import settings
from mantlet.fingerprint.pdq import pdq
from mantlet.known import near
from mantlet.known.build import WIDTHS, Builder
from mantlet.known.columns import Folder
from mantlet.known.opened import Opened
from mantlet.known.records import Category
from mantlet.known.sets import Sets
from mantlet.settings import GIB
from tests.acceptance.figure import Figure
from tests.conftest import SHARED

SEED: Final = 20_260_404
MILLION: Final = 1_000_000
DIGESTS: Final = 100 * MILLION
_CHUNK: Final = MILLION
_LOOK_UPS: Final = 200_000
_AT_ONCE: Final = 1_000
_MICROSECONDS: Final = 10.0
_SECONDS: Final = 1.0
_MAPPED: Final = 11_000_000_000
_ROOM: Final = 25 * GIB
_CROPS: Final = 6
_ASKED: Final = 2_000
_COMPARED: Final = 200

Chunks = Iterator[NDArray[np.uint8]]


def digests(folder: Path) -> Figure:
    """100 million SHA-1: half of what is asked is there, the other half is not."""
    source = np.random.default_rng(SEED)
    opened, making = _put(folder, "sha1", (source.bytes(20 * _CHUNK) for _ in range(DIGESTS // _CHUNK)))
    started = time.perf_counter()
    fresh = Sets(folder / "home")
    again = fresh.open(fresh.named(["scale"])[0])
    again.find("sha1", np.zeros((1, 20), np.uint8))
    opening = time.perf_counter() - started

    rows = source.integers(0, DIGESTS, _LOOK_UPS // 2)
    there = opened._hashes["sha1"][rows]
    asked = np.concatenate([there, source.integers(0, 256, there.shape, np.uint8)])
    again.find("sha1", asked)  # its pages are in memory now
    together = _cpu(lambda: [again.find("sha1", asked[at : at + _AT_ONCE]) for at in range(0, len(asked), _AT_ONCE)])
    single = asked[:: len(asked) // 20_000]
    alone = _cpu(lambda: [again.find("sha1", each.reshape(1, -1)) for each in single])
    found = {place: row for place, row in again.find("sha1", asked)}  # noqa: C416 - pairs to a table
    missed = sum(found.get(place) != row for place, row in enumerate(rows.tolist()))
    wrong = sum(place >= len(rows) for place in found)
    each, one = 1e6 * together / len(asked), 1e6 * alone / len(single)
    return Figure(
        f"{DIGESTS:,} SHA-1 open in {1000 * opening:.1f} ms; a look-up takes {each:.2f} us ({_AT_ONCE:,} at once) or "
        f"{one:.2f} us (one at a time); {missed} of {len(rows):,} missed, {wrong} found that are not there; "
        f"made in {making:.0f} s",
        f"{_SECONDS:.0f} s, {_MICROSECONDS:.0f} us, 0 missed",
        opening < _SECONDS and max(each, one) <= _MICROSECONDS and not missed and not wrong,
    )


def _hashes(count: int, least: int, realistic: bool, folder: Path) -> Figure:
    """PDQ within 31 bits; half of what is asked is planted, at 0 to 31 bits. Realistic ones have no least rate."""
    rate = f"{least:,} a second, " if least else ""
    limit = f"{rate}{_MAPPED / 1e9:.0f} GB, {_SECONDS:.0f} s, all found, as the full scan"
    free = shutil.disk_usage(folder).free
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if count >= 50 * MILLION and (free < _ROOM or memory < _MAPPED * 3 // 2):
        return Figure(f"left out: {free / GIB:.0f} GiB of disk, {memory / GIB:.0f} of memory", limit, passed=True)
    source = np.random.default_rng(SEED)
    if not realistic:
        said, passed = _asked(folder, count, lambda: _random(source), least)
        return Figure(f"{count:,} random PDQ: {said}", limit, passed)
    photographs = SHARED / "data" / "photos"
    if not photographs.is_dir():
        return Figure("left out: shared/data/photos does not lie beside this checkout", limit, passed=True)
    real = _real(photographs)
    said, passed = _asked(folder, count, lambda: _realistic(real, source), least)
    return Figure(f"{count:,} PDQ mixed from {len(real):,} real ones: {said}", limit, passed)


HASHES: Final = {
    f"known.pdq-{millions}m{'-realistic' * realistic}": partial(
        _hashes, millions * MILLION, 0 if realistic else least, realistic
    )
    for millions, least in ((1, 5_000), (10, 3_000), (50, 1_200), (100, 1_000))
    for realistic in (False, True)
}


def _asked(folder: Path, count: int, more: Callable[[], NDArray[np.uint8]], least: int) -> tuple[str, bool]:
    """What one set of hashes answers; whether that is within the limits."""
    opened, making = _put(folder, "pdq", (more() for _ in range(count // _CHUNK)))
    at = Path(folder / "home" / opened.known.folder)
    mapped = sum(path.stat().st_size for path in at.iterdir())
    started = time.perf_counter()
    fresh = Sets(folder / "home")
    again = fresh.open(fresh.named(["scale"])[0])
    again.near(bytes(32))
    opening = time.perf_counter() - started

    random_of = np.random.default_rng(SEED + count)
    rows = random_of.integers(0, count, _ASKED // 2).tolist()
    questions = [
        *(_flipped(opened._hashes["pdq"][row], place % 32, random_of) for place, row in enumerate(rows)),
        *(each.tobytes() for each in more()[: _ASKED // 2]),
    ]
    index = again._near
    assert index is not None
    for array in (index.words, index.starts, index.rows, index.others):
        if array is not None:
            array.reshape(-1)[:: 4096 // array.itemsize].max()  # its pages are in memory now
    answers: list[tuple[NDArray[np.uint32], NDArray[np.uint8]]] = []
    order = random_of.permutation(len(questions)).tolist()
    seconds = _cpu(lambda: answers.extend(again.near(questions[place]) for place in order))
    by_place = dict(zip(order, answers, strict=True))
    missed = sum(row not in by_place[place][0] for place, row in enumerate(rows))
    whole = near.Index(index.words, index.held, index.flag, index.cut)  # without tables: compared one by one
    differ = sum(
        not all(map(np.array_equal, whole.search(questions[place]), by_place[place])) for place in order[:_COMPARED]
    )
    rate = len(questions) / seconds
    found = sum(len(rows) for rows, _ in answers)
    return (
        f"{rate:,.0f} look-ups a CPU second, {mapped / 1e9:.2f} GB mapped, open in {1000 * opening:.1f} ms, {missed} "
        f"of {len(rows):,} planted missed, {differ} of {_COMPARED} differ from the full scan, {found:,} found, made in "
        f"{making:.0f} s",
        rate >= least and mapped <= _MAPPED and opening < _SECONDS and not missed and not differ,
    )


def _put(folder: Path, kind: str, chunks: Iterator[Any]) -> tuple[Opened, float]:
    """A set of hashes of one kind in force, each chunk the bytes of `_CHUNK` of them; seconds that it took."""

    def fill(builder: Builder, _: Folder) -> dict[str, Any]:
        first = 0
        for chunk in chunks:
            numbers = np.arange(first + 1, first + 1 + _CHUNK, dtype=np.uint64)
            builder.add_hashes(kind, numbers, np.frombuffer(chunk, np.uint8).reshape(-1, WIDTHS[kind]))
            first += _CHUNK
        return {
            "version": "1", "status": "notable", "form": "by hand", "sources": [], "digest": "0" * 64,
            "convention": "whole", "meanings": lambda codes: [Category(code, "notable") for code in codes],
        }  # fmt: skip

    sets = Sets(folder / "home")
    started = time.perf_counter()
    known = sets.replace("scale", "tester", fill)
    return sets.open(known), time.perf_counter() - started


def _cpu(call: Callable[[], object]) -> float:
    """Seconds of this process that a call takes."""
    started = time.process_time()
    call()
    return time.process_time() - started


def _random(source: np.random.Generator) -> NDArray[np.uint8]:
    return source.integers(0, 1 << 64, (_CHUNK, 4), np.uint64).view(np.uint8)


def _realistic(real: NDArray[np.uint16], source: np.random.Generator) -> NDArray[np.uint8]:
    one, other = (real[source.integers(0, len(real), _CHUNK)] for _ in range(2))
    return np.where(source.integers(0, 2, one.shape, np.uint8).astype(bool), one, other).view(np.uint8)


def _real(photographs: Path) -> NDArray[np.uint16]:
    """The PDQ of crops of each photograph that are fit to be used: [n, 16]."""
    random_of, found = random.Random(SEED), set[bytes]()
    for path in sorted(photographs.rglob("*.jpg")):
        with Image.open(path) as image:
            whole = image.convert("RGB")
        for _ in range(_CROPS):
            part = random_of.uniform(0.35, 0.9)
            width, height = int(whole.width * part), int(whole.height * part)
            left, top = random_of.randrange(whole.width - width + 1), random_of.randrange(whole.height - height + 1)
            value, quality = pdq(np.asarray(whole.crop((left, top, left + width, top + height))))
            if quality >= settings.PDQ_QUALITY:
                found.add(value)
    return np.frombuffer(b"".join(sorted(found)), np.uint16).reshape(-1, 16)


def _flipped(value: NDArray[np.uint8], bits: int, source: np.random.Generator) -> bytes:
    """A hash that many bits away."""
    whole = np.unpackbits(value)
    whole[source.permutation(256)[:bits]] ^= 1
    return np.packbits(whole).tobytes()
