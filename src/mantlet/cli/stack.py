"""`mantlet stack`: which pictures look the same, and why; and what a person splits and joins."""

from __future__ import annotations

from typing import Annotated

import typer

from mantlet.case import stacks
from mantlet.case.case import open_case
from mantlet.case.stacks import Join, Stack
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, results, say
from mantlet.errors import UsageError
from mantlet.governance import keys

_DIGITS = 16


def stack(
    case: CaseFolder,
    contents: Annotated[
        list[str], typer.Argument(metavar="SHA256...", help="Of contents of the case; 8 digits or more may do.")
    ],
    split: Annotated[bool, typer.Option("--split", help="Make these a stack of their own.")] = False,
    join: Annotated[bool, typer.Option("--join", help="Make the stacks of these one stack.")] = False,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Shows the stack of a picture: what looks like it, and by which join each is in it; or splits, or joins.

    A stack is for viewing together: it may chain, so no grade is carried along it. What was split stays apart.

    Example: mantlet stack case-17 3a7b90c1 && mantlet stack case-17 --split 3a7b90c1 --as "DC Example"
    """
    if split and join:
        raise UsageError("Give --split or --join, not both.")
    if not (split or join):
        if len(contents) > 1:
            raise UsageError("Name one picture to see its stack, or say --split or --join.")
        opened = open_case(case)
        _tell(stacks.stack_of(opened, stacks.content_named(opened, contents[0])), as_json)
        return
    who = keys.actor(actor)
    opened = open_case(case, who)
    log_to(case)
    these = [stacks.content_named(opened, each) for each in contents]
    name = (stacks.split if split else stacks.join)(opened, who, these)
    _tell(stacks.stack_of(opened, name), as_json)


def _tell(found: Stack, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    results.print(f"{found.stack}: {len(found.members):,} that look alike", markup=False)
    for each in found.members:
        grade = f"{each.grade} ({each.basis})" if each.grade else "ungraded"
        why = f"; {_why(each.joined)}" if each.joined else ""
        results.print(f"    {each.sha256[:_DIGITS]}  {each.name or 'no name'}: {each.kind}, {grade}{why}", markup=False)
    if not found.finished:
        say("So many pictures of this case look alike that not all were compared: more may belong to this stack.")


def _why(join: Join) -> str:
    to = join.to[:_DIGITS]
    if join.how == "person":
        return f"joined with {to} by a person"
    how = "shares a frame with" if join.how == "frames" else "looks like"
    view = "" if join.view == "upright" else f" one of them {join.view},"
    return f"{how} {to},{view} {join.distance} of 256 bits apart"
