"""`mantlet verify`: whether a case and its exhibits are what they were recorded to be."""

from __future__ import annotations

import sqlite3
from typing import Annotated

import msgspec
import typer

from mantlet.case import verify as checks
from mantlet.case.case import open_case
from mantlet.cli.output import CaseFolder, Json, print_json, progress_bar, results, say
from mantlet.engine.scan import check_folder, medium_digests
from mantlet.errors import IntegrityError
from mantlet.governance.ledger import Head


def verify(
    case: CaseFolder,
    record_only: Annotated[bool, typer.Option("--record-only", help="Do not read the exhibits again.")] = False,
    as_json: Json = False,
) -> None:
    """Checks a case's ledger, rows and decisions, and recomputes the digest of each exhibit.

    Says what that proves, and what it does not. Exit code 4 if anything is not what it was, 3 if an exhibit is away.

    Example: mantlet verify case-17
    """
    opened = open_case(case)
    heads, exhibits, fault = list[Head](), list[checks.ExhibitCheck](), None
    try:
        heads = checks.verify_record(opened)
    except (IntegrityError, sqlite3.Error) as error:
        fault = str(error)  # and no exhibit is read: what to compare it with is in that record
        say(f"Error: {fault}")
    if not as_json:
        _print_heads(heads)
    if not (record_only or fault):
        with progress_bar("Reading the exhibits"):
            for check in checks.verify_exhibits(opened, medium_digests, check_folder):
                exhibits.append(check)
                if check.fault:
                    say(f"Error: {check.sentence}")
                elif not as_json:
                    results.print(check.sentence, markup=False)
    if as_json:
        print_json(
            {
                "fault": fault,
                "heads": msgspec.to_builtins(heads),
                "exhibits": msgspec.to_builtins(exhibits),
                "proves": checks.PROVES,
                "does_not_prove": checks.DOES_NOT_PROVE,
            }
        )
    elif not fault:
        results.print("\nThis proves:\n  " + "\n  ".join(checks.PROVES))
        results.print("It does not prove:\n  " + "\n  ".join(checks.DOES_NOT_PROVE))
    faults = {check.fault for check in exhibits}
    opened.close()
    raise typer.Exit(4 if fault or "changed" in faults else 3 if "away" in faults else 0)


def _print_heads(heads: list[Head]) -> None:
    for head in heads:
        results.print(f"The {head.chain} chain is whole: {head.length:,} entries, head {head.hash}", markup=False)
        results.print(f"    signed by {head.actor} with key {head.public_key}", markup=False)
        if head.withheld:
            results.print(f"    what {head.withheld:,} of them say is withheld or erased", markup=False)
