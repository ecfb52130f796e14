"""The command line as people meet it: help on one screen, JSON everywhere, and errors that are sentences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from mantlet.case.case import create_or_open
from mantlet.cli.app import app
from mantlet.governance import keys


def commands() -> dict[str, Any]:
    """Each command that does something, by what is typed for it."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found.update({f"{name} {each}": of for each, of in inner.items()} if inner else {name: command})
    return found


COMMANDS = commands()
SCREEN_LINES, SCREEN_WIDTH = 40, 100


@pytest.mark.parametrize("name", ["", "known", "key", *COMMANDS])
def test_help_fits_one_screen(name: str) -> None:
    result = CliRunner().invoke(app, [*name.split(), "--help"], terminal_width=SCREEN_WIDTH, prog_name="mantlet")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert len(lines) <= SCREEN_LINES
    assert max(map(len, lines)) <= SCREEN_WIDTH
    assert lines[0].startswith(f"Usage: mantlet {name}".rstrip())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_of_that_command_and_says_what_each_option_does(name: str) -> None:
    command = COMMANDS[name]
    example = command.help.partition("Example: ")[2]
    assert example.startswith(f"mantlet {name}")
    assert [each.name for each in command.params if not each.help and each.name not in ("workers", "reference")] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_speaks_json(name: str) -> None:
    assert "--json" in {option for parameter in COMMANDS[name].params for option in parameter.opts}


def test_the_help_is_there_when_called_as_a_program(run: Any) -> None:
    result = run("--help")
    assert "Example: mantlet scan" in result.out
    assert all(name.split()[0] in result.out for name in COMMANDS)
    assert result.err == ""


def test_the_version_is_said(run: Any) -> None:
    assert run("--version").out.startswith("mantlet 0.")


@pytest.fixture
def case(tmp_path: Path) -> Path:
    create_or_open(tmp_path / "case", keys.actor("DC Example")).close()
    return tmp_path / "case"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("show {tmp}/none", 3, "There is no case at"),
        ("list {tmp}/none", 3, "There is no case at"),
        ("match {tmp}/none", 3, "There is no case at"),
        ("verify {tmp}/none", 3, "There is no case at"),
        ("exhibit {tmp}/none", 3, "There is no case at"),
        ("report {tmp}/none -o {tmp}/x.html", 3, "There is no case at"),
        ("review {tmp}/none", 3, "There is no case at"),
        ("list {case} --where colour=red", 2, "'colour=red' is no filter"),
        ("list {case} --where live", 2, "'live' is no filter"),
        ("match {case} --known none", 2, "There is no set 'none'"),
        ("match {case} --as ../x", 2, "'../x' cannot be an actor's name"),
        ("exhibit {case} --moved EX1", 2, "--moved takes ID=PATH"),
        ("exhibit {case} --moved EX9={case}", 2, "There is no exhibit EX9"),
        ("review {case} --scheme none", 2, "There is no category scheme 'none'"),
        ("known import {tmp}/none.csv --name x", 3, "none.csv cannot be read"),
        ("known import {case}/case.sqlite --name x", 3, "nothing was imported"),
        ("known import {tmp}/none.csv --name {blank}", 2, "A set needs a name"),
        ("known lookup {case}/case.sqlite", 5, "say who looks up with --as"),
        ("known lookup {tmp}/none --as x", 2, "There are no sets that know whole files"),
        ("known remove none", 2, "There is no set 'none'"),
        ("key show Nobody", 2, "There is no key of Nobody"),
        ("key new {name}", 2, "There is a key of DC Example"),
        ("scan {case} --case {tmp}", 2, "exists and is not a case"),
        ("scan {tmp}/none --case {case} --known none", 2, "There is no set 'none'"),
    ],
)
def test_an_error_is_one_sentence_on_standard_error_with_its_code(
    run: Any, case: Path, tmp_path: Path, arguments: str, code: int, says: str
) -> None:
    places = {"tmp": str(tmp_path), "case": str(case), "blank": " ", "name": "DC Example"}
    result = run(*(each.format(**places) for each in arguments.split()), code=code)
    assert result.out == ""
    assert result.err.startswith("Error: ")
    assert says in result.err
    assert len(result.err.splitlines()) == 1
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["known", "nonsense"], ["show"], ["scan", "x"], ["show", "x", "--no"]]
)
def test_wrong_usage_ends_with_2_and_says_how(run: Any, arguments: list[str]) -> None:
    result = run(*arguments, code=2)
    assert result.out == ""
    assert "Usage: mantlet" in result.err
    assert "Error: " in result.err
    assert "Traceback" not in result.err


def test_a_corrupt_case_is_a_sentence(run: Any, case: Path) -> None:
    (case / "case.sqlite").write_bytes(b"garbage" * 1000)
    result = run("show", case, code=3)
    assert "is not a database Mantlet can use" in result.err
    assert "Traceback" not in result.err


def test_known_sets_are_imported_listed_looked_up_and_removed_in_json(run: Any, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("md5,category\nd41d8cd98f00b204e9800998ecf8427e,nothing\n")
    (tmp_path / "empty").write_bytes(b"")
    made = run("known", "import", tmp_path / "list.csv", "--name", "force", "--as", "x", "--json").json()
    assert (made["name"], made["records"], made["status"], made["imported_by"]) == ("force", 1, "notable", "x")
    assert run("known", "list", "--json").json() == [made]
    [found] = run("known", "lookup", tmp_path / "empty", "--as", "x", "--json").json()
    assert [(each["set"], each["how"], each["category"]) for each in found["known"]] == [("force", "md5", "nothing")]
    assert run("known", "remove", "force", "--json").json() == {"removed": "force"}
    assert run("known", "list", "--json").json() == []


def test_a_key_is_made_and_shown_in_json(run: Any, home: Path) -> None:
    made = run("key", "new", "DC Example", "--json").json()
    assert made == run("key", "show", "DC Example", "--json").json()
    assert made["public_key"] == keys.actor("DC Example").public_key
    assert Path(made["file"]).is_relative_to(home)


def test_a_case_answers_every_question_in_json(run: Any, case: Path) -> None:
    assert run("show", case, "--json").json()["counts"] == []
    assert run("list", case, "--json").lines() == []
    assert run("exhibit", case, "--json").json() == []
    assert run("match", case, "--json").json() == {"contents": 0, "sets": {}, "conventions": {}, "warnings": []}
    [head] = run("verify", case, "--json").json()["heads"]
    assert (head["chain"], head["actor"]) == ("case", "DC Example")
    report = run("report", case, "-o", case.parent / "x.html", "--json")
    assert json.loads(report.out) == {"report": str(case.parent / "x.html")}
    assert (case.parent / "x.html").is_file()


def test_a_command_starts_without_what_it_does_not_need() -> None:
    """A compiler, a runtime of networks and the like take longer to load than most commands do."""
    heavy = ("numba", "scipy", "sklearn", "onnx", "onnxruntime", "PIL", "av", "jinja2", "starlette")
    script = f"import sys, mantlet.cli.app; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
