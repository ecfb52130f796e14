"""Scans as a person starts them: as processes, on evidence made by code, to be killed and compared."""

from __future__ import annotations

import io
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from mantlet.case.case import open_case
from mantlet.case.verify import verify_record

_TABLES = ("exhibit", "acquisition", "content", "item", "finding", "unread", "match", "matched", "stack")
_PASSING = ("batch", "added_at")  # columns that say when, and with what else, a row was stored
_FINISHED = (0, 1)  # exit codes: all was read, or some of it could not be
_HANDED_OUT = re.compile(r"^\S+ \S+ INFO expand (.+)$", re.MULTILINE)
_FOLDER_OF = 1000


def small_picture(random_of: random.Random, side: int = 64) -> bytes:
    """A small JPEG of soft blobs in colours of its own: no two look the same."""
    image = Image.frombytes("RGB", (8, 8), random_of.randbytes(192)).resize((side, side), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def fill(folder: Path, count: int, seed: int) -> Path:
    """Puts `count` distinct pictures into folders below `folder`."""
    random_of = random.Random(seed)
    for number in range(count):
        path = folder / f"{number // _FOLDER_OF:03}" / f"{number:06}.jpg"
        if number % _FOLDER_OF == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(small_picture(random_of))
    return folder


def add_zip(path: Path, count: int, seed: int) -> None:
    random_of = random.Random(seed)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number:04}.jpg", small_picture(random_of))


def settle(folder: Path) -> None:
    """Makes access times of evidence stay as they are while it is read: relatime leaves those alone that lie later
    than the last change (mount(8)), and an item states them."""
    soon = time.time() + 3600
    for path in folder.rglob("*"):
        os.utime(path, (soon, 1_700_000_000))


def environment(home: Path) -> dict[str, str]:
    """What `mantlet` runs in: keys and known sets below `home`, and compiled files of Python kept, as for a user."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "MANTLET_HOME": str(home)}


class Scan(NamedTuple):
    """One command: `sources` into `case`, by keys and known sets below `home`."""

    sources: Sequence[Path]
    case: Path
    home: Path
    workers: int = 2

    def start(self) -> subprocess.Popen[bytes]:
        """Starts it in a session of its own; what it says goes to `home`."""
        self.home.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "mantlet", "scan", *map(str, self.sources), "--case", str(self.case)]
        with self._said.open("wb") as said:
            return subprocess.Popen(
                [*command, "--workers", str(self.workers), "--as", "tester"],
                env=environment(self.home),
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )

    def finish(self) -> None:
        """Runs it to its end. Raises RuntimeError with what it says where that is an error."""
        process = self.start()
        self._check(process.wait())

    def killed_after(self, seconds: float) -> int | None:
        """Starts it and kills its first process; that one's id, which names the session of all it started, or None
        where it ended earlier."""
        process = self.start()
        try:
            self._check(process.wait(seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return process.pid
        return None

    @property
    def _said(self) -> Path:
        return self.home / "said.txt"

    def _check(self, code: int) -> None:
        said = self._said.read_text()
        if code not in _FINISHED or "Traceback" in said:  # Python itself ends with 1 where it cannot even start us
            raise RuntimeError(f"the scan ended with {code}: {said}")

    def handed_out(self) -> Counter[str]:
        """How often each node was given to a worker, over all runs so far."""
        log = self.case / "mantlet.log"
        return Counter(_HANDED_OUT.findall(log.read_text()) if log.exists() else ())


def verify(case: Path) -> None:
    """Raises IntegrityError where the case's own record does not hold."""
    opened = open_case(case)
    try:
        verify_record(opened)
    finally:
        opened.close()


def content(case: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What a case says of the evidence, whenever and in whatever order it was found."""
    with closing(sqlite3.connect(case / "case.sqlite")) as database:
        return {table: sorted(_rows(database, table), key=repr) for table in _TABLES}


def _rows(database: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] not in _PASSING]
    return database.execute(f"SELECT {','.join(columns)} FROM {table}")


def everything(case: Path) -> list[str]:
    """All that the database of a case holds, the ledger with it, as SQL."""
    with closing(sqlite3.connect(case / "case.sqlite")) as database:
        return list(database.iterdump())


def living(session: int) -> list[int]:
    """The processes of a session that have not ended (proc_pid_stat(5)); Linux only."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                state, _, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(of) == session and state != "Z":
                    found.append(int(entry.name))
    return sorted(found)
