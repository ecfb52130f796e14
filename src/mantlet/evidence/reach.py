"""From an address back to its bytes, on any machine that has the exhibits."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from mantlet.errors import RefusedError
from mantlet.evidence.container import Container, form_of, open_container
from mantlet.evidence.source import MissingPartError, RawFile, Source
from mantlet.evidence.stream import Stream
from mantlet.evidence.tree import open_tree
from mantlet.evidence.trees.folder import Folder
from mantlet.evidence.trees.protocol import Neighbours, Tree
from mantlet.types import Address, Reason, Step, escape

_OPEN_TREES: Final = 8


class Reach:
    """Opens addresses within `exhibits` (exhibit id -> path), keeping the last few trees open.

    Not for several threads at once: file systems and archives keep positions. `on_read` is called at each read of an
    exhibit's medium, for whoever wants to know that a long listing moves on.
    """

    def __init__(self, exhibits: Mapping[str, str]) -> None:
        self.on_read: Callable[[], None] = lambda: None
        self._exhibits = exhibits
        self._containers: dict[str, Container] = {}
        self._trees: OrderedDict[Address, Tree] = OrderedDict()

    def container(self, exhibit: str) -> Container:
        if exhibit not in self._containers:
            self._containers[exhibit] = open_container(Path(self._exhibits[exhibit]))
        return self._containers[exhibit]

    def name(self, exhibit: str) -> str:
        """The exhibit's file name, as text of an address."""
        return escape(os.fsencode(Path(self._exhibits[exhibit]).name))

    def packed_size(self, exhibit: str) -> int:
        """The size of the exhibit as it is stored, of its first file where it is split, in bytes."""
        with RawFile(Path(self._exhibits[exhibit])) as file:
            return file.size

    def check_there(self, exhibit: str) -> None:
        """Raises EvidenceError if the exhibit cannot be reached now: then an error says nothing of what is on it."""
        form_of(Path(self._exhibits[exhibit]))

    def is_folder(self, exhibit: str) -> bool:
        return Path(self._exhibits[exhibit]).is_dir()

    def open(self, address: Address) -> Stream:
        """The bytes at an address. Raises OSError, EvidenceError or RefusedError."""
        if not address.steps or address.steps[-1].kind == "whole":
            return _Medium(self.container(address.exhibit).stream, self)
        found = self.tree(_parent(address)).open(address.steps[-1])
        if not isinstance(found, Stream):
            raise RefusedError(Reason.NOT_APPLICABLE, "Files lie there, and no bytes of its own.")
        return found

    def tree(self, address: Address) -> Tree:
        """What lies at an address, to be listed. Raises as `open`."""
        tree = self._trees.get(address)
        if tree is None:
            tree = self._trees[address] = self._open_tree(address)
            if len(self._trees) > _OPEN_TREES:
                self._trees.popitem(last=False)
        self._trees.move_to_end(address)
        return tree

    def _open_tree(self, address: Address) -> Tree:
        if not address.steps:
            if self.is_folder(address.exhibit):
                return Folder(Path(self._exhibits[address.exhibit]))
            return open_tree(Source("", self.open(address), is_exhibit=True))
        step = address.steps[-1]
        if step.kind == "whole":
            return open_tree(Source("", self.open(address)))
        parent = self.tree(_parent(address))
        return self.expand(parent, step, parent.open(step))

    def expand(self, parent: Tree, step: Step, found: Stream | Tree) -> Tree:
        """What an entry of `parent` holds, which was opened as `found`. Raises RefusedError, OSError."""
        if not isinstance(found, Stream):
            return found

        def beside(name: str) -> Stream | None:
            return parent.beside(step, name) if isinstance(parent, Neighbours) else None

        try:
            return open_tree(Source(step.name.rsplit("/", 1)[-1], found, beside))
        except MissingPartError as error:
            raise RefusedError(Reason.UNREADABLE, str(error)) from error


def _parent(address: Address) -> Address:
    return Address(address.exhibit, address.steps[:-1])


class _Medium(Stream):
    """An exhibit's medium that says when it is read; closing it leaves the exhibit open for others."""

    def __init__(self, stream: Stream, reach: Reach) -> None:
        super().__init__(None)
        self.sequential = stream.sequential
        self._stream = stream
        self._reach = reach

    def _measure(self) -> int:
        return self._stream.size

    def check_end(self) -> None:
        self._stream.check_end()

    def read_at(self, offset: int, length: int) -> bytes:
        self._reach.on_read()
        return self._stream.read_at(offset, length)
