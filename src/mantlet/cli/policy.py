"""`mantlet policy`: what may be done unseen in a case, who allowed it, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from mantlet.case import allowed
from mantlet.case.allowed import STEPS, Step
from mantlet.case.case import open_case
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, results, say
from mantlet.errors import UsageError
from mantlet.governance import keys


def policy(
    case: CaseFolder,
    allow: Annotated[Step | None, typer.Option("--allow", help="Take this step down.")] = None,
    withdraw: Annotated[Step | None, typer.Option("--withdraw", help="Take it back.")] = None,
    authority: Annotated[
        str | None, typer.Option("--authority", metavar="TEXT", help="In whose name; needed to allow anything.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; needed likewise.")] = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Shows or changes what need not be seen: all is, but for what is known, until somebody in authority says more.

    Each change is in the ledger with who made it. `mantlet carry` then does what is allowed.

    Example: mantlet policy case-17 --allow near-copies --authority "DI Example" --reason "2,000 copies" --as "DC One"
    """
    if allow and withdraw:
        raise UsageError("Give --allow or --withdraw, one step at a time.")
    if not (allow or withdraw) and (authority or reason):
        raise UsageError("--authority and --reason go with --allow or --withdraw.")
    opened = open_case(case, keys.actor(actor) if allow or withdraw else None)
    if allow or withdraw:
        log_to(case)
    if allow:
        allowed.allow(opened, keys.actor(actor), allow, authority or "", reason or "")
    elif withdraw:
        allowed.withdraw(opened, keys.actor(actor), withdraw, authority, reason)
    now, history = allowed.in_force(opened), allowed.history(opened)
    if as_json:
        print_json({"allowed": now.steps, "history": history})
        return
    for step, means in STEPS.items():
        results.print(f"{step}: {'allowed' if step in now.steps else 'not allowed'}. {means}", markup=False)
    for each in history:
        what = f"allowed {each['allowed']}" if "allowed" in each else f"withdrew {each.get('withdrawn', '(erased)')}"
        why = "".join(f"; {name}: {each[name]}" for name in ("authority", "reason") if each.get(name))
        say(f"{each['at']} {each['actor']} {what}{why}")
    if allow or withdraw:
        say(f"`mantlet carry {case}` brings the grades and the queue in line with that.")
