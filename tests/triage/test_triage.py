"""`mantlet triage`: what it says, and what it does not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mantlet import settings
from mantlet.cli import triage as command
from mantlet.cli.app import app
from mantlet.engine.triage import Found, search
from mantlet.errors import NotAllowedError, UsageError
from mantlet.known.keyed import BLOCK, SECTOR
from mantlet.known.sets import Sets
from tests.block_files import MIB, Make, noise, written


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["triage", *map(str, arguments)])


def looked_up() -> list[tuple[str, str, int]]:
    with sqlite3.connect(settings.home() / "known" / "known.sqlite") as database:
        return database.execute("SELECT actor, what, found FROM looked_up").fetchall()


def test_what_is_found_is_said_with_what_it_shows_and_does_not(known: Make, tmp_path: Path) -> None:
    content = noise(1, MIB)
    chosen, medium = known(content, noise(2, 100)), written(tmp_path / "medium", 8 * MIB, {MIB: content})
    out = invoke(medium, "--known", "blocks", "--as", "PC Example", "--amount", "500KiB", "--seed", 3).output
    for says in (
        f"{medium}: 8.0 MiB; ", "windows of 4,096 bytes were looked at, chosen at random (seed 3).",
        f"Set blocks, version {chosen.version}: 2 files; 100.0 % of their bytes",
        "1 of the files (100 bytes) have no block that tells them and cannot be found this way.",
        "hold a block of known files (1 of the 2 files of the set)",
        "99 % interval of Clopper and Pearson", "it does not show that the files are whole, live or reachable",
    ):  # fmt: skip
        assert says in out
    assert "Nothing was found" not in out
    what = f"triage of {medium} with blocks {chosen.version}, seed 3"
    begun, ended = looked_up()
    assert begun == ("PC Example", f"{what}, begun", 0)
    assert ended[:2] == ("PC Example", what)
    assert ended[2] > 0


def test_nothing_found_is_said_with_what_it_means_and_does_not(known: Make, tmp_path: Path) -> None:
    known(noise(1, MIB))
    medium = written(tmp_path / "medium", 8 * MIB, {})
    done = invoke(medium, "--known", "blocks", "--as", "PC Example", "--amount", "500KiB")
    out = done.output
    says = "If 500KiB or more of different files of this set that can be found, whole, lay in the clear there, 99"
    assert says in out
    assert "cannot be found this way" not in out
    assert done.exit_code == 0
    assert "It does not say that the device holds nothing: not smaller amounts" in out
    assert "That is all of it" not in out
    assert [found for *_, found in looked_up()] == [0, 0]
    assert "That is all of it: nothing is left to chance." in invoke(medium, "--known", "blocks", "--as", "PC").output


def test_files_of_which_nothing_tells_are_not_counted_on(known: Make, tmp_path: Path) -> None:
    """The medium holds one whole: that is no miss, as it is said of it that it cannot be found."""
    plain = bytes(300) * 15_000
    known(plain, noise(1, MIB))
    arguments = (written(tmp_path / "medium", 8 * MIB, {0: plain}), "--known", "blocks", "--as", "PC")
    out = invoke(*arguments, "--amount", "4MiB").output
    assert "1 of the files (4.3 MiB) have no block that tells them and cannot be found this way." in out
    assert (
        "If all files of this set that can be found, whole (1.0 MiB together, less than 4MiB), lay in the clear there,"
        in out
    )
    told = json.loads(invoke(*arguments, "--amount", "4MiB", "--json").output)
    assert (told["files_without_blocks"], told["bytes_without_blocks"]) == (1, len(plain))
    assert (told["findable"], told["amount"], told["holding"]) == (MIB, 4 * MIB, 256)


def test_where_some_cannot_be_read_the_rest_is_spoken_of_and_the_code_is_1(
    known: Make, tmp_path: Path, image: Any
) -> None:
    packed = bytearray(image("disk.E01").read_bytes())
    packed[20_000:20_200] = bytes(200)
    medium = tmp_path / "bad.E01"
    medium.write_bytes(packed)
    known(noise(1, MIB))
    arguments = (medium, "--known", "blocks", "--as", "PC")
    done = invoke(*arguments, "--confidence", "0.9999")
    assert done.exit_code == 1
    assert "lay in the clear in the part of the device that can be read," in done.output
    assert "That is less than the 99.99 in 100 asked for: too much could not be read." in done.output
    done = invoke(*arguments, "--json")
    told = json.loads(done.output)
    assert done.exit_code == 1
    assert told["readable_share"] == told["looked_at"] / (told["looked_at"] + told["unreadable"]) < 1


def test_the_json_holds_all_that_a_statement_needs(run: Any, known: Make, tmp_path: Path) -> None:
    content = noise(1, MIB)
    chosen = known(content)
    medium = written(tmp_path / "medium", 8 * MIB, {MIB + SECTOR: content})
    told = run(
        "triage", medium, "--known", "blocks", "--as", "PC Example", "--amount", "256KiB", "--seed", 4, "--json"
    ).json()
    assert {**told, "first": [], "hits": 0, "estimate": {}, "chance_of_miss": 0} == {
        "device": str(medium), "size": 8 * MIB, "set": "blocks", "version": chosen.version, "windows": 2048,
        "planned": told["planned"], "looked_at": told["planned"], "unreadable": 0, "unreadable_by_reason": {},
        "readable_share": 1, "seed": 4, "amount": 256 << 10, "findable": MIB, "files_without_blocks": 0,
        "bytes_without_blocks": 0, "kept_share": 1.0, "holding": 64, "confidence": 0.99, "chance_of_miss": 0,
        "hits": 0, "files": 1, "first": [], "estimate": {},
    }  # fmt: skip
    assert 0 < told["chance_of_miss"] <= 0.01
    assert told["hits"] >= len(told["first"]) > 0
    assert all(each["file"] == 1 and MIB < each["offset"] <= 2 * MIB for each in told["first"])
    assert told["estimate"]["at_least"] <= MIB <= told["estimate"]["at_most"]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["--known", "blocks"], NotAllowedError, "A set is not an oracle"),
        (
            ["--known", "other", "--as", "PC"],
            UsageError,
            "there are: blocks.*`mantlet known blocks FOLDER --name NAME`",
        ),
        (["--as", "PC"], UsageError, "Say with --known NAME"),
        (["--known", "blocks", "--as", "PC", "--amount", "lots"], UsageError, "'lots' is no size"),
        (["--known", "blocks", "--as", "PC", "--confidence", "2"], UsageError, "between 0 and 1"),
    ],
)
def test_a_command_that_cannot_work_says_why(
    known: Make, tmp_path: Path, arguments: list[str], error: type[Exception], says: str
) -> None:
    known(noise(1, BLOCK))
    medium = written(tmp_path / "medium", MIB, {})
    result = invoke(medium, *arguments)
    assert isinstance(result.exception, error)
    with pytest.raises(error, match=says):
        raise result.exception


def test_who_does_not_say_who_they_are_leaves_with_code_5(run: Any, tmp_path: Path) -> None:
    assert "say who looks with --as NAME" in run("triage", tmp_path, "--known", "blocks", code=5).err


def test_a_sealed_set_is_opened_by_its_password(known: Make, tmp_path: Path) -> None:
    content = noise(1, 20 * BLOCK)
    known(content, of=Sets(passwords=[b"long enough"]))
    (tmp_path / "password").write_text("long enough\n")
    medium = written(tmp_path / "medium", MIB, {0: content})
    arguments = (medium, "--known", "blocks", "--as", "PC", "--json")
    assert "is sealed" in str(invoke(*arguments).exception)
    assert json.loads(invoke(*arguments, "--password-file", tmp_path / "password").output)["hits"] == 20


def test_ctrl_c_says_the_chance_so_far_and_is_kept(
    known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = noise(1, 4 * BLOCK)
    known(content)
    medium = written(tmp_path / "medium", 12 * MIB, {0: content})

    def stopped(*arguments: Any) -> Iterator[Found]:
        rounds = search(*arguments)
        yield next(rounds)
        yield next(rounds)
        raise KeyboardInterrupt

    monkeypatch.setattr(command.engine, "search", stopped)
    with pytest.raises(KeyboardInterrupt):
        command.triage(medium, "blocks", "16KiB", 0.9999, 1, None, "PC Example")
    assert "1,024 windows hold a block of the set; the chance of a miss is" in capsys.readouterr().err
    assert len(looked_up()) == 2


@pytest.mark.parametrize(
    ("text", "size"), [("20MiB", 20 * MIB), ("5 kb", 5 << 10), ("7", 7), ("7B", 7), ("1G", 1 << 30), ("2tib", 2 << 40)]
)
def test_sizes_are_read(known: Make, tmp_path: Path, text: str, size: int) -> None:
    known(noise(1, BLOCK))
    medium = written(tmp_path / "medium", BLOCK, {})
    result = invoke(medium, "--known", "blocks", "--as", "PC", "--amount", text, "--json")
    assert json.loads(result.output)["amount"] == size
