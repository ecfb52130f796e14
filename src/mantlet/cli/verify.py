"""`mantlet verify`: whether a case and its exhibits are what they were recorded to be."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from mantlet.case import verify as checks
from mantlet.case.case import open_case
from mantlet.cli.output import CaseFolder, Json, print_json, progress_bar, results
from mantlet.engine.scan import medium_digests


def verify(
    case: CaseFolder,
    record_only: Annotated[bool, typer.Option("--record-only", help="Do not read the exhibits again.")] = False,
    as_json: Json = False,
) -> None:
    """Checks a case's ledger, rows and decisions, and recomputes the digest of each exhibit.

    Says what that proves, and what it does not. Exit code 4 if anything is not what it was.

    Example: mantlet verify case-17
    """
    opened = open_case(case)
    heads = checks.verify_record(opened)
    exhibits = []
    if not record_only:
        with progress_bar("Reading the exhibits"):
            exhibits = list(checks.verify_exhibits(opened, medium_digests))
    if as_json:
        print_json(
            {
                "heads": msgspec.to_builtins(heads),
                "exhibits": msgspec.to_builtins(exhibits),
                "proves": checks.PROVES,
                "does_not_prove": checks.DOES_NOT_PROVE,
            }
        )
        return
    for head in heads:
        results.print(f"The {head.chain} chain is whole: {head.length:,} entries, head {head.hash}", markup=False)
        results.print(f"    signed by {head.actor} with key {head.public_key}", markup=False)
    for check in exhibits:
        results.print(check.sentence, markup=False)
    results.print("\nThis proves:\n  " + "\n  ".join(checks.PROVES))
    results.print("It does not prove:\n  " + "\n  ".join(checks.DOES_NOT_PROVE))
