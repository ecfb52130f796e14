"""What a compressed file holds, where that is a single file: `photo.jpg.gz`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mantlet.evidence.stream import Slice, Stream
from mantlet.types import Containment, Entry, Step


class Single:
    """A tree of one member, named as the file is without its last extension; `stream` is what it grows to."""

    solid: Final = False

    def __init__(self, name: str, stream: Stream) -> None:
        self._name = name.rpartition(".")[0]
        self._stream = stream

    def walk(self) -> Iterator[Entry]:
        yield Entry(Step("member", 0, self._name), self._stream.size, containment=Containment.MEMBER)

    def open(self, _step: Step) -> Stream:
        return Slice(self._stream)
