"""A million contents: how long the next stack takes, and how long all take to be put into order."""

from __future__ import annotations

import hashlib
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mantlet.case import queue
from mantlet.case.case import Case, create_or_open
from mantlet.case.decisions import Said, Seen, decide_many
from mantlet.case.leases import next_stacks
from mantlet.governance import keys
from mantlet.grading import scheme
from tests.acceptance.figure import Figure

CONTENTS: Final = 1_000_000
GRADED: Final = 50_000
ASKED: Final = 50
_MILLISECONDS: Final = 50
_ALIKE: Final = 5
"""One in so many contents looks like the one before it."""
_KNOWN: Final = 100


def run(folder: Path, contents: int = CONTENTS, graded: int = GRADED) -> Figure:
    """Grades many, then asks for stack after stack, as two officers do in turn, each grading what they got."""
    officers = [keys.actor("DC One"), keys.actor("DC Two")]
    case = create_or_open(folder / "case", officers[0])
    _fill(case, contents)
    started = time.monotonic()
    queue.arrange(case)
    arranged = time.monotonic() - started
    stand_in, seen = scheme.load("stand-in"), Seen(640, clear=True, milliseconds=900)
    first = case.reader.execute("SELECT sha256 FROM queue ORDER BY place LIMIT ?", (graded,)).fetchall()
    decide_many(case, officers[0], stand_in, [Said(row["sha256"], "other", seen) for row in first])
    taken, given = [], set[str]()
    for number in range(ASKED):
        officer = officers[number % 2]
        started = time.monotonic()
        [stack] = next_stacks(case, officer, 30)
        taken.append(1000 * (time.monotonic() - started))
        given.add(stack.stack)
        decide_many(case, officer, stand_in, [Said(row["sha256"], "other", seen) for row in stack.told])
    case.close()
    median, worst = statistics.median(taken), max(taken)
    sys.stderr.write(f"      put into order in {arranged:.0f} s; {len(given)} stacks for {ASKED} asked\n")
    return Figure(
        f"{median:.1f} ms (worst {worst:.1f}) of {contents:,} contents, {graded:,} graded",
        f"under {_MILLISECONDS} ms, never one twice",
        worst < _MILLISECONDS and len(given) == ASKED,
    )


def _fill(case: Case, contents: int) -> None:
    """Contents as a scan leaves them, without the rows that the queue does not ask for."""
    source = random.Random(1)
    names = [hashlib.sha256(number.to_bytes(4)).hexdigest() for number in range(contents)]

    def stacks() -> Iterator[tuple[str, str]]:
        before = names[0]
        for name in names:
            before = before if source.randrange(_ALIKE) == 0 else name
            yield name, before

    with case.change() as change:
        put = change.tx.executemany
        put(
            "INSERT INTO content VALUES (?, '', '', 1, 'still', 'image/jpeg', 1)",
            ((name,) for name in names),
        )
        put(
            "INSERT INTO item VALUES (?, 'EX1', ?, 1, 'live', 'file', 'other', NULL, NULL, NULL, 1)",
            ((f"EX1!file:{number}:/{number}.jpg", name) for number, name in enumerate(names)),
        )
        put("INSERT INTO stack VALUES (?, ?)", stacks())
        put(
            "INSERT INTO match VALUES (?, 'force', '1', 1, 'sha256', 'upright', 0, 'boat', ?, NULL, NULL, NULL)",
            ((name, "notable" if number % 2 else "benign") for number, name in enumerate(names[::_KNOWN])),
        )
        change.record("made by hand", {"contents": contents})


FIGURES: Final = {"queue.million": run}
