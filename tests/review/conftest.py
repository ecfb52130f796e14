"""A small scanned case of drawn pictures, one of many contents, and `mantlet review` running on copies of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reviewing import HOSTILE, MANY, STAND_IN, Review, Reviewing, Scanned, mantlet, reviewing

from mantlet.demo.pictures import clip, edited, jpeg
from mantlet.demo.scenes import scene
from mantlet.fingerprint import digests
from mantlet.fingerprint.pdq import pdq
from mantlet.media.picture import decode


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
    sha256 = {Path(name).name: digests.of_bytes(data).sha256 for name, data in files.items()}
    known = folder / "known.csv"
    known.write_text(
        f"sha256,pdq,category\n{sha256['boat.jpg']},{pdq(decode(files['DCIM/boat.jpg']).pixels)[0].hex()},boat\n"
    )
    mantlet(home, "known", "import", known, "--name", "force")
    mantlet(home, "scan", folder / "evidence", "--case", folder / "case", "--workers", 1)
    return Scanned(folder / "evidence", folder / "case", sha256)


@pytest.fixture(scope="session")
def _many(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """More contents than two pages hold, none like another."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("many")
    (folder / "evidence").mkdir()
    rng = np.random.default_rng(1)
    for number in range(MANY):
        blocks = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        blocks.resize((64, 64), Image.Resampling.NEAREST).save(folder / "evidence" / f"{number}.png")
    mantlet(home, "scan", folder / "evidence", "--case", folder / "case", "--workers", 1)
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
    mantlet(tmp_path / "home", "exhibit", scanned.case, "--moved", f"EX1={evidence}")
    return Scanned(evidence, scanned.case, scanned.sha256)


@pytest.fixture
def review() -> Iterator[Review]:
    """Starts `mantlet review` on a case; it is stopped after the test, and must end well."""
    with ExitStack() as stack:
        yield lambda case, *arguments: stack.enter_context(reviewing(case, *arguments))


@pytest.fixture(scope="module")
def page(_scanned: Scanned, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewing]:
    """One page for all tests of a file that change nothing."""
    case = shutil.copytree(_scanned.case, tmp_path_factory.mktemp("page") / "case")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANTLET_HOME", str(tmp_path_factory.mktemp("home")))
        with reviewing(case, *STAND_IN) as running:
            yield running.enter()
