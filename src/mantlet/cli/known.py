"""`mantlet known`: sets of known material."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mantlet.cli.output import As, Json, PasswordFile, print_json, progress_bar, results, say
from mantlet.errors import EvidenceError, IntegrityError, NotAllowedError, UsageError
from mantlet.fingerprint import digests
from mantlet.governance import keys, policy
from mantlet.known import blocks, seal
from mantlet.known.imports import About, import_files
from mantlet.known.lookup import GRADES, LookUp
from mantlet.known.records import KnownSet, Status
from mantlet.known.sets import Sets

app = typer.Typer(no_args_is_help=True, help="Sets of known material: import, list, look up, remove.")

_NAME: Final = re.compile(r"\w[\w .@-]{0,63}")
_WIDE: Final = 200
_NO_SETS: Final = "There are no sets; `mantlet known import FILE --name NAME` makes one."
_ORDER: Final[tuple[Status, ...]] = ("notable", "benign", "ungraded")
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="What the set is called.")]
Provenance = Annotated[
    str | None, typer.Option("--provenance", metavar="TEXT", help="Who made it, and how it came here.")
]
Licence = Annotated[str | None, typer.Option("--licence", metavar="TEXT", help="Under which terms it may be used.")]


def open_sets(password_files: list[Path] | None) -> Sets:
    """This user's sets, with the passwords that open or seal them where any are given."""
    return Sets(passwords=[seal.password_of(path) for path in password_files or ()])


def look_up(names: list[str] | None, password_file: list[Path] | None) -> LookUp:
    """The sets of these names, all where none is named, open for look-ups."""
    with closing(open_sets(password_file)) as sets:
        chosen = sets.named(names or [])
        for each in chosen if names else ():
            if each.blocks:
                raise UsageError(f"'{each.name}' is a set of blocks, which `mantlet triage` looks for; name another.")
        return LookUp(sets, chosen, policy.load())


@app.command("import")
def import_set(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", readable=False, help="Told by content; several make one set.")
    ],
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

        with _stopped(sets):
            made = import_files(sets, files, name, who, about, show)
    _tell(made, as_json)
    _warn(made, about)


def _warn(made: KnownSet, about: About) -> None:
    """Says what whoever imported a set may not expect of it."""
    if made.profile is None and "ungraded" in made.statuses:
        say(
            "Codes 0 and 5 mean opposite things in different tools: without --profile they, and records without a "
            "code, assert nothing. docs/reference.md lists the profiles."
        )
    if made.foreign_codes:
        codes = ", ".join(made.foreign_codes[:10])
        say(f"The profile {made.profile} does not know the codes {codes}: such records assert nothing.")
    both = made.hashes.get("md5") == made.hashes.get("sha1") == made.records
    if made.statuses.get("benign") and "sha256" not in made.hashes and not both:
        say("Benign records that hold MD5 or SHA-1 alone match nothing: either can be forged.")
    if about.convention and "pdq" not in made.hashes:
        say("--convention says how PDQ hashes were made, and it holds none.")
    if made.provenance and made.form == GRADES:
        say(f"Its grades are {made.provenance}. They are trusted where policy.json names that key among its exporters.")


@app.command("blocks")
def import_blocks(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", readable=False, help="Files of known material, lawfully held.")
    ],
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
    with progress_bar("Reading") as (bar, task), _stopped(sets):
        made = blocks.build(
            sets, folders, name, who, provenance, licence,
            lambda files, size: bar.update(task, text=f"{files:,} files, {size / 1e6:,.0f} MB"),
        )  # fmt: skip
    _tell(made, as_json)


@contextmanager
def _stopped(sets: Sets) -> Iterator[None]:
    before = sets.all()
    try:
        yield
    except KeyboardInterrupt:
        if sets.all() == before:
            say("Stopped. Nothing was imported; what was in force still is.")
        raise


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError("A set needs a name of 1 to 64 letters, digits, spaces and . @ - _.")


def _tell(made: KnownSet, as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        what = "" if made.blocks else f": {_statuses(made)}; by {', '.join(made.hashes)}"
        print(f"{made.name}: {made.records:,} {_what(made)} ({made.form}){what}; version {made.version}")  # noqa: T201


def _what(known: KnownSet) -> str:
    return "blocks" if known.blocks else "record" if known.records == 1 else "records"


def _statuses(known: KnownSet) -> str:
    return ", ".join(f"{known.statuses[status]:,} {status}" for status in _ORDER if status in known.statuses)


@app.command("list")
def list_sets(
    check: Annotated[bool, typer.Option("--check", help="Read each set whole: is it as it was imported?")] = False,
    as_json: Json = False,
) -> None:
    """Lists the sets.

    Example: mantlet known list --check
    """
    with closing(Sets()) as opened:
        sets = opened.all()
        damage = {each.name: opened.damage(each) for each in sets} if check else {}
    if as_json:
        print_json([{**msgspec.to_builtins(each), "damage": damage[each.name]} for each in sets] if check else sets)
    else:
        _print_sets(sets)
    for name, what in damage.items():
        if what:
            say(f"Error: the set {name} is {what}; import it again.")
    if any(damage.values()):
        raise typer.Exit(IntegrityError.exit_code)


def _print_sets(sets: list[KnownSet]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "status", "records", "holds", "form", "version", "imported", ""):
        table.add_column(heading, justify="right" if heading == "records" else "left", overflow="fold")
    for each in sets:
        cells = (
            each.name,
            "blocks" if each.blocks else _statuses(each),
            f"{each.records:,}",
            " ".join(each.hashes),
            each.form,
            each.version,
            each.imported_at[:10],
            "sealed" if each.salt else "",
        )
        table.add_row(*map(Text, cells))
    # Where nobody sees it, it is for a program or a file: a name that is cut would be of no use.
    console = results if results.is_terminal else Console(width=_WIDE, highlight=False)
    console.print(table if sets else _NO_SETS, markup=False)


@app.command()
def lookup(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", readable=False, help="Files to look up by their digests.")
    ],
    password_file: PasswordFile = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Looks files up in every set, by digest. Who asked about what is kept, so --as must be said.

    Example: mantlet known lookup found.jpg --as "PC Example"
    """
    if not actor:
        raise NotAllowedError("A set is not an oracle: say who looks up with --as NAME; it is kept.")
    who, found, unread = keys.actor(actor).name, list[dict[str, Any]](), list[str]()
    with closing(open_sets(password_file)) as sets:
        looking = LookUp(sets, sets.all(), policy.load())
        if not looking.chosen:
            raise UsageError("There are no sets that know whole files; `mantlet known import` makes one.")
        for file in files:
            try:
                with file.open("rb") as stream:
                    values = digests.of_stream(stream, lambda: None)
            except OSError as error:
                unread.append(f"{file} cannot be read: {error.strerror}.")
                continue
            matches = looking.exact(values.md5, values.sha1, values.sha256)
            sets.log_look_up(who, values.sha256, len(matches))
            found.append({"file": str(file), "sha256": values.sha256, "known": msgspec.to_builtins(matches)})
    if as_json:
        print_json(found)
    else:
        for each in found:
            known = [f"{m['set']} record {m['record']} by {m['how']}: {_said(m)}" for m in each["known"]]
            results.print(f"{each['file']}: {'; '.join(known) or 'in no set'}", markup=False)
    if unread:
        raise EvidenceError(" ".join(unread))


def _said(match: dict[str, Any]) -> str:
    return f"{match['status']}, category {match['category']}" if match["category"] else str(match["status"])


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
