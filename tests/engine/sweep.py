"""Scans many exhibits in one go, by real boxed workers and without a case: hundreds of them take seconds.

What is kept of each is what a test asks for: what was found, what was not read and why, which workers were lost, how
long each node took (seconds) and the most memory that a worker held (bytes).
"""

from __future__ import annotations

import logging
import signal
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from mantlet import settings
from mantlet.engine import local
from mantlet.types import Absent, Address, Node, Reason, Rows, Task

MOST_NODES: Final = 4_000
"""Nodes one exhibit may lead to before it is taken to go on for ever."""


class Lost:
    """A worker that had to be replaced: at which node, at what in it, and what was said of it."""

    def __init__(self, node: Node) -> None:
        mark, self.absent = node.skip[-1]
        entries = {node.address.child(entry.step).mark: entry.step for entry in node.entries}
        self.exhibit = node.address.exhibit
        self.whole_node = mark == node.mark
        self.stopped = self.absent.reason is Reason.LIMIT
        at = "the node" if self.whole_node else str(entries.get(mark, "a part"))
        self.text = f"{node.key}, at {at}: {self.absent.reason}: {self.absent.detail}"


class Sweep:
    """The `Work` of `mantlet.engine.local`, begun with one OPEN node for each exhibit (label -> path)."""

    def __init__(self, exhibits: Mapping[str, Path], most_nodes: int = MOST_NODES) -> None:
        self.items: dict[Address, str] = {}
        self.contents: set[str] = set()
        self.absent: Counter[Reason] = Counter()
        self.unread: defaultdict[tuple[Address, str], set[Absent]] = defaultdict(set)
        self.faults: defaultdict[str, set[str]] = defaultdict(set)
        self.lost: list[Lost] = []
        self.seconds: dict[str, float] = {}
        self.memory = 0
        self.listed = 0
        self.endless: set[str] = set()
        self._exhibits = {label: str(path) for label, path in exhibits.items()}
        self._most = most_nodes
        self._known: set[str] = set()
        self._nodes: Counter[str] = Counter()
        self._waiting, self._late = deque[Node](), deque[Node]()
        self._begun: dict[str, tuple[float, Node]] = {}
        for label in exhibits:
            self._add(Node(Task.OPEN, Address(label)))

    def run(self, within: float, workers: int = 2) -> Sweep:
        """To its end, or for so many seconds: the exhibits still at work then are `endless`."""
        try:
            with _quiet(), _alarm(within):
                self.memory = max(self.memory, local.run(self, self._exhibits, workers, lambda _: None)["memory"])
        except TimeoutError:
            self.endless |= {node.address.exhibit for _, node in self._begun.values()}
        return self

    def _add(self, node: Node) -> None:
        if node.key in self._known:
            return
        self._known.add(node.key)
        self._nodes[node.address.exhibit] += 1
        if self._nodes[node.address.exhibit] > self._most:
            self.endless.add(node.address.exhibit)
        else:
            (self._late if node.task is Task.ACQUIRE else self._waiting).append(node)

    def take(self) -> Node | None:
        queue = self._waiting or self._late
        if not queue:
            return None
        node = queue.popleft()
        self._begun[node.key] = time.monotonic(), node
        return node

    def merge(self, rows: Rows) -> None:
        self.items |= {item.address: item.sha256 for item in rows.items}
        self.contents |= {content.sha256 for content in rows.contents}
        self.absent.update(finding.absent.reason for finding in rows.findings if finding.absent)
        self.listed += rows.listed
        for unread in rows.unread:
            self.unread[unread.address, unread.stage].add(unread.absent)
        for node in rows.nodes:
            self._add(node)

    def done(self, node: Node) -> None:
        self._ended(node)

    def again(self, node: Node) -> None:
        self._ended(node)
        self.lost.append(Lost(node))
        self._waiting.append(node)

    def away(self, node: Node, why: str) -> None:
        self._ended(node)
        self.faults[node.address.exhibit].add(why)

    def flush(self) -> None:
        """Nothing is stored."""

    def _ended(self, node: Node) -> None:
        begun, _ = self._begun.pop(node.key)
        self.seconds[node.key] = self.seconds.get(node.key, 0.0) + time.monotonic() - begun

    def slowest(self) -> tuple[float, str]:
        """The seconds of the node that took longest, and its key."""
        return max(((seconds, key) for key, seconds in self.seconds.items()), default=(0.0, "none"))

    def reasons(self) -> Counter[Reason]:
        """How often each reason was given: for what was not read, and for what could not be found of a content."""
        return self.absent + Counter(absent.reason for given in self.unread.values() for absent in given)

    def broken(self) -> Iterator[tuple[str, str]]:
        """Each promise of a scan that was not kept, whatever the evidence holds: the exhibit, and a sentence."""
        for (address, stage), given in self.unread.items():
            if len(given) != 1:
                yield address.exhibit, f"{address} ({stage}) has {len(given)} reasons: {given}"
            both = address in self.items and address.steps[-1].kind != "whole" and stage == "read"
            if both and any(absent.reason is not Reason.DAMAGED for absent in given):
                yield address.exhibit, f"{address} is an item, and not read: {given}"
        walked = [address for address, stage in self.unread if stage != Task.ACQUIRE]
        for address, count in Counter(walked).items():
            if count > 1:
                yield address.exhibit, f"{address} is said to be unread in {count} stages"
        for label, why in self.faults.items():
            if len(why) > 1:
                yield label, f"{label} is away for {len(why)} reasons: {why}"
        for address, sha256 in self.items.items():
            if sha256 not in self.contents and not self.lost:
                yield address.exhibit, f"{address} is of a content that nothing is said of"
        if self.memory > settings.WORKER_MEMORY:
            yield "", f"a worker held {self.memory / settings.MIB:.0f} MiB"
        yield from ((label, f"{label} goes on for ever") for label in sorted(self.endless))


@contextmanager
def _quiet() -> Iterator[None]:
    """The engine warns of each exhibit that cannot be read; of hundreds, `faults` and `lost` say it."""
    log = logging.getLogger("mantlet")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in the block when it takes longer (Unix, main thread)."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
