"""`mantlet carry`: grades taken over unseen, as far as the case allows it."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import msgspec
import typer

from mantlet.case import carry as carrying
from mantlet.case.case import open_case
from mantlet.cli.known import open_sets
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, say
from mantlet.cli.review import scheme_of
from mantlet.governance import keys
from mantlet.governance import policy as policies
from mantlet.grading import scheme as schemes


def carry(
    case: CaseFolder,
    scheme: Annotated[
        str | None,
        typer.Option("--scheme", metavar="NAME", help=f"Category scheme; the case's own, else {schemes.DEFAULT}."),
    ] = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Takes grades over unseen: from trusted records of the same file, and, where the case allows it, near copies.

    What a person graded by a look stays. A grade whose source no longer says it is taken back. Run it again at any
    time, after `mantlet match` and after grading; `mantlet policy` says what is allowed.

    Example: mantlet carry case-17 --as "DC Example"
    """
    who = keys.actor(actor)
    opened = open_case(case, who)
    log_to(case)
    chosen = schemes.load(scheme_of(opened, scheme))
    with closing(open_sets(None)) as sets:
        done = carrying.carry(opened, who, chosen, policies.load(), sets.all())
    if as_json:
        print_json({"scheme": chosen.name, **msgspec.to_builtins(done)})
        return
    print(f"known, unseen: {done.known:,} distinct pictures and clips")  # noqa: T201
    print(f"provisional: propagated: {done.propagated:,}")  # noqa: T201
    print(f"unsettled, to be seen first: {done.unsettled:,}")  # noqa: T201
    for why, count in done.left.items():
        print(f"left to be seen: {count:,}: {why}")  # noqa: T201
    say(f"Now: {done.given:,} grades taken over, {done.taken_back:,} taken back.")
