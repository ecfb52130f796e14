"""`mantlet export`: what a case knows, for other programs and other cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mantlet.case.case import open_case
from mantlet.cli.output import As, CaseFolder, Json, print_json, say
from mantlet.governance import keys


def export(
    case: CaseFolder,
    form: Annotated[Literal["grades"], typer.Option("--format", help="What to write.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")],
    scheme: Annotated[
        str | None, typer.Option("--scheme", metavar="NAME", help="Of a case graded by several, which.")
    ] = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Writes what officers graded in a case, signed, so that no other device makes them look at it again.

    `mantlet known import` takes it in as a set. It holds hashes, grades and officers' names, and no picture.

    Example: mantlet export case-17 --format grades -o case-17.grades
    """
    from mantlet.report import grades  # its compiler takes a third of a second to load

    count = grades.write(open_case(case), output, keys.actor(actor), scheme)
    if as_json:
        print_json({"export": str(output), "format": form, "grades": count})
    else:
        say(f"{count:,} grades are in {output}; `mantlet known import {output} --name NAME` makes them known.")
