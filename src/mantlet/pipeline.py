"""The whole product on one screen: how evidence becomes rows.

    exhibit -> nodes -> entries -> probe by content -> digests (bytes read once) -> decode once, small
            -> STAGES, each stating a finding -> rows

`expand` does one node of that, in a boxed worker that knows neither the case nor the other nodes. To measure
something else of each content, write a stage, put it into `STAGES`, and what it may state into `engine.messages`; to
read another format, see `mantlet.evidence.tree`. Matching, stacking and grading happen later, on rows
(`mantlet.case`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Final, Protocol, TypeVar

import msgspec
from PIL import Image

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.container import unopened
from mantlet.evidence.place import place_of
from mantlet.evidence.reach import Reach
from mantlet.evidence.stream import Memory, Stream
from mantlet.evidence.tree import is_archive
from mantlet.fingerprint import digests, pdq
from mantlet.media import clip, picture, probe
from mantlet.types import (
    Absent,
    Acquisition,
    Address,
    Content,
    Entry,
    Finding,
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

T = TypeVar("T")


class Watch(Protocol):
    """How a worker tells its engine where it is, so that a death or a standstill costs one entry only."""

    def start(self, entry: int) -> None: ...
    def beat(self) -> None: ...
    def first_time(self, sha256: str) -> bool:
        """Whether this worker has not measured that content before: copies are measured once."""


class Sight:
    """What stages see of one content: decoded at most once, however many ask. `data` is None for a long clip."""

    def __init__(self, content: Content, data: bytes | None, stream: Stream) -> None:
        self.content = content
        self._data = data
        self._stream = stream

    @cached_property
    def _decoded(self) -> picture.Picture | Exception:
        return _or_error(lambda: picture.decode(self._data or b""))

    @cached_property
    def _frames(self) -> tuple[clip.Clip, list[tuple[float, bytes, int]]] | Exception:
        return _or_error(self._read_frames)

    @cached_property
    def _pdq(self) -> tuple[bytes, int]:
        return pdq.pdq(self.picture.pixels)

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

    @property
    def pdq(self) -> tuple[bytes, int]:
        """Hash and quality of a still. Raises RefusedError for a damaged one."""
        if self.picture.damage:
            raise RefusedError(Reason.DAMAGED, f"Parts of the picture are missing: {self.picture.damage}.")
        return self._pdq

    def _read_frames(self) -> tuple[clip.Clip, list[tuple[float, bytes, int]]]:
        if self.content.mime.startswith("image/"):
            about, frames = clip.animation_frames(self._data or b"")
        else:
            about, frames = clip.open_clip(Memory(self._data) if self._data is not None else self._stream)
        kept: list[tuple[float, bytes, int]] = []
        for frame in frames:
            value, quality = pdq.pdq(frame.pixels)
            if all(pdq.distance(value, other) > settings.PDQ_DISTANCE for _, other, _ in kept):
                kept.append((round(frame.seconds, 3), value, quality))
        if not kept:
            raise RefusedError(Reason.UNREADABLE, "No frame of it can be decoded.")
        most = settings.KEY_FRAMES
        return about, [kept[number * len(kept) // most] for number in range(most)] if len(kept) > most else kept


def _media(sight: Sight) -> dict[str, Any] | Absent:
    """Size as shown, in pixels; for a clip its duration in seconds, codec, and whether there is sound."""
    if sight.still:
        return {"width": sight.picture.width, "height": sight.picture.height}
    return msgspec.to_builtins(sight.about_clip)  # type: ignore[no-any-return]


def _pdq_hash(sight: Sight) -> str | Absent:
    if not sight.still:
        return Absent(Reason.NOT_APPLICABLE, "A clip stands as its key frames.")
    value, quality = sight.pdq
    if quality < settings.PDQ_QUALITY:
        return Absent(Reason.TOO_FLAT, f"Quality {quality} of 100: below {settings.PDQ_QUALITY} a hash fits too much.")
    return value.hex()


def _pdq_quality(sight: Sight) -> int | Absent:
    return sight.pdq[1] if sight.still else Absent(Reason.NOT_APPLICABLE, "A clip stands as its key frames.")


def _key_frames(sight: Sight) -> list[dict[str, Any]] | None:
    if sight.still:
        return None
    return [{"seconds": at, "pdq": value.hex(), "quality": quality} for at, value, quality in sight.frames]


class Stage(msgspec.Struct, frozen=True):
    """States one finding of a content. `settings` names all that the value depends on besides `version`.

    `run` returns a value, an `Absent`, or None where the finding has no meaning for this kind of content.
    """

    name: str
    version: int
    settings: str
    run: Callable[[Sight], Any]


STAGES: Final = (
    Stage("media", 1, "", _media),
    Stage("pdq", 1, picture.CONVENTION, _pdq_hash),
    Stage("pdq-quality", 1, picture.CONVENTION, _pdq_quality),
    Stage("frames", 1, f"{picture.CONVENTION} key-frames-{settings.KEY_FRAMES}", _key_frames),
)


def expand(node: Node, reach: Reach, watch: Watch) -> Iterator[Rows]:
    """The rows of one node, in the order of the medium; further nodes are among them.

    Raises:
        EvidenceError: the exhibit cannot be reached; the node is to be expanded when it can.
    """
    skip = dict(node.skip)
    task = Step(node.task)
    if task in skip:
        yield Rows(unread=[Unread(node.address, node.task, skip[task])])
        return
    watch.start(-1)
    # Listing a large file system may take minutes: it is alive while it reads. Examining one entry may not.
    reach.on_read = watch.beat if node.task is not Task.EXAMINE else _nothing
    try:
        yield from _TASKS[node.task](node, reach, watch)
    except Exception as error:  # noqa: BLE001 - the boundary around one node: parsers raise anything
        reach.check_there(node.address.exhibit)
        yield Rows(unread=[Unread(node.address, node.task, absent_for(error))])


def _nothing() -> None:
    pass


def _open(node: Node, reach: Reach, _watch: Watch) -> Iterator[Rows]:
    """An exhibit: what it holds, and whether its digest is known or must be computed."""
    if reach.is_folder(node.address.exhibit):
        yield Rows(nodes=[Node(Task.WALK, node.address)])
        return
    exhibit = node.address.exhibit
    container = reach.container(exhibit)
    size = container.stream.size
    stored = [Acquisition(exhibit, *each, "stored", size) for each in sorted(container.stored.items())]
    contents = Node(Task.WALK, node.address)
    try:
        reach.tree(node.address)
    except RefusedError:
        # Only what opens as nothing else is taken for a single picture: the first bytes of a disk are anyone's.
        if probe.probe(container.stream.read_at(0, probe.HEAD_BYTES)) is not None:
            contents = Node(Task.EXAMINE, node.address, entries=(Entry(Step("whole", 0, reach.name(exhibit)), size),))
    yield Rows(acquisitions=stored, nodes=[contents, Node(Task.ACQUIRE, node.address)])


def _acquire(node: Node, reach: Reach, watch: Watch) -> Iterator[Rows]:
    """The exhibit's own digest, by a full read: computed, or compared with the one stored in the image."""
    container = reach.container(node.address.exhibit)
    size, found = container.stream.size, digests.of_medium(container.stream, container.stored or ["sha256"], watch.beat)
    if not container.stored:
        yield Rows(acquisitions=[Acquisition(node.address.exhibit, "sha256", found["sha256"], "computed", size)])
    for algorithm, stored in container.stored.items():
        if found[algorithm] != stored:
            why = f"The medium has the {algorithm} {found[algorithm]}, and the image says {stored}"
            raise RefusedError(Reason.DAMAGED, f"{why}: parts of it are damaged. Pictures may be missing or wrong.")


def _walk(node: Node, reach: Reach, watch: Watch) -> Iterator[Rows]:
    """Everything listed in one tree, in runs that other workers examine."""
    part, run, size = 0, list[Entry](), 0
    for entry in reach.tree(node.address).walk():
        watch.beat()
        if entry.step.kind == "volume":
            yield Rows(nodes=[Node(Task.WALK, node.address.child(entry.step))])
            continue
        if run and (len(run) >= settings.NODE_ENTRIES or size + entry.size > settings.NODE_BYTES):
            part += 1
            yield Rows(nodes=[Node(Task.EXAMINE, node.address, part, tuple(run))], listed=len(run))
            run, size = [], 0
        run.append(entry if node.recovery is Recovery.LIVE else msgspec.structs.replace(entry, recovery=node.recovery))
        size += entry.size
    if run:
        yield Rows(nodes=[Node(Task.EXAMINE, node.address, part + 1, tuple(run))], listed=len(run))


_ROWS_OF_ENTRIES: Final = 16


def _examine(node: Node, reach: Reach, watch: Watch) -> Iterator[Rows]:
    """A run of entries: each is probed, and measured if it is a picture or a clip."""
    rows = Rows()
    for number, entry in enumerate(node.entries):
        address = node.address.child(entry.step)
        watch.start(number)
        try:
            blamed = [absent for step, absent in node.skip if step == entry.step]
            if len(blamed) > 1:  # reading it alone cost a second worker
                raise RefusedError(blamed[0].reason, blamed[0].detail)
            _examine_entry(entry, address, reach, watch, rows, blamed[0] if blamed else None)
        except Exception as error:  # noqa: BLE001 - the boundary around one entry
            if not isinstance(error, RefusedError):
                reach.check_there(node.address.exhibit)
            absent = absent_for(error)
            if absent.reason is not Reason.GONE or _named_as_picture(entry):
                rows.unread.append(Unread(address, "read", absent))
        rows.examined += 1
        if rows.examined >= _ROWS_OF_ENTRIES:
            yield rows
            rows = Rows()
    yield rows


def _examine_entry(
    entry: Entry, address: Address, reach: Reach, watch: Watch, rows: Rows, blamed: Absent | None
) -> None:
    if entry.absent:
        raise RefusedError(entry.absent.reason, entry.absent.detail)
    if entry.size == 0:
        if _named_as_picture(entry):
            raise RefusedError(Reason.EMPTY, "The file holds no byte.")
        return
    stream = reach.open(address)
    with stream:
        head = stream.read_at(0, probe.HEAD_BYTES)
        if is_archive(head):
            if sum(step.kind == "member" for step in address.steps) >= settings.DEPTH:
                raise RefusedError(Reason.LIMIT, f"Archives lie more than {settings.DEPTH} deep in each other.")
            rows.nodes.append(Node(Task.WALK, address, recovery=entry.recovery))
            return
        form = probe.probe(head)
        if form is not None:
            _measure(entry, address, form, stream, watch, rows, blamed)
        elif _named_as_picture(entry):
            if entry.recovery is not Recovery.LIVE:
                raise RefusedError(Reason.GONE, "Other data lies where the content was.")
            raise RefusedError(Reason.NOT_A_PICTURE, "By its content it is neither a picture nor a clip.")
        elif (inside := unopened(head)) and not entry.step.name.startswith("/$"):  # as NTFS's own $Boot
            raise RefusedError(
                Reason.UNSUPPORTED, f"It is {inside}, which Mantlet does not open yet inside an exhibit."
            )


def _measure(
    entry: Entry,
    address: Address,
    form: probe.Form,
    stream: Stream,
    watch: Watch,
    rows: Rows,
    blamed: Absent | None,
) -> None:
    """`blamed`: decoding this cost an earlier worker its life, so it is counted by its digests alone."""
    data = stream.read_at(0, stream.size) if stream.size <= settings.IN_MEMORY_BYTES else None
    found = digests.of_bytes(data) if data is not None else digests.of_stream(stream, watch.beat)
    if found.size != stream.size:
        raise OSError(f"only {found.size:,} of its {stream.size:,} bytes can be read")
    place = place_of(address)
    rows.items.append(Item(address, found.sha256, found.size, entry.recovery, entry.containment, place, entry.times))
    if not watch.first_time(found.sha256):
        return
    kind = form.kind
    if data is not None and kind is Kind.STILL and not blamed:
        kind = picture.kind_of(data, form.mime)
    content = Content(found.sha256, found.md5, found.sha1, found.size, kind, form.mime)
    rows.contents.append(content)
    sight = Sight(content, data, stream)
    for stage in STAGES:
        value = blamed or _run(stage, sight, form)
        if value is not None:
            absent = value if isinstance(value, Absent) else None
            value = None if absent else value
            rows.findings.append(Finding(found.sha256, stage.name, stage.version, stage.settings, value, absent))


def _run(stage: Stage, sight: Sight, form: probe.Form) -> Any:
    if form.refusal:
        return Absent(Reason.UNSUPPORTED, f"{form.refusal} is recognised, and cannot be decoded yet.")
    if sight.still and sight._data is None:
        most = settings.IN_MEMORY_BYTES // settings.MIB
        return Absent(Reason.LIMIT, f"The file is larger than {most} MiB.")
    try:
        return stage.run(sight)
    except Exception as error:  # noqa: BLE001 - the boundary around one stage of one content
        return absent_for(error)


_TASKS: Final = {Task.OPEN: _open, Task.WALK: _walk, Task.EXAMINE: _examine, Task.ACQUIRE: _acquire}


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


def absent_for(error: Exception) -> Absent:
    """An exception as a reason and a sentence. Texts of decoders are cut and put on one line."""
    if isinstance(error, RefusedError):
        return Absent(Reason(error.reason), str(error))
    if isinstance(error, MemoryError):
        most = settings.WORKER_MEMORY // settings.MIB
        return Absent(Reason.LIMIT, f"It needs more than the {most} MiB of memory that a worker may have.")
    # Not where an object lay in memory: the same file must give the same finding in every run.
    text = re.sub(r" ?<[^<>]* at 0x[0-9a-f]+>", "", " ".join(str(error).split()))[:200].rstrip(".: ")
    return Absent(Reason.UNREADABLE, f"It cannot be read: {text or type(error).__name__}.")


def _named_as_picture(entry: Entry) -> bool:
    return PurePosixPath(entry.step.name).suffix.lower().lstrip(".") in probe.PICTURE_NAMES


def _or_error(call: Callable[[], T]) -> T | Exception:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - kept, to be raised to each stage that asks
        return error


def _raised(value: T | Exception) -> T:
    if isinstance(value, Exception):
        raise value
    return value
