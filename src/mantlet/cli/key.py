"""`mantlet key`: the signing keys of people."""

from __future__ import annotations

from typing import Annotated

import typer

from mantlet.cli.output import Json, print_json
from mantlet.errors import UsageError
from mantlet.governance import keys

app = typer.Typer(no_args_is_help=True, help="Signing keys: Ed25519, kept outside every case.")
_Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Whose key; the logged-in user's if not said.")]


@app.command()
def new(name: _Name = None, as_json: Json = False) -> None:
    """Makes a signing key. Commands that need one make it at first use, too.

    Example: mantlet key new "DC Example"
    """
    if keys.key_file(keys.user_name(name)).exists():
        raise UsageError(f"There is a key of {keys.user_name(name)}; see it with `mantlet key show`.")
    _print(keys.actor(name), as_json)


@app.command()
def show(name: _Name = None, as_json: Json = False) -> None:
    """Shows the public half of a key: what others compare with what `mantlet verify` prints.

    Example: mantlet key show "DC Example"
    """
    if not keys.key_file(keys.user_name(name)).exists():
        raise UsageError(f"There is no key of {keys.user_name(name)}; `mantlet key new` makes one.")
    _print(keys.actor(name), as_json)


def _print(actor: keys.Actor, as_json: bool) -> None:
    if as_json:
        print_json({"name": actor.name, "public_key": actor.public_key, "file": str(keys.key_file(actor.name))})
    else:
        print(f"{actor.name}  {actor.public_key}\n{keys.key_file(actor.name)}")  # noqa: T201
