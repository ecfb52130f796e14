"""Whether a medium holds blocks of known files, by a random sample of it: no file system is needed, and it stops when
the chance of having missed a stated amount is as small as stated.

The medium is read in a boxed worker, which is given the secret of the set and never the set; what its digests are of is
looked up here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet import settings
from mantlet.engine import chance
from mantlet.engine.local import Worker
from mantlet.engine.messages import Sample, Sampled
from mantlet.errors import EvidenceError, IntegrityError, UsageError
from mantlet.evidence.container import form_of
from mantlet.known.keyed import BLOCK, DIGEST, SECTOR
from mantlet.known.records import Blocks
from mantlet.types import Absent, Count, Reason, Word

if TYPE_CHECKING:
    from mantlet.known.opened import Opened

_EXHIBIT: Final = "E"
_ROUND: Final = 1024
"""Windows that are read in one go, in the order of the medium. The chance of a miss is told after each, when what was
read is a random sample again."""
_FIRST: Final = 20
"""Hits that are told with their place: the first on the medium."""
_CRASHES: Final = 64
"""Windows that may each cost a worker its life; after that, it is the medium that is left."""
_TICK_SECONDS: Final = 0.5


class Hit(msgspec.Struct, frozen=True, order=True):
    """A block of a known file: the byte of the medium it begins at, and the file's number in the set."""

    offset: Count
    file: Count


class Found(msgspec.Struct):
    """What a triage has found so far. Sizes in bytes; `holding`: how many windows at least would hold a block of the
    set if the amount asked about lay there, 1 where the medium is smaller; `hits`: windows with such a block;
    `reasons`: why windows were not read, and how many."""

    size: int
    windows: int
    holding: int
    planned: int
    seed: int
    looked_at: int = 0
    unreadable: int = 0
    hits: int = 0
    files: set[int] = msgspec.field(default_factory=set)
    first: list[Hit] = msgspec.field(default_factory=list)
    reasons: dict[Word, int] = msgspec.field(default_factory=dict)

    @property
    def chance_of_miss(self) -> float:
        """That a search like this finds nothing though the amount lies in the part of the medium that can be read:
        what lies in the rest is not known. Which windows were read of that part is left to chance alone, and it has no
        more windows than the medium."""
        return chance.of_a_miss(self.windows, self.holding, self.looked_at)

    @property
    def whole(self) -> bool:
        return self.looked_at == self.windows

    @property
    def readable_share(self) -> float | None:
        """Of the windows that were drawn, how many could be read; None before any was."""
        drawn = self.looked_at + self.unreadable
        return self.looked_at / drawn if drawn else None

    def estimate(self, confidence: float) -> tuple[int, int]:
        """At least and at most how many bytes of the medium are blocks of the set: as if none, or each, of the windows
        that could not be read held one."""
        drawn = self.looked_at + self.unreadable
        low, _ = chance.interval(self.windows, drawn, self.hits, confidence)
        _, high = chance.interval(self.windows, drawn, self.hits + self.unreadable, confidence)
        return low * BLOCK, high * BLOCK


def share(blocks: Blocks) -> float:
    """Of the bytes of the files, how many are in blocks of the set."""
    return blocks.kept * BLOCK / blocks.bytes


def findable(blocks: Blocks) -> int:
    """How many bytes the files have together that have a block in the set."""
    return blocks.bytes - blocks.bytes_without_blocks


def search(path: Path, opened: Opened, amount: int, confidence: float, seed: int) -> Iterator[Found]:
    """Samples the medium at `path` until any different whole files of the set that have `amount` bytes together, and a
    block in the set each, would have been missed with a chance of 1 - `confidence` at most; a smaller medium is read
    whole. Where such files have less together, all of them are what is not to be missed. Gives what was found so far,
    the same object, after each round.

    A window that cannot be read is made up for by another, as long as there are no more such than were planned: so the
    chance is that of the part that can be read.

    Raises:
        EvidenceError: the medium cannot be read.
        IntegrityError: the set is damaged.
        UsageError: the set holds no blocks, or what is asked cannot be.
    """
    files = _files(opened, amount, confidence)
    _check(path)
    with closing(_Sampler(path, opened.secret)) as sampler:
        size = sampler.size()
        windows = (size - BLOCK) // SECTOR * SECTOR // BLOCK + 1 if size >= BLOCK else 0
        if not windows:
            raise EvidenceError(f"{path} is smaller than one block of {BLOCK:,} bytes; look at it by hand.")
        holding = chance.least_kept(files, amount) if amount <= size else 1
        planned = chance.least_drawn(windows, holding, confidence) if amount <= size else windows
        found = Found(size, windows, holding, planned, seed)
        yield found
        drawn, most = 0, min(windows, 2 * planned)
        while drawn < most and found.looked_at < planned:
            count = min(_ROUND, most - drawn, planned - found.looked_at)
            places = np.arange(drawn, drawn + count, dtype=np.uint64)
            _add(found, opened, *sampler.sample(np.sort(chance.shuffled(places, windows, seed)).tolist()))
            drawn += count
            yield found


def _files(opened: Opened, amount: int, confidence: float) -> NDArray[np.uint64]:
    """The bytes and blocks of the files of the set that have any."""
    known = opened.known
    if known.blocks is None:
        raise UsageError(
            f"The set '{known.name}' knows whole files, not blocks; `mantlet known blocks FOLDER --name NAME` makes a "
            "set that triage can look for."
        )
    if amount < 1:
        raise UsageError("The amount is 1 byte or more, such as 20MiB.")
    if not 0 < confidence < 1:
        raise UsageError("The confidence is a number between 0 and 1, such as 0.99.")
    files = opened.files
    if files.sum(axis=0).tolist() != [known.blocks.bytes, known.blocks.kept]:
        raise IntegrityError(f"The set '{known.name}' is damaged; make it again.")
    return files[files[:, 1] > 0]


def _check(path: Path) -> None:
    what = {"folder": "a folder", "zip": "an archive"}.get(form_of(path))
    if what:
        raise EvidenceError(f"{path} is {what}, not a device or its image; `mantlet scan` reads it.")


def _add(found: Found, opened: Opened, windows: list[int], answer: Sampled) -> None:
    """Adds what a worker sent of these windows."""
    found.unreadable += len(answer.unread)
    found.looked_at += len(windows) - len(answer.unread)
    for _, absent in answer.unread:
        found.reasons[absent.reason] = found.reasons.get(absent.reason, 0) + 1
    bits = np.unpackbits(np.frombuffer(answer.held, np.uint8).reshape(-1, 1), axis=1, bitorder="little")
    of, sector = np.nonzero(bits)
    hits = set[Hit]()
    with_hit = set[int]()
    for place, row in opened.find("block", np.frombuffer(answer.digests, np.uint8).reshape(-1, DIGEST)):
        window = windows[int(of[place])]
        with_hit.add(window)
        hits.add(Hit(window * BLOCK + int(sector[place]) * SECTOR, opened.number(row)))
    found.hits += len(with_hit)
    found.files |= {hit.file for hit in hits}
    found.first = sorted({*found.first, *hits})[:_FIRST]


class _Sampler:
    """A boxed worker that reads windows of one medium; replaced when one costs it its life."""

    def __init__(self, path: Path, secret: bytes) -> None:
        self._path, self._secret = path, secret
        self._size: int | None = None
        self._crashes = 0
        self._worker = Worker()

    def size(self) -> int:
        """Of the medium, in bytes. Raises EvidenceError."""
        answer = self._ask([])
        if isinstance(answer, Absent):
            raise EvidenceError(f"{self._path} cannot be read. {answer.detail}")
        if answer.sequential:
            raise EvidenceError(
                f"{self._path} is compressed as a whole, so each round would read all of it; decompress it, or scan it."
            )
        self._size = answer.size
        return answer.size

    def sample(self, windows: list[int]) -> tuple[list[int], Sampled]:
        """These windows in the order they were read, and what is in them. Raises EvidenceError."""
        lost = list[tuple[int, Absent]]()
        left = list(windows)
        while isinstance(answer := self._ask(left), Absent):
            blamed = self._worker.clock[0]  # what a worker that was taken over says: any number, or none
            self._replace(anew=bool(left))
            lost.append((left.pop(int(blamed) if 0 <= blamed < len(left) else 0), answer))
        unread = answer.unread + [(number, absent) for number, (_, absent) in enumerate(lost, len(left))]
        held = answer.held + bytes(len(lost))
        return left + [window for window, _ in lost], msgspec.structs.replace(answer, held=held, unread=unread)

    def _ask(self, windows: list[int]) -> Sampled | Absent:
        """The worker's answer, or why there is none. Raises EvidenceError where the medium cannot be read."""
        asked = Sample({_EXHIBIT: str(self._path)}, _EXHIBIT, [window * BLOCK for window in windows], self._secret)
        try:
            self._worker.send(asked)
            if not self._waited():
                return Absent(Reason.LIMIT, f"It took longer than {settings.CONTENT_SECONDS} seconds.")
            answer = self._worker.receive()
            if not isinstance(answer, Sampled):
                raise ValueError("no answer to what was asked")
            answer.check(asked)
        except (EOFError, OSError):
            return Absent(Reason.CRASHED, "The process that read it ended abruptly.")
        except (ValueError, RecursionError):
            return Absent(Reason.CRASHED, "The process that read it gave an answer that cannot be right.")
        if answer.fault or self._size not in (None, answer.size):
            raise EvidenceError(f"{self._path} cannot be read. {answer.fault or 'Its size has changed.'}")
        return answer

    def _waited(self) -> bool:
        """Whether an answer comes before one window has taken too long; time in which all stood still (Ctrl-Z) does not
        count."""
        turned, listening = time.monotonic(), 0.0
        while not self._worker.pipe.poll(_TICK_SECONDS):
            turned, before = time.monotonic(), turned
            if turned - before > settings.CONTENT_SECONDS / 2:
                listening = turned
            if self._worker.overdue(settings.CONTENT_SECONDS, listening):
                return False
        return True

    def _replace(self, anew: bool) -> None:
        self._crashes += 1
        if self._crashes > _CRASHES or not anew:
            raise EvidenceError(
                f"{self._path} cannot be read: the process that reads it ends abruptly again and again."
            )
        self._worker.end()
        self._worker = Worker()

    def close(self) -> None:
        self._worker.end()
