"""`mantlet triage`: whether a device holds blocks of known files, by a random sample of it."""

from __future__ import annotations

import math
import re
import secrets
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from mantlet.cli.known import open_sets
from mantlet.cli.output import As, Json, PasswordFile, print_json, progress_bar, results, say
from mantlet.engine import triage as engine
from mantlet.errors import NotAllowedError, UsageError
from mantlet.governance import keys
from mantlet.known.keyed import BLOCK
from mantlet.known.records import Blocks, KnownSet
from mantlet.known.sets import Sets

_SHOWS: Final = (
    "This shows that blocks of known files lie there; it does not show that the files are whole, live or reachable, "
    "nor who put them there."
)
_DOES_NOT_SAY: Final = (
    "It does not say that the device holds nothing: not smaller amounts, not parts of files, not files outside the "
    "set, not changed or re-compressed copies, not what is encrypted or compressed, not files in pieces off the sector "
    "grid."
)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def triage(
    device: Annotated[Path, typer.Argument(metavar="DEVICE", help="A block device or an image of one.")],
    known: Annotated[str | None, typer.Option("--known", metavar="NAME", help="The set of blocks to look for.")] = None,
    amount: Annotated[
        str, typer.Option("--amount", metavar="SIZE", help="How much of such files must not be missed.")
    ] = "20MiB",
    confidence: Annotated[
        float, typer.Option("--confidence", metavar="SHARE", help="In which share of such searches it is found.")
    ] = 0.99,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, help="Repeats the search that told this number.")
    ] = None,
    password_file: PasswordFile = None,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Looks for blocks of known files in a random sample of a device, without its file system.

    Says what finding nothing means, and what it does not. Who looked is kept, so --as must be said. Ends with code 1
    where some of the device could not be read.

    Example: mantlet triage /dev/sdb --known known-blocks --as "PC Example"
    """
    if not actor:
        raise NotAllowedError("A set is not an oracle: say who looks with --as NAME; it is kept.")
    wanted = _bytes(amount)
    sets, who = open_sets(password_file), keys.actor(actor).name
    with closing(sets):
        chosen = _chosen(sets, known)
        seed = secrets.randbits(48) if seed is None else seed
        found = _searched(sets, chosen, device, wanted, confidence, seed, who)
    if as_json:
        print_json(_as_json(device, chosen, found, wanted, confidence))
    else:
        for line in _in_words(device, chosen, found, _lay(found, _of(chosen), wanted, amount), confidence):
            results.print(line, markup=False)
    raise typer.Exit(1 if found.unreadable else 0)


def _chosen(sets: Sets, name: str | None) -> KnownSet:
    make = "`mantlet known blocks FOLDER --name NAME` makes one"
    there = {each.name: each for each in sets.all()}
    blocks = ", ".join(name for name, each in there.items() if each.blocks) or "none"
    if name is None or name not in there:
        raise UsageError(f"Say with --known NAME which set of blocks to look for (there are: {blocks}); {make}.")
    return there[name]


def _searched(
    sets: Sets, chosen: KnownSet, device: Path, amount: int, confidence: float, seed: int, who: str
) -> engine.Found:
    """What was found; that it was looked for is kept before there is anything to see, and again when it ends."""
    found: engine.Found | None = None
    what = f"triage of {device.absolute()} with {chosen.name} {chosen.version}, seed {seed}"
    sets.log_look_up(who, f"{what}, begun", 0)
    try:
        with progress_bar("Sampling") as (bar, task):
            for found in engine.search(device, sets.open(chosen), amount, confidence, seed):
                bar.update(
                    task, total=found.planned, completed=found.looked_at,
                    text=f"{found.looked_at:,} of {found.planned:,} windows, chance of a miss "
                    f"{_percent(found.chance_of_miss)}, {found.hits:,} hits",
                )  # fmt: skip
    except KeyboardInterrupt:
        if found:
            where = " in what can be read" if found.unreadable else ""
            say(
                f"Stopped. {found.hits:,} of {found.looked_at:,} windows hold a block of the set; the chance of a miss "
                f"is {_percent(found.chance_of_miss)} so far{where} (seed {seed})."
            )
        raise
    finally:
        sets.log_look_up(who, what, found.hits if found else 0)
    assert found is not None  # noqa: S101 - for the type checker: a search gives at least its plan
    return found


def _bytes(text: str) -> int:
    """Raises UsageError."""
    size = re.fullmatch(r"\s*(\d{1,15})\s*(?:([kmgt])(?:i?b)?|b)?\s*", text, re.ASCII | re.IGNORECASE)
    if size is None:
        raise UsageError(f"'{text}' is no size; write it such as 20MiB or 500KiB.")
    return int(size[1]) * _UNITS[(size[2] or "").lower()]


def _percent(share: float) -> str:
    """Never rounded down: a chance of a miss is not less than what is said."""
    return f"{math.ceil(share * 10_000 - 1e-6) / 100:.2f} %"


def _size(size: int) -> str:
    if size < 1 << 20:
        return f"{size:,} bytes"
    return f"{size / (1 << 30):,.1f} GiB" if size >= 10 << 30 else f"{size / (1 << 20):,.1f} MiB"


def _as_json(device: Path, known: KnownSet, found: engine.Found, amount: int, confidence: float) -> dict[str, Any]:
    low, high = found.estimate(confidence)
    blocks = _of(known)
    return {
        "device": str(device), "size": found.size, "set": known.name, "version": known.version,
        "windows": found.windows, "planned": found.planned, "looked_at": found.looked_at,
        "unreadable": found.unreadable, "unreadable_by_reason": found.reasons, "readable_share": found.readable_share,
        "seed": found.seed, "amount": amount, "findable": engine.findable(blocks),
        "files_without_blocks": blocks.files_without_blocks, "bytes_without_blocks": blocks.bytes_without_blocks,
        "kept_share": engine.share(blocks), "holding": found.holding, "confidence": confidence,
        "chance_of_miss": found.chance_of_miss, "hits": found.hits, "files": len(found.files),
        "first": msgspec.to_builtins(found.first), "estimate": {"at_least": low, "at_most": high},
    }  # fmt: skip


def _of(known: KnownSet) -> Blocks:
    assert known.blocks is not None  # noqa: S101 - for the type checker: `search` refuses others
    return known.blocks


def _in_words(device: Path, known: KnownSet, found: engine.Found, lay: str, confidence: float) -> list[str]:
    blocks = _of(known)
    lines = [
        f"{device}: {_size(found.size)}; {found.looked_at:,} of {found.windows:,} windows of {BLOCK:,} bytes were "
        f"looked at, chosen at random (seed {found.seed}).",
        f"Set {known.name}, version {known.version}: {blocks.files:,} files; {100 * engine.share(blocks):.1f} % of "
        "their bytes are in blocks that tell them.",
    ]
    if blocks.files_without_blocks:
        lines.append(
            f"{blocks.files_without_blocks:,} of the files ({_size(blocks.bytes_without_blocks)}) have no block that "
            "tells them and cannot be found this way."
        )
    if found.unreadable:
        why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(found.reasons.items()))
        lines.append(f"{found.unreadable:,} windows more could not be read ({why}): what lies there is not known.")
    if found.whole:
        lines.append("That is all of it: nothing is left to chance.")
    said = _found(found, blocks, confidence) if found.hits else _nothing_found(found, lay, confidence)
    return [*lines, *said]


def _found(found: engine.Found, blocks: Blocks, confidence: float) -> list[str]:
    low, high = found.estimate(confidence)
    much = f"{_size(low)} are" if low == high else f"between {_size(low)} and {_size(high)} are, by estimate,"
    how = "" if low == high else f" ({100 * confidence:g} % interval of Clopper and Pearson)"
    return [
        f"Found: {found.hits:,} of the windows hold a block of known files ({len(found.files):,} of the "
        f"{blocks.files:,} files of the set).",
        f"Of the device {much} such blocks{how}.",
        "The first of them, by byte of the device: "
        + ", ".join(f"{hit.offset:,} (file {hit.file:,})" for hit in found.first[:5]),
        _SHOWS,
    ]


def _lay(found: engine.Found, blocks: Blocks, wanted: int, amount: str) -> str:
    """What the chance of a miss is about. `amount`: how the person wrote what was `wanted`."""
    there = engine.findable(blocks)
    if wanted > found.size:
        return "a single block of this set"
    if wanted > there:
        return f"all files of this set that can be found, whole ({_size(there)} together, less than {amount}),"
    return f"{amount} or more of different files of this set that can be found, whole,"


def _nothing_found(found: engine.Found, lay: str, confidence: float) -> list[str]:
    among = math.floor((1 - found.chance_of_miss) * 10_000 + 1e-6) / 100
    where = "in the part of the device that can be read" if found.unreadable else "there"
    lines = [
        f"Nothing was found. If {lay} lay in the clear {where}, {among:g} in 100 such searches would have found some."
    ]
    if found.chance_of_miss > 1 - confidence:
        lines.append(f"That is less than the {100 * confidence:g} in 100 asked for: too much could not be read.")
    return [*lines, _DOES_NOT_SAY]
