"""`mantlet show`: the count matrix, and what could not be read."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mantlet.case import queries, stacks
from mantlet.case.case import Case, open_case
from mantlet.cli.output import CaseFolder, Json, print_json, results
from mantlet.types import Containment


def show(
    case: CaseFolder,
    places: Annotated[bool, typer.Option("--unread", help="List each place that could not be read.")] = False,
    as_json: Json = False,
) -> None:
    """Counts what is in a case: category by still or moving, recovery and containment, distinct and all.

    Example: mantlet show case-17 --unread
    """
    opened = open_case(case)
    if as_json:
        value = queries.matrix(opened)
        print_json({**value, "unread_places": queries.unread_places(opened)} if places else value)
    else:
        print_matrix(opened, places)


def print_matrix(case: Case, places: bool = False) -> None:
    matrix = queries.matrix(case)
    table = Table(title="Pictures and clips", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in ("category", "kind", "recovery", "found as"):
        table.add_column(heading)
    table.add_column("distinct", justify="right")
    table.add_column("all", justify="right")
    previews = any(row["containment"] == Containment.PREVIEW for row in matrix["counts"])
    for row in matrix["counts"]:
        cells = [row["category"], row["kind"], row["recovery"], row["containment"]]
        table.add_row(*map(Text, cells), f"{row['distinct']:,}", f"{row['all']:,}")
    for row in matrix["totals"]:
        cells = [row["category"], row["kind"], "all", "all but previews" if previews else ""]
        table.add_row(*map(Text, cells), f"{row['distinct']:,}", f"{row['all']:,}", style="bold")
    if not matrix["counts"]:
        table.add_row("none found", "", "", "", "0", "0")
    results.print(table)
    results.print(f"\nGroups of different files that look the same: {matrix['stacks']:,}")
    if not stacks.finished(case):
        results.print("Too many are alike for all to be compared, so there may be fewer.")
    unread = [row for row in matrix["unread"] if not queries.read_not_hashed(row)]
    _print_reasons("Read, and not hashed", [row for row in matrix["unread"] if queries.read_not_hashed(row)])
    if unread:
        _print_reasons("Not read", unread)
        if not places:
            results.print(f"Each with its place: mantlet show {shlex.quote(str(case.folder))} --unread", markup=False)
    if places:
        results.print()
        for row in queries.unread_places(case):
            results.print(f"{row['address']}\n    {row['reason']}: {row['detail']}", markup=False)
    if matrix["unfinished"]:
        results.print(
            f"\nThe scan is not finished ({matrix['unfinished']} parts to go): these counts are a minimum.",
            style="bold",
        )


def _print_reasons(title: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    table = Table(title=f"\n{title}", title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("count", justify="right")
    table.add_column("reason")
    table.add_column("stage")
    for row in rows:
        table.add_row(f"{row['count']:,}", row["reason"], row["stage"])
    results.print(table)
