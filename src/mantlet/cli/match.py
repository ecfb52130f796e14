"""`mantlet match`: a case against sets of known material, without the exhibits where these are not needed."""

from __future__ import annotations

import os

import typer

from mantlet.case.case import open_case
from mantlet.cli.known import look_up
from mantlet.cli.output import As, CaseFolder, Json, Known, PasswordFile, log_to, print_json, progress_bar, say
from mantlet.engine import known as engine
from mantlet.governance import keys


def match(
    case: CaseFolder, known: Known = None, password_file: PasswordFile = None, actor: As = None, as_json: Json = False
) -> None:
    """Matches what a case found with sets of known material, by digest and by perceptual hash in its eight forms.

    The exhibits are read again only for sets whose hashes were made otherwise, or do not say how.

    Example: mantlet match case-17 --known force
    """
    sets = look_up(known, password_file)
    opened = open_case(case, keys.actor(actor))
    log_to(case)
    with progress_bar("Matching") as (bar, task):
        done = engine.match(opened, sets, os.cpu_count() or 1, lambda done: bar.advance(task, done))
    for warning in done.warnings:
        say(warning)
    if as_json:
        versions = {each.name: each.version for each in sets.chosen}
        print_json({**done.counts, "sets": versions, "conventions": done.conventions, "warnings": done.warnings})
    else:
        if not sets.chosen:
            say("There are no sets of known material; `mantlet known import FILE --name NAME` makes one.")
        for what in ("notable exact", "notable near", "benign exact", "ungraded exact", "ungraded near"):
            print(f"{what}: {done.counts.get(what, 0):,} distinct pictures and clips")  # noqa: T201
    raise typer.Exit(int(done.out_of_reach > 0))
