"""`mantlet next`: what an officer is to see next, in words; it is theirs for a time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from mantlet.case import leases, opinions
from mantlet.case.case import Case, open_case
from mantlet.case.leases import LONGEST, MOST, Stack
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, results, say
from mantlet.errors import UsageError
from mantlet.governance import keys

_SHOWN = 10
"""Pictures of one stack that are told on a terminal."""


def next_stack(
    case: CaseFolder,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, max=MOST, help="How many stacks.")] = 1,
    minutes: Annotated[
        int, typer.Option("--minutes", metavar="N", min=1, max=LONGEST, help="For how long they are yours.")
    ] = 30,
    hand_back: Annotated[
        bool, typer.Option("--hand-back", help="Give back what you have; no reason is asked.")
    ] = False,
    disputed: Annotated[bool, typer.Option("--disputed", help="List what two officers grade differently.")] = False,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Tells the next stacks of the queue in words, with why each comes now, and keeps them for one officer.

    What must be confirmed comes first, known benign material last. No picture is shown: `mantlet review` does that.

    Example: mantlet next case-17 --count 5 --as "DC Example"
    """
    if hand_back and disputed:
        raise UsageError("Give --hand-back or --disputed, not both.")
    if disputed:
        _tell_disputed(open_case(case), as_json)
        return
    who = keys.actor(actor)
    opened = open_case(case, who)
    log_to(case)
    if hand_back:
        number = leases.hand_back(opened, who)
        if as_json:
            print_json({"handed_back": number})
        else:
            say(f"{number:,} stacks are handed back.")
        return
    _tell(leases.next_stacks(opened, who, minutes, count), case, as_json)


def _tell(stacks: list[Stack], case: Path, as_json: bool) -> None:
    from mantlet.review.words import words

    if as_json:
        told = [{**each, "words": words(each)} for stack in stacks for each in stack.told]
        print_json(
            {
                "stacks": [
                    {**msgspec.structs.asdict(stack), "told": [row for row in told if row["stack"] == stack.stack]}
                    for stack in stacks
                ]
            }
        )
        return
    for stack in stacks:
        alike = f", {stack.contents:,} that look alike" if stack.contents > 1 else ""
        results.print(f"{stack.stack}: {stack.to_see:,} to see{alike}; {stack.why}", markup=False)
        for row in stack.told[:_SHOWN]:
            results.print(f"    {_in_words(row, words(row))}", markup=False)
        if stack.to_see > _SHOWN:
            results.print(f"    and {stack.to_see - _SHOWN:,} more")
    if stacks:
        say(f"Yours until {stacks[-1].until}; `mantlet next {case} --hand-back` gives them back.")
    else:
        say("Nothing is left to be seen that nobody else has.")


def _in_words(row: dict[str, Any], words: dict[str, Any]) -> str:
    said = [words[name] for name in ("what", "state", "where", "copies", "damage")] + words["known"]
    return f"{row['sha256'][:16]}  {row['name']}: {', '.join(filter(None, said))}"


def _tell_disputed(case: Case, as_json: bool) -> None:
    found = opinions.disputed(case)
    if as_json:
        print_json(found)
        return
    for each in found:
        grades = "; ".join(f"{word['grade']} by {word['actor']}" for word in each["grades"])
        results.print(f"{each['sha256']}: {grades}", markup=False)
    say(f"{len(found):,} are disputed; the last grade stands until they agree or a third officer grades it.")
