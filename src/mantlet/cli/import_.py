"""`mantlet import`: grades that were given elsewhere, from a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from mantlet.case.case import open_case
from mantlet.case.importing import import_grades
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, say
from mantlet.cli.review import scheme_of
from mantlet.governance import keys
from mantlet.grading import scheme as schemes


def import_table(
    case: CaseFolder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV table in UTF-8.")],
    scheme: Annotated[
        str | None,
        typer.Option("--scheme", metavar="NAME", help=f"Category scheme; the case's own, else {schemes.DEFAULT}."),
    ] = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Takes in grades that people gave on viewing, with another tool or by a list: all lines of a table, or none.

    Its first line names its columns: sha256,grade and, in any order, by,when (who graded, and when) and
    side,clear,milliseconds (how it was seen: pixels of the longest side on the screen; yes or no; how long).
    A grade that does not say how the picture was seen counts for no certificate.

    Example: mantlet import case-17 grades.csv --scheme england-wales --as "DC Example"
    """
    who = keys.actor(actor)
    opened = open_case(case, who)
    log_to(case)
    done = import_grades(opened, who, schemes.load(scheme_of(opened, scheme)), file)
    if done.unseen:
        say(f"{done.unseen:,} of them do not say how they were seen, so they count for no certificate.")
    if as_json:
        print_json(msgspec.to_builtins(done))
    else:
        print(f"{done.graded:,} distinct pictures and clips graded, {done.changed:,} of them otherwise than before")  # noqa: T201
