"""The work of a scan as a case keeps it: nodes waiting, rows merged, each batch under one Merkle root.

Merging is idempotent: a row that is there already is left as it is. So a resumed scan, a repeated one and a merge
from another machine are the same operation.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from mantlet.case import queue
from mantlet.case.case import Case, Change
from mantlet.case.schema import SCANNED
from mantlet.governance import merkle
from mantlet.recognise.manifest import EMBEDDING
from mantlet.types import Content, Finding, Node, Rows, Task

_BATCH_ROWS: Final = 5000
_BATCH_SECONDS: Final = 1.0
_TAKE: Final = 64

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Node).decode
_json = msgspec.json.Encoder(order="sorted").encode

Matcher = Callable[[Change, Sequence[Content], Sequence[Finding]], int]
"""Looks the new contents up in the known sets, within the transaction; returns how many are known."""


class Scan:
    """What the engine draws nodes from and gives rows to. One at a time for a case."""

    def __init__(self, case: Case, matcher: Matcher | None = None) -> None:
        self._case = case
        self._matcher = matcher
        self._queue: deque[tuple[int, Node]] = deque()
        self._taken: dict[str, tuple[int, Node]] = {}
        self._rows = Rows()
        self._done: list[str] = []
        self._blamed: list[Node] = []
        self._flushed = time.monotonic()
        self.known = 0

    def add(self, nodes: Iterable[Node]) -> None:
        """Puts nodes to the end of the work; those known already stay as they are."""
        known = self._case.reader.execute
        self._rows.nodes.extend(
            node for node in nodes if not known("SELECT 1 FROM node WHERE key = ?", (node.key,)).fetchone()
        )
        self.flush()

    def take(self) -> Node | None:
        """The next node to expand, or None while there is none.

        A late one only where nothing else waits, and nothing of its exhibit is being listed that could give more.
        """
        if not self._queue:
            self._queue.extend(self._waiting(late=False))
            if not self._queue and (self._rows.nodes or self._blamed):
                self.flush()
                self._queue.extend(self._waiting(late=False))
        number, node = self._queue.popleft() if self._queue else self._late()
        if node is not None:
            self._taken[node.key] = number, node
        return node

    def _late(self) -> tuple[int, Node] | tuple[int, None]:
        listed = {node.address.exhibit for _, node in self._taken.values() if node.task in (Task.OPEN, Task.WALK)}
        fit = (each for each in self._waiting(late=True) if each[1].address.exhibit not in listed)
        return next(fit, (0, None))

    def _waiting(self, *, late: bool) -> list[tuple[int, Node]]:
        waiting = self._case.reader.execute(
            "SELECT id, payload FROM node WHERE payload IS NOT NULL AND late = ? ORDER BY id LIMIT ?",
            (late, _TAKE + len(self._taken)),
        )
        taken = {number for number, _ in self._taken.values()}
        return [(row["id"], _decode(row["payload"])) for row in waiting if row["id"] not in taken]

    def merge(self, rows: Rows) -> None:
        """Takes what a worker found; stored with the next flush."""
        self._rows.items.extend(rows.items)
        self._rows.contents.extend(rows.contents)
        self._rows.findings.extend(rows.findings)
        self._rows.unread.extend(rows.unread)
        self._rows.acquisitions.extend(rows.acquisitions)
        self._rows.nodes.extend(rows.nodes)
        waiting = len(self._rows.findings) + len(self._rows.items) + len(self._rows.nodes) * 10
        if waiting > _BATCH_ROWS or time.monotonic() - self._flushed > _BATCH_SECONDS:
            self.flush()

    def done(self, node: Node) -> None:
        """The node is expanded: stored at once, with its last rows, so that a kill repeats only nodes in flight."""
        self._done.append(node.key)
        self.flush()

    def again(self, node: Node) -> None:
        """Back to the work, as `node` now says: with the entries to skip that cost a worker its life."""
        self._blamed.append(node)

    def flush(self) -> None:
        rows, done, blamed = self._rows, self._done, self._blamed
        self._flushed = time.monotonic()
        if not (done or blamed or any(getattr(rows, field) for field in rows.__struct_fields__)):
            return
        with self._case.change() as change:
            batch = change.next_entry
            leaves = _insert(change, batch, rows)
            there = {content.sha256 for content in rows.contents}
            later = {finding.sha256 for finding in rows.findings} - there  # measured on request: to be matched anew
            change.tx.executemany("DELETE FROM matched WHERE sha256 = ?", ((sha256,) for sha256 in sorted(later)))
            for node in rows.nodes:
                late = node.task is Task.ACQUIRE  # what is on the device first, its digest last
                row = (node.key, late, _encode(node))
                change.tx.execute("INSERT OR IGNORE INTO node (key, late, payload) VALUES (?, ?, ?)", row)
            for node in blamed:
                change.tx.execute("UPDATE node SET payload = ? WHERE key = ?", (_encode(node), node.key))
            change.tx.executemany("UPDATE node SET payload = NULL WHERE key = ?", ((key,) for key in done))
            change.record("scan batch", {"rows": len(leaves), "root": merkle.root(sorted(leaves)), "nodes": len(done)})
            known = self._matcher(change, rows.contents, rows.findings) if self._matcher and rows.contents else 0
            queue.extend(self._case, change, (content.sha256 for content in rows.contents))
        self.known += known
        self._rows, self._done, self._blamed = Rows(), [], []
        for key in (*done, *(node.key for node in blamed)):
            self._taken.pop(key, None)


def unfinished(case: Case) -> bool:
    """Whether any node is still to be expanded."""
    return case.reader.execute("SELECT 1 FROM node WHERE payload IS NOT NULL LIMIT 1").fetchone() is not None


def unfinished_exhibits(case: Case) -> set[str]:
    """Exhibits with nodes still to be expanded."""
    keys = case.reader.execute("SELECT key FROM node WHERE payload IS NOT NULL")
    return {row["key"].split(" ", 2)[2].partition("!")[0] for row in keys}


def waiting(case: Case) -> tuple[int, int]:
    """Entries of the nodes still to be expanded, as far as they are listed, and their bytes."""
    rows = case.reader.execute("SELECT payload FROM node WHERE payload IS NOT NULL")
    nodes = [(len(node.entries), node.size) for node in map(_decode, (row["payload"] for row in rows))]
    return sum(count for count, _ in nodes), sum(size for _, size in nodes)


def leaf(table: str, values: Sequence[Any]) -> bytes:
    """A row as it enters the Merkle root of its batch."""
    return _json([table, *values])


def _insert(change: Change, batch: int, rows: Rows) -> list[bytes]:
    leaves: list[bytes] = []

    def insert(table: str, values: Sequence[Any]) -> bool:
        columns = ",".join((*SCANNED[table], "batch"))
        marks = ",".join("?" * (len(values) + 1))
        statement = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - our own names
        new = bool(change.tx.execute(statement, (*values, batch)).rowcount)
        if new:
            leaves.append(leaf(table, values))
        return new

    for each in rows.acquisitions:
        insert("acquisition", (each.exhibit, each.algorithm, each.digest, each.origin, each.size))
    for content in rows.contents:
        insert("content", (content.sha256, content.md5, content.sha1, content.size, content.kind, content.mime))
    for item in rows.items:
        times = (item.times.created, item.times.modified, item.times.accessed)
        insert(
            "item",
            (
                str(item.address), item.address.exhibit, item.sha256, item.size,
                item.recovery, item.containment, item.place, *times,
            ),
        )  # fmt: skip
    for finding in rows.findings:
        absent = finding.absent
        value = None if absent else _json(_kept(finding)).decode()
        why = (absent.reason, absent.detail) if absent else (None, None)
        row = (finding.sha256, finding.name, finding.version, finding.settings, value, *why)
        if insert("finding", row) and finding.name == EMBEDDING and not absent:
            numbers = finding.value["numbers"]
            change.tx.execute("INSERT INTO vector VALUES (?,?,?)", (finding.sha256, finding.settings, numbers))
    for unread in rows.unread:
        insert("unread", (str(unread.address), unread.stage, unread.absent.reason, unread.absent.detail))
    return leaves


def _kept(finding: Finding) -> Any:
    """The value as it stands in the table of findings. An embedding is kept apart, and its finding holds its digest:
    at a few KiB for each content it would make every other question about findings slow."""
    if finding.name != EMBEDDING:
        return finding.value
    digest = hashlib.sha256(finding.value["numbers"]).hexdigest()
    return {"dimensions": finding.value["dimensions"], "sha256": digest}
