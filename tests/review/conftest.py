"""A small scanned case of drawn pictures, and `mantlet review` running on a copy of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from mantlet.case import queries
from mantlet.case.case import open_case
from mantlet.demo.pictures import clip, edited, jpeg
from mantlet.demo.scenes import scene
from mantlet.fingerprint import digests
from mantlet.governance import ledger

HOSTILE = "<img src=x onerror=alert(1)>.jpg"
MANY = 131
OFFICER = "DC Example"


@dataclass(frozen=True)
class Scanned:
    """`evidence`: the folder scanned; `case`: the case it went into; `sha256` of its files by name."""

    evidence: Path
    case: Path
    sha256: dict[str, str]

    def ledger(self, chain: ledger.Chain, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Who, and what, of each entry of a kind."""
        case = open_case(self.case)
        found = [each for each in ledger.entries(case.reader, chain) if each.kind == kind]
        case.close()
        return [(each.actor, json.loads(each.payload or "")) for each in found]

    def tally(self) -> dict[str, int]:
        case = open_case(self.case)
        try:
            return queries.tally(case)
        finally:
            case.close()


def _mantlet(home: Path, *arguments: object) -> None:
    command = [sys.executable, "-m", "mantlet", *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, "MANTLET_HOME": str(home)}, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr.decode()


@pytest.fixture(scope="session")
def _scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """Eight contents in nine files: a known boat and a look-alike of it, two copies of a camera, and four others."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("scanned")
    boat, camera = scene("boat", 7), jpeg(scene("camera", 5))
    files = {
        "DCIM/boat.jpg": jpeg(boat),
        "Pictures/boat small.jpg": edited(boat, "resized"),
        "DCIM/camera.jpg": camera,
        "Pictures/camera again.jpg": camera,
        "DCIM/kite.jpg": jpeg(scene("kite", 2)),
        "DCIM/house.jpg": jpeg(scene("house", 12)),
        f"Pictures/{HOSTILE}": jpeg(scene("teapot", 5)),
        "Pictures/broken.jpg": jpeg(scene("windmill", 0))[:20_000],
        "film.mp4": clip(),
    }
    for name, data in files.items():
        path = folder / "evidence" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    known = folder / "known.csv"
    known.write_text(f"sha256,pdq,category\n{digests.of_bytes(files['DCIM/boat.jpg']).sha256},{_pdq(boat)},boat\n")
    _mantlet(home, "known", "import", known, "--name", "force")
    _mantlet(home, "scan", folder / "evidence", "--case", folder / "case", "--workers", 1)
    sha256 = {Path(name).name: digests.of_bytes(data).sha256 for name, data in files.items()}
    return Scanned(folder / "evidence", folder / "case", sha256)


def _pdq(image: Image.Image) -> str:
    from mantlet.fingerprint.pdq import pdq
    from mantlet.media.picture import reduced

    return pdq(reduced(image))[0].hex()


@pytest.fixture(scope="session")
def _many(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """More contents than two pages hold, none like another."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("many")
    (folder / "evidence").mkdir()
    rng = np.random.default_rng(1)
    for number in range(MANY):
        blocks = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        blocks.resize((64, 64), Image.Resampling.NEAREST).save(folder / "evidence" / f"{number}.png")
    _mantlet(home, "scan", folder / "evidence", "--case", folder / "case", "--workers", 1)
    return Scanned(folder / "evidence", folder / "case", {})


def _copied(scanned: Scanned, folder: Path) -> Scanned:
    shutil.copytree(scanned.case, folder / "case")
    return Scanned(scanned.evidence, folder / "case", scanned.sha256)


@pytest.fixture
def scanned(_scanned: Scanned, tmp_path: Path) -> Scanned:
    """A case of this test's own. Its evidence is shared: take `own` to change that."""
    return _copied(_scanned, tmp_path)


@pytest.fixture
def many(_many: Scanned, tmp_path: Path) -> Scanned:
    return _copied(_many, tmp_path)


@pytest.fixture
def own(scanned: Scanned, tmp_path: Path) -> Scanned:
    """As `scanned`, with evidence that may be changed: the case is pointed to a copy of it."""
    evidence = Path(shutil.copytree(scanned.evidence, tmp_path / "evidence"))
    _mantlet(tmp_path / "home", "exhibit", scanned.case, "--moved", f"EX1={evidence}")
    return Scanned(evidence, scanned.case, scanned.sha256)


class Reviewing:
    """A running `mantlet review`: the `url` it printed, and a client that is let in."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.client = httpx.Client(base_url=url.partition("/?")[0])

    def enter(self) -> Reviewing:
        assert self.client.get(self.url).status_code == 303
        return self

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, said: object) -> httpx.Response:
        return self.client.post(path, json=said, headers={"Sec-Fetch-Site": "same-origin"})

    def grade(self, sha256: str, grade: str, **seen: Any) -> httpx.Response:
        return self.post("/api/grade", {"sha256": sha256, "grade": grade, "seen": seen})

    def stop(self, number: int = signal.SIGINT) -> str:
        """What it said on standard error in all."""
        self.client.close()
        self.process.send_signal(number)
        said = self.process.communicate(timeout=30)[1]
        assert self.process.returncode == 0, said
        return said


@contextmanager
def _reviewing(case: Path, *arguments: str) -> Iterator[Reviewing]:
    command = [sys.executable, "-m", "mantlet", "review", str(case), "--as", OFFICER, "--json", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        printed = ""
        while not printed.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            printed += line
        running = Reviewing(process, json.loads(printed)["url"])
        try:
            yield running
        finally:
            if process.poll() is None:
                running.stop()


Review = Callable[..., Reviewing]


@pytest.fixture
def review() -> Iterator[Review]:
    """Starts `mantlet review` on a case; it is stopped after the test, and must end well."""
    with ExitStack() as stack:
        yield lambda case, *arguments: stack.enter_context(_reviewing(case, *arguments))
