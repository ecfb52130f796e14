"""Whether a case is what it was recorded to be, and the exhibits what they were when scanned.

Code that others must trust: numbered steps that raise.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from mantlet.case import appended, certificates, marks, stacks, vectors
from mantlet.case.case import Case, Exhibit
from mantlet.case.scan import leaf
from mantlet.case.schema import MIGRATIONS, SCANNED
from mantlet.errors import IntegrityError, MantletError
from mantlet.governance import ledger, merkle
from mantlet.recognise.manifest import EMBEDDING
from mantlet.types import Reason

PROVES: Final = (
    "No ledger entry was changed, removed from the middle or reordered since its head was signed.",
    "Every item, content, finding and unread place is as the scan stored it, and every decision as it was made.",
    "Each certificate follows from the grades before it, and its population was fixed before its order was drawn.",
    "The case answers by the tables and views that this Mantlet makes, not by ones put in their place.",
)
DOES_NOT_PROVE: Final = (
    "That an older copy of the whole case was not put back: compare the heads with ones noted down earlier.",
    "That nobody with a key that may write rewrote what others entered: only the last writer signs, for all that is "
    "there, and could change earlier entries first. The heads noted down earlier show it.",
    "That the key belongs to the person named: compare it with `mantlet key show` of that person.",
    "Which contents are known, and which look the same: that is derived, and `mantlet match` makes it anew.",
    "That the scan was finished: the list of what is still to do is not covered.",
    "That what was found is all there was: see what could not be read, and what is never read (docs/tour.md).",
)


def verify_record(case: Case) -> list[ledger.Head]:
    """Checks the case's own record. Returns the signed heads.

    1. The tables, views and triggers are those that the migrations make: a view put in place of one could say
       anything of rows that are all there.
    2. Each chain of the ledger continues unbroken to its signed head.
    3. The case bears the name under which it was made.
    4. The rows of each scan batch still have the Merkle root that its entry holds, and none belongs to no batch.
    5. Each decision is as its ledger entry says, in the order of the ledger, and no decision entry lacks its row.
    6. The exhibits are those that were added, each where it was last moved to.
    7. Each embedding is the one whose digest its finding holds, in the files that are compared by too.
    8. Each population holds what the case held when it was frozen, in the order of its seed, and each certificate is
       what the decisions before it give when it is computed again.
    9. What is marked beside the grades, and what people split and joined, is as the ledger entries say.

    Raises:
        IntegrityError: naming the first thing that is wrong.
    """
    _check_schema(case)  # 1
    heads = [head for chain in ledger.CHAINS if (head := ledger.verify(case.reader, chain))]  # 2
    if "case" not in {head.chain for head in heads}:
        raise IntegrityError("The ledger of this case is empty; its first entry is that the case was made.")
    _check_identity(case)  # 3
    _check_batches(case)  # 4
    appended.check(case, "decision", "decision", "seen")  # 5
    _check_exhibits(case)  # 6
    _check_vectors(case)  # 7
    certificates.check(case)  # 8
    marks.check(case)  # 9
    stacks.check(case)
    return heads


def _check_schema(case: Case) -> None:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2"
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        for script in MIGRATIONS:
            fresh.executescript(script)
        wanted = {tuple(row) for row in fresh.execute(query)}
    there = {tuple(row) for row in case.reader.execute(query)}
    for kind, name, *_ in sorted(there ^ wanted, key=str):
        raise IntegrityError(f"The {kind} {name} of this case is not the one that Mantlet makes.")


def _check_identity(case: Case) -> None:
    made = [payload["case"] for _, payload in appended.said(case, "case made")]
    about = [tuple(row) for row in case.reader.execute("SELECT key, value FROM about")]
    if len(made) != 1 or about != [("id", made[0])]:
        raise IntegrityError("This case does not bear the name that the ledger says it was made with.")


def _check_batches(case: Case) -> None:
    batches = set()
    for entry, payload in appended.said(case, "scan batch"):
        batches.add(entry.seq)
        leaves = sorted(_leaves(case, entry.seq))
        if len(leaves) != payload["rows"] or merkle.root(leaves) != payload["root"]:
            raise IntegrityError(f"Rows of scan batch {entry.seq} were changed, added or removed after the scan.")
    for table in SCANNED:
        for row in case.reader.execute(f"SELECT DISTINCT batch FROM {table}"):  # noqa: S608 - our own names
            if row["batch"] not in batches:
                raise IntegrityError(f"The table {table} holds rows that no scan batch in the ledger brought.")


def _check_exhibits(case: Case) -> None:
    exhibits: dict[str, dict[str, Any]] = {}
    for entry, payload in appended.said(case, "exhibit added", "exhibit moved"):
        if entry.kind == "exhibit added":
            exhibits[payload["id"]] = payload
        else:
            exhibits[payload["exhibit"]]["path"] = payload["to"]
    if exhibits != {exhibit.id: msgspec.to_builtins(exhibit) for exhibit in case.exhibits()}:
        raise IntegrityError("The exhibits of this case are not those that the ledger says were added.")


def _check_vectors(case: Case) -> None:
    rows = case.reader.execute(
        "SELECT v.numbers, f.value FROM finding f LEFT JOIN vector v USING (settings, sha256) "
        "WHERE f.name = ? AND f.value NOT NULL",
        (EMBEDDING,),
    )
    checked = 0
    for row in rows:
        checked += 1
        held = json.loads(row["value"])["sha256"]
        if row["numbers"] is None or hashlib.sha256(row["numbers"]).hexdigest() != held:
            raise IntegrityError("An embedding of this case is not the one that the scan stored.")
    if case.reader.execute("SELECT count(*) FROM vector").fetchone()[0] > checked:
        raise IntegrityError("There is an embedding in this case that no scan stored.")
    vectors.check(case)


def _leaves(case: Case, batch: int) -> Iterator[bytes]:
    for table, columns in SCANNED.items():
        query = f"SELECT {','.join(columns)} FROM {table} WHERE batch = ?"  # noqa: S608 - our own names
        for row in case.reader.execute(query, (batch,)):
            yield leaf(table, tuple(row))


class ExhibitCheck(msgspec.Struct, frozen=True):
    """What checking one exhibit gave: `digest` as recorded and found again, or why there is none to compare.

    `fault`: "changed" where the medium differs from its record, "away" where it cannot be read.
    """

    exhibit: str
    algorithm: str | None
    origin: str | None
    digest: str | None
    sentence: str
    fault: Literal["changed", "away"] | None = None


Digester = Callable[[Path, Iterable[str]], tuple[dict[str, str], int]]
"""Computes digests of the medium at a path by some algorithms; returns them and the size read, in bytes."""

FolderChecker = Callable[[Case, Exhibit, Path], int]
"""Compares each item of an exhibit that is a folder with its recorded digest; returns how many there are. Raises
IntegrityError where one differs."""


def verify_exhibits(case: Case, digester: Digester, folder_checker: FolderChecker) -> Iterator[ExhibitCheck]:
    """Recomputes each recorded digest of each exhibit's medium, and of each picture in one that is a folder; a fault in
    one does not keep the others back."""
    for exhibit in case.exhibits():
        recorded = case.reader.execute(
            "SELECT * FROM acquisition WHERE exhibit = ? ORDER BY algorithm", (exhibit.id,)
        ).fetchall()
        if not Path(exhibit.path).exists():
            away = (
                f"Exhibit {exhibit.id} is no longer at {exhibit.path}; "
                f"`mantlet exhibit {case.folder} --moved {exhibit.id}=PATH` says where it is now."
            )
            yield ExhibitCheck(exhibit.id, None, None, None, away, "away")
        elif exhibit.form == "folder":
            yield _check_folder(case, exhibit, folder_checker)
        elif not recorded:
            why = "has no digest yet: its first full read is not finished; run the same scan again"
            yield ExhibitCheck(exhibit.id, None, None, None, f"{exhibit.id} {why}.")
        else:
            yield from _check_medium(case, exhibit, recorded, digester)


def _check_folder(case: Case, exhibit: Exhibit, folder_checker: FolderChecker) -> ExhibitCheck:
    try:
        count = folder_checker(case, exhibit, Path(exhibit.path))
    except IntegrityError as error:
        return ExhibitCheck(exhibit.id, None, None, None, f"Exhibit {exhibit.id} has changed: {error}", "changed")
    same = f"{exhibit.id}: each of its {count:,} pictures and clips has its sha256 of the scan. No other file was read."
    return ExhibitCheck(exhibit.id, "sha256", "computed", None, same)


def _check_medium(
    case: Case, exhibit: Exhibit, recorded: list[sqlite3.Row], digester: Digester
) -> Iterator[ExhibitCheck]:
    try:
        found, size = digester(Path(exhibit.path), [row["algorithm"] for row in recorded])
    except (MantletError, OSError) as error:
        why = f"Exhibit {exhibit.id} at {exhibit.path} cannot be read: {error}"
        yield ExhibitCheck(exhibit.id, None, None, None, why, "away")
        return
    for row in recorded:
        algorithm, origin, digest = row["algorithm"], row["origin"], found[row["algorithm"]]
        if (digest, size) == (row["digest"], row["size"]):
            same = f"{exhibit.id}: {algorithm} {digest} as {origin}"
            yield ExhibitCheck(exhibit.id, algorithm, origin, digest, same)
            continue
        what = "is not what was scanned"
        if origin == "stored" and _was_damaged(case, exhibit.id):
            what = "differs from the digest stored in it; the image already contradicted it when it was scanned"
        differs = (
            f"Exhibit {exhibit.id} at {exhibit.path} {what}: its {algorithm} is {digest} ({size:,} bytes), "
            f"recorded is {row['digest']} ({row['size']:,} bytes, {origin})."
        )
        yield ExhibitCheck(exhibit.id, algorithm, origin, digest, differs, "changed")


def _was_damaged(case: Case, exhibit: str) -> bool:
    """Whether the scan itself found another digest than the one stored in the image."""
    query = "SELECT 1 FROM unread WHERE address = ? AND stage = 'acquire' AND reason = ?"
    return case.reader.execute(query, (exhibit, Reason.DAMAGED)).fetchone() is not None
