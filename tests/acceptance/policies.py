"""Ways of working side by side on the benign photographs: a simulated officer grades through the command line.

An earlier case is graded by two officers: it teaches a model, and its grades are known. The exhibit in hand holds
half of that material and pictures that nobody has seen, 30 % of them a second time and 20 % edited. Six classes of
vehicles stand in for what is searched for, in three grades.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image

from tests.conftest import SHARED

GRADES: Final = {
    "airplanes": "air", "Motorbikes": "road", "car_side": "road", "ketch": "sea", "schooner": "sea", "ferry": "sea",
}  # fmt: skip
NOTHING: Final = "not-relevant"
SCHEME: Final = "vehicles"
_EXACT: Final = 0.3
_NEAR: Final = 0.2
_SEED: Final = 6


class Photograph(NamedTuple):
    path: Path
    grade: str
    split: str


class Desk(NamedTuple):
    """A folder with an exhibit, cases and a home; `truth`: of each content, by SHA-256, the grade it deserves."""

    folder: Path
    truth: dict[str, str]

    def mantlet(self, *arguments: object, code: int = 0) -> Any:
        """Runs a command with --json; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "mantlet", *map(str, arguments), "--json"],
            capture_output=True,
            check=False,
            env={**os.environ, "MANTLET_HOME": str(self.folder / "home")},
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != code:
            raise AssertionError(f"mantlet {arguments} ended with {done.returncode}: {done.stderr.decode()}")
        lines = done.stdout.splitlines()
        return [json.loads(line) for line in lines] if arguments[0] == "list" else json.loads(done.stdout)


def photographs() -> list[Photograph]:
    with (SHARED / "data" / "photos.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [Photograph(SHARED / "data" / row["path"], GRADES.get(row["class"], NOTHING), row["split"]) for row in rows]


def edited(source: Path, target: Path, how: int) -> None:
    """A near copy: saved anew, smaller, or mirrored."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    if how == 1:
        picture = picture.resize((picture.width * 4 // 5, picture.height * 4 // 5), Image.Resampling.LANCZOS)
    if how == 2:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture.save(target, "JPEG", quality=80)


def lay_out(folder: Path) -> dict[str, str]:
    """Makes both exhibits; for each file name in them the grade it deserves."""
    chance = random.Random(_SEED)
    photos = photographs()
    earlier = [each for each in photos if each.split == "train"]
    new = [each for each in photos if each.split != "train"] + chance.sample(earlier, len(earlier) // 2)
    deserved: dict[str, str] = {}

    def put(name: str, kind: str, photo: Photograph, how: int | None = None) -> None:
        target = folder / name / f"{kind}-{len(deserved):05}.jpg"
        target.parent.mkdir(exist_ok=True)
        if how is None:
            shutil.copyfile(photo.path, target)
        else:
            edited(photo.path, target, how)
        deserved[target.name] = photo.grade

    for each in earlier:
        put("earlier", "train", each)
    for each in new:
        put("exhibit", "first", each)
    for each in chance.sample(new, int(_EXACT * len(new))):
        put("exhibit", "again", each)
    for number, each in enumerate(chance.sample(new, int(_NEAR * len(new)))):
        put("exhibit", "edited", each, number % 3)
    return deserved


def write_grades(path: Path, rows: Sequence[tuple[str, str]], side: int = 640) -> Path:
    """The file that `mantlet import` reads: grades, each given by a clear look of that size."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("sha256", "grade", "side", "clear", "milliseconds"))
        writer.writerows((sha256, grade, side, "true", 900) for sha256, grade in rows)
    return path
