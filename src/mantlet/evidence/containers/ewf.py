"""EnCase evidence files, E01 and split (`.E01`, `.E02`, ...), through libewf (https://github.com/libyal/libewf)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import pyewf

from mantlet.errors import EvidenceError
from mantlet.evidence.stream import Cached, Stream

SIGNATURE: Final = b"EVF\x09\x0d\x0a\xff\x00"
_ALGORITHMS: Final = {"MD5": "md5", "SHA1": "sha1"}


class _Ewf(Stream):
    """The media inside; libewf keeps a position and holds the GIL, hence the lock."""

    def __init__(self, path: Path) -> None:
        self._handle = pyewf.handle()
        self._lock = threading.Lock()
        try:
            self._handle.open(pyewf.glob(str(path)))
            super().__init__(self._handle.get_media_size())
            self.stored = self._stored_digests()
        except OSError as error:
            raise EvidenceError(
                f"{path} cannot be opened as E01: a segment is damaged or missing. "
                "Check that every segment lies beside the first, and that their digests are right."
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
            data: bytes = self._handle.read_buffer_at_offset(length, offset)
        return data


def open_ewf(path: Path) -> tuple[Stream, dict[str, str]]:
    """The media, and the digests the imaging tool stored of it (algorithm -> hex); empty where it stored none.

    Raises:
        EvidenceError: no segment file of E01, or one that is damaged or missing.
    """
    ewf = _Ewf(path)
    return Cached(ewf), ewf.stored
