"""`mantlet review`: the page on which officers grade."""

from __future__ import annotations

from typing import Annotated

import typer

from mantlet.case import queries, queue
from mantlet.case.case import Case, open_case
from mantlet.cli.output import As, CaseFolder, Json, log_to, print_json, say
from mantlet.errors import UsageError
from mantlet.governance import keys
from mantlet.grading import scheme as schemes


def review(
    case: CaseFolder,
    actor: As = None,
    scheme: Annotated[
        str | None,
        typer.Option("--scheme", metavar="NAME", help=f"Category scheme; the case's own, else {schemes.DEFAULT}."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port on 127.0.0.1; 0: a free one.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Opens a case for grading, on a page of this machine only; a scan may still run.

    Prints an address that works once. Every grade, undo and clear look is kept with the name given by --as.

    Example: mantlet review case-17 --as "DC Example"
    """
    from mantlet.review.app import WAY_IN, make_app
    from mantlet.review.tiles import Tiles
    from mantlet.web.security import Guard
    from mantlet.web.serve import bind, serve

    who = keys.actor(actor)
    opened = open_case(case, who)
    log_to(case)
    chosen = schemes.load(scheme_of(opened, scheme))
    listener = bind(port)
    tiles = Tiles(opened)
    try:
        guard = Guard(make_app(opened, who, chosen, tiles), listener.getsockname()[1], WAY_IN)
        if as_json:
            print_json({"url": guard.url, "actor": who.name, "scheme": chosen.name})
        else:
            print(f"Open this address in a browser on this machine; it works once:\n{guard.url}")  # noqa: T201
            say(f"Grading as {who.name} by {chosen.title}. Ctrl-C closes the page.")
        typer.get_text_stream("stdout").flush()
        serve(guard, listener)
        counts = queue.tally(opened)
    finally:
        tiles.close()
        opened.close()
    say(f"The page is closed. Graded: {counts['graded']:,} of {counts['contents']:,} distinct.")


def scheme_of(case: Case, wanted: str | None) -> str:
    """The scheme that the case's grades are of: those of two schemes cannot be counted together."""
    used = queries.scheme_in_use(case)
    if used and wanted not in (None, used):
        raise UsageError(f"This case is graded by the scheme {used}; leave --scheme out, or undo those grades first.")
    if used:
        say(f"The grades in this case are of the scheme {used}, so that is used.")
    return used or wanted or schemes.DEFAULT
