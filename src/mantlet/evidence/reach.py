"""From an address back to its bytes, on any machine that has the exhibits."""

from __future__ import annotations

import gc
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from mantlet.errors import RefusedError
from mantlet.evidence.container import Container, form_of, open_container
from mantlet.evidence.source import MissingPartError, RawFile, Source
from mantlet.evidence.stream import Slice, Stream
from mantlet.evidence.tree import open_tree
from mantlet.evidence.trees.folder import Folder
from mantlet.evidence.trees.protocol import Neighbours, Tree
from mantlet.types import Address, Reason, Step, escape

_OPEN_TREES: Final = 6
_OPEN_EXHIBITS: Final = 2


class Reach:
    """Opens addresses within `exhibits` (exhibit id -> path), keeping the last few trees open.

    Not for several threads at once: file systems and archives keep positions. `on_read` is called at each read of an
    exhibit's medium, for whoever wants to know that a long listing moves on.
    """

    def __init__(self, exhibits: Mapping[str, str]) -> None:
        self.on_read: Callable[[], None] = lambda: None
        self._exhibits = exhibits
        self._containers: OrderedDict[str, Container] = OrderedDict()
        self._trees: OrderedDict[Address, Tree] = OrderedDict()

    def container(self, exhibit: str) -> Container:
        if exhibit not in self._containers:
            self._containers[exhibit] = open_container(Path(self._exhibits[exhibit]), self._beat)
            if len(self._containers) > _OPEN_EXHIBITS:
                oldest, _ = self._containers.popitem(last=False)
                self._trees = OrderedDict((at, tree) for at, tree in self._trees.items() if at.exhibit != oldest)
                gc.collect()  # errors that were kept may hold its caches in a circle
        self._containers.move_to_end(exhibit)
        return self._containers[exhibit]

    def _beat(self) -> None:
        self.on_read()

    def forget(self) -> None:
        """Lets go of every tree kept open, for the memory they hold."""
        self._trees.clear()

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
            return Slice(self.container(address.exhibit).stream)  # whose closing leaves the exhibit open for others
        found = self.tree(address.parent).open(address.steps[-1])
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
                return Folder(Path(self._exhibits[address.exhibit]), self._beat)
            return open_tree(Source("", self.open(address), is_exhibit=True))
        step = address.steps[-1]
        if step.kind == "whole":
            return open_tree(Source("", self.open(address)))
        parent = self.tree(address.parent)
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
