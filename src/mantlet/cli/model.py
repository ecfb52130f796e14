"""`mantlet model`: model bundles: brought, looked at, checked, released and shared."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from mantlet.cli import teach
from mantlet.cli.output import As, Json, print_json, results, say
from mantlet.engine import recognise as engine
from mantlet.errors import NotAllowedError, UsageError, plain
from mantlet.governance import keys, policy
from mantlet.recognise import adding, bundle, models
from mantlet.recognise.bundle import Bundle
from mantlet.recognise.manifest import Card
from mantlet.store.files import write_whole

app: Final = typer.Typer(no_args_is_help=True, help="Models that recognise: bring, teach, measure, release, share.")
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")]
_LONGEST_CARD: Final = 1024 * 1024


@app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle, or an ONNX network with --recipe.")],
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="RECIPE", help="A JSON file, or the name of a shipped recipe.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="The network's labels, one on each line.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Instead of the recipe's name.")] = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Takes in a model: a bundle as somebody else exported it, or an ONNX network with a recipe (docs/models.md).

    It is opened in a box and tried on test pictures before it is kept.

    Example: mantlet model add mobilenet_v2.onnx --recipe mobilenet-v2
    """
    who = keys.user_name(actor)
    if name is not None:
        models.refuse_name(name)
    if recipe is None:
        if labels or name:
            raise UsageError("--labels and --name are for an ONNX network, with --recipe: a bundle says them itself.")
        data = bundle.file_of(file)
    else:
        data = adding.bundled(file, adding.recipe(recipe), name, labels, who)
    made = engine.add(data, str(file))
    _print(made, as_json)
    _say_whether_it_may_be_used(made)


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """Lists the models there are, and whether each may be used here.

    Example: mantlet model list
    """
    found = [_row(name) for name in models.names()]
    if as_json:
        print_json(found)
        return
    for row in found:
        state = (row["fault"] or "may be used").split(";")[0]
        print(f"{row['name']}\t{row['kind'] or '-'}\t{row['version'] or '-'}\t{state}")  # noqa: T201


def _row(name: str) -> dict[str, Any]:
    try:
        found = models.load(name)
        held = found.manifest
        about = {"kind": held.kind, "version": held.version, "authority": held.authority, "expires": held.expires}
    except Exception as error:  # noqa: BLE001 - the boundary around one model of a list
        return {"name": name, "kind": None, "version": None, "authority": None, "expires": None, "fault": plain(error)}
    try:
        models.ground(found)
        fault = None
    except Exception as error:  # noqa: BLE001 - the boundary around one model of a list
        fault = str(error)
    return {"name": name, **about, "fault": fault}


@app.command()
def show(name: _Name, as_json: Json = False) -> None:
    """Shows what a model says of itself: what it takes and gives, its card, how good it was found, who released it.

    Example: mantlet model show boats
    """
    _print(models.load(name), as_json, whole=True)


@app.command()
def verify(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The name of a model, or a bundle's file.")],
    as_json: Json = False,
) -> None:
    """Checks that a bundle is as it was made, who signed it, and whether its networks run; says what that proves.

    Example: mantlet model verify boats.model
    """
    path = None if model in models.names() else Path(model)
    found = bundle.read_file(path) if path else models.load(model)
    engine.try_out(found, path)
    by = found.signature
    if as_json:
        signature = msgspec.to_builtins(by) if by else None
        about = {"name": found.manifest.name, "digest": found.digest, "signature": signature, "fault": None}
        print_json({**about, "proves": bundle.PROVES, "does_not_prove": bundle.DOES_NOT_PROVE})
        return
    print(f"{found.manifest.name} {found.manifest.version}: whole, digest {found.digest}")  # noqa: T201
    print(f"signed by {by.signer} with key {by.public_key} at {by.at}" if by else "not signed")  # noqa: T201
    results.print("\nThis proves:\n  " + "\n  ".join(bundle.PROVES))
    results.print("It does not prove:\n  " + "\n  ".join(bundle.DOES_NOT_PROVE))


@app.command()
def card(
    name: _Name,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="JSON with what to put on the card; else it is shown.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Shows a model's card, or fills it in: what a person must say of a model before anybody may release it.

    What was measured (taught_on, membership) stays as it is. Filling in a card takes the signature away.

    Example: mantlet model card boats boats-card.json
    """
    found = models.load(name)
    if file is not None:
        models.refuse_builtin(name)
        written = _written(file)
        manifest = msgspec.structs.replace(found.manifest, card=msgspec.structs.replace(found.manifest.card, **written))
        models.keep(name, bundle.make(manifest, found.network, found.head), replace=True)
        found = models.load(name)
    about = {**msgspec.to_builtins(found.manifest.card), "missing": found.manifest.card.missing()}
    if as_json or file is None:
        print_json(about)
    if about["missing"]:
        say(f"The card of '{name}' does not say yet: {', '.join(about['missing'])}.")
    elif file is not None:
        say(f"The card of '{name}' is complete; the model is unsigned until `mantlet model sign {name}`.")


def _written(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            given = msgspec.json.decode(opened.read(_LONGEST_CARD), type=dict[str, Any])
        given = {key: value for key, value in given.items() if key not in ("taught_on", "membership", "missing")}
        msgspec.convert(given, Card)
    except (OSError, ValueError, RecursionError) as error:
        fields = ", ".join(Card().missing())
        raise UsageError(f"{file} cannot be used: {plain(error)}; it is JSON with {fields}.") from None
    return given


@app.command()
def sign(
    name: _Name,
    expires: Annotated[
        datetime | None, typer.Option("--expires", formats=["%Y-%m-%d"], metavar="DATE", help="Its last day.")
    ] = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Releases a model in the name of an authority: refused until its card is complete.

    Who may release is in policy.json ("model_authorities"): a signature by another key does not make it usable.

    Example: mantlet model sign boats --as "Supt Example" --expires 2027-12-31
    """
    models.refuse_builtin(name)
    if expires is not None and expires.date() < datetime.now(UTC).date():
        raise UsageError(f"{expires.date()} is over; give the last day on which the model may be used.")
    found = models.load(name)
    data = bundle.sign(found, keys.actor(actor), expires.date() if expires else None)
    models.keep(name, data, replace=True)
    _print(models.load(name), as_json)
    _say_whether_it_may_be_used(models.load(name))


@app.command()
def export(
    name: _Name,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")],
    as_json: Json = False,
) -> None:
    """Writes a released model to a file, for another machine or force. It holds no picture, and no digest of one.

    Example: mantlet model export boats -o boats.model
    """
    models.refuse_builtin(name)
    found = models.load(name)
    bundle.refuse_export(found, policy.load(), datetime.now(UTC).date())
    if output.exists() and not bundle.is_one(output):
        raise UsageError(f"{output} exists and is no model; choose another name.")
    if output.resolve().is_relative_to(models.folder().resolve()):
        raise UsageError(f"{output} lies among the models that are kept here; choose another place.")
    write_whole(output, found.file)
    if as_json:
        print_json({"model": name, "digest": found.digest, "file": str(output)})
    else:
        say(f"The model '{name}' is in {output}; `mantlet model add {output}` takes it in elsewhere.")


@app.command()
def remove(name: _Name, as_json: Json = False) -> None:
    """Removes a model. What it said of cases stays in them.

    Example: mantlet model remove boats
    """
    models.remove(name)
    if as_json:
        print_json({"removed": name})
    else:
        say(f"The model '{name}' is removed.")


app.command()(teach.train)
app.command()(teach.evaluate)
app.command()(teach.quantise)


def _say_whether_it_may_be_used(found: Bundle) -> None:
    try:
        if models.ground(found) == bundle.BY_NAME:
            say(f"It is used although nobody released it: your policy allows the name '{found.manifest.name}'.")
    except NotAllowedError as error:
        say(str(error))


def _print(found: Bundle, as_json: bool, *, whole: bool = False) -> None:
    held, by = found.manifest, found.signature
    if as_json or whole:
        about = {"digest": found.digest, "signature": msgspec.to_builtins(by) if by else None}
        print_json({**msgspec.to_builtins(held), **about})
        return
    signed = f"signed by {held.authority} with key {by.public_key}" if by else "not signed"
    until = f" until {held.expires}" if held.expires else ""
    print(f"{held.name} {held.version}, {held.kind}, {signed}{until}, digest {found.digest}")  # noqa: T201
    if held.notice:
        say(held.notice)
