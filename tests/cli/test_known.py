"""`mantlet known`: what it takes, what it refuses, and that what it refuses changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.conftest import Run

CONTEXT = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/US/$metadata#Media"


def md5s(count: int, first: int = 0) -> list[str]:
    return [hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest() for number in range(first, count)]


def a_list(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def vics(path: Path, digests: list[str]) -> Path:
    media = [{"MediaID": number, "Category": 1, "MD5": digest} for number, digest in enumerate(digests)]
    path.write_text(json.dumps({"@odata.context": CONTEXT, "value": media}))
    return path


def in_force(run: Run, home: Path) -> tuple[object, list[str]]:
    """The sets, and every folder there is of one."""
    return run("known", "list", "--json").json(), sorted(path.name for path in (home / "known").glob("set-*"))


def test_a_set_that_is_refused_leaves_the_old_one_in_force(run: Run, home: Path, tmp_path: Path) -> None:
    run("known", "import", a_list(tmp_path / "list", md5s(5)), "--name", "force")
    before = in_force(run, home)
    whole = vics(tmp_path / "whole.json", md5s(50))
    cut = tmp_path / "cut.json"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    refused = run("known", "import", cut, "--name", "force", code=3)
    assert refused.err.startswith("Error: cut.json, entry 2")
    assert refused.err.endswith(": the file ends in the middle; nothing was imported.\n")
    refused = run("known", "import", whole, "--name", "force", "--status", "benign", code=2)
    assert "never benign" in refused.err
    refused = run("known", "import", whole, "--name", "force", "--profile", "no-such", code=2)
    assert "There is no category profile 'no-such'" in refused.err
    assert in_force(run, home) == before

    made = run("known", "import", whole, "--name", "force", "--profile", "project-vic-us", "--json").json()
    assert (made["records"], made["form"], made["profile"]) == (50, "VICS 2.0 (US)", "project-vic-us 1")
    after = in_force(run, home)
    assert after == ([made], [made["folder"]])
    assert made["folder"] not in before[1]


def test_several_files_of_one_form_make_one_set(run: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "found").write_bytes(b"12")  # what `md5s` makes of 12
    first, second = a_list(tmp_path / "first", md5s(10)), a_list(tmp_path / "second", md5s(15, 10))
    made = run(
        "known", "import", first, second, "--name", "force", "--provenance", "by hand", "--licence", "CC0", "--json"
    ).json()
    assert (made["records"], made["sources"]) == (15, ["first", "second"])
    assert (made["provenance"], made["licence"]) == ("by hand", "CC0")
    (found,) = run("known", "lookup", tmp_path / "found", "--as", "DC Example", "--json").json()
    assert [(match["record"], match["how"]) for match in found["known"]] == [(13, "md5")], "the second file goes on"
    assert "give each once" in run("known", "import", first, first, "--name", "force", code=2).err

    before = in_force(run, home)
    mixed = run("known", "import", first, vics(tmp_path / "third.json", md5s(3)), "--name", "force", code=2)
    assert "import them apart" in mixed.err
    (tmp_path / "second").write_text("not a hash\n")
    bad = run("known", "import", first, second, "--name", "force", code=3)
    assert bad.err.startswith("Error: second, line 1: ")
    assert in_force(run, home) == before


def test_a_look_up_takes_a_name_and_is_kept(run: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "found").write_bytes(b"3")
    (tmp_path / "unknown").write_bytes(b"unknown")
    run("known", "import", a_list(tmp_path / "list", md5s(5)), "--name", "force")
    nameless = run("known", "lookup", tmp_path / "found", code=5)
    assert "say who looks up with --as NAME" in nameless.err
    run("known", "lookup", tmp_path / "found", tmp_path / "unknown", "--as", "DC Example")
    with closing(sqlite3.connect(home / "known" / "known.sqlite")) as database:
        kept = database.execute("SELECT actor, what, found FROM looked_up ORDER BY rowid").fetchall()
    assert kept == [
        ("DC Example", hashlib.sha256(b"3").hexdigest(), 1),
        ("DC Example", hashlib.sha256(b"unknown").hexdigest(), 0),
    ]


def test_an_import_that_is_interrupted_leaves_the_old_set_and_nothing_else(
    run: Run, home: Path, tmp_path: Path
) -> None:
    run("known", "import", a_list(tmp_path / "old", md5s(5)), "--name", "force")
    before = in_force(run, home)
    (tmp_path / "new").write_text("".join(f"{number:032x}\n" for number in range(2_000_000)))
    command = ["known", "import", tmp_path / "new", "--name", "force"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mantlet", *map(str, command)],
        env={**os.environ, "MANTLET_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not any(
        path.stat().st_size for path in (home / "known").glob("set-*/md5") if path.parent.name not in before[1]
    ):
        pass
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said == b"Stopped. Nothing was imported; what was in force still is.\n"
    assert in_force(run, home) == before
