"""A ledger that was cut off is not signed as whole by the next who writes."""

from __future__ import annotations

import sqlite3

import pytest
from cases import Picture, add

from mantlet.case.case import Case
from mantlet.case.decisions import Seen, decide
from mantlet.errors import IntegrityError
from mantlet.governance import keys
from mantlet.grading import scheme

SCHEME = scheme.load("stand-in")


@pytest.mark.parametrize(
    "script",
    [
        "DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger WHERE chain = 'case') AND chain = 'case'",
        "DELETE FROM ledger_head",
        "DELETE FROM ledger",
    ],
)
def test_nothing_more_is_written_to_a_case_whose_ledger_was_cut(case: Case, script: str) -> None:
    add(case, [Picture("boat")])
    officer = keys.actor("DC One")
    decide(case, officer, SCHEME, Picture("boat").sha256, "boat", Seen())
    with sqlite3.connect(case.folder / "case.sqlite") as other:
        other.execute(script)
    with pytest.raises(IntegrityError, match="does not end where it was signed"):
        decide(case, officer, SCHEME, Picture("boat").sha256, "other", Seen())
