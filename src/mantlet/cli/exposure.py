"""`mantlet exposure`: who has seen how much, what the force's rules leave, and which looks were avoided."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from mantlet.case import certificates
from mantlet.case import exposure as shown
from mantlet.case.case import open_case
from mantlet.cli.output import As, CaseFolder, Json, print_json, results
from mantlet.errors import UsageError
from mantlet.governance import keys
from mantlet.grading.exposure import SPARED, Avoided, Look, State, Total


def exposure(
    case: CaseFolder,
    totals: Annotated[bool, typer.Option("--totals", help="The totals of every officer; no picture is named.")] = False,
    looks: Annotated[bool, typer.Option("--looks", help="List each of your looks, with the grade after it.")] = False,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Tells officers what they have seen in a case, and what is left of the day by the force's rules.

    These are figures of what was on the screen. They state nothing about anybody's health.

    Example: mantlet exposure case-17 --as "DC Example"
    """
    if totals and looks:
        raise UsageError("--totals names no picture; give it without --looks.")
    opened = open_case(case)
    spoken_for = certificates.spoken_for(opened)
    told = (
        shown.everybody(opened, spoken_for)
        if totals
        else shown.own(opened, keys.user_name(actor), datetime.now(UTC), spoken_for)
    )
    if as_json:
        print_json(told)
        return
    if totals:
        _print_totals("officer", told["officers"])
    else:
        results.print(f"{told['officer']}. {_today(told['today'], told['zone'])}\n", markup=False)
    _print_totals(f"day ({told['zone']})", told["days"])
    if told["withheld"]:
        results.print(f"Of {told['withheld']:,} further looks the particulars were withheld.\n")
    if looks:
        _print_looks(told["looks"], told["zone"])
    _print_avoided(told["avoided"])


def _today(now: State, zone: str) -> str:
    """How an officer stands by the rules, in sentences."""
    said = [f"On {now.day} ({zone}): {now.today.clear:,} looks clear, {now.today.seconds:,.1f} seconds in all."]
    left = [] if now.looks_left is None else [f"{now.looks_left:,} looks"]
    left += [] if now.seconds_left is None else [f"{now.seconds_left:,.1f} seconds"]
    said.append(f"Left of the day: {' and '.join(left)}." if left else "The force has set no budget for a day.")
    if now.rest_since and now.rest_until:
        times = [at.astimezone(ZoneInfo(zone)).strftime("%H:%M") for at in (now.rest_since, now.rest_until)]
        said.append(f"A rest is due since {times[0]}; it is over at {times[1]} if nothing is looked at till then.")
    return " ".join(said)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    return table


def _print_totals(what: str, found: dict[str, dict[str, Total]]) -> None:
    table = _table("", what, "clear", "at targets", "seconds", "not timed", "largest", "veiled")
    for name, parts in found.items():
        for how, total in parts.items():
            if total.clear or total.veiled:
                shown_as = name if how == "shown" else f"{name}, as stated by imports"
                largest = "-" if total.largest is None else f"{total.largest:,}"
                figures = (f"{total.clear:,}", f"{total.targets:,}", f"{total.seconds:,.1f}", f"{total.untimed:,}")
                table.add_row(Text(shown_as), *figures, largest, f"{total.veiled:,}")
    results.print(table if table.row_count else f"Nothing was seen: no {what.partition(' ')[0]} to tell of.")
    results.print()


def _print_looks(looks: list[Look], zone: str) -> None:
    table = _table("", "when", "picture", "how", "pixels", "seconds", "graded then")
    for look in looks:
        at = look.at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")
        how = ("clear" if look.clear else "veiled") + (", as stated" if look.stated else "")
        seconds = f"{look.milliseconds / 1000:,.1f}" if look.clear and look.milliseconds is not None else "-"
        table.add_row(at, look.sha256[:16], how, f"{look.side or '-'}", seconds, Text(look.grade or "-"))
    results.print(table)
    results.print()


def _print_avoided(avoided: Avoided) -> None:
    table = _table(f"Of {avoided.items:,} pictures and clips found, by what spared a look at each:", "", "")
    table.show_header = False
    for field, what in SPARED.items():
        table.add_row(what, f"{getattr(avoided, field):,}")
    results.print(table)
    results.print(
        f"Of those seen, {avoided.seen_clear:,} were seen clear. Looks clear again at one seen before: "
        f"{avoided.again:,}. Second opinions: {avoided.second_opinions:,}."
    )
