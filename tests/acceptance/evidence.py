"""Evidence of every shape that a scan resumes through: a folder, archives, a disk image and an E01."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mantlet.demo.stick import build
from tests.engine.scans import add_zip, environment, fill, settle

_E01 = Path(__file__).parents[1] / "images" / "disk.E01"


def mixed(folder: Path, home: Path) -> list[Path]:
    """Writes the sources into `folder`, and a known set that fits some of them into `home`."""
    pictures = fill(folder / "pictures", 8000, seed=1)
    for number in range(5):
        add_zip(pictures / f"{number:03}" / "archive.zip", 200, seed=2 + number)
    settle(pictures)
    stick = build(folder)
    known = [sys.executable, "-m", "mantlet", "known", "import", str(stick.known), "--name", "demo", "--as", "tester"]
    subprocess.run(known, env=environment(home), check=True, capture_output=True)
    return [pictures, stick.image, _E01]
