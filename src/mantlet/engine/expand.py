"""What is done to one node of work: a tree is listed, or files are read, probed, measured and looked into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final, Protocol

import msgspec

from mantlet import settings
from mantlet.errors import EvidenceError, RefusedError
from mantlet.evidence.place import place_of
from mantlet.evidence.reach import Reach
from mantlet.evidence.stream import Memory, Stream
from mantlet.evidence.tree import holds
from mantlet.evidence.trees.previews import Previews
from mantlet.evidence.trees.previews import fits as previews_fit
from mantlet.evidence.trees.protocol import Tree
from mantlet.fingerprint import digests
from mantlet.media import picture, probe
from mantlet.pipeline import absent_for, findings
from mantlet.sight import Sight
from mantlet.types import (
    Absent,
    Acquisition,
    Address,
    Containment,
    Content,
    Entry,
    Item,
    Kind,
    Node,
    Reason,
    Recovery,
    Rows,
    Step,
    Task,
    Unread,
)


class Watch(Protocol):
    """How a worker tells its engine where it is, so that a death or a standstill costs one entry only."""

    def start(self, mark: int) -> None:
        """What is read now, by the mark of its address, or of the node."""

    def beat(self) -> None: ...
    def first_time(self, sha256: str) -> bool:
        """Whether this worker has not measured that content before: copies are measured once."""


class _Visit:
    """One node at work: where it is, and what it has found that is not sent yet."""

    def __init__(self, node: Node, reach: Reach, watch: Watch) -> None:
        self.node, self.reach, self.watch = node, reach, watch
        self.rows = Rows()

    def at(self, address: Address, *, listing: bool) -> None:
        """Listing a large file system, or inflating an archive, may take minutes: it is alive while it reads.
        Examining one entry may not."""
        self.watch.start(self.node.mark if address == self.node.address else address.mark)
        self.reach.on_read = self.watch.beat if listing else _nothing

    def blamed(self, address: Address) -> Absent | None:
        """Why this cost an earlier worker its life, if it did once. Raises RefusedError if it did twice."""
        blamed = [absent for mark, absent in self.node.skip if mark == address.mark]
        if len(blamed) > 1:
            raise RefusedError(blamed[0].reason, blamed[0].detail)
        return blamed[0] if blamed else None

    def unread(self, address: Address, error: Exception, stage: str = "read") -> None:
        if not isinstance(error, RefusedError):
            if isinstance(error, EvidenceError):
                raise error
            self.reach.check_there(self.node.address.exhibit)
        self.rows.unread.append(Unread(address, stage, absent_for(error)))

    def sent(self, rows: int = 0) -> Iterator[Rows]:
        """What was found, if that is at least so many rows."""
        if len(self.rows.items) + len(self.rows.unread) + self.rows.examined >= rows:
            found, self.rows = self.rows, Rows()
            yield found


def _nothing() -> None:
    pass


_ROWS_AT_ONCE: Final = 16


def expand(node: Node, reach: Reach, watch: Watch) -> Iterator[Rows]:
    """The rows of one node, in the order of the medium; further nodes are among them.

    Raises:
        EvidenceError: the exhibit cannot be reached; the node is to be expanded when it can.
    """
    blamed = [absent for mark, absent in node.skip if mark == node.mark]
    if blamed:
        yield Rows(unread=[Unread(node.address, node.task, blamed[0])])
        return
    visit = _Visit(node, reach, watch)
    visit.at(node.address, listing=True)
    try:
        yield from _TASKS[node.task](visit)
    except Exception as error:  # noqa: BLE001 - the boundary around one node: parsers raise anything
        visit.unread(node.address, error, node.task)
    yield from visit.sent()


def _open(visit: _Visit) -> Iterator[Rows]:
    """An exhibit: what it holds, and whether its digest is known or must be computed."""
    address, reach = visit.node.address, visit.reach
    exhibit = address.exhibit
    if reach.is_folder(exhibit):
        yield Rows(nodes=[Node(Task.WALK, address)])
        return
    container = reach.container(exhibit)
    stored = [Acquisition(exhibit, *each, "stored", container.stream.size) for each in sorted(container.stored.items())]
    contents = Node(Task.WALK, address)
    try:
        reach.tree(address)
    except RefusedError:
        # Only what opens as nothing else is taken for a single picture: the first bytes of a disk are anyone's.
        if probe.probe(container.stream.read_at(0, probe.HEAD_BYTES)) is not None:
            whole = Entry(Step("whole", 0, reach.name(exhibit)), container.stream.size)
            contents = Node(Task.EXAMINE, address, entries=(whole,))
    yield Rows(
        acquisitions=stored,
        nodes=[contents, Node(Task.ACQUIRE, address)],
        listed=len(contents.entries),
        listed_bytes=contents.size + reach.packed_size(exhibit),
    )


_BYTES_AT_ONCE: Final = 256 * settings.MIB


def _acquire(visit: _Visit) -> Iterator[Rows]:
    """The exhibit's own digest, by a full read: computed, or compared with the one stored in the image."""
    exhibit = visit.node.address.exhibit
    container, packed = visit.reach.container(exhibit), visit.reach.packed_size(exhibit)
    medium = digests.Whole(container.stream, container.stored or ["sha256"])
    told = 0
    for done in medium.read():
        visit.watch.beat()
        if done - told >= _BYTES_AT_ONCE:  # told in bytes of the image, as they were listed
            before, told = told, done
            yield Rows(examined_bytes=packed * told // medium.size - packed * before // medium.size)
    yield Rows(examined_bytes=packed - (packed * told // medium.size if medium.size else 0))
    found = medium.digests()
    if not container.stored:
        yield Rows(acquisitions=[Acquisition(exhibit, "sha256", found["sha256"], "computed", medium.size)])
    for algorithm, stored in container.stored.items():
        if found[algorithm] != stored:
            why = f"The medium has the {algorithm} {found[algorithm]}, and the image says {stored}"
            raise RefusedError(Reason.DAMAGED, f"{why}: parts of it are damaged. Pictures may be missing or wrong.")


_EXPANDED_APART: Final = ("volume", "shadow")
"""Steps to what is a node of its own."""


def _walk(visit: _Visit) -> Iterator[Rows]:
    """Everything listed in one tree, in runs that other workers examine. What can be read only from front to back is
    examined here, in one pass."""
    node, exhibit = visit.node, visit.node.address.exhibit
    tree = visit.reach.tree(node.address)
    if tree.solid:
        packed = visit.reach.open(node.address).size if node.address.steps else visit.reach.packed_size(exhibit)
        yield from _members(visit, tree, node.address, node.recovery, _Allowance(packed))
        return
    part, run, size = 0, list[Entry](), 0
    for entry in tree.walk():
        visit.watch.beat()
        if entry.step.kind in _EXPANDED_APART and not entry.absent:
            yield Rows(nodes=[Node(Task.WALK, node.address.child(entry.step))])
            continue
        if run and (len(run) >= settings.NODE_ENTRIES or size + entry.size > settings.NODE_BYTES):
            part += 1
            yield _run(node, part, run, size)
            run, size = [], 0
        run.append(entry if node.recovery is Recovery.LIVE else msgspec.structs.replace(entry, recovery=node.recovery))
        size += entry.size
    if run:
        yield _run(node, part + 1, run, size)


def _run(node: Node, part: int, run: list[Entry], size: int) -> Rows:
    return Rows(nodes=[Node(Task.EXAMINE, node.address, part, tuple(run))], listed=len(run), listed_bytes=size)


def _examine(visit: _Visit) -> Iterator[Rows]:
    """A run of entries: each is probed, and measured if it is a picture or a clip."""
    node = visit.node
    tree = None if node.entries[0].step.kind == "whole" else visit.reach.tree(node.address)
    for entry in node.entries:
        yield from _entry(visit, tree, entry, node.address.child(entry.step), None)
        visit.rows.examined += 1
        visit.rows.examined_bytes += entry.size
        yield from visit.sent(_ROWS_AT_ONCE)


class _Allowance:
    """How much may still come out of an archive and all that lies in it. `packed`: its size in bytes."""

    def __init__(self, packed: int) -> None:
        self._bytes = max(settings.RATIO_FREE_BYTES, settings.RATIO * packed)
        self._members = settings.MEMBERS

    def spend(self, entry: Entry) -> None:
        """Raises RefusedError when it is used up."""
        self._bytes -= entry.size if entry.absent is None else 0
        self._members -= 1
        if self._bytes < 0:
            why = f"With all in it, the archive grows more than {settings.RATIO:,}-fold"
            raise RefusedError(Reason.LIMIT, f"{why}: likely a bomb. It is not read on.")
        if self._members < 0:
            raise RefusedError(Reason.LIMIT, f"It holds more than {settings.MEMBERS:,} files. It is not read on.")


def _members(visit: _Visit, tree: Tree, address: Address, recovery: Recovery, allowance: _Allowance) -> Iterator[Rows]:
    """Examines what a tree lists as it lists it, each in one pass, with all that lies in it."""
    listing = iter(tree.walk())
    while True:
        visit.at(address, listing=True)
        try:
            entry = next(listing, None)
            if entry is None:
                return
            allowance.spend(entry)
        except Exception as error:  # noqa: BLE001 - the boundary around one archive
            visit.unread(address, error)
            return
        if recovery is not Recovery.LIVE:
            entry = msgspec.structs.replace(entry, recovery=recovery)
        yield from _entry(visit, tree, entry, address.child(entry.step), allowance)
        yield from visit.sent(_ROWS_AT_ONCE)


def _entry(
    visit: _Visit, tree: Tree | None, entry: Entry, address: Address, allowance: _Allowance | None
) -> Iterator[Rows]:
    """One entry, and what is expanded in place of what it holds. `tree`: what listed it, if that is at hand."""
    visit.at(address, listing=False)
    try:
        inner = _look(visit, tree, entry, address, allowance)
    except Exception as error:  # noqa: BLE001 - the boundary around one entry
        absent = absent_for(error)
        if absent.reason is not Reason.GONE or _named_as_picture(entry):
            visit.unread(address, error)
        return
    if inner is not None:
        yield from _members(visit, inner, address, entry.recovery, allowance or _Allowance(entry.size))


def _look(
    visit: _Visit, tree: Tree | None, entry: Entry, address: Address, allowance: _Allowance | None
) -> Tree | None:
    """Measures an entry if it is a picture or a clip; gives what it holds, if that is to be expanded in place."""
    blamed = visit.blamed(address)
    if entry.absent:
        raise RefusedError(entry.absent.reason, entry.absent.detail)
    if entry.size == 0:
        _check_name(entry)
        return None
    stream = tree.open(entry.step) if tree else visit.reach.open(address)
    if not isinstance(stream, Stream):
        return stream
    if tree and entry.step.kind in _EXPANDED_APART:
        return visit.reach.expand(tree, entry.step, stream)
    head = stream.read_at(0, probe.HEAD_BYTES)
    form = probe.probe(head)
    if form is not None:
        data = _measure(visit, entry, address, form, stream, blamed)
        return Previews(Memory(data)) if data and previews_fit(head) and not blamed else None
    if blamed:
        raise RefusedError(blamed.reason, blamed.detail)
    if tree and (held := _held(visit, tree, entry, stream, head)):
        return _expanded(visit, tree, entry, address, stream, held, allowance)
    _check_name(entry)
    return None


class _Held(msgspec.Struct, frozen=True):
    """That a file holds others; what holds them, where it had to be opened to be sure."""

    disk: bool
    tree: Tree | None


def _held(visit: _Visit, tree: Tree, entry: Entry, stream: Stream, head: bytes) -> _Held | None:
    held = holds(stream, head, lambda inner: probe.probe(inner) is not None)
    if held is None or (held.disk and entry.step.name.startswith("/$")):  # as NTFS's own $Boot
        return None
    if not held.weak:
        return _Held(held.disk, None)
    try:
        return _Held(held.disk, visit.reach.expand(tree, entry.step, stream))
    except Exception:  # noqa: BLE001 - it only looked as if it held something
        return None


def _expanded(
    visit: _Visit, tree: Tree, entry: Entry, address: Address, stream: Stream, held: _Held, allowance: _Allowance | None
) -> Tree | None:
    """What is to be expanded in place; None where it becomes a node of its own."""
    if sum(step.kind not in _EXPANDED_APART for step in address.steps) > settings.DEPTH:
        raise RefusedError(Reason.LIMIT, f"Archives lie more than {settings.DEPTH} deep in each other.")
    if allowance is None and (held.disk or entry.size > settings.IN_PLACE_BYTES):
        visit.rows.nodes.append(Node(Task.WALK, address, recovery=entry.recovery))
        return None
    return held.tree or visit.reach.expand(tree, entry.step, stream)


def _check_name(entry: Entry) -> None:
    """Raises RefusedError for a file that is neither a picture nor a clip, and named as one."""
    if _named_as_picture(entry):
        if entry.size == 0:
            raise RefusedError(Reason.EMPTY, "The file holds no byte.")
        if entry.recovery is not Recovery.LIVE:
            raise RefusedError(Reason.GONE, "Other data lies where the content was.")
        raise RefusedError(Reason.NOT_A_PICTURE, "By its content it is neither a picture nor a clip.")


def _measure(
    visit: _Visit, entry: Entry, address: Address, form: probe.Form, stream: Stream, blamed: Absent | None
) -> bytes | None:
    """States all that is found of a picture or a clip; gives its bytes, unless they are too many for memory.

    `blamed`: decoding it cost an earlier worker its life, so it is counted by its digests alone.
    """
    data = stream.read_at(0, stream.size) if stream.size <= settings.IN_MEMORY_BYTES else None
    found = digests.of_bytes(data) if data is not None else digests.of_stream(stream, visit.watch.beat)
    if found.size != stream.size:
        raise OSError(f"only {found.size:,} of its {stream.size:,} bytes can be read")
    containment, rows = _containment(entry, address), visit.rows
    item = Item(address, found.sha256, found.size, entry.recovery, containment, place_of(address), entry.times)
    rows.items.append(item)
    if not visit.watch.first_time(found.sha256):
        return data
    kind = form.kind
    if data is not None and kind is Kind.STILL and not blamed:
        kind = picture.kind_of(data, form.mime)
    content = Content(found.sha256, found.md5, found.sha1, found.size, kind, form.mime)
    rows.contents.append(content)
    rows.findings.extend(findings(Sight(content, data, stream), form, blamed))
    return data


def _containment(entry: Entry, address: Address) -> Containment:
    """Whatever lies in a shadow copy is counted there, but for previews."""
    if entry.containment is not Containment.PREVIEW and any(step.kind == "shadow" for step in address.steps):
        return Containment.SHADOW_COPY
    return entry.containment


_TASKS: Final = {Task.OPEN: _open, Task.WALK: _walk, Task.EXAMINE: _examine, Task.ACQUIRE: _acquire}


def _named_as_picture(entry: Entry) -> bool:
    return PurePosixPath(entry.step.name).suffix.lower().lstrip(".") in probe.PICTURE_NAMES
