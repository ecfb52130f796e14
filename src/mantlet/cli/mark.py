"""`mantlet mark`: what is said of a picture beside its grade, and who is at risk now."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from mantlet.case import marks, queries
from mantlet.case.case import Case, open_case
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, results
from mantlet.errors import UsageError
from mantlet.governance import keys
from mantlet.grading import scheme as schemes

_Said = bool | None
_Text = str | None


def mark(
    case: CaseFolder,
    sha256: Annotated[str | None, typer.Argument(metavar="SHA256", help="Of a content of the case.")] = None,
    victim_identified: Annotated[_Said, typer.Option(help="Whether the victim is.")] = None,
    offender_identified: Annotated[_Said, typer.Option(help="Whether the offender is.")] = None,
    self_generated: Annotated[_Said, typer.Option(help="Taken by whom it shows.")] = None,
    first_seen_here: Annotated[_Said, typer.Option(help="In no collection known to you.")] = None,
    nature: Annotated[_Text, typer.Option("--nature", metavar="WORD", help="As `mantlet scheme` lists them.")] = None,
    series: Annotated[_Text, typer.Option("--series", metavar="TEXT", help="The series it belongs to.")] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TEXT", help="Several may be given; they replace what is there."),
    ] = None,
    note: Annotated[_Text, typer.Option("--note", metavar="TEXT", help="For colleagues.")] = None,
    specimen: Annotated[_Text, typer.Option("--specimen", metavar="TEXT", help="Neutral, for a report.")] = None,
    at_risk_now: Annotated[_Said, typer.Option(help="Puts it on the escalation list.")] = None,
    at_risk: Annotated[bool, typer.Option("--at-risk", help="Shows the escalation list.")] = False,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Changes what is said of a picture beside its grade, of what is given only ("" takes a text away); shows it.

    Example: mantlet mark case-17 3a7b...e1 --at-risk-now --series harbour --as "DC Example"
    """
    given = {
        "victim_identified": victim_identified,
        "offender_identified": offender_identified,
        "self_generated": self_generated,
        "first_seen_here": first_seen_here,
        "nature": nature,
        "series": series,
        "tags": None if tag is None else [each for each in tag if each],
        "note": note,
        "specimen": specimen,
        "at_risk_now": at_risk_now,
    }
    said = {name: None if value == "" else value for name, value in given.items() if value is not None}
    if at_risk and (sha256 or said):
        raise UsageError("--at-risk lists the whole case; leave out the rest.")
    if at_risk:
        _list(open_case(case), as_json)
        return
    if sha256 is None:
        raise UsageError("Say which picture, by the SHA-256 that `mantlet list` shows, or --at-risk for the list.")
    marked = _marked(case, sha256.lower(), said, actor)
    _print(marked, as_json)


def _marked(case: CaseFolder, sha256: str, said: dict[str, Any], actor: str | None) -> marks.Marked:
    if not said:
        return marks.marks_of(open_case(case), sha256)
    who = keys.actor(actor)
    opened = open_case(case, who)
    log_to(case)
    scheme = schemes.load(queries.scheme_in_use(opened) or schemes.DEFAULT)
    return marks.mark(opened, who, scheme, sha256, said)


def _print(marked: marks.Marked, as_json: bool) -> None:
    if as_json:
        print_json(marked)
        return
    for name, value in msgspec.structs.asdict(marked.marks).items():
        told = {True: "yes", False: "no", None: "not said", (): "none"}.get(value, value)
        text = ", ".join(told) if isinstance(told, tuple) else told
        results.print(f"{name.replace('_', ' ')}: {text}", markup=False)
    if marked.at:
        results.print(f"said by {marked.actor}, {marked.at}", markup=False)


def _list(case: Case, as_json: bool) -> None:
    found = marks.escalated(case)
    if as_json:
        print_json(found)
        return
    for each in found:
        results.print(f"{each.sha256}  {each.actor}, {each.at}  {each.address or 'no address'}", markup=False)
    if not found:
        results.print("Nobody is marked as at risk now.", markup=False)
