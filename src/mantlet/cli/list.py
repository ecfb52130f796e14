"""`mantlet list`: one line an item."""

from __future__ import annotations

from typing import Annotated

import typer

from mantlet.case import queries
from mantlet.case.case import open_case
from mantlet.cli.output import CaseFolder, print_json_lines


def list_items(
    case: CaseFolder,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="FIELD=VALUE", help="Only such items; also FIELD!=VALUE."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="LABEL", help="What models gave that label most, first.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, one an item.")] = False,
) -> None:
    """Lists every picture and clip, one line each; several --where must all hold.

    Example: mantlet list case-17 --where recovery=deleted --where known=notable --json
    """
    items = queries.items(open_case(case), where or [], by)
    if as_json:
        print_json_lines(items)
        return
    for item in items:
        known = ",".join(sorted({f"{match['set']}:{match['how']}" for match in item["known"]}))
        cells = (
            item["recovery"],
            item["kind"],
            f"{item['grade']}{queries.CARRIED.get(item['basis'], '')}" if item["grade"] else "-",
            known or "-",
            _best(item["scores"], by),
            item["sha256"][:16],
            item["address"],
        )
        typer.echo("\t".join(cells))


def _best(scores: dict[str, dict[str, float]], by: str | None) -> str:
    """What models gave a label, or most of all labels."""
    every = [
        (score, f"{model}:{label}")
        for model, each in scores.items()
        for label, score in each.items()
        if by in (None, label)
    ]
    return f"{max(every)[1]} {max(every)[0]:.3f}" if every else "-"
