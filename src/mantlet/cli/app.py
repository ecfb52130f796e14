"""The command line: its commands, in the order in which a case meets them."""

from __future__ import annotations

from typing import Annotated

import typer

from mantlet import __version__
from mantlet.cli import (
    carry,
    certify,
    demo,
    exhibit,
    export,
    exposure,
    import_,
    key,
    known,
    mark,
    match,
    model,
    policy,
    recognise,
    report,
    review,
    scan,
    scheme,
    show,
    similar,
    stack,
    triage,
    verify,
)
from mantlet.cli import list as list_
from mantlet.cli import next as next_

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mantlet {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Finds, recognises and groups the pictures on a seized device; a person decides.

    Example: mantlet scan stick.E01 --case case-17 && mantlet review case-17
    """


app.command()(demo.demo)
app.command()(triage.triage)
app.command()(scan.scan)
app.command()(match.match)
app.command()(recognise.recognise)
app.command()(show.show)
app.command("list")(list_.list_items)
app.command()(exhibit.exhibit)
app.command()(similar.similar)
app.command()(stack.stack)
app.add_typer(known.app, name="known")
app.add_typer(model.app, name="model")
app.add_typer(key.app, name="key")
app.command()(scheme.scheme)
app.command()(policy.policy)
app.command()(carry.carry)
app.command("next")(next_.next_stack)
app.command()(review.review)
app.command("import")(import_.import_table)
app.command()(mark.mark)
app.command()(certify.certify)
app.command()(exposure.exposure)
app.command()(report.report)
app.command()(export.export)
app.command()(verify.verify)
