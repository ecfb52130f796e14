"""The nouns of Mantlet, one word for one thing; this file imports nothing of ours.

What flows: an exhibit is expanded node by node; what is found is an `Item` (an occurrence) of a `Content`
(distinct bytes); stages state `Finding`s about contents; what could not be read is `Unread`, with a reason.
Everything here is a frozen value that travels between processes as msgpack and never as a pickle; what the types
below demand holds for whatever was decoded, so a worker cannot send a value that no column or algorithm can take.
"""

from __future__ import annotations

import hashlib
import unicodedata
from enum import StrEnum
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Meta

Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Sha1 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{40}\Z")]
Md5 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Algorithm = Annotated[str, Meta(pattern=r"\A(md5|sha1|sha256)\Z")]
Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32,128}\Z")]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Word = Annotated[str, Meta(max_length=200)]
Sentence = Annotated[str, Meta(max_length=1000)]
Path = Annotated[str, Meta(max_length=1 << 20)]
"""The longest there is: 256 nested folders of 255 characters that `escape` writes as nine."""


class Recovery(StrEnum):
    """Whether the file system still claims the bytes."""

    LIVE = "live"
    DELETED = "deleted"
    CARVED = "carved"


class Containment(StrEnum):
    """What the bytes were inside of."""

    FILE = "file"
    MEMBER = "member"
    PREVIEW = "preview"
    THUMBNAIL_CACHE = "thumbnail-cache"
    SHADOW_COPY = "shadow-copy"


class Kind(StrEnum):
    STILL = "still"
    MOVING = "moving"


class Place(StrEnum):
    """Where on a device a picture lay, as a hint for people: decided by path alone, so never proof."""

    CAMERA = "camera"
    USER = "user folder"
    RECYCLE_BIN = "recycle bin"
    BROWSER_CACHE = "browser cache"
    MESSENGER = "messenger"
    SYSTEM = "system"
    OTHER = "other"


class Reason(StrEnum):
    """Why a value is absent. Absent is not zero: each missing value names one of these."""

    NOT_RUN = "not run"
    NOT_APPLICABLE = "not applicable"
    TOO_FLAT = "too flat to hash"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    EMPTY = "empty file"
    NOT_A_PICTURE = "named as a picture, content is not one"
    UNSUPPORTED = "format not supported"
    ENCRYPTED = "encrypted"
    GONE = "deleted, content gone"
    LIMIT = "refused by a limit"
    NO_ANSWER = "model gave no answer"
    CRASHED = "decoder crashed"


class Absent(msgspec.Struct, frozen=True):
    """A value that is not there, and why; `detail` is one sentence for the person who reads it."""

    reason: Reason
    detail: Sentence = ""


_ESCAPED = {"%", "!"}
_ESCAPED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def escape(name: bytes) -> str:
    """A name from an exhibit as one line of text that parses back.

    Invalid UTF-8, control and text-direction characters, `%` and `!` become %XX, so that a hostile name can
    neither break a line nor pose as another address.
    """
    return "".join(
        "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
        if char in _ESCAPED or unicodedata.category(char) in _ESCAPED_CATEGORIES
        else char
        for char in name.decode("utf-8", "surrogateescape")
    )


def unescape(text: str) -> bytes:
    """The bytes that `escape` was given."""
    return unquote_to_bytes(text)


class Step(msgspec.Struct, frozen=True, order=True, array_like=True):
    """One step towards some bytes: into a volume, to a file, to a member of an archive.

    `at` is what re-opens it: byte offset of a volume, record number of a file, index of a member.
    `name` is the path within the step before, as `escape` wrote it; "" where there is none.
    """

    kind: Word
    at: Count = 0
    name: Path = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.at}:{self.name}" if self.name else f"{self.kind}:{self.at}"

    @classmethod
    def parse(cls, text: str) -> Step:
        kind, _, rest = text.partition(":")
        at, _, name = rest.partition(":")
        if not kind.isalpha() or not (at.isascii() and at.isdigit()):
            raise ValueError(f"'{text}' is not a step of an address, such as file:45:/DCIM/a.jpg")
        return cls(kind, int(at), name)


class Address(msgspec.Struct, frozen=True, order=True, array_like=True):
    """How to reach some bytes again, on this machine or another: an exhibit, then steps.

    Prints as one line (`EX1!volume:1048576!file:45:/DCIM/a.jpg!member:3:b.jpg`) and parses back.
    """

    exhibit: Word
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return "!".join([self.exhibit, *map(str, self.steps)])

    @classmethod
    def parse(cls, text: str) -> Address:
        exhibit, *steps = text.split("!")
        return cls(exhibit, tuple(Step.parse(step) for step in steps))

    def child(self, step: Step) -> Address:
        return Address(self.exhibit, (*self.steps, step))

    @property
    def parent(self) -> Address:
        """What it lies in; an exhibit lies in itself."""
        return Address(self.exhibit, self.steps[:-1])

    def within(self, other: Address) -> bool:
        """Whether this lies inside `other`, or is it."""
        return self.exhibit == other.exhibit and self.steps[: len(other.steps)] == other.steps

    @property
    def mark(self) -> int:
        """A number below 2**48 that stands for this address where only a number fits; two may share one by chance."""
        return int.from_bytes(hashlib.blake2b(str(self).encode(), digest_size=6).digest())

    @property
    def name(self) -> str:
        """The last part of the path, for people: of what it lies in, where it has no name itself. What cannot be shown
        safely becomes U+FFFD."""
        named = (step.name for step in reversed(self.steps) if step.name)
        last = next(named, self.exhibit).rsplit("/", 1)[-1]
        text = unescape(last).decode("utf-8", "replace")
        return "".join("\ufffd" if unicodedata.category(c) in _ESCAPED_CATEGORIES else c for c in text)


class Times(msgspec.Struct, frozen=True, array_like=True):
    """When a file was created, modified and accessed: RFC 3339, or None where the medium does not say.

    A medium that stores local time without a zone (FAT) gives the offset -00:00, which RFC 3339 (4.3) defines
    as "local time, offset unknown".
    """

    created: Word | None = None
    modified: Word | None = None
    accessed: Word | None = None


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What a tree lists: some bytes to examine, or (`volume`) to expand further."""

    step: Step
    size: Count
    recovery: Recovery = Recovery.LIVE
    containment: Containment = Containment.FILE
    times: Times = Times()
    absent: Absent | None = None


class Item(msgspec.Struct, frozen=True):
    """One occurrence of a picture or a moving picture at one address."""

    address: Address
    sha256: Sha256
    size: Count
    recovery: Recovery
    containment: Containment
    place: Place
    times: Times


class Content(msgspec.Struct, frozen=True):
    """The distinct bytes behind one or more items. Digests are lower-case hex; `size` in bytes."""

    sha256: Sha256
    md5: Md5
    sha1: Sha1
    size: Count
    kind: Kind
    mime: Word


class Finding(msgspec.Struct, frozen=True):
    """What one stage says of one content: a value, or why there is none.

    The key is content + name + version + settings (a digest of what the stage was set to), so that a re-run, a
    resumed run and a merge from another machine are the same operation. It never depends on what else is loaded.
    """

    sha256: Sha256
    name: Word
    version: Count
    settings: Word
    value: Any = None
    absent: Absent | None = None


class Unread(msgspec.Struct, frozen=True):
    """Something that could not be read: where, by which stage, why."""

    address: Address
    stage: Word
    absent: Absent


class Acquisition(msgspec.Struct, frozen=True):
    """A digest of a whole exhibit. `origin` is "stored" (the examiner's imaging tool wrote it into the image)
    or "computed" (by the first full read); `size` is the media size in bytes."""

    exhibit: Word
    algorithm: Algorithm
    digest: Digest
    origin: Literal["stored", "computed"]
    size: Count


class Task(StrEnum):
    """What is done to expand a node."""

    OPEN = "open"
    WALK = "walk"
    EXAMINE = "examine"
    ACQUIRE = "acquire"
    MEASURE = "measure"


class Node(msgspec.Struct, frozen=True):
    """The unit of work: something to expand. `part` tells apart runs of entries of one tree.

    `skip` holds the marks of addresses that cost an earlier worker its life, with the reason to record instead; those
    that models were looking at are marked apart (`engine.messages.OF_MODELS`).
    `recovery` is that of the archive to walk: what lies in a deleted archive is deleted.
    To measure, `stage` names what is stated of the contents of the entries, which are `contents` in the same order.
    """

    task: Task
    address: Address
    part: Count = 0
    entries: tuple[Entry, ...] = ()
    skip: tuple[tuple[Count, Absent], ...] = ()
    recovery: Recovery = Recovery.LIVE
    stage: Word = ""
    contents: tuple[Sha256, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.task} {self.part} {self.address}"

    @property
    def mark(self) -> int:
        """Stands for the node itself in `skip`; marks of addresses are smaller."""
        return 2**48

    @property
    def size(self) -> int:
        """Bytes of its entries."""
        return sum(entry.size for entry in self.entries)


class Rows(msgspec.Struct):
    """What a worker sends back: facts to merge, and further nodes. Entries listed and looked at, and their bytes, tell
    how far a scan is."""

    items: list[Item] = msgspec.field(default_factory=list)
    contents: list[Content] = msgspec.field(default_factory=list)
    findings: list[Finding] = msgspec.field(default_factory=list)
    unread: list[Unread] = msgspec.field(default_factory=list)
    acquisitions: list[Acquisition] = msgspec.field(default_factory=list)
    nodes: list[Node] = msgspec.field(default_factory=list)
    listed: Count = 0
    listed_bytes: Count = 0
    examined: Count = 0
    examined_bytes: Count = 0
