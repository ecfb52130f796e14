"""`mantlet known`: sets of known material."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from mantlet.cli.output import As, Json, PasswordFile, print_json, progress_bar, results, say
from mantlet.errors import EvidenceError, NotAllowedError, UsageError
from mantlet.fingerprint import digests
from mantlet.governance import keys, policy
from mantlet.known import blocks, seal
from mantlet.known.imports import About, import_files
from mantlet.known.lookup import LookUp
from mantlet.known.records import KnownSet
from mantlet.known.sets import Sets

app = typer.Typer(no_args_is_help=True, help="Sets of known material: import, list, look up, remove.")

_LONGEST_NAME = 64
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="What the set is called.")]
Provenance = Annotated[
    str | None, typer.Option("--provenance", metavar="TEXT", help="Who made it, and how it came here.")
]
Licence = Annotated[str | None, typer.Option("--licence", metavar="TEXT", help="Under which terms it may be used.")]


def open_sets(password_file: Path | None) -> Sets:
    """This user's sets, with the password that opens or seals them where one is given."""
    return Sets(password=seal.password_of(password_file) if password_file else None)


def look_up(names: list[str] | None, password_file: Path | None) -> LookUp:
    """The sets of these names, all where none is named, open for look-ups."""
    sets = open_sets(password_file)
    chosen = sets.named(names or [])
    for each in chosen if names else ():
        if each.blocks:
            raise UsageError(f"'{each.name}' is a set of blocks, which `mantlet triage` looks for; name another.")
    return LookUp(sets, chosen, policy.load())


@app.command("import")
def import_set(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Told by content; several make one set.")],
    name: Name,
    status: Annotated[
        Literal["notable", "benign"] | None, typer.Option("--status", help="What its records are; notable if not said.")
    ] = None,
    plain: Annotated[
        Literal["md5", "sha1", "sha256", "pdq"] | None,
        typer.Option("--hash", help="What the lines of a plain list are; by their length if not said."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME|FILE", help="What its category codes mean.")
    ] = None,
    convention: Annotated[
        Literal["whole", "512"] | None,
        typer.Option("--convention", help="How its PDQ hashes were made; measured if not said."),
    ] = None,
    provenance: Provenance = None,
    licence: Licence = None,
    password_file: PasswordFile = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Imports a set: VICS, NSRL, ICSE, ThreatExchange, lists, CSV, or grades of earlier cases.

    A set of the same name is replaced, whole or not at all. --password-file seals it.

    Example: mantlet known import vics.json --name national --profile project-vic-us
    """
    _check(name)
    sets, who = open_sets(password_file), keys.actor(actor).name
    about = About(status, plain, profile, convention, provenance, licence)
    total = sum(path.stat().st_size for path in files if path.is_file())
    with progress_bar("Importing") as (bar, task):

        def show(read: int) -> None:
            text = f"{read / 1e6:,.0f} of {total / 1e6:,.0f} MB" if read < total else "making the tables"
            bar.update(task, total=total, completed=read, text=text)

        made = import_files(sets, files, name, who, about, show)
    _tell(made, as_json)
    if made.profile is None and any(each.code in ("0", "5") for each in made.categories):
        say(
            "Codes 0 and 5 mean opposite things in different tools: without --profile they assert nothing. "
            "docs/reference.md lists the profiles."
        )


@app.command("blocks")
def import_blocks(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Files of known material, lawfully held.")],
    name: Name,
    provenance: Provenance = None,
    licence: Licence = None,
    password_file: PasswordFile = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Makes a set of keyed block digests of files, by which `mantlet triage` finds them on a device.

    Example: mantlet known blocks /media/known --name known-blocks
    """
    _check(name)
    sets, who = open_sets(password_file), keys.actor(actor).name
    with progress_bar("Reading") as (bar, task):
        made = blocks.build(
            sets, folders, name, who, provenance, licence,
            lambda files, size: bar.update(task, text=f"{files:,} files, {size / 1e6:,.0f} MB"),
        )  # fmt: skip
    _tell(made, as_json)


def _check(name: str) -> None:
    if not name.strip() or len(name) > _LONGEST_NAME:
        raise UsageError(f"A set needs a name of 1 to {_LONGEST_NAME} characters.")


def _tell(made: KnownSet, as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        what = made.form if made.blocks else f"{_status(made)} records of {made.form}".strip()
        print(f"{made.name}: {made.records:,} {what}, version {made.version}")  # noqa: T201


def _status(known: KnownSet) -> str:
    """Of all its records; "" where their codes say that they differ."""
    return known.status if {each.status for each in known.categories} == {known.status} else ""


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
    for heading in ("name", "status", "records", "holds", "form", "version", "imported", ""):
        table.add_column(heading, justify="right" if heading == "records" else "left", overflow="fold")
    for each in sets:
        cells = (
            each.name,
            _status(each) or "by code",
            f"{each.records:,}",
            " ".join(each.hashes),
            each.form,
            each.version,
            each.imported_at[:10],
            "sealed" if each.salt else "",
        )
        table.add_row(*map(Text, cells))
    results.print(table if sets else "There are no sets; `mantlet known import FILE --name NAME` makes one.")


@app.command()
def lookup(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files to look up by their digests.")],
    password_file: PasswordFile = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Looks files up in every set, by digest. Who asked about what is kept, so --as must be said.

    Example: mantlet known lookup found.jpg --as "PC Example"
    """
    if not actor:
        raise NotAllowedError("A set is not an oracle: say who looks up with --as NAME; it is kept.")
    who, sets, found = keys.actor(actor).name, open_sets(password_file), list[dict[str, Any]]()
    looking = LookUp(sets, sets.all(), policy.load())
    for file in files:
        try:
            with file.open("rb") as stream:
                values = digests.of_stream(stream, lambda: None)
        except OSError as error:
            raise EvidenceError(f"{file} cannot be read: {error.strerror}.") from error
        matches = looking.exact(values.md5, values.sha1, values.sha256)
        sets.log_look_up(who, values.sha256, len(matches))
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
