"""Microsoft's virtual disks, VHD and VHDX: fixed, dynamic, and differencing ones over their parents, through libvhdi
(https://github.com/libyal/libvhdi)."""

from __future__ import annotations

from typing import Any, Final

import pyvhdi

from mantlet.errors import RefusedError
from mantlet.evidence.source import Opened, Source
from mantlet.evidence.stream import Cached, ForLibyal, Library
from mantlet.types import Reason

VHD: Final = b"conectix"
"""The footer, of which a dynamic disk has a copy at its start (Virtual Hard Disk Image Format Specification 1.0)."""
VHDX: Final = b"vhdxfile"


def open_vhd(source: Source) -> Opened:
    """The disk inside, over its parent if it is a differencing one.

    Raises:
        OSError: damaged.
        RefusedError: the parent beside it is another one than it was made of.
        MissingPartError: the parent is not beside it.
    """
    file = _file(source)
    return Opened(Cached(Library(file, file.media_size, "the virtual disk")))


def _file(source: Source) -> Any:
    file = pyvhdi.file()
    file.open_file_object(ForLibyal(source.stream))
    if file.disk_type == pyvhdi.disk_types.DIFFERENTIAL:
        if not file.parent_filename:
            raise RefusedError(Reason.UNSUPPORTED, "The virtual disk stands on another, and does not name it.")
        parent = _file(source.part(file.parent_filename))
        if parent.identifier != file.parent_identifier:
            raise RefusedError(Reason.UNREADABLE, "The virtual disk beside it is not the parent it was made of.")
        file.set_parent(parent)
    return file
