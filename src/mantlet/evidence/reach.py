"""From an address back to its bytes, on any machine that has the exhibits."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from mantlet.errors import RefusedError
from mantlet.evidence.container import Container, form_of, open_container
from mantlet.evidence.stream import Stream
from mantlet.evidence.tree import Tree, open_tree
from mantlet.evidence.trees.folder import Folder
from mantlet.types import Address, Reason, escape

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

    def check_there(self, exhibit: str) -> None:
        """Raises EvidenceError if the exhibit cannot be reached now: then an error says nothing of what is on it."""
        form_of(Path(self._exhibits[exhibit]))

    def is_folder(self, exhibit: str) -> bool:
        return form_of(Path(self._exhibits[exhibit])) == "folder"

    def open(self, address: Address) -> Stream:
        """The bytes at an address. Raises OSError, EvidenceError or RefusedError."""
        if not address.steps:
            return self._media(address.exhibit)
        parent = Address(address.exhibit, address.steps[:-1])
        if address.steps[-1].kind == "whole":
            return self._media(address.exhibit)
        return self.tree(parent).open(address.steps[-1])

    def _media(self, exhibit: str) -> Stream:
        return _Medium(self.container(exhibit).stream, self)

    def tree(self, address: Address) -> Tree:
        """What lies at an address, to be listed. Raises as `open`."""
        tree = self._trees.get(address)
        if tree is None:
            tree = self._open_tree(address)
            self._trees[address] = tree
            if len(self._trees) > _OPEN_TREES:
                self._trees.popitem(last=False)
        self._trees.move_to_end(address)
        return tree

    def _open_tree(self, address: Address) -> Tree:
        if not address.steps and self.is_folder(address.exhibit):
            return Folder(Path(self._exhibits[address.exhibit]))
        try:
            return open_tree(self.open(address))
        except RefusedError:
            raise
        except Exception as error:  # a hostile archive makes its parser raise anything
            text = " ".join(str(error).split())[:200] or type(error).__name__
            raise RefusedError(Reason.UNREADABLE, f"It cannot be opened: {text}.") from error


class _Medium(Stream):
    """An exhibit's medium that says when it is read; closing it leaves the exhibit open for others."""

    def __init__(self, stream: Stream, reach: Reach) -> None:
        super().__init__(stream.size)
        self._stream = stream
        self._reach = reach

    def read_at(self, offset: int, length: int) -> bytes:
        self._reach.on_read()
        return self._stream.read_at(offset, length)
