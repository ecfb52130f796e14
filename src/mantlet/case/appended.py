"""What people said, as append-only tables hold it, against what the ledger says that they said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from mantlet.case.case import Case
from mantlet.errors import IntegrityError
from mantlet.governance import ledger


def said(case: Case, *kinds: str) -> Iterator[tuple[ledger.Entry, dict[str, Any]]]:
    """The entries of some kinds, with what they say. Raises IntegrityError for one whose payload was erased."""
    for entry in ledger.entries(case.reader, "case"):
        if entry.kind in kinds:
            if entry.payload is None:
                what = f"{entry.kind} {entry.seq}"
                raise IntegrityError(f"What the ledger says of {what} was erased, so its rows cannot be checked.")
            yield entry, json.loads(entry.payload)


def check(case: Case, table: str, kind: str, written: str) -> None:
    """That each row of a table is as its ledger entry says, numbered from 1 in the order of the ledger, and none is
    missing or unknown to it.

    Args:
        table, kind: of the rows, and of their entries, which hold columns of theirs.
        written: the column that is JSON.

    Raises:
        IntegrityError: naming the first that is wrong.
    """
    number = 0
    for number, (entry, payload) in enumerate(said(case, kind), start=1):
        row = case.reader.execute(f"SELECT * FROM {table} WHERE id = ?", (number,)).fetchone()  # noqa: S608
        if row is None:
            raise IntegrityError(f"The {table} of ledger entry {entry.seq} is missing.")
        kept = {name: row[name] for name in payload}
        with suppress(ValueError):
            kept[written] = json.loads(row[written])
        if kept != payload or (row["actor"], row["entry"]) != (entry.actor, entry.seq):
            raise IntegrityError(f"The {table} of ledger entry {entry.seq} was changed after it was made.")
    if case.reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > number:  # noqa: S608
        raise IntegrityError(f"There is a {table} that the ledger does not know.")
