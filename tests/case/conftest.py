"""An empty case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mantlet.case.case import Case, create_or_open
from mantlet.governance import keys


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    case = create_or_open(tmp_path / "case", keys.actor("DC Example"))
    yield case
    case.close()
