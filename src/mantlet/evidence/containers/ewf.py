"""EnCase evidence files, E01 and split (`.E01`, `.E02`, ...), through libewf (https://github.com/libyal/libewf).

libewf gives zeros for a chunk whose checksum is wrong, and its Python binding does not tell; so the digest stored
in the image is recomputed at the end of a scan, and a difference said (`mantlet.pipeline`).
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Final

import pyewf

from mantlet.errors import EvidenceError
from mantlet.evidence.stream import Cached, Stream

SIGNATURE: Final = b"EVF\x09\x0d\x0a\xff\x00"
_ALGORITHMS: Final = {"MD5": "md5", "SHA1": "sha1"}
_SEGMENT: Final = re.compile(r"\.[Ee][0-9A-Za-z]{2}")


class _Ewf(Stream):
    """The media inside; libewf keeps a position and holds the GIL, hence the lock."""

    def __init__(self, path: Path) -> None:
        self._handle = pyewf.handle()
        self._lock = threading.Lock()
        try:
            self._handle.open([str(segment) for segment in segments(path)])
            super().__init__(self._handle.get_media_size())
            self.stored = self._stored_digests()
        except OSError as error:
            raise EvidenceError(
                f"{path} cannot be opened as E01: a segment is damaged or missing. "
                "Check that every segment lies beside the first, and is whole."
            ) from error

    def _stored_digests(self) -> dict[str, str]:
        found = {}
        for name, algorithm in _ALGORITHMS.items():
            try:
                value = self._handle.get_hash_value(name)
            except OSError:
                value = None
            if value:
                found[algorithm] = value.lower()
        return found

    def read_at(self, offset: int, length: int) -> bytes:
        with self._lock:
            try:
                data: bytes = self._handle.read_buffer_at_offset(length, offset)
            except OSError as error:
                raise OSError(f"the E01 image is damaged or cut short at byte {offset:,} of its medium") from error
        return data


def segments(path: Path) -> list[Path]:
    """The segment files of an image, the first of which is `path`.

    Raises:
        EvidenceError: `path` is not the first, or one in the middle is missing.
    """
    if path.suffix[2:].upper() != "01":
        raise EvidenceError(f"{path} is a later segment of an E01 image; give the first one, which ends in .E01.")
    found = [Path(name) for name in pyewf.glob(str(path))]
    beside = {other for other in path.parent.iterdir() if other.stem == path.stem and _is_segment(other)}
    if beside - set(found):
        later = min(beside - set(found)).name
        raise EvidenceError(
            f"{path}: a segment between {found[-1].name} and {later} is missing. Put it beside the others."
        )
    return found


def _is_segment(path: Path) -> bool:
    if not _SEGMENT.fullmatch(path.suffix) or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def open_ewf(path: Path) -> tuple[Stream, dict[str, str]]:
    """The media, and the digests the imaging tool stored of it (algorithm -> hex); empty where it stored none.

    Raises:
        EvidenceError: no segment file of E01, or one that is damaged or missing.
    """
    ewf = _Ewf(path)
    return Cached(ewf), ewf.stored
