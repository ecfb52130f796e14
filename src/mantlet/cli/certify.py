"""`mantlet certify`: what the grading so far supports, and how many more looks would support more."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from mantlet.case import certificates, populations, queries
from mantlet.case.case import Case, open_case
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, results
from mantlet.errors import UsageError
from mantlet.governance import keys
from mantlet.governance.keys import Actor
from mantlet.grading import scheme as schemes
from mantlet.report.certificate import SUFFICES, drawn, named, sentences


def certify(
    case: CaseFolder,
    freeze: Annotated[
        Literal["missed", "counts"] | None,
        typer.Option("--freeze", help="Freeze what nobody looked at, to say what is missed; or all, to count it."),
    ] = None,
    upcoming: Annotated[
        int | None, typer.Option("--next", metavar="N", min=1, max=100_000, help="The next N to be looked at.")
    ] = None,
    recall: Annotated[
        float | None, typer.Option("--recall", metavar="R", help="How many more looks to say that a share R was found.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option("--confidence", metavar="C", help="With --freeze; 0.99 if not said.")
    ] = None,
    scheme: Annotated[
        str | None, typer.Option("--scheme", metavar="NAME", help="With --freeze; else the one in use.")
    ] = None,
    side: Annotated[
        int | None, typer.Option("--side", metavar="PIXELS", help="With --freeze: the least look that counts; 256.")
    ] = None,
    overlooked: Annotated[
        str | None,
        typer.Option("--overlooked", metavar="M/N", help="With --freeze: of N targets seen that small, M were missed."),
    ] = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """States what the looks so far support, with a stated confidence: at most so many are missed; or of each grade
    there are at least and at most so many.

    Freeze, look at the sample in its order (--next), state. Officers stop when they like.

    Example: mantlet certify case-17 --freeze missed && mantlet certify case-17 --next 60
    """
    if recall is not None and not 0 < recall <= 1:
        raise UsageError("The recall is a share above 0 and at most 1, such as 0.95.")
    if recall is not None and freeze == "counts":
        raise UsageError(certificates.NO_PLAN)
    by = keys.actor(actor)
    opened = open_case(case, by)
    log_to(case)
    if freeze:
        chosen = schemes.load(
            scheme or queries.scheme_in_use(opened) or populations.scheme_frozen(opened) or schemes.DEFAULT
        )
        trial = _trial(overlooked)
        populations.freeze(opened, by, populations.plan_of(freeze, chosen, confidence, side, trial))
    elif (confidence, scheme, side, overlooked) != (None, None, None, None):
        raise UsageError("--confidence, --scheme, --side and --overlooked are decided with --freeze, before any look.")
    told = _state(opened, by, upcoming, recall)
    if as_json:
        print_json(told)
    else:
        _print(told, recall)


def _state(case: Case, by: Actor, upcoming: int | None, recall: float | None) -> dict[str, Any]:
    """The last certificate, with the others and what was asked of it. Raises UsageError where nothing is frozen."""
    every = list(populations.frozen(case))
    if not every:
        raise UsageError(
            f"Nothing in {case.folder} is frozen yet; `mantlet certify {case.folder} --freeze missed` does, once the "
            "ranked looks are done."
        )
    *others, told = [certificates.state(case, by, each) for each in every]
    told["others"] = others
    if recall is not None:
        told["looks_for_recall"] = None if told["void"] else certificates.more(case, every[-1], recall)
    if upcoming is not None:
        told["next"] = [] if told["void"] else certificates.upcoming(case, every[-1], upcoming)
    return told


def _print(told: dict[str, Any], recall: float | None) -> None:
    for each in (*told["others"], told):
        results.print("\n".join([named(each), *sentences(each), f"    {drawn(each)}"]), markup=False)
    if recall is not None and not told["void"]:
        results.print(_planned(recall, told["looks_for_recall"]), markup=False)
    results.print(SUFFICES)
    for place in told.get("next", ()):
        results.print(f"{place['sha256']}  {place['kind']}  {place['address']}", markup=False)


def _trial(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    missed, _, of = text.partition("/")
    if not (missed.isdecimal() and of.isdecimal() and len(text) <= 18):
        raise UsageError("--overlooked takes M/N, such as 3/200: of 200 targets shown that small, 3 were overlooked.")
    return int(missed), int(of)


def _planned(recall: float, more: int | None) -> str:
    share = f"{recall * 100:g} %"
    if more is None:
        return f"No number of looks would support that {share} were found."
    return f"To be able to say that {share} were found: see {more:,} more, if none of these is one."
