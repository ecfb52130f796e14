"""`mantlet exhibit`: what a case was made from, and where it lies now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mantlet.case import queries
from mantlet.case.case import open_case
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, results
from mantlet.engine.scan import move_exhibit
from mantlet.errors import UsageError
from mantlet.governance import keys


def exhibit(
    case: CaseFolder,
    moved: Annotated[
        str | None,
        typer.Option("--moved", metavar="ID=PATH", help="Where an exhibit lies now; its digest must agree."),
    ] = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Lists the exhibits of a case with their digests, or points one to where it lies now.

    Example: mantlet exhibit case-17 --moved AB-1=/evidence/new/stick.E01
    """
    opened = open_case(case, keys.actor(actor) if moved else None)
    if moved:
        identity, separator, path = moved.partition("=")
        if not separator:
            raise UsageError("--moved takes ID=PATH, such as AB-1=/evidence/stick.E01.")
        log_to(case)
        move_exhibit(opened, identity, Path(path))
    found = queries.exhibits(opened)
    if as_json:
        print_json(found)
        return
    for each in found:
        results.print(f"{each['id']}  {each['form']}  {each['path']}", markup=False)
        for digest in each["acquisition"]:
            results.print(f"    {digest['algorithm']} {digest['digest']} ({digest['origin']})", markup=False)
        if any(digest["origin"] == "stored" for digest in each["acquisition"]):
            agrees = (
                "recomputed by the scan: agrees" if each["recomputed"] else each["digest_fault"] or "not recomputed yet"
            )
            results.print(f"    {agrees}", markup=False)
