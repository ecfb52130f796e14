"""What all tests share: a home of their own, the command line as users call it, and the disk images."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

IMAGES = Path(__file__).parent / "images"
SHARED = Path(__file__).parents[2] / "shared"


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for keys and sets that is this test's alone."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MANTLET_HOME", str(folder))
    return folder


@pytest.fixture
def run(home: Path) -> Run:
    """Runs `mantlet` with these arguments; `code` is the exit code it must end with (None: any)."""

    def call(*arguments: object, code: int | None = 0) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "mantlet", *map(str, arguments)],
            capture_output=True,
            check=False,
            env={**os.environ, "MANTLET_HOME": str(home), "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
        )
        result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert code in (None, result.code), result
        return result

    return call


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The disk image of a name in tests/images, unpacked once and read-only."""
    folder = tmp_path_factory.mktemp("images")

    def unpacked(name: str) -> Path:
        path = folder / name
        if not path.exists():
            packed = IMAGES / f"{name}.xz"
            path.write_bytes(lzma.decompress(packed.read_bytes()) if packed.exists() else (IMAGES / name).read_bytes())
            path.chmod(0o444)
        return path

    return unpacked


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the checkout."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared test data does not lie beside this checkout")
    return SHARED / "data"
