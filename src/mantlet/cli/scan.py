"""`mantlet scan`: finds, fingerprints and matches every picture of some evidence."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.filesize import decimal
from rich.progress import Progress

from mantlet.case import queries
from mantlet.case.case import Case, create_or_open
from mantlet.cli.known import look_up
from mantlet.cli.output import As, Json, Known, Models, PasswordFile, errors, log_to, print_json, progress_bar, say
from mantlet.cli.show import print_matrix
from mantlet.engine import scan as engine
from mantlet.engine.known import Matched
from mantlet.engine.recognise import recognise
from mantlet.errors import MantletError
from mantlet.governance import keys
from mantlet.recognise import models
from mantlet.recognise.bundle import Bundle


def scan(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Images, E01, folders, zips or devices.")],
    case: Annotated[Path, typer.Option("--case", metavar="CASE", help="The folder of the case; made if new.")],
    exhibit: Annotated[str | None, typer.Option("--exhibit", metavar="ID", help="The exhibit's name.")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="REF", help="The force's case number.")
    ] = None,
    actor: As = None,
    known: Known = None,
    password_file: PasswordFile = None,
    model: Models = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=1, max=256)] = os.cpu_count() or 1,
    as_json: Json = False,
) -> None:
    """Finds every picture and clip on SOURCE, fingerprints it and matches it with known material.

    The same command again goes on where it stopped; SOURCE is only ever read.

    Example: mantlet scan stick.E01 --case case-17 --exhibit AB-1 --known force --model boats
    """
    who = keys.actor(actor)
    sets = look_up(known, password_file)
    bundles = [models.to_use(name) for name in dict.fromkeys(model or [])]
    engine.refuse_case_within(case, sources)
    opened = create_or_open(case, who)
    log_to(case)
    if not sets.chosen:
        say("There are no sets of known material to match with; `mantlet known import` makes one.")
    started, looked_at = time.monotonic(), 0
    with progress_bar("Scanning") as (bar, task):

        def show(state: engine.Progress) -> None:
            nonlocal looked_at
            looked_at = state.examined
            seconds = max(0.001, time.monotonic() - started)
            left = (state.listed_bytes - state.examined_bytes) * seconds / max(1, state.examined_bytes)
            text = (
                f"{state.examined:,}/{state.listed:,} files {decimal(state.examined_bytes)} "
                f"{decimal(int(state.examined_bytes / seconds))}/s {state.items:,} pictures {state.known:,} known"
            )
            bar.update(
                task,
                total=state.listed_bytes,
                completed=state.examined_bytes,
                text=text,
                left=f"{_in_time(left)} left" if seconds > _SURE_SECONDS and state.examined_bytes else "",
            )

        try:
            refused, matched = engine.scan(opened, sources, sets, workers, exhibit, reference, show, bundles)
            out = _of_before(opened, bundles, workers, bar, task)
        except KeyboardInterrupt:
            say("Stopped. What was found is kept; the same command goes on from here.")
            raise
    for sentence in (*matched.warnings, *(f"Error: {error}" for error in refused)):
        say(sentence)
    _tell(opened, matched, looked_at, as_json)
    code = _exit_code(opened, refused) or int(matched.out_of_reach > 0 or out)
    opened.close()
    raise typer.Exit(code)


def _of_before(case: Case, bundles: Sequence[Bundle], workers: int, bar: Progress, task: Any) -> bool:
    """Has models look at what the case had already; whether any of that could not be read again."""
    out: dict[str, str] = {}
    for each in bundles:
        bar.update(task, text=f"{each.manifest.name} looks at what was scanned before", total=None, left="")
        looked = recognise(case, each, workers, lambda done, total: bar.update(task, completed=done, total=total))
        out |= looked.out_of_reach
        flagged = ", ".join(f"{label} {count:,}" for label, count in looked.flagged.items()) or "nothing"
        silent = "".join(f"; {reason}: {count:,}" for reason, count in looked.silent.items())
        say(f"{each.manifest.name} looked at {looked.answered:,}, and flags: {flagged}{silent}.")
    if out:
        say(f"{len(out):,} pictures and clips could not be read again for a model: {next(iter(out.values()))}")
    return bool(out)


def _tell(case: Case, matched: Matched, looked_at: int, as_json: bool) -> None:
    if as_json:
        counts = {**queries.tally(case), **queries.matrix(case)}
        print_json({"case": str(case.folder), **counts, "warnings": matched.warnings})
    elif case.exhibits():
        print_matrix(case)
        say(f"Files looked at in this run, besides what lies in them: {looked_at:,}.")
        errors.print(f"Grade on a page: mantlet review {shlex.quote(str(case.folder))}", markup=False)


_SURE_SECONDS: Final = 3
"""Before that, a rate says nothing."""


def _in_time(seconds: float) -> str:
    minutes, rest = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _exit_code(case: Case, refused: list[MantletError]) -> int:
    """A source that cannot be used before damage in one, and both before something that could not be read."""
    unusable = queries.unusable(case)
    for _, sentence in unusable:
        say(f"Error: {sentence}")
    codes = [error.exit_code for error in refused]
    codes += sorted(4 if stage == "acquire" else 3 for stage, _ in unusable)
    codes += [1] if queries.incomplete(case) else []
    return codes[0] if codes else 0
