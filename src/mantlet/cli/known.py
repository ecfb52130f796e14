"""`mantlet known`: sets of known material."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from mantlet.cli.output import As, Json, print_json, results, say
from mantlet.errors import EvidenceError, NotAllowedError, UsageError
from mantlet.fingerprint import digests
from mantlet.governance import keys
from mantlet.known import read
from mantlet.known.sets import Sets

app = typer.Typer(no_args_is_help=True, help="Sets of known material: import, list, look up, remove.")


@app.command("import")
def import_set(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One hash a line, or CSV with a header.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the set is called.")],
    status: Annotated[Literal["notable", "benign"], typer.Option("--status", help="What its records are.")] = "notable",
    plain: Annotated[
        Literal["md5", "sha1", "sha256", "pdq"] | None,
        typer.Option("--hash", help="What the lines of a plain list are; by their length if not said."),
    ] = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Imports a list of hashes, or CSV with columns of md5, sha1, sha256, pdq, category, note, as a named set.

    A set of the same name is replaced, whole or not at all.

    Example: mantlet known import force.csv --name force
    """
    if not name.strip() or len(name) > 64:
        raise UsageError("A set needs a name of 1 to 64 characters.")
    made = read.import_file(Sets(), file, name, status, keys.actor(actor).name, plain)
    if as_json:
        print_json(made)
    else:
        print(f"{made.name}: {made.records:,} {made.status} records, version {made.version}")  # noqa: T201


@app.command("list")
def list_sets(as_json: Json = False) -> None:
    """Lists the sets.

    Example: mantlet known list
    """
    sets = Sets().all()
    if as_json:
        print_json(sets)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "status", "records", "version", "imported", "by", "from"):
        table.add_column(heading, justify="right" if heading == "records" else "left")
    for each in sets:
        cells = (
            each.name,
            each.status,
            f"{each.records:,}",
            each.version,
            each.imported_at[:10],
            each.imported_by,
        )
        table.add_row(*map(Text, (*cells, each.source)))
    results.print(table if sets else "There are no sets; `mantlet known import FILE --name NAME` makes one.")


@app.command()
def lookup(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files to look up by their digests.")],
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Looks files up in every set, by digest. Who asked about what is kept, so --as must be said.

    Example: mantlet known lookup found.jpg --as "PC Example"
    """
    if not actor:
        raise NotAllowedError("A set is not an oracle: say who looks up with --as NAME; it is kept.")
    sets, found = Sets(), list[dict[str, Any]]()
    for file in files:
        try:
            with file.open("rb") as stream:
                values = digests.of_stream(stream, lambda: None)
        except OSError as error:
            raise EvidenceError(f"{file} cannot be read: {error.strerror}.") from error
        matches = list(sets.exact(sets.all(), values.md5, values.sha1, values.sha256))
        sets.log_look_up(keys.actor(actor).name, values.sha256, len(matches))
        found.append({"file": str(file), "sha256": values.sha256, "known": msgspec.to_builtins(matches)})
    if as_json:
        print_json(found)
        return
    for each in found:
        names = ", ".join(f"{m['set']} record {m['record']} by {m['how']}" for m in each["known"])
        results.print(f"{each['file']}: {names or 'in no set'}", markup=False)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which set.")],
    as_json: Json = False,
) -> None:
    """Removes a set. Cases keep the matches it made, with its version.

    Example: mantlet known remove force
    """
    Sets().remove(name)
    if as_json:
        print_json({"removed": name})
    else:
        say(f"The set {name} is removed.")
