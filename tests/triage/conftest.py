"""Sets of blocks to look for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mantlet.known import blocks
from mantlet.known.records import KnownSet
from mantlet.known.sets import Sets
from tests.block_files import Make


@pytest.fixture
def sets() -> Iterator[Sets]:
    sets = Sets()
    yield sets
    sets.close()


@pytest.fixture
def known(sets: Sets, tmp_path: Path) -> Make:
    """Makes the set "blocks" of files with these contents."""

    def make(*contents: bytes, of: Sets | None = None) -> KnownSet:
        folder = tmp_path / "known"
        folder.mkdir()
        for number, content in enumerate(contents):
            (folder / f"{number}").write_bytes(content)
        return blocks.build(of or sets, [folder], "blocks", "DC Example")

    return make
