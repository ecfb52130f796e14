"""The house: imports run one way, files stay small, and nothing of the machine it was written on is in it."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "mantlet"

LAYERS = (
    {"types", "errors", "settings", "compiled", "__init__"},
    {"store"},
    {"governance"},
    {"web", "vault", "evidence", "media", "fingerprint", "known", "recognise", "grading"},
    {"case"},
    {"sight"},
    {"pipeline"},
    {"engine"},
    {"review", "report"},
    {"cli"},
    {"__main__"},
)
"""Each may import what stands above it here, and nothing beside it."""
BESIDE = {
    "demo": {"evidence", "media", "fingerprint", "known", "grading"},
    "custody": {"store", "governance", "web"},
}
"""Parts beside the house: what they may import besides the first layer. Only `cli` imports them."""

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60


def module(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


FILES = {module(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports anywhere in it, by their full names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.split(".")[0] == "mantlet")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            if node.module and node.module.split(".")[0] == "mantlet":
                for each in node.names:
                    inner = f"{node.module}.{each.name}"
                    yield inner if inner in FILES else node.module if node.module in FILES else "mantlet.__init__"


def part(name: str) -> str:
    return name.split(".")[1]


def allowed(part_: str) -> set[str]:
    """The parts that one part may import."""
    if part_ in BESIDE:
        return LAYERS[0] | BESIDE[part_]
    above: set[str] = set()
    for layer in LAYERS:
        if part_ in layer:
            return above if part_ != "cli" else above | set(BESIDE)
        above |= layer
    raise AssertionError(f"{part_} has no place in the house: add it to LAYERS or BESIDE")


@pytest.mark.parametrize("name", FILES)
def test_imports_run_one_way(name: str) -> None:
    own = part(name)
    wrong = {each for each in imported(FILES[name]) if part(each) not in allowed(own) | {own}}
    assert not wrong


@pytest.mark.parametrize("name", ["types", "errors", "settings", "compiled"])
def test_the_first_layer_imports_nothing_of_ours(name: str) -> None:
    assert list(imported(SOURCE / f"{name}.py")) == []


def test_no_module_comes_back_to_itself_by_its_imports() -> None:
    graph = {name: set(imported(path)) for name, path in FILES.items()}
    while leaves := {name for name, targets in graph.items() if not targets & set(graph)}:
        graph = {name: targets for name, targets in graph.items() if name not in leaves}
    assert graph == {}, "these import each other in a circle"


def test_the_reader_of_imports_sees_what_there_is() -> None:
    """Else the tests above could pass because they saw nothing."""
    found = set(imported(FILES["mantlet.case.matching"]))
    assert found >= {"mantlet.case.case", "mantlet.known.lookup", "mantlet.types"}
    assert "mantlet.demo.stick" in set(imported(FILES["mantlet.cli.demo"])), "also imports within functions"
    assert len(FILES) > 60


@pytest.mark.parametrize("suffix", ["py", "js", "css", "html"])
def test_every_file_is_short(suffix: str) -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in SOURCE.rglob(f"*.{suffix}")}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_every_function_is_short() -> None:
    long = {}
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > MOST_LINES_OF_A_FUNCTION:
                    long[f"{name}.{node.name}"] = length
    assert long == {}


@pytest.fixture(scope="module")
def tracked() -> dict[str, bytes]:
    """Every file that git keeps, by its path."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout: there is no list of tracked files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return {name: (ROOT / name).read_bytes() for name in listed.split("\0") if (ROOT / name).is_file()}


MACHINE = re.compile(rb"(?<![\w.*])/" + rb"(?:work|root|home/\w+|Users/\w+)/")
INDEX = re.compile(rb"(?:index[-_]url|find[-_]links)[\s=:\"']+\w+://|://[^\s\"'<>]*/simple(?![\w-])", re.I)


def test_no_tracked_file_holds_a_path_of_the_machine_it_was_written_on(tracked: dict[str, bytes]) -> None:
    assert [(name, found[0]) for name, data in tracked.items() if (found := MACHINE.search(data))] == []


def test_no_tracked_file_holds_the_address_of_an_index(tracked: dict[str, bytes]) -> None:
    assert [(name, found[0]) for name, data in tracked.items() if (found := INDEX.search(data))] == []


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (MACHINE, b'open("/' + b'work/main/x")', True),
        (MACHINE, b"cd /" + b"root/x", True),
        (MACHINE, b"the way of /" + b"home/jane/x", True),
        (MACHINE, b"a/" + b"work/b", False),
        (MACHINE, b"/" + b"workers/", False),
        (INDEX, b"--index-" + b"url https://example.org/x", True),
        (INDEX, b"index_" + b'url = "http://10.0.0.1/x"', True),
        (INDEX, b"https://example.org/pypi/" + b"simple/", True),
        (INDEX, b"--no-emit-index-" + b"url --no-header", False),
        (INDEX, b"https://example.org/simple-" + b"things", False),
    ],
)
def test_the_patterns_find_what_they_should(pattern: re.Pattern[bytes], text: bytes, found: bool) -> None:
    assert bool(pattern.search(text)) == found
