"""One worker, two workers and a second run by the same command give the same case."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.evidence import mixed
from tests.acceptance.figure import Figure
from tests.engine.scans import Scan, content, everything, verify


def run(folder: Path) -> Figure:
    home = folder / "home"
    sources = mixed(folder, home)
    one, two = (Scan(sources, folder / f"case-{workers}", home, workers) for workers in (1, 2))
    one.finish()
    two.finish()
    ours, theirs = content(one.case), content(two.case)
    rows = {table: len(set(ours[table]) ^ set(theirs[table])) for table in ours}
    before = everything(two.case)
    two.finish()
    changed = len(set(before) ^ set(everything(two.case)))
    verify(two.case)
    return Figure(
        f"{sum(rows.values())} of {sum(map(len, ours.values())):,} rows differ between 1 and 2 workers, "
        f"{changed} rows of the whole case after a second run",
        "0 and 0",
        not any(rows.values()) and not changed,
    )
