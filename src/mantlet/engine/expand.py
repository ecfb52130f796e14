"""What is done to one node of work: a tree is listed, or files are read, probed, measured and looked into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

import msgspec

from mantlet import settings
from mantlet.engine.content import content_of, state_again, whole
from mantlet.engine.messages import OF_MODELS
from mantlet.engine.visit import EXPANDED_APART, OF_FILE_SYSTEMS, Allowance, Visit, Watch, checked
from mantlet.errors import RefusedError
from mantlet.evidence.container import first_part, is_first_part
from mantlet.evidence.place import place_of
from mantlet.evidence.reach import Reach
from mantlet.evidence.stream import Memory, Stream
from mantlet.evidence.tree import NothingFitsError, holds
from mantlet.evidence.trees.previews import Previews
from mantlet.evidence.trees.previews import fits as previews_fit
from mantlet.evidence.trees.protocol import Neighbours, Tree
from mantlet.evidence.trees.volumes import fits as fits_disk
from mantlet.fingerprint import digests
from mantlet.media import probe
from mantlet.pipeline import STAGES, Stage, absent_for, findings
from mantlet.sight import Sight
from mantlet.types import (
    Absent,
    Acquisition,
    Address,
    Containment,
    Entry,
    Item,
    Node,
    Reason,
    Recovery,
    Rows,
    Step,
    Task,
    Unread,
    unescape,
)

_ROWS_AT_ONCE: Final = 16


def expand(node: Node, reach: Reach, watch: Watch, models: tuple[Stage, ...] = ()) -> Iterator[Rows]:
    """The rows of one node, in the order of the medium; further nodes are among them. `models`: what models state.

    Raises:
        EvidenceError: the exhibit cannot be reached; the node is to be expanded when it can.
    """
    # Measured again without the models that were to state it, nothing would be found.
    whole_node = (node.mark, node.mark + OF_MODELS) if node.task is Task.MEASURE else (node.mark,)
    blamed = [absent for mark, absent in node.skip if mark in whole_node]
    watch.enter(-1)
    if blamed:
        yield Rows(unread=[Unread(node.address, node.task, blamed[0])])
        return
    visit = Visit(node, reach, watch, models)
    visit.at(node.address, listing=True)
    try:
        yield from _TASKS[node.task](visit)
    except Exception as error:  # noqa: BLE001 - the boundary around one node: parsers raise anything
        visit.unread(node.address, error, node.task)
    yield from visit.sent()


def _open(visit: Visit) -> Iterator[Rows]:
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


_RATIO_WITHIN: Final = 10
"""How much an archive may grow that is itself a member of one read in runs, whose growth was counted already."""
_BYTES_AT_ONCE: Final = 256 * settings.MIB


def _acquire(visit: Visit) -> Iterator[Rows]:
    """The exhibit's own digest, by a full read: computed, or compared with the one stored in the image."""
    exhibit = visit.node.address.exhibit
    container, packed = visit.reach.container(exhibit), visit.reach.packed_size(exhibit)
    medium = digests.Whole(container.stream, container.stored or ["sha256"])
    if medium.size > max(settings.MEDIUM_BYTES, settings.RATIO * packed):
        size = f"{medium.size // settings.GIB:,} GiB"
        raise RefusedError(Reason.LIMIT, f"The image says that it holds {size}: its digest is not computed.")
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


def _walk(visit: Visit) -> Iterator[Rows]:
    """Everything listed in one tree, in runs that other workers examine. What can be read only from front to back is
    examined here, in one pass."""
    node = visit.node
    tree = visit.reach.tree(node.address)
    allowance = Allowance(_packed(visit))
    if tree.solid:
        yield from _members(visit, tree, node.address, node.recovery, allowance)
        return
    part, run, size = 0, list[Entry](), 0
    for entry in _listed(visit, tree, node.address, node.recovery, allowance):
        if entry.step.kind in EXPANDED_APART and not entry.absent:
            yield Rows(nodes=[Node(Task.WALK, node.address.child(entry.step), recovery=node.recovery)])
            continue
        if run and (len(run) >= settings.NODE_ENTRIES or size + entry.size > settings.NODE_BYTES):
            part += 1
            yield _run(node, part, run, size)
            run, size = [], 0
        run.append(entry)
        size += entry.size
    if run:
        yield _run(node, part + 1, run, size)


def _packed(visit: Visit) -> int:
    """The size of what the node is about, as it is stored, in bytes; 0 for a folder or volume, which nothing packs."""
    address, reach = visit.node.address, visit.reach
    if not address.steps:
        return 0 if reach.is_folder(address.exhibit) else reach.packed_size(address.exhibit)
    return 0 if address.steps[-1].kind in EXPANDED_APART else reach.open(address).size


def _listed(visit: Visit, tree: Tree, address: Address, recovery: Recovery, allowance: Allowance) -> Iterator[Entry]:
    """What a tree lists, as far as it can be listed."""
    listing = iter(tree.walk())
    while True:
        visit.at(address, listing=True)
        try:
            entry = next(listing, None)
            if entry is None:
                return
            entry = checked(address, entry)
            allowance.spend(entry)
        except Exception as error:  # noqa: BLE001 - the boundary around one tree
            visit.unread(address, error, visit.node.task if address == visit.node.address else "read")
            return
        yield entry if recovery is Recovery.LIVE else msgspec.structs.replace(entry, recovery=recovery)


def _run(node: Node, part: int, run: list[Entry], size: int) -> Rows:
    return Rows(nodes=[Node(Task.EXAMINE, node.address, part, tuple(run))], listed=len(run), listed_bytes=size)


def _examine(visit: Visit) -> Iterator[Rows]:
    """A run of entries: each is probed, and measured if it is a picture or a clip."""
    node = visit.node
    tree = None if node.entries[0].step.kind == "whole" else visit.reach.tree(node.address)
    for number, entry in enumerate(node.entries):
        visit.watch.enter(number)
        yield from _entry(visit, tree, entry, node.address.child(entry.step), None)
        visit.rows.examined += 1
        visit.rows.examined_bytes += entry.size
        yield from visit.sent(_ROWS_AT_ONCE)


def _members(visit: Visit, tree: Tree, address: Address, recovery: Recovery, allowance: Allowance) -> Iterator[Rows]:
    """Examines what a tree lists as it lists it, each in one pass, with all that lies in it."""
    for entry in _listed(visit, tree, address, recovery, allowance):
        yield from _entry(visit, tree, entry, address.child(entry.step), allowance)
        yield from visit.sent(_ROWS_AT_ONCE)


def _entry(
    visit: Visit, tree: Tree | None, entry: Entry, address: Address, allowance: Allowance | None
) -> Iterator[Rows]:
    """One entry, and what is expanded in place of what it holds. `tree`: what listed it, if that is at hand."""
    visit.at(address, listing=False)
    try:
        try:
            inner = _look(visit, tree, entry, address, allowance)
        except MemoryError:  # what earlier entries left open may be what fills it
            visit.reach.forget()
            inner = _look(visit, tree, entry, address, allowance)
    except Exception as error:  # noqa: BLE001 - the boundary around one entry
        absent = absent_for(error)
        if absent.reason is not Reason.GONE or _named_as_picture(entry):
            visit.unread(address, error)
        return
    if inner is not None:
        own = allowance or Allowance(
            entry.size, settings.RATIO if entry.step.kind in OF_FILE_SYSTEMS else _RATIO_WITHIN
        )
        try:
            yield from _members(visit, inner, address, entry.recovery, own)
        except Exception as error:  # noqa: BLE001 - what lies in one entry costs no other
            visit.unread(address, error)


def _look(visit: Visit, tree: Tree | None, entry: Entry, address: Address, allowance: Allowance | None) -> Tree | None:
    """Measures an entry if it is a picture or a clip; gives what it holds, if that is to be expanded in place."""
    blamed = visit.blamed(address)
    if entry.absent:
        raise RefusedError(entry.absent.reason, entry.absent.detail)
    if entry.size == 0 and entry.step.kind not in EXPANDED_APART:
        _check_name(entry)
        return None
    stream = tree.open(entry.step) if tree else visit.reach.open(address)
    if not isinstance(stream, Stream):
        return stream
    if tree and entry.step.kind in EXPANDED_APART:
        return visit.reach.expand(tree, entry.step, stream)
    head = stream.read_at(0, probe.HEAD_BYTES)
    form = probe.probe(head)
    if form is not None:
        data = _measure(visit, entry, address, form, stream, blamed)
        nested = entry.containment is Containment.PREVIEW
        return Previews(Memory(data)) if data and previews_fit(head) and not (blamed or nested) else None
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


_OWN_BOOT_SECTORS: Final = ("/$Boot", "/$MBR")
"""Of NTFS, and of FAT as The Sleuth Kit shows it: the volume again."""


def _held(visit: Visit, tree: Tree, entry: Entry, stream: Stream, head: bytes) -> _Held | None:
    if _is_part(tree, entry, head):
        return None
    held = holds(stream, head, lambda inner: probe.probe(inner) is not None)
    if held is None or (held.disk and entry.step.name in _OWN_BOOT_SECTORS):
        return None
    if not held.weak:
        return _Held(held.disk, None)
    try:
        return _Held(held.disk, visit.reach.expand(tree, entry.step, stream))
    except NothingFitsError:  # it only looked as if it held something
        return None


def _is_part(tree: Tree, entry: Entry, head: bytes) -> bool:
    """Whether it is a later part of an image that is read by way of its first part.

    Raises:
        RefusedError: the first part is not there.
    """
    name = unescape(entry.step.name).decode("utf-8", "surrogateescape").rsplit("/", 1)[-1]
    first = first_part(name, head)
    if first is None:
        return False
    beside = tree.beside(entry.step, first) if isinstance(tree, Neighbours) and first != name else None
    if beside is not None and is_first_part(beside, name):
        return True
    if not fits_disk(head):  # a flat extent without its descriptor is a disk
        raise RefusedError(Reason.UNREADABLE, f"It is a part of an image, and the first is not beside it: {first}.")
    return False


def _expanded(
    visit: Visit, tree: Tree, entry: Entry, address: Address, stream: Stream, held: _Held, allowance: Allowance | None
) -> Tree | None:
    """What is to be expanded in place; None where it becomes a node of its own."""
    if sum(step.kind not in EXPANDED_APART for step in address.steps) > settings.DEPTH:
        raise RefusedError(Reason.LIMIT, f"Archives lie more than {settings.DEPTH} deep in each other.")
    if allowance is None and (held.disk or entry.size > settings.IN_PLACE_BYTES):
        visit.rows.nodes.append(Node(Task.WALK, address, recovery=entry.recovery))
        return None
    try:
        return held.tree or visit.reach.expand(tree, entry.step, stream)
    except NothingFitsError:
        _check_name(entry)
        return None


def _check_name(entry: Entry) -> None:
    """Raises RefusedError for a file that is neither a picture nor a clip, and named as one."""
    if _named_as_picture(entry):
        if entry.size == 0:
            raise RefusedError(Reason.EMPTY, "The file holds no byte.")
        if entry.recovery is not Recovery.LIVE:
            raise RefusedError(Reason.GONE, "Other data lies where the content was.")
        raise RefusedError(Reason.NOT_A_PICTURE, "By its content it is neither a picture nor a clip.")


def _measure(
    visit: Visit, entry: Entry, address: Address, form: probe.Form, stream: Stream, blamed: Absent | None
) -> bytes | None:
    """States all that is found of a picture or a clip; gives its bytes, unless they are too many for memory.

    `blamed`: decoding it cost an earlier worker its life, so it is counted by its digests alone. Where the models may
    have been what did, everything but what they say is found.
    """
    data, found = whole(visit, stream)
    containment, rows = _containment(entry, address), visit.rows
    item = Item(address, found.sha256, found.size, entry.recovery, containment, place_of(address), entry.times)
    rows.items.append(item)
    try:
        stream.check_end()
    except OSError as error:  # what was read is counted, and is not what it was
        text = f"What was read of it is not whole, or not what was packed: {error}."
        rows.unread.append(Unread(address, "read", Absent(Reason.DAMAGED, text[:1000])))
    if not visit.watch.first_time(found.sha256):
        return data
    content = content_of(found, form, data, blamed)
    rows.contents.append(content)
    # Which of several models a worker was lost to is not known: none states why, and each is asked by itself later.
    models = () if visit.unseen(address) else visit.models
    sight = Sight(content, data, stream, shown=bool(models) and not blamed)
    rows.findings.extend(findings(sight, form, blamed, (*STAGES, *models)))
    return data


def _containment(entry: Entry, address: Address) -> Containment:
    """Whatever lies in a shadow copy is counted there, but for previews."""
    if entry.containment is not Containment.PREVIEW and any(step.kind == "shadow" for step in address.steps):
        return Containment.SHADOW_COPY
    return entry.containment


_TASKS: Final = {
    Task.OPEN: _open, Task.WALK: _walk, Task.EXAMINE: _examine, Task.ACQUIRE: _acquire, Task.MEASURE: state_again,
}  # fmt: skip


def _named_as_picture(entry: Entry) -> bool:
    return PurePosixPath(entry.step.name).suffix.lower().lstrip(".") in probe.PICTURE_NAMES
