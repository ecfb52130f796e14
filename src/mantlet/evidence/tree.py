"""What can be listed: volumes of a disk, files of a file system or folder, members of an archive or a document.

One format is one file under `trees/`; `open_tree` tries them in the order of `FORMATS`. To add a format, write
its file and put it into that list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from mantlet.errors import RefusedError, plain
from mantlet.evidence.container import COMPRESSED, HEAD, form_by_marks, tail_of, unread_name, unwrap
from mantlet.evidence.inflate import Method, inner_head, method_of
from mantlet.evidence.source import Source
from mantlet.evidence.stream import Memory, Stream
from mantlet.evidence.trees import archive, mail, mbox, ole, pdf, previews, sqlite, tar, volumes
from mantlet.evidence.trees import zip as zips
from mantlet.evidence.trees.protocol import Tree
from mantlet.evidence.trees.single import Single
from mantlet.evidence.trees.volumes import ISO_HEAD, is_iso
from mantlet.settings import DEPTH
from mantlet.types import Reason


class Format(msgspec.Struct, frozen=True):
    """A format that holds files. `fits`: whether a file that begins with these bytes (4 KiB) may be of it.

    `weak`: other files begin like that too, so one that does not open is none.
    """

    name: str
    fits: Callable[[bytes], bool]
    opens: Callable[[Stream], Tree]
    weak: bool = False


_DISK: Final = Format("disk", volumes.fits, volumes.Disk, weak=True)
FORMATS: Final = (
    Format("picture with previews", previews.fits, previews.Previews, weak=True),
    # A disk before an archive: its first bytes are free for anyone to write, and must not divert from the rest.
    _DISK,
    Format("zip archive", zips.fits, zips.Zip),
    Format("tar archive", tar.fits, tar.Tar),
    Format("archive", archive.fits, archive.Archive),
    Format("PDF document", pdf.fits, pdf.Pdf),
    Format("compound file", ole.fits, ole.Ole),
    Format("SQLite database", sqlite.fits, sqlite.Sqlite),
    Format("mailbox", mbox.fits, mbox.Mailbox, weak=True),
    Format("mail", mail.fits, mail.Message, weak=True),
)


_UNREAD_FILE_SYSTEMS: Final = (
    (0, b"XFSB", "XFS"),
    (32, b"NXSB", "APFS"),
    (0x400, b"H+", "HFS+"),
    (0x400, b"HX", "HFS+"),
    (0x10040, b"_BHRfS_M", "Btrfs"),
    (3, b"-FVE-FS-", "BitLocker"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (0, b"hsqs", "SquashFS"),
    (3, b"ReFS", "ReFS"),
    (0x400, b"\x10\x20\xf5\xf2", "F2FS"),
)
"""Known by their marks, so that the refusal can name those that are not read, or are damaged."""


class Holds(msgspec.Struct, frozen=True):
    """That a file holds others: `disk` if it is a disk or an image of one, and `weak` as in `Format`."""

    disk: bool
    weak: bool = False


class NothingFitsError(RefusedError):
    """A file is in none of the formats that hold others."""


_SMALLEST_DISK: Final = 64 * 1024
"""Smaller files that begin like one are copies of boot sectors."""
_TAIL_FROM: Final = 64 * 1024
"""Of files at least so large the end is looked at too."""


def holds(stream: Stream, head: bytes, wanted: Callable[[bytes], bool], within: int = 0) -> Holds | None:
    """Whether a file inside an exhibit is to be expanded in its turn; `head` is its first 4 KiB.

    `wanted`: whether bytes begin a file that is looked for; one compressed alone is worth expanding, a log is not.

    Raises:
        RefusedError: it is, and Mantlet cannot read it.
    """
    large = not stream.sequential and stream.size >= _TAIL_FROM
    name = unread_name(head, tail_of(stream) if large else b"")
    if name:
        raise RefusedError(Reason.UNSUPPORTED, f"It is {name}, which Mantlet cannot read yet.")
    method = method_of(head)
    if method is not None:
        return _compressed_holds(stream, method[1], wanted, within)
    if form_by_marks(stream, head):
        return Holds(disk=True)
    form = next((each for each in FORMATS if each.fits(head)), None)
    if form is None and is_iso(stream, head):
        form = _DISK
    if form is None or (form is _DISK and not within and not stream.sequential and stream.size < _SMALLEST_DISK):
        return None
    return Holds(disk=form is _DISK, weak=form.weak)


def _compressed_holds(stream: Stream, method: Method, wanted: Callable[[bytes], bool], within: int) -> Holds | None:
    if within >= DEPTH:
        raise RefusedError(Reason.LIMIT, f"It is compressed more than {DEPTH} times over.")
    inner, fault = inner_head(stream, method, ISO_HEAD)
    found = Holds(disk=False) if wanted(inner[:HEAD]) else holds(Memory(inner), inner[:HEAD], wanted, within + 1)
    if found is None and fault and not within:  # within, only a first piece is at hand
        reason = Reason.LIMIT if "emory" in fault else Reason.DAMAGED
        raise RefusedError(reason, f"The compressed data cannot be read: {fault}.")
    return found


def open_tree(source: Source) -> Tree:
    """The first format that fits what the file holds, as `unwrap` gives it.

    Raises:
        NothingFitsError: none does.
        RefusedError: one does, and cannot be read; or it is a file system that is known by name alone.
        MissingPartError: as `unwrap`.
    """
    container = unwrap(source)
    stream = container.stream
    head = stream.read_at(0, HEAD)
    compressed = set(container.form.split(" of ")) <= COMPRESSED
    disk = source.is_exhibit or not (compressed or container.form == "raw") or is_iso(stream, head)
    fault: Exception | None = None
    for form in FORMATS:
        if (source.is_exhibit or compressed) and form.opens is previews.Previews:
            continue  # a picture given as an exhibit, or compressed, is one before it is what holds its previews
        if form.fits(head) or (disk and form is _DISK):
            try:
                return form.opens(stream)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - a hostile file makes its parser raise anything
                # That a disk's marks lead to no file system is not worth telling; that a mail cannot be read is.
                none = isinstance(error, NothingFitsError | archive.NotATarError)
                none = none or (form is _DISK and not isinstance(error, RefusedError))
                fault = fault or (None if none else error)
    if fault is None and compressed and not source.is_exhibit:
        return Single(source.name, stream)
    try:
        raise fault if isinstance(fault, RefusedError) else _refusal(stream, fault)
    finally:
        del fault  # whose traceback holds this frame, and with it the stream's cache


def _refusal(stream: Stream, fault: Exception | None) -> RefusedError:
    for offset, mark, name in _UNREAD_FILE_SYSTEMS:
        if stream.read_at(offset, len(mark)) == mark:
            return RefusedError(Reason.UNSUPPORTED, f"This holds {name}, which is damaged, or not read by Mantlet yet.")
    if fault is not None:
        return RefusedError(Reason.UNREADABLE, f"It cannot be opened: {plain(fault)}.")
    return NothingFitsError(Reason.UNSUPPORTED, "No file system, partition table or archive that Mantlet can read.")
