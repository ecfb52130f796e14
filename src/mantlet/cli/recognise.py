"""`mantlet recognise`: models look at what a case has already."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from mantlet.case.case import open_case
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, progress_bar, say
from mantlet.engine import recognise as engine
from mantlet.governance import keys
from mantlet.recognise import models


def recognise(
    case: CaseFolder,
    model: Annotated[list[str], typer.Option("--model", metavar="NAME", help="A model; several may be named.")],
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=1, max=256)] = os.cpu_count() or 1,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Has models look at every picture and clip of a case that they have not looked at.

    The exhibits are read again, but for a model whose network has looked before: that is scored from what is stored.

    Example: mantlet recognise case-17 --model boats
    """
    bundles = [models.to_use(name) for name in dict.fromkeys(model)]
    opened = open_case(case, keys.actor(actor))
    log_to(case)
    told, away = list[dict[str, Any]](), dict[str, str]()
    for bundle in bundles:
        name = bundle.manifest.name
        with progress_bar(f"Looking for {name}") as (bar, task):
            try:
                done = engine.recognise(
                    opened, bundle, workers, lambda done, total: bar.update(task, completed=done, total=total)
                )
            except KeyboardInterrupt:
                say("Stopped. What was found is kept; the same command goes on from here.")
                raise
        away |= done.out_of_reach
        figures = {"contents": done.contents, "answered": done.answered, "silent": done.silent, "flagged": done.flagged}
        told.append({"model": name, "digest": bundle.digest, **figures})
        if not as_json:
            print(f"{name}: {done.answered:,} of {done.contents:,} pictures and clips looked at")  # noqa: T201
            for what, count in (*done.silent.items(), *((f"flagged {label}", n) for label, n in done.flagged.items())):
                print(f"    {what}: {count:,}")  # noqa: T201
    if away:
        say(f"{len(away):,} pictures and clips could not be read again: {next(iter(away.values()))}")
    if as_json:
        print_json({"models": told, "out_of_reach": len(away)})
    raise typer.Exit(int(bool(away)))
