"""How every command speaks: results on standard output, everything else on standard error."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
errors: Final = Console(stderr=True, highlight=False, soft_wrap=True)
results: Final = Console(highlight=False, soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
CaseFolder = Annotated[Path, typer.Argument(metavar="CASE", help="The folder of the case.")]
As = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who does this; the logged-in user if not said.")]
Known = Annotated[
    list[str] | None,
    typer.Option("--known", metavar="NAME", help="A set of known material; all sets if none is named."),
]
PasswordFile = Annotated[
    list[Path] | None,
    typer.Option("--password-file", metavar="FILE", help="Its first line is the password of a sealed set."),
]

Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="NAME", help="A model that is to look at each picture; several may be named."),
]


def print_json(value: Any) -> None:
    sys.stdout.write(_shown(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()) + "\n")


def print_json_lines(values: Iterable[Any]) -> None:
    for value in values:
        sys.stdout.write(_shown(msgspec.json.encode(value).decode()) + "\n")


def say(sentence: str) -> None:
    """A sentence for the person, on standard error; never markup, since names from exhibits may be in it."""
    errors.print(_shown(sentence), markup=False)


def _shown(text: str) -> str:
    """Without what would steer a terminal, or turn the direction of text: that is written as JSON writes it."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def log_to(folder: Path) -> None:
    """Keeps the log of what commands do to a case inside it."""
    handler = logging.FileHandler(folder / "mantlet.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("mantlet")
    logger.setLevel(logging.INFO)
    logger.handlers = [handler]


@contextmanager
def progress_bar(what: str) -> Iterator[tuple[Progress, Any]]:
    """A bar on a terminal, nothing elsewhere. `text` says what the numbers are."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
    with bar:
        yield bar, bar.add_task(what, total=None, text="", left="")
