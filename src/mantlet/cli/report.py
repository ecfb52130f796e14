"""`mantlet report`: what was found, as a document without any picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mantlet.case.case import open_case
from mantlet.cli.output import CaseFolder, Json, print_json, say
from mantlet.report import document


def report(
    case: CaseFolder,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The .html file to write.")],
    as_json: Json = False,
) -> None:
    """Writes a report of counts, matches, exhibits and what was not read. It contains no picture.

    Example: mantlet report case-17 -o case-17.html
    """
    document.write(open_case(case), output)
    if as_json:
        print_json({"report": str(output)})
    else:
        say(f"The report is at {output}.")
