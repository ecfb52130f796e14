"""`mantlet similar`: look-alikes, nearest first."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from mantlet.case import queries, recognition
from mantlet.case.case import Case, open_case
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, progress_bar, say
from mantlet.engine import recognise as engine
from mantlet.errors import UsageError
from mantlet.governance import keys

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def similar(
    case: CaseFolder,
    to: Annotated[
        list[str],
        typer.Option("--to", metavar="FILE", help="A picture or clip, or the SHA-256 of one of the case; or several."),
    ],
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Whose eyes; else those that saw most of the case.")
    ] = None,
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, max=100_000, help="How many.")] = 20,
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=1, max=256)] = os.cpu_count() or 1,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Lists what looks like a picture, nearest first; of several, what is most like all of them (five will do).

    It is a way to look, not a finding: each is to be looked at. Where no model has looked at the case, one does first.

    Example: mantlet similar case-17 --to boat.jpg
    """
    opened = open_case(case, keys.actor(actor))
    bundle = engine.embedder(opened, model)
    log_to(case)
    with progress_bar("Looking") as (bar, task):
        done = engine.recognise(
            opened, bundle, workers, lambda done, total: bar.update(task, completed=done, total=total)
        )
    own = [each.lower() for each in to if _DIGEST.fullmatch(each.lower())]
    there = recognition.vectors_of(opened, bundle.manifest.embedding_key, own)
    for each in own:
        if each not in there:
            raise UsageError(f"{each} is no content of this case that could be looked at.")
    examples = [there[each.lower()] if each.lower() in there else engine.look_at(Path(each), bundle) for each in to]
    found = engine.similar(opened, examples, bundle, most, frozenset(own))
    rows = [{"sha256": each.sha256, "cosine": round(each.cosine, 4), **_about(opened, each.sha256)} for each in found]
    if done.out_of_reach:
        say(f"{len(done.out_of_reach):,} could not be read: {next(iter(done.out_of_reach.values()))}")
    if bundle.manifest.notice:
        say(bundle.manifest.notice)
    if as_json:
        print_json({"model": bundle.manifest.name, "digest": bundle.digest, "similar": rows})
    else:
        for row in rows:
            typer.echo(f"{row['cosine']:.4f}\t{row['kind']}\t{row['sha256'][:16]}\t{row['address']}")
    raise typer.Exit(int(bool(done.out_of_reach)))


def _about(case: Case, sha256: str) -> dict[str, Any]:
    addresses = queries.addresses(case, sha256)
    return {
        "kind": recognition.places(case, [sha256])[sha256][0],
        "name": addresses[0].name,
        "address": str(addresses[0]),
        "copies": len(addresses),
    }
