"""Triage: what a worker that dies, hangs or lies does to a search."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mantlet import settings
from mantlet.engine import triage
from mantlet.engine.messages import HasRead, Sample, Sampled
from mantlet.engine.triage import Found, search
from mantlet.errors import EvidenceError
from mantlet.known.keyed import BLOCK
from mantlet.known.sets import Sets
from mantlet.types import Absent, Reason
from tests.block_files import MIB, Make, last, noise, whole, written

ABSENT = Absent(Reason.UNREADABLE)


class Fake:
    """A worker that ends, or lies, where it is told to."""

    ends: Sequence[int] = ()
    """Offsets of windows that cost it its life."""
    says: Callable[[Sample], object] | None = None
    blames: int | float | None = None

    def __init__(self) -> None:
        self.clock = [-1.0, 0.0, 0.0]
        self.pipe = self

    def poll(self, _: float) -> bool:
        return True

    def send(self, request: Sample) -> None:
        self.request = request

    def receive(self) -> object:
        for number, offset in enumerate(self.request.offsets):
            if offset in self.ends:
                self.clock[0] = number if self.blames is None else self.blames
                raise EOFError
        if self.says is not None and self.request.offsets:
            return self.says(self.request)
        return Sampled(MIB, held=bytes(len(self.request.offsets)))

    def end(self) -> None:
        pass


def sampled_by(fake: type[Fake], sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Found:
    monkeypatch.setattr(triage, "Worker", fake)
    return whole(sets, known(noise(1, BLOCK)), written(tmp_path / "medium", MIB, {}))


@pytest.mark.parametrize("blames", [None, -1, 10**6, math.nan, math.inf])
def test_a_window_that_costs_a_worker_its_life_is_not_looked_at(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blames: float | None
) -> None:
    fake = type("Dies", (Fake,), {"ends": [0, 7 * BLOCK], "blames": blames})
    if blames is None:
        found = sampled_by(fake, sets, known, tmp_path, monkeypatch)
        assert (found.unreadable, found.looked_at) == (2, 254)
        assert found.reasons == {Reason.CRASHED: 2}
    else:  # it blames others: the first that is left goes, until the right ones have
        found = sampled_by(fake, sets, known, tmp_path, monkeypatch)
        assert (found.unreadable, found.looked_at) == (8, 248)


def test_what_cannot_be_read_is_made_up_for_and_the_rest_is_spoken_of(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the medium is damaged."""

    def half(asked: Sample) -> object:
        unread = [(number, ABSENT) for number, offset in enumerate(asked.offsets) if offset < MIB // 2]
        return Sampled(MIB, held=bytes(len(asked.offsets)), unread=unread)

    monkeypatch.setattr(triage, "Worker", type("Half", (Fake,), {"says": staticmethod(half)}))
    chosen = known(noise(1, 64 * BLOCK))
    found = last(search(written(tmp_path / "medium", MIB, {}), sets.open(chosen), 64 * BLOCK, 0.9, 1))
    assert found.looked_at == found.planned < 20
    assert found.unreadable > 0
    assert found.readable_share == found.looked_at / (found.looked_at + found.unreadable)
    assert found.chance_of_miss <= 0.1
    low, high = found.estimate(0.9)
    assert (low, high >= MIB // 2) == (0, True), "the damaged half may be full of it"


def test_workers_that_end_again_and_again_end_the_search(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = type("Dies", (Fake,), {"ends": range(0, MIB, BLOCK)})
    with pytest.raises(EvidenceError, match="ends abruptly again and again"):
        sampled_by(fake, sets, known, tmp_path, monkeypatch)


def test_a_window_that_takes_too_long_is_not_waited_for(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hangs(Fake):
        def poll(self, _: float) -> bool:
            return 9 * BLOCK not in self.request.offsets

        def overdue(self, seconds: float, listening: float) -> bool:
            assert listening <= time.monotonic()
            self.clock[0] = self.request.offsets.index(9 * BLOCK)
            return seconds == settings.CONTENT_SECONDS

    found = sampled_by(Hangs, sets, known, tmp_path, monkeypatch)
    assert (found.unreadable, found.looked_at, found.reasons) == (1, 255, {Reason.LIMIT: 1})


LIES: dict[str, Callable[[Sample], object]] = {
    "too few windows": lambda asked: Sampled(MIB, held=bytes(len(asked.offsets) - 1)),
    "too few digests": lambda asked: Sampled(MIB, held=b"\x03" * len(asked.offsets), digests=bytes(16)),
    "digests of none": lambda asked: Sampled(MIB, held=bytes(len(asked.offsets)), digests=bytes(16)),
    "half a digest": lambda asked: Sampled(MIB, held=b"\x01" + bytes(len(asked.offsets) - 1), digests=bytes(8)),
    "unread ones outside": lambda asked: Sampled(MIB, held=bytes(len(asked.offsets)), unread=[(10**6, ABSENT)]),
    "unread twice": lambda asked: Sampled(MIB, held=bytes(len(asked.offsets)), unread=[(1, ABSENT), (1, ABSENT)]),
    "unread and read": lambda asked: Sampled(
        MIB, held=b"\x01" + bytes(len(asked.offsets) - 1), digests=bytes(16), unread=[(0, ABSENT)]
    ),
    "something else": lambda _: HasRead({}, 0),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_was_not_asked_for_is_not_taken(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    fake = type("Lies", (Fake,), {"says": staticmethod(LIES[lie])})
    with pytest.raises(EvidenceError, match="again and again"):
        sampled_by(fake, sets, known, tmp_path, monkeypatch)


def test_a_medium_that_changes_its_size_or_goes_away_is_said(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lies(asked: Sample) -> object:
        return Sampled(2 * MIB, held=bytes(len(asked.offsets)))

    with pytest.raises(EvidenceError, match="Its size has changed"):
        sampled_by(type("Lies", (Fake,), {"says": staticmethod(lies)}), sets, known, tmp_path, monkeypatch)
    monkeypatch.undo()
    gone = tmp_path / "gone"
    searching = search(written(gone, 40 * MIB, {}, b"x"), sets.open(sets.all()[0]), 1 << 40, 0.99, 1)
    next(searching)
    next(searching)
    gone.write_bytes(b"")
    with pytest.raises(EvidenceError, match="gone cannot be read"):
        list(searching)
