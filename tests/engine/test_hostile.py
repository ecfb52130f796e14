"""Evidence made to harm its reader, and damaged evidence: a scan ends, with one reason for each thing not read.

`tests/acceptance/hostile.py` does the same with larger archives and more damage, `make fuzz` without end.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from mantlet.settings import MIB
from mantlet.types import Address, Reason
from tests.engine.hostile import MAKERS, PICTURE
from tests.engine.mutants import DISKS, cut, flipped, originals, placed
from tests.engine.sweep import Sweep

READ_WHOLE = {"disk.dd", "disk.qcow2", "disk.dd.zst.gz.gz"}
"""Not tried as exhibits of their own: a medium is read whole for its digest, and these say that they hold a TiB."""
CANARY = PICTURE + b"outside"
SECONDS = 120.0
MOST_NODES = 400
"""What an exhibit here may lead to: 20,000 members are 157 nodes."""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the evidence, with a picture that must never be found, nor read: its time would say so."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "canary.png").write_bytes(CANARY)
    os.utime(folder / "canary.png", (1_500_000_000, 1_600_000_000))  # relatime: reading it moves the first
    return folder


def files(folder: Path) -> dict[Path, tuple[object, ...]]:
    """All that lies in a folder: kind, size, times and digest; a file of a TiB of holes has no digest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        small = path.is_file() and not path.is_symlink() and status.st_size < 1 << 30
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if small else ""
        found[path] = (status.st_mode, status.st_size, status.st_mtime_ns, digest)
    return found


def write_protect(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o444)


def exhibits(folder: Path) -> Iterator[tuple[str, Path]]:
    """The folder, and each file in it whose path can be given on a command line."""
    yield "folder", folder
    for number, path in enumerate(sorted(folder.iterdir())):
        if path.is_file() and path.name not in READ_WHOLE and path.name.isprintable():
            yield f"{number} {path.name}", path


@pytest.mark.parametrize("name", MAKERS)
def test_hostile_evidence_costs_no_worker_and_leaves_the_host_alone(name: str, tmp_path: Path, outside: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    MAKERS[name](folder, outside)
    write_protect(folder)
    canary = (outside / "canary.png").lstat()
    before = files(folder), sorted(outside.iterdir()), sorted(tmp_path.iterdir())
    done = Sweep(dict(exhibits(folder)), MOST_NODES).run(SECONDS)
    assert (outside / "canary.png").lstat() == canary, "something outside the evidence was read or written"
    assert list(done.broken()) == []
    assert [lost.text for lost in done.lost] == []
    assert (files(folder), sorted(outside.iterdir()), sorted(tmp_path.iterdir())) == before
    assert hashlib.sha256(CANARY).hexdigest() not in done.items.values()


@pytest.mark.parametrize(
    ("name", "path", "reason"),
    [
        ("nests", "nested.zip", Reason.LIMIT),
        ("nests", "nested.gz", Reason.LIMIT),
        ("nests", "nested.eml", Reason.LIMIT),
        ("bombs", "zeros.7z", Reason.LIMIT),
        ("bombs", "42.zip", Reason.LIMIT),
        ("bombs", "picture.jpg.gz", Reason.LIMIT),
        ("pointing out", "flat0.vmdk", Reason.UNREADABLE),
        ("pointing out", "backed0.qcow2", Reason.UNREADABLE),
        ("pointing out", "self.vhd", Reason.LIMIT),
        ("documents", "loop.pdf", Reason.UNREADABLE),
        ("databases", "loop.sqlite", Reason.DAMAGED),
    ],
)
def test_what_hostile_evidence_hides_is_said_to_be_unread(
    name: str, path: str, reason: Reason, tmp_path: Path, outside: Path, made: dict[str, Sweep]
) -> None:
    if name not in made:
        folder = tmp_path / "evidence"
        folder.mkdir()
        MAKERS[name](folder, outside)
        made[name] = Sweep({"E": folder}).run(SECONDS)
    of_file = [given for (address, _), given in made[name].unread.items() if address.steps[0].name == path]
    assert of_file
    assert {absent.reason for given in of_file for absent in given} == {reason}


@pytest.fixture(scope="module")
def made() -> dict[str, Sweep]:
    """The scans of folders of each maker, so that each is made once."""
    return {}


def test_good_pictures_among_hostile_names_are_all_found(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "evidence").mkdir()
    MAKERS["names"](tmp_path / "evidence", outside)
    done = Sweep({"E": tmp_path / "evidence"}).run(SECONDS)
    assert len(done.items) == 23  # eleven in each archive, and one beside them
    assert all(Address.parse(str(address)) == address for address in done.items)
    assert all(str(address).isprintable() for address in done.items)


def batches(seed: int) -> Iterator[tuple[str, list[tuple[object, bytes]]]]:
    """Each original cut at every tenth, and in two copies with 15 bytes changed."""
    random_of = random.Random(seed)
    for original in originals(DISKS):
        damaged = [
            cut(original.data, percent) for percent in range(10, 100, 10 if len(original.data) < 9 * MIB else 30)
        ]
        damaged += [flipped(original.data, 15, random_of) for _ in range(2)]
        yield original.name, [(original, data) for data in damaged]


def test_damaged_images_and_archives_cost_no_worker(tmp_path: Path) -> None:
    broken, lost, items = [], [], 0
    for name, batch in batches(seed=20_261_123):
        folder = tmp_path / name
        folder.mkdir()
        given = dict(placed(folder, number, original, data) for number, (original, data) in enumerate(batch))
        done = Sweep(given).run(SECONDS)
        broken += done.broken()
        lost += [each.text for each in done.lost]
        items += len(done.items)
        for path in folder.rglob("*.*"):
            path.unlink()
    assert broken == []
    assert lost == []
    assert items > 1000
