"""VMware images (`.vmdk`): sparse, stream-optimised, split, flat behind a descriptor, and snapshots of another, through
libvmdk (https://github.com/libyal/libvmdk)."""

from __future__ import annotations

from typing import Any, Final

import pyvmdk

from mantlet.errors import RefusedError
from mantlet.evidence.source import Opened, Source
from mantlet.evidence.stream import Cached, ForLibyal, Library
from mantlet.types import Reason

SPARSE: Final = b"KDMV"
DESCRIPTOR: Final = b"# Disk DescriptorFile"
_EXTENTS: Final = 4096


def open_vmdk(source: Source) -> Opened:
    """The disk inside, over the one it is a snapshot of.

    Raises:
        OSError: damaged.
        RefusedError: of a kind that is not read.
        MissingPartError: a file it consists of, or stands on, is not beside it.
    """
    handle = _handle(source)
    return Opened(Cached(Library(handle, handle.media_size, "the VMDK image")))


def _handle(source: Source) -> Any:
    handle = pyvmdk.handle()
    handle.open_file_object(ForLibyal(source.stream))
    if handle.number_of_extents > _EXTENTS:
        raise RefusedError(Reason.LIMIT, f"The VMDK image says it is in more than {_EXTENTS:,} pieces.")
    names = [handle.get_extent_descriptor(number).filename for number in range(handle.number_of_extents)]
    # A sparse image holds its own descriptor, which knows it by the name it had when it was made.
    alone = len(names) == 1 and source.stream.read_at(0, len(SPARSE)) == SPARSE
    files = [source.stream] if alone else [source.part(name).stream if name else None for name in names]
    if None in files:
        raise RefusedError(Reason.UNSUPPORTED, "A piece of the VMDK image has no file of its own.")
    handle.open_extent_data_files_as_file_objects([ForLibyal(each) for each in files if each is not None])
    if handle.parent_filename:
        handle.set_parent(_handle(source.part(handle.parent_filename)))
    return handle
