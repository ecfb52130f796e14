"""`mantlet demo`: the main job on evidence that it makes itself, of benign stand-ins."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from mantlet.case import queries
from mantlet.case.case import create_or_open
from mantlet.cli.output import As, Json, log_to, print_json, say
from mantlet.cli.show import print_matrix
from mantlet.engine.scan import scan
from mantlet.governance import keys, policy
from mantlet.known.imports import About, import_files
from mantlet.known.lookup import LookUp
from mantlet.known.sets import Sets
from mantlet.report import document


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it.")] = Path("demo"),
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Makes a small seized stick of drawn objects, scans it against a small known set, counts and reports.

    Example: mantlet demo demo
    """
    from mantlet.demo import stick  # the decoders it needs would slow every other command

    who = keys.actor(actor)
    folder.mkdir(parents=True, exist_ok=True)
    say(f"Making a memory stick with drawn boats, cameras and other objects in {folder} ...")
    made = stick.build(folder)
    sets = Sets(folder / "known")
    known = [
        import_files(sets, [made.known], "demo", who.name),
        import_files(sets, [made.benign], "demo-benign", who.name, About(status="benign")),
    ]
    case = create_or_open(folder / "case", who)
    log_to(case.folder)
    say(f"Scanning {made.image} ...")
    refused, _ = scan(case, [made.image], LookUp(sets, known, policy.load()), os.cpu_count() or 1, "STICK-1")
    if refused:
        raise refused[0]
    report = folder / "report.html"
    document.write(case, report)
    if as_json:
        print_json({"case": str(case.folder), "report": str(report), **queries.matrix(case)})
        return
    print_matrix(case)
    here = "mantlet" if shutil.which("mantlet") else sys.argv[0]
    say(f"\nThe report: {report}\nGrade on the page: {here} review {case.folder} --scheme stand-in")
