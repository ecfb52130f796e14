"""Sets of known material at full size through the command line: hostile ones, how fast and in how much memory a set is
taken in, and turned copies of photographs.

Memory is what a process holds of its own (RssAnon of proc_pid_status(5)): pages of mapped files are the system's.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image

from mantlet import settings
from mantlet.fingerprint.pdq import FORMS, pdq
from mantlet.media import picture
from mantlet.settings import GIB, MIB
from tests.acceptance.figure import Figure
from tests.conftest import SHARED
from tests.engine.scans import environment

SEED: Final = 20_260_405
MILLION: Final = 1_000_000
_MEMORY: Final = GIB
_SECONDS: Final = 120
_LISTS: Final = 300_000
_VICS: Final = 30_000
_GROWTH: Final = 96 * MIB
"""What four times the records may add: the digest tables' counters, 4 bytes for one or two records, and chance."""
_PHOTOGRAPHS: Final = 300
_RECALL: Final = 0.97
_CONTEXT: Final = (
    b'{"@odata.context":"http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/US/$metadata#Media",'
)
_DIGITS: Final = np.frombuffer(b"0123456789abcdef", np.uint8)


class Ran(NamedTuple):
    """What a command did: exit code, what it said, seconds by the clock and of the processor, bytes at most."""

    code: int
    said: str
    seconds: float
    processor: float
    memory: int


def _mantlet(home: Path, *arguments: object) -> Ran:
    """Runs a command in a process of its own."""
    home.mkdir(exist_ok=True)
    said = home / "said.txt"
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "mantlet", *map(str, arguments)], env=environment(home), stdout=file, stderr=file
        )
        memory = 0
        while process.poll() is None:
            memory = max(memory, _anonymous(process.pid))
            time.sleep(0.01)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(process.returncode, said.read_text().strip(), time.monotonic() - started, processor, memory)


def _anonymous(pid: int) -> int:
    with suppress(OSError):
        for line in (Path("/proc") / str(pid) / "status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) * 1024
    return 0


class _Hostile(NamedTuple):
    """A set to be refused: what it is written by, how it is imported, and what names the place that is wrong."""

    write: Callable[[Path], None]
    names: str
    options: tuple[str, ...] = ()


def hostile(folder: Path) -> Figure:
    """Each refused whole, with the old set still in force."""
    home = folder / "home"
    small = folder / "small.txt"
    small.write_bytes(b"".join(_lines(16, 1000, seed=1)))
    _done(_mantlet(home, "known", "import", small, "--name", "force", "--as", "tester"))
    before = _in_force(home)
    wrong, slowest, memory = list[str](), (0.0, ""), (0, "")
    for name, each in _HOSTILE.items():
        path = folder / "hostile"
        each.write(path)
        ran = _mantlet(home, "known", "import", path, "--name", "force", "--as", "tester", *each.options)
        path.unlink()
        slowest, memory = max(slowest, (ran.seconds, name)), max(memory, (ran.memory, name))
        last = ran.said.splitlines()[-1] if ran.said else ""
        if ran.code != 3 or not re.search(each.names, last) or "Traceback" in ran.said:
            wrong.append(f"{name}: code {ran.code}, {last[:200]}")
        if _in_force(home) != before:
            wrong.append(f"{name}: what was in force is not any more")
        if ran.memory > _MEMORY or ran.seconds > _SECONDS:
            wrong.append(f"{name}: {ran.memory / MIB:.0f} MiB, {ran.seconds:.0f} s")
    faults = "".join(f"\n      {each}" for each in wrong)
    return Figure(
        f"{len(_HOSTILE)} sets, {len(wrong)} faults; at most {memory[0] / MIB:.0f} MiB ({memory[1]}) and "
        f"{slowest[0]:.0f} s ({slowest[1]}){faults}",
        f"0 faults: each refused by name, {_MEMORY / MIB:.0f} MiB, {_SECONDS} s",
        not wrong,
    )


def _in_force(home: Path) -> list[str]:
    """The set that answers, and every folder there is of one."""
    ran = _mantlet(home, "known", "list", "--json")
    _done(ran)
    return [ran.said, *sorted(path.name for path in (home / "known").glob("set-*"))]


def _done(ran: Ran) -> None:
    if ran.code:
        raise RuntimeError(f"it ended with {ran.code}: {ran.said}")


def _long_text(path: Path) -> None:
    with path.open("wb") as file:
        file.write(_CONTEXT + b'"value":[' + _media(1) + b',{"MD5":"' + b"0" * 32 + b'","Comments":"')
        for _ in range(2048):
            file.write(b"a" * MIB)
        file.write(b'"}]}')


def _deep(path: Path) -> None:
    many = MILLION
    path.write_bytes(
        _CONTEXT + b'"value":[' + _media(1) + b"," + _media(2) + b',{"Series":' + b"[" * many + b"]" * many + b"}]}"
    )


def _wrong_type(path: Path) -> None:
    media = [_media(number) for number in range(1, 10)]
    media[4] = b'{"MediaID":5,"MD5":{"a":1}}'
    path.write_bytes(_CONTEXT + b'"value":[' + b",".join(media) + b"]}")


def _same_lines(digits: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        block = (b"7c" * (digits // 2) + b"\n") * 100_000
        with path.open("wb") as file:
            for _ in range(100):
                file.write(block)

    return write


def _same_media(path: Path) -> None:
    with path.open("wb") as file:
        file.write(_CONTEXT + b'"value":[')
        for number in range(2 * MILLION):
            file.write(b"," * (number > 0) + b'{"MediaID":%d,"Category":1,"MD5":"' % number + b"7C" * 16 + b'"}')
        file.write(b"]}")


def _cut(write: Callable[[Path, int], None], count: int) -> Callable[[Path], None]:
    def cut(path: Path) -> None:
        write(path, count)
        os.truncate(path, path.stat().st_size // 2 + 40)  # within a hash

    return cut


def _media(number: int) -> bytes:
    """An entry of some 1,000 bytes, as exports have them: most of it is where the file lay, and is not read."""
    digests = random.Random(number)
    files = b'{"MD5":"%s","FileName":"picture-%d.jpg","FilePath":"%s","Unallocated":"False"}' % (
        digests.randbytes(16).hex().upper().encode(), number, b"Users\\\\example\\\\Pictures\\\\folder\\\\" * 15,
    )  # fmt: skip
    return (
        b'{"MediaID":%d,"Category":%d,"MD5":"%s","SHA1":"%s","VictimIdentified":"False","IsDistributed":false,'
        b'"MediaSize":"%d","MimeType":"image/jpeg","Series":"","Tags":"a, b","Comments":"stand-in %d",'
        b'"MediaFiles":[%s]}'
    ) % (
        number, 1 + number % 2, digests.randbytes(16).hex().upper().encode(),
        digests.randbytes(20).hex().upper().encode(), 1000 + number, number, files,
    )  # fmt: skip


def _lines(size: int, count: int, seed: int) -> Iterator[bytes]:
    """Blocks of lines of that many random bytes in hex digits."""
    source = np.random.default_rng(seed)
    for first in range(0, count, 100_000):
        values = source.integers(0, 256, (min(100_000, count - first), size), np.uint8)
        digits = np.full((len(values), 2 * size + 1), ord("\n"), np.uint8)
        digits[:, 0 : 2 * size : 2], digits[:, 1 : 2 * size : 2] = _DIGITS[values >> 4], _DIGITS[values & 15]
        yield digits.tobytes()


def _write_list(path: Path, count: int) -> None:
    with path.open("wb") as file:
        file.writelines(_lines(16, count, SEED))


def _write_table(path: Path, count: int) -> None:
    with path.open("wb") as file:
        file.write(b"md5,sha1,category,note\n")
        for md5, sha1 in zip(_lines(16, count, SEED), _lines(20, count, SEED + 1), strict=True):
            rows = zip(md5.split(), sha1.split(), strict=True)
            file.write(b"".join(b"%s,%s,2,stand-in\n" % row for row in rows))


def _write_vics(path: Path, count: int) -> None:
    with path.open("wb") as file:
        file.write(_CONTEXT + b'"value":[')
        for number in range(count):
            file.write(b"," * (number > 0) + _media(number))
        file.write(b"]}")


def _write_reference(path: Path, count: int) -> None:
    """The minimal set's table and key, as NIST lays them out."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TABLE FILE (sha256 VARCHAR NOT NULL, sha1 VARCHAR NOT NULL, md5 VARCHAR NOT NULL, "
            "file_name VARCHAR, file_size INTEGER, package_id INTEGER, "
            "CONSTRAINT PK_FILE__FILE PRIMARY KEY (sha256, sha1, md5, file_name, file_size, package_id))"
        )
        sha256, sha1, md5 = (
            b"".join(_lines(size, count, SEED + size)).decode().upper().split() for size in (32, 20, 16)
        )
        sha256.sort()  # SQLite makes its index much faster so
        rows = zip(sha256, sha1, md5, strict=True)
        database.executemany("INSERT INTO FILE VALUES (?, ?, ?, 'library.dll', 4096, 1)", rows)
        database.commit()


_HOSTILE: Final = {
    "a text of 2 GiB": _Hostile(_long_text, r"entry 2: it is larger than"),
    "a million deep": _Hostile(_deep, r"entry 3: it is nested deeper"),
    "wrong types": _Hostile(_wrong_type, r"entry 5: "),
    "one MD5, 10 million times": _Hostile(_same_lines(32), r"md5 of record [\d,]+ "),
    "one PDQ, 10 million times": _Hostile(_same_lines(64), r"pdq of record [\d,]+ ", ("--hash", "pdq")),
    "2 million entries of one MD5": _Hostile(_same_media, r"md5 of record [\d,]+ "),
    "VICS cut off": _Hostile(_cut(_write_vics, 10_000), r"entry [\d,]+: the file ends"),
    "list cut off": _Hostile(_cut(_write_list, 100_000), r"line [\d,]+: "),
    "CSV cut off": _Hostile(_cut(_write_table, 100_000), r"line [\d,]+: "),
    "NSRL cut off": _Hostile(_cut(_write_reference, 100_000), r"(row [\d,]+|schema|header)"),
}


class _Form(NamedTuple):
    write: Callable[[Path, int], None]
    count: int
    least: int


_FORMS: Final = {
    "plain MD5": _Form(_write_list, 5 * MILLION, _LISTS),
    "CSV": _Form(_write_table, 3 * MILLION, _LISTS),
    "VICS": _Form(_write_vics, 300_000, _VICS),
    "NSRL SQLite": _Form(_write_reference, 3 * MILLION, _LISTS),
}


def rates(folder: Path) -> Figure:
    """Each form whole, tables included, at n and 4n records."""
    said, passed = list[str](), True
    for name, form in _FORMS.items():
        memory, speed = list[int](), list[float]()
        for count in (form.count, 4 * form.count):
            path = folder / "set"
            form.write(path, count)
            ran = _mantlet(folder / "home", "known", "import", path, "--name", "force", "--as", "tester")
            _done(ran)
            path.unlink()
            speed.append(count / ran.processor)
            memory.append(ran.memory)
        passed &= min(speed) >= form.least and max(memory) <= _MEMORY and memory[1] - memory[0] <= _GROWTH
        said.append(
            f"{name} {speed[0]:,.0f} and {speed[1]:,.0f} a CPU second, {memory[0] / MIB:.0f} and "
            f"{memory[1] / MIB:.0f} MiB ({form.count:,} and {4 * form.count:,})"
        )
    return Figure(
        "; ".join(said),
        f"{_LISTS:,}, VICS {_VICS:,}; at most {_MEMORY / MIB:.0f} MiB, four times as many add {_GROWTH / MIB:.0f} MiB",
        passed,
    )


def dihedral(folder: Path) -> Figure:
    """Photographs turned and mirrored, saved as JPEG, against the set of the upright ones."""
    limit = f"{_RECALL:.0%} of each form, with its view named"
    source = SHARED / "data" / "photos"
    if not source.is_dir():
        return Figure("left out: shared/data/photos does not lie beside this checkout", limit, passed=True)
    copies, lines = folder / "copies", ["pdq"]
    copies.mkdir()
    paths = sorted(source.rglob("*.jpg"))
    random.Random(SEED).shuffle(paths)
    for path in paths:
        value, quality = pdq(picture.decode(path.read_bytes()).pixels)
        if quality < settings.PDQ_QUALITY:
            continue
        lines.append(value.hex())
        with Image.open(path) as image:
            for number in range(8):
                turned = _turned(image.convert("RGB"), number)
                turned.save(copies / f"{len(lines)}-{number}.jpg", quality=80)
        if len(lines) > _PHOTOGRAPHS:
            break
    (folder / "upright.csv").write_text("\n".join(lines))
    home, case = folder / "home", folder / "case"
    _done(_mantlet(home, "scan", copies, "--case", case, "--as", "tester"))
    known = ["known", "import", folder / "upright.csv", "--name", "upright", "--convention", "whole", "--as", "tester"]
    _done(_mantlet(home, *known))
    _done(_mantlet(home, "match", case, "--as", "tester"))
    listed = _mantlet(home, "list", case, "--json")
    _done(listed)
    named = [0] * 8
    for line in listed.said.splitlines():
        item = json.loads(line)
        record, number = map(int, item["name"].removesuffix(".jpg").split("-"))
        named[number] += any(m["record"] == record and m["view"] == _BACK[number] for m in item["known"])
    recall = [number / (len(lines) - 1) for number in named]
    by_form = ", ".join(f"{form} {part:.1%}" for form, part in zip(("upright", *FORMS), recall, strict=True))
    return Figure(f"{len(lines) - 1} photographs: {by_form}", limit, min(recall) >= _RECALL)


_BACK: Final = ("upright", FORMS[2], FORMS[1], FORMS[0], *FORMS[3:])
"""What undoes each form: a turn by the rest of the circle, a mirroring by itself."""


def _turned(image: Image.Image, number: int) -> Image.Image:
    """The form of that number: mirrored left to right first, then turned clockwise."""
    mirrored: Any = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if number >= 4 else image
    clockwise = (None, Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)[number % 4]
    return mirrored if clockwise is None else mirrored.transpose(clockwise)
