"""JSON read from a stream, piece by piece: the caller walks objects and arrays and takes each entry as its bytes.

Why not a library: ijson is as fast (107,000 VICS entries a second on the machine where this does 91,000 with types and
records), but it buffers a string of any length before it can be refused, and knows no depth. Here a compiled loop finds
where an entry ends, within limits; msgspec then decodes and checks it against its type. What is between entries
(commas, keys, ends) is checked here, so a file that is cut off, damaged or goes on after its end is refused (RFC 8259).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec
import numba
import numpy as np
from numpy.typing import NDArray

from mantlet.compiled import inner, kernel
from mantlet.errors import plain
from mantlet.known.formats.source import BadEntryError, Source
from mantlet.settings import MIB

ENTRY_BYTES: Final = 4 * MIB
"""The largest entry, or other value that is decoded at once."""
ENTRY_DEPTH: Final = 32
"""Objects and arrays inside each other in an entry."""
Decoded = TypeVar("Decoded")
_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_AHEAD: Final = 1024
_NAME: Final = msgspec.json.Decoder(str)
_INCOMPLETE: Final = -1
_TOO_DEEP: Final = -2
_NAMES: Final = 512
"""Names in an entry among which the compiled loop finds two alike; half of the slots of its table."""


@kernel(numba.types.Array(numba.uint8, 1, "C", readonly=True), numba.int64)
def _end(data: NDArray[np.uint8], start: int) -> int:
    """Where the value that begins at `start` ends, or _INCOMPLETE, or _TOO_DEEP. It is not checked but for that."""
    depth, at, in_string = 0, start, False
    while at < len(data):
        byte = data[at]
        if in_string:
            if byte == 0x5C:  # a backslash, and what it escapes
                at += 1
            elif byte == 0x22:
                in_string = False
                if depth == 0:
                    return at + 1
        elif byte == 0x22:
            in_string = True
        elif byte in (0x7B, 0x5B):
            depth += 1
            if depth > ENTRY_DEPTH:
                return _TOO_DEEP
        elif byte in (0x7D, 0x5D):
            depth -= 1
            if depth <= 0:
                return at + 1 + depth  # a scalar ends before the end of what it is in
        elif depth == 0 and byte in (0x20, 0x09, 0x0A, 0x0D, 0x2C, 0x3A):
            return at
        at += 1
    return _INCOMPLETE


@inner
def _seen(slots: NDArray[np.uint64], value: np.uint64) -> bool:
    """Whether the value is in the table, which is never full; puts it there."""
    value = max(value, np.uint64(1))  # 0 is a free slot
    slot = value % np.uint64(len(slots))
    while slots[slot] not in (np.uint64(0), value):
        slot = (slot + np.uint64(1)) % np.uint64(len(slots))
    if slots[slot] == value:
        return True
    slots[slot] = value
    return False


@kernel(numba.types.Array(numba.uint8, 1, "C", readonly=True))
def _may_repeat(data: NDArray[np.uint8]) -> bool:
    """Whether a name may stand twice in one object of this valid JSON: never False where one does.

    Names are compared by a hash (FNV-1a) that begins with the number of their object; one with a backslash may be any.
    """
    inside = np.zeros(ENTRY_DEPTH + 1, np.uint64)
    slots = np.zeros(2 * _NAMES, np.uint64)
    depth, objects, names, in_string, escaped, value = 0, np.uint64(0), 0, False, False, np.uint64(0)
    at = 0
    while at < len(data):
        byte = data[at]
        if in_string:
            if byte == 0x5C:
                escaped = True
                at += 1
            elif byte == 0x22:
                in_string = False
            else:
                value = (value ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        elif byte == 0x22:
            in_string, escaped, value = True, False, inside[depth] ^ np.uint64(0xCBF29CE484222325)
        elif byte in (0x7B, 0x5B):
            depth += 1
            objects += np.uint64(1)
            if depth > ENTRY_DEPTH:
                return True
            inside[depth] = objects << np.uint64(32)
        elif byte in (0x7D, 0x5D):
            depth = max(depth - 1, 0)
        elif byte == 0x3A:  # what ended last is a name
            names += 1
            if escaped or names > _NAMES or _seen(slots, value):
                return True
        at += 1
    return False


class Json:
    """A cursor in a JSON text. Each step raises BadEntryError, saying what of `what`."""

    def __init__(self, source: Source) -> None:
        self._blocks = source.blocks()
        self._hold(b"")

    def _hold(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._bytes = np.frombuffer(data, np.uint8)

    def _more(self) -> bool:
        """Takes the next block behind what is not used yet."""
        block = next(self._blocks, b"")
        if block:
            self._hold(self._data[self._at :] + block)
        return bool(block)

    def peek(self) -> bytes:
        """The next byte that is not space; b"" at the end of the file."""
        while True:
            space = _SPACE.match(self._data, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._data):
                return self._data[self._at : self._at + 1]
            if not self._more():
                return b""

    def expect(self, wanted: bytes, what: str) -> bytes:
        """Steps over one of the bytes of `wanted`, and gives it."""
        found = self.peek()
        if not found:
            raise BadEntryError(f"{what}: the file ends in the middle")
        if found not in [bytes([byte]) for byte in wanted]:
            expected = " or ".join(f"'{chr(byte)}'" for byte in wanted)
            raise BadEntryError(f"{what}: {expected} should stand where '{found.decode('latin-1')}' stands")
        self._at += 1
        return found

    def looks_like(self, pattern: re.Pattern[bytes]) -> bool:
        """Whether what comes next begins so, as far as `_AHEAD` bytes tell."""
        while len(self._data) - self._at < _AHEAD and self._more():
            pass
        return pattern.match(self._data, self._at) is not None

    def value(self, what: str) -> bytes:
        """The bytes of the next value, whatever it is; at most `ENTRY_BYTES`, and `ENTRY_DEPTH` deep."""
        if not self.peek():
            raise BadEntryError(f"{what}: the file ends in the middle")
        while (end := _end(self._bytes, self._at)) == _INCOMPLETE and len(self._data) - self._at <= ENTRY_BYTES:
            if not self._more():
                raise BadEntryError(f"{what}: the file ends in the middle")
        if end == _TOO_DEEP:
            raise BadEntryError(f"{what}: it is nested deeper than {ENTRY_DEPTH}")
        if end == _INCOMPLETE or end - self._at > ENTRY_BYTES:
            raise BadEntryError(f"{what}: it is larger than {ENTRY_BYTES:,} bytes")
        value = self._data[self._at : end]
        self._at = end
        return value

    def members(self, what: str) -> Iterator[str]:
        """The names in the object that comes next; the caller steps over the value after each."""
        self.expect(b"{", what)
        if self.peek() == b"}":
            self._at += 1
            return
        while True:
            if self.peek() != b'"':
                self.expect(b'"', what)
            name = decode(self.value(what), _NAME, what)
            self.expect(b":", what)
            yield name
            if self.expect(b",}", what) == b"}":
                return

    def items(self, what: str) -> Iterator[None]:
        """Stops once before each element of the array that comes next; the caller steps over it."""
        self.expect(b"[", what)
        if self.peek() == b"]":
            self._at += 1
            return
        while True:
            yield
            if self.expect(b",]", what) == b"]":
                return


def decode(raw: bytes, decoder: msgspec.json.Decoder[Decoded], what: str) -> Decoded:
    """A value of the decoder's type. Raises BadEntryError, also where a name stands twice in one object: readers differ
    in which of the two they take (RFC 8259, 4), so one could read a category that another does not."""
    try:
        value = decoder.decode(raw)
        if _may_repeat(np.frombuffer(raw, np.uint8)):
            _PAIRS.decode(raw.decode())
    except ValueError as error:
        raise BadEntryError(f"{what}: {plain(error)}") from error
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    """Takes the members of an object as they stand. Raises ValueError for a name that is there twice."""
    seen = set[str]()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"'{name[:80]}' is there twice")
        seen.add(name)


_PAIRS: Final = json.JSONDecoder(object_pairs_hook=_distinct, parse_int=str)  # int() refuses numbers of 5,000 digits
