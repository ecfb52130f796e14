"""Measuring on request: one stage states what it finds of contents that a case has already.

Each content is read again where it lay, in boxed workers as in a scan, and only what has its SHA-256 is measured. What
is found is merged as a scan merges it, in batches under a Merkle root; what cannot be reached is told, not stored: the
evidence is as it was. There is nothing to resume: asked again, contents that have the finding are left alone.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from mantlet import __version__, settings
from mantlet.case.case import Case
from mantlet.case.scan import Scan
from mantlet.engine import local
from mantlet.engine.alone import only_scan
from mantlet.engine.messages import Model
from mantlet.errors import EvidenceError, UsageError
from mantlet.evidence.container import form_of
from mantlet.recognise.manifest import VERSION
from mantlet.types import Address, Entry, Node, Rows, Task

log = logging.getLogger("mantlet")

_AT_ONCE: Final = 10_000
"""Contents whose addresses are held in memory together."""
_COPIES: Final = 3
"""Copies of a content that are tried, one after the other."""


class Measured(msgspec.Struct, frozen=True):
    """How many contents were stated now, and how many had the finding before; and why others could not be: the
    SHA-256 of each, with a sentence."""

    measured: int
    before: int
    out_of_reach: dict[str, str]


class _Work:
    """The nodes of one round. A worker's `Unread` are reasons to tell and are kept from the case."""

    def __init__(self, case: Case, nodes: Iterable[Node], note: Callable[[Rows], None]) -> None:
        self._nodes = deque(nodes)
        self._scan = Scan(case)
        self._note = note
        self.why: dict[Address, str] = {}
        self.faults: dict[str, str] = {}

    def take(self) -> Node | None:
        while self._nodes:
            node = self._nodes.popleft()
            if node.address.exhibit not in self.faults:
                log.info("%s of %s", node.stage, node.key)
                return node
        return None

    def merge(self, rows: Rows) -> None:
        self.why.update((each.address, each.absent.detail) for each in rows.unread)
        self._scan.merge(Rows(findings=rows.findings))
        self._note(rows)

    def done(self, node: Node) -> None:
        """Nothing is noted: that its findings are there says it."""

    def again(self, node: Node) -> None:
        log.warning("gave up a part of %s: %s", node.key, node.skip[-1][1].detail)
        self._nodes.appendleft(node)

    def away(self, node: Node, why: str) -> None:
        self.faults[node.address.exhibit] = why

    def flush(self) -> None:
        self._scan.flush()


class _Measuring:
    """One stage, asked of a case. `settings`: what the stage is set to, part of the key of what it states; `models`:
    the one that states it, where a model does."""

    def __init__(
        self, case: Case, stage: str, version: int, settings_: str, workers: int, models: Sequence[Model]
    ) -> None:
        self._case = case
        self._key = stage, version, settings_
        self._workers = workers
        self._models = models
        self._exhibits = {each.id: each.path for each in case.exhibits()}
        self._away: dict[str, str] = {}
        for identity, path in self._exhibits.items():
            try:
                form_of(Path(path))
            except EvidenceError as error:
                self._away[identity] = str(error)

    def lacking(self, contents: Iterable[str]) -> list[str]:
        """Those without the finding."""
        query = "SELECT 1 FROM finding WHERE sha256 = ? AND name = ? AND version = ? AND settings = ?"
        execute = self._case.reader.execute
        return [sha256 for sha256 in contents if execute(query, (sha256, *self._key)).fetchone() is None]

    def state(self, contents: list[str], note: Callable[[Rows], None]) -> dict[str, str]:
        """Has each stated of one of its copies; why that failed of the others."""
        why: dict[str, str] = {}
        tried: set[Address] = set()
        for _ in range(_COPIES):
            at: dict[str, tuple[Address, int]] = {}
            for sha256 in contents:
                found = self._copy(sha256, tried, why)
                if found is not None:
                    at[sha256] = found
                    tried.add(found[0])
            if not at:
                break
            work = _Work(self._case, self._nodes(at), note)
            local.run(work, self._exhibits, self._workers, lambda _: None, self._models)
            self._away.update(work.faults)
            contents = self.lacking(contents)
            for sha256 in contents:
                if sha256 in at:
                    address = at[sha256][0]
                    told = work.why.get(address) or work.why.get(address.parent)
                    why[sha256] = told or work.faults.get(address.exhibit) or "The process that read it said nothing."
        return {sha256: why[sha256] for sha256 in contents}

    def _copy(self, sha256: str, tried: set[Address], why: dict[str, str]) -> tuple[Address, int] | None:
        """Where a copy lies that is within reach, and its size in bytes; else notes why there is none."""
        query = "SELECT address, exhibit, size FROM item WHERE sha256 = ? ORDER BY recovery != 'live', address"
        away = None
        for row in self._case.reader.execute(query, (sha256,)):
            if row["exhibit"] in self._away:
                away = self._away[row["exhibit"]]
            elif (address := Address.parse(row["address"])) not in tried:
                return address, row["size"]
        why.setdefault(sha256, away or "No item of this case has that content.")
        return None

    def _nodes(self, at: dict[str, tuple[Address, int]]) -> Iterator[Node]:
        """Runs of contents that lie in the same tree, in the order in which they lie there."""
        run: list[tuple[str, Address, int]] = []
        part = 0
        for sha256, (address, size) in sorted(at.items(), key=lambda each: (each[1][0].parent, each[1][0])):
            within = run and run[-1][1].parent == address.parent and len(run) < settings.NODE_ENTRIES
            if run and not (within and sum(other for _, _, other in run) + size <= settings.NODE_BYTES):
                part += 1
                yield self._node(part, run)
                run = []
            run.append((sha256, address, size))
        if run:
            yield self._node(part + 1, run)

    def _node(self, part: int, run: list[tuple[str, Address, int]]) -> Node:
        entries = tuple(Entry(address.steps[-1], size) for _, address, size in run)
        contents = tuple(sha256 for sha256, _, _ in run)
        return Node(Task.MEASURE, run[0][1].parent, part, entries, stage=self._key[0], contents=contents)


def measure(
    case: Case,
    stage: str,
    contents: Sequence[str],
    workers: int,
    progress: Callable[[int, int], None] = lambda *_: None,
    model: Model | None = None,
) -> Measured:
    """Has `stage`, or a model its finding of that name, stated of those of `contents` (SHA-256) that lack it; with its
    scores a model states its embedding, too.

    `progress` is told how many contents were read, and how many are to be; a copy that failed counts as read.

    Raises:
        UsageError: no such stage, or a scan of this case is running.
        KeyboardInterrupt: everything found so far is stored.
    """
    known = {name: (VERSION, set_to) for name, set_to in model.states.items()} if model else local.stages()
    if stage not in known:
        raise UsageError(f"Nothing measures {stage}; there are {', '.join(sorted(known))}.")
    version, set_to = known[stage]
    asked = list(dict.fromkeys(contents))
    with only_scan(case):
        measuring = _Measuring(case, stage, version, set_to, workers, [model] if model else [])
        lacking = measuring.lacking(asked)
        if not lacking:
            return Measured(0, len(asked), {})
        about = {"mantlet": __version__, "stage": stage, "version": version, "settings": set_to}
        read = 0

        def note(rows: Rows) -> None:
            nonlocal read
            read = min(read + rows.examined, len(lacking))
            progress(read, len(lacking))

        out: dict[str, str] = {}
        for first in range(0, len(lacking), _AT_ONCE):
            out.update(measuring.state(lacking[first : first + _AT_ONCE], note))
        if len(out) < len(lacking):
            with case.change() as change:
                change.record("measured", {**about, "measured": len(lacking) - len(out), "out of reach": len(out)})
    return Measured(len(lacking) - len(out), len(asked) - len(lacking), out)
