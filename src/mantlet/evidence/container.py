"""What an exhibit, or a file inside one, is stored as: from a file to the medium it holds.

`unwrap` takes off one form after another (a gzip file of a VMDK), by what the file begins with, until it comes to a
disk. To add a format, write its file under `containers/` and put it into `FORMS`. Formats that are known and
not read are refused by name, so that nobody takes "nothing found" for "nothing there".
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from mantlet import settings
from mantlet.errors import EvidenceError, RefusedError, plain
from mantlet.evidence.containers import ewf, qcow, raw, vhd, vmdk
from mantlet.evidence.containers.compressed import open_compressed
from mantlet.evidence.inflate import METHODS
from mantlet.evidence.source import Opened, Source, of_path
from mantlet.evidence.stream import Stream
from mantlet.types import Reason


class Form(msgspec.Struct, frozen=True):
    """A format that holds a medium. `marks`: bytes at an offset, negative from the end; any of them tells."""

    name: str
    marks: tuple[tuple[int, bytes], ...]
    opens: Callable[[Source], Opened | None]


FORMS: Final = (
    Form("E01", ((0, ewf.SIGNATURE),), ewf.open_ewf),
    Form("VMDK", ((0, vmdk.SPARSE), (0, vmdk.DESCRIPTOR)), vmdk.open_vmdk),
    Form("VHDX", ((0, vhd.VHDX),), vhd.open_vhd),
    Form("VHD", ((0, vhd.VHD), (-512, vhd.VHD)), vhd.open_vhd),
    Form("QCOW", ((0, qcow.MARK),), qcow.open_qcow),
    *(Form(name, ((0, mark),), open_compressed) for mark, name, _ in METHODS),
)
COMPRESSED: Final = frozenset(name for _, name, _ in METHODS)
_UNREAD: Final = (
    (0, b"EVF2\r\n\x81\x00", "an Ex01 image"),
    (0, b"LVF\x09\x0d\x0a\xff\x00", "an L01 logical image"),
    (0, b"LEF2\r\n\x81\x00", "an Lx01 logical image"),
    (0, b"ADSEGMENTEDFILE\x00", "an AD1 logical image"),
    (0, b"AFF10\r\n\x00", "an AFF image"),
    (64, b"\x7f\x10\xda\xbe", "a VDI image"),
    (-512, b"koly", "an Apple disk image (DMG)"),
)
_AFF4_MARK: Final = b"aff4://"
HEAD: Final = 4096


@dataclass(frozen=True)
class Container:
    """An opened file: its medium, in what form it came ("raw": as it is), and the digests stored with it."""

    form: str
    stream: Stream
    stored: dict[str, str]


def unwrap(source: Source) -> Container:
    """The medium that a file holds, or the file itself where it is in none of the `FORMS`.

    Raises:
        MissingPartError: another file is needed, and not beside it.
        RefusedError: the image is damaged, or of a kind that is not read.
    """
    forms: list[str] = []
    stored: dict[str, str] = {}
    split = raw.open_split(source)
    if split is not None:
        forms.append("split raw")
        source = replace(source, stream=split.stream)
    for _ in range(settings.DEPTH + 1):
        try:
            form = form_by_marks(source.stream)
        except OSError:  # its first or last bytes are damaged: the others may not be
            form = None
        opened = _opened(form, source) if form else None
        if form is None or opened is None:
            break
        forms.append(form.name)
        source = replace(source, stream=opened.stream, name=Path(source.name).stem)
        if form.name not in COMPRESSED:  # this is the medium: whoever wrote to it can make it begin like an image
            stored = opened.stored
            break
    else:
        raise RefusedError(Reason.LIMIT, f"Images lie more than {settings.DEPTH} deep in each other.")
    return Container(" of ".join(forms) or "raw", source.stream, stored)


def _opened(form: Form, source: Source) -> Opened | None:
    try:
        return form.opens(source)
    except (RefusedError, EvidenceError):
        raise
    except Exception as error:  # a hostile image makes its library raise anything
        raise RefusedError(Reason.DAMAGED, f"It cannot be opened as {form.name}: {plain(error)}.") from error


def form_by_marks(stream: Stream, head: bytes | None = None) -> Form | None:
    """The form of a file by its marks. `head`: its first bytes, if they are at hand, and then nothing else is read."""
    ends = head is None and not stream.sequential
    head = stream.read_at(0, HEAD) if head is None else head
    tail = tail_of(stream) if ends else b""
    return next((form for form in FORMS if any(_has(each, head, tail) for each in form.marks)), None)


def tail_of(stream: Stream) -> bytes:
    """The last sector; none of a file so short that the first is it, or of a damaged one."""
    try:
        return stream.read_at(stream.size - 512, 512) if stream.size >= 1024 else b""
    except OSError:
        return b""


def _has(mark: tuple[int, bytes], head: bytes, tail: bytes) -> bool:
    offset, value = mark
    return head.startswith(value, offset) if offset >= 0 else tail.startswith(value, offset + 512)


def unread_name(head: bytes, tail: bytes = b"") -> str | None:
    """What a file is, in words, if it is an image that Mantlet does not read."""
    if head.startswith(b"PK") and _AFF4_MARK in tail + head:
        return "an AFF4 image"
    return next((name for offset, mark, name in _UNREAD if _has((offset, mark), head, tail)), None)


_DESCRIPTOR_BYTES: Final = 64 * 1024
_EXTENT: Final = re.compile(r"(.+)-(?:flat|[sf]\d{3})(\.vmdk)", re.IGNORECASE)


def first_part(name: str, head: bytes) -> str | None:
    """Of a later part of an image, to be read by way of the first, the first's name; None for any other file.

    Segments of E01, and extents of VMDK that have no descriptor themselves (offset 28: VMware Virtual Disk Format 5.0,
    "Hosted Sparse Extent Header") or are named as what a descriptor beside them consists of.
    """
    if ewf.is_later_segment(head):
        return f"{name[:-2]}01"
    extent = _EXTENT.fullmatch(name)
    if extent is None:
        return name if head.startswith(vmdk.SPARSE) and not any(head[28:36]) else None
    return extent[1] + extent[2]


def is_first_part(stream: Stream, name: str) -> bool:
    """Whether a file is the first part of the image that the file `name` is a later part of: that it lies beside it is
    not enough, as whoever named them chose the names. A VMDK names its extents in its descriptor."""
    head = stream.read_at(0, _DESCRIPTOR_BYTES)
    return head.startswith(ewf.SIGNATURE) or (
        head.startswith(vmdk.DESCRIPTOR) and name.encode("utf-8", "surrogateescape") in head
    )


def form_of(path: Path) -> str:
    """ "folder", "device", "split raw", a name of `FORMS`, "zip" or "raw": by the file's kind and marks alone.

    Raises:
        EvidenceError: nothing can be read at `path`; a format known but not read; a part that is missing.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            next(path.iterdir(), None)
            return "folder"
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise EvidenceError(f"{path} is neither a file, a folder nor a block device.")
        source = of_path(path)
        with source.stream:
            return "device" if stat.S_ISBLK(mode) else _form_of_file(path, source)
    except FileNotFoundError:
        raise EvidenceError(f"{path} does not exist; check the path.") from None
    except PermissionError:
        raise EvidenceError(f"{path} may not be read by you; ask for the right to read it.") from None
    except RefusedError as error:
        raise EvidenceError(f"{path}: {error}") from None
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror or error}.") from error


def _form_of_file(path: Path, source: Source) -> str:
    stream = source.stream
    head, tail = stream.read_at(0, HEAD), tail_of(stream)
    if not head:
        raise EvidenceError(f"{path} is an empty file: nothing was acquired, or the copy failed.")
    name = unread_name(head, tail)
    if path.suffix.lower() == ".aff4":
        name = "an AFF4 image"
    if name:
        raise EvidenceError(f"{path} is {name}, which Mantlet cannot read yet; convert it to raw or E01.")
    if raw.open_split(source):
        return "split raw"
    form = form_by_marks(stream)
    if form and form.name == "E01":
        for _ in ewf.segments(source):
            pass  # one that is missing is said now
    return form.name if form else "zip" if head.startswith(b"PK") else "raw"


def open_container(path: Path, on_read: Callable[[], None] | None = None) -> Container:
    """The medium of an exhibit that is not a folder; `on_read` is called at each read of the host's files.

    Raises:
        EvidenceError: as `form_of`, and as `unwrap`.
    """
    form_of(path)
    return unwrap(of_path(path, on_read))
