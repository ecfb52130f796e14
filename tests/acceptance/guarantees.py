"""Makes the examples, tables and plots of docs/guarantees.md anew: how often each certificate is true, what it costs.

With 5,000 cases a setting it takes less than ten minutes on two cores, with `--cases 20000` about half an hour. What is
made is put between the page's own marks; the text around is left alone.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from mantlet.grading import counts, missed
from mantlet.grading.counts import NONE, UNSEEN, Pile
from mantlet.types import Kind
from tests.acceptance import guarantees_counts, guarantees_missed
from tests.acceptance.guarantees_plots import coverage_plot, looks_plot

Row = dict[str, Any]

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "guarantees.md"
CASES: Final = 5_000
_SAMPLE, _FOUND_BEFORE = 1_500, 400
_CLAIMED: Final = {"boat": 1_600, "camera": 1_200}
_LOOKS: Final = (150, 150, 700)
"""Of the examples: looks at what is claimed to be boats, cameras, and neither."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.acceptance.guarantees")
    parser.add_argument("--cases", type=int, default=CASES, metavar="N", help="simulated cases of each setting")
    cases = parser.parse_args().cases
    runs = max(3, cases // 500)
    sys.stderr.write("missed: coverage\n")
    not_found = guarantees_missed.coverage_table(cases)
    sys.stderr.write("missed: looks\n")
    missed_looks = guarantees_missed.economy_table(max(100, cases // 10))
    sys.stderr.write("counts: looks\n")
    counted_looks = guarantees_counts.economy_table(runs)
    sys.stderr.write("counts: coverage\n")
    counted = guarantees_counts.coverage_table(cases)
    tables = examples() | {
        "missed-coverage": missed_coverage(not_found), "missed-looks": looks_for_missed(missed_looks),
        "counts-coverage": counts_coverage(counted), "counts-looks": looks_for_counts(counted_looks),
    }  # fmt: skip
    PAGE.write_text(filled(PAGE.read_text(), tables))
    (DOCS / "pictures" / "guarantees-coverage.svg").write_text(coverage_plot([*not_found, *counted]))
    (DOCS / "pictures" / "guarantees-looks.svg").write_text(looks_plot(missed_looks))


def filled(page: str, parts: dict[str, str]) -> str:
    """The page with each part between its marks. Raises ValueError where there is not one place for it."""
    for name, part in parts.items():
        pieces = re.split(rf"(?<=<!-- {name} -->\n)[^<]*(?=<!-- end -->)", page)
        if len(pieces) != 2:
            raise ValueError(f"the page has {len(pieces) - 1} places for {name}")
        page = f"\n{part}\n\n".join(pieces)
    return page


def examples() -> dict[str, str]:
    """A certificate of each kind in words, of populations made by code."""
    return {"example-missed": _example_missed(), "example-counts": _example_counts()}


def _example_missed() -> str:
    outcomes = np.zeros(_SAMPLE, dtype=np.bool_)
    outcomes[_SAMPLE // 2] = True
    said = missed.certify(10_000, outcomes, found_before=_FOUND_BEFORE)
    return (
        f"> {_FOUND_BEFORE} boats and cameras were found. Of {said.population:,} pictures that nobody had looked at, "
        f"chance chose {said.looked:,}; officers looked at these and graded {said.found} a boat. With "
        f"{said.confidence:.0%} confidence at most {said.missed_at_most} pictures that officers would grade boat or "
        f"camera were missed: so at least {int(100 * (said.recall_at_least or 0))}% of all such were found. "
        f"{said.unseen:,} were seen by nobody."
    )


def _example_counts() -> str:
    """20,000 stills, a seventh of them claimed by a model that is right 97 times in 100."""
    chance = np.random.default_rng(guarantees_counts.SEED)
    sizes = [*_CLAIMED.values(), 20_000 - sum(_CLAIMED.values())]
    piles = tuple(Pile(name, Kind.STILL, size) for name, size in zip((*_CLAIMED, ""), sizes, strict=True))
    pile_of = np.repeat(np.arange(3), sizes).astype(np.uint8)
    right = chance.beta(4.85, 0.15, len(pile_of)).astype(np.float32)
    truth = np.where((chance.random(len(pile_of)) < right) & (pile_of < 2), pile_of, NONE).astype(np.int8)
    truth[-20:] = 0
    sequence = counts.order(piles, pile_of, right, chance.integers(0, 2**64, len(pile_of), dtype=np.uint64))
    graded = np.full(len(pile_of), UNSEEN, dtype=np.int8)
    for start, looks in zip(np.cumsum([0, *sizes]), _LOOKS, strict=False):
        rows = sequence[start : start + looks]
        graded[rows] = truth[rows]
    said = counts.certify(piles, tuple(_CLAIMED), pile_of, right, sequence, graded, confidence=0.99)
    boat, camera = said.bounds
    return (
        f"> Of {len(pile_of):,} pictures a model claims {boat.claimed:,} to be boats and {camera.claimed:,} cameras. "
        f"Officers looked at {sum(said.looked[:2])} of these and at {said.looked[2]} others, by chance. With "
        f"{said.confidence:.0%} confidence, both together, officers would grade at least {boat.at_least:,} and at most "
        f"{boat.at_most:,} boat, and at least {camera.at_least:,} and at most {camera.at_most:,} camera. "
        f"(In this example there are {(truth == 0).sum():,} and {(truth == 1).sum():,}.)"
    )


def missed_coverage(rows: Sequence[Row]) -> str:
    """The worst of all prevalences and officers, for each population."""
    lines = []
    for scheme, carried in (("fixed", False), ("any time", False), ("any time", True)):
        for population in guarantees_missed.POPULATIONS:
            here = [
                row for row in rows
                if (row["scheme"], row["carried"], row["population"]) == (scheme, carried, population)
            ]  # fmt: skip
            worst = [min(row["covered"] for row in here if row["stated"] == stated) for stated in (0.95, 0.99)]
            cases = f"{here[0]['cases']:,}" if here[0]["cases"] else "exact"
            words = f"{scheme}, small looks" if carried else scheme
            lines.append((words, f"{population:,}", *(f"{each:.2%}" for each in worst), cases))
    return _table(("bound", "population", "true, of 95% stated", "true, of 99% stated", "cases a setting"), lines)


def looks_for_missed(rows: Sequence[Row]) -> str:
    """A line for each population, confidence and "at most"."""
    lines = []
    wanted = [(row["population"], row["stated"], row["at_most"]) for row in rows]
    for population, stated, at_most in dict.fromkeys(wanted):
        if at_most not in (0, 10, 100, 1_000):
            continue
        fixed, none, *some = [
            row for row in rows if (row["population"], row["stated"], row["at_most"]) == (population, stated, at_most)
        ]
        lines.append(
            (f"{population:,}", f"{stated:.0%}", f"{at_most:,}", f"{fixed['median']:,.0f}", f"{none['median']:,.0f}",
             f"{fixed['ratio']:.2f}", f"{none['ratio']:.2f}", *(_tenth(some[0]) if some else ("", "")))
        )  # fmt: skip
    head = ("population", "stated", "at most", "looks, fixed", "looks, any time", "times the least, fixed", "any time",
            "a tenth there", "its mean")  # fmt: skip
    return _table(head, lines)


def _tenth(row: Row) -> tuple[str, str]:
    return f"{row['ratio']:.2f}", f"{row['mean_ratio']:.2f}"


def counts_coverage(rows: Sequence[Row]) -> str:
    lines = [
        (row["model"], f"{row['population']:,}", f"{row['prevalence']:.2%}", f"{row['officers']:.0%}",
         f"{row['stated']:.0%}", f"{row['covered']:.2%}", f"{row['cases']:,}")
        for row in rows
    ]  # fmt: skip
    return _table(("model", "population", "targets in the rest", "officers miss", "stated", "true", "cases"), lines)


def looks_for_counts(rows: Sequence[Row]) -> str:
    names = {"good": "good", "none": "none given", "useless": "useless"}
    lines = [
        (f"{row['population']:,}", names[row["scores"]], "of no category" if row["errors"] == "none" else "of another",
         f"{row['within']:.0%}", _most(row["claimed_looks"]), _most(row["claimed_looks_90"]),
         "not reached" if row["all_looks"] is None else f"{row['all_looks']:,}",
         "not reached" if row["at_most"] is None else f"{row['at_most']:.1f}", f"{row['runs']:,}")
        for row in rows
    ]  # fmt: skip
    head = ("population", "scores", "wrong claims are", "within", "looks at claimed", "in 9 of 10 runs",
            "looks at all", "at most, times the truth", "runs")  # fmt: skip
    return _table(head, lines)


def _most(looks: int) -> str:
    return f"{looks:,}" if looks < guarantees_counts.MOST else f"over {looks:,}"


def _table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(each) for each in row) + " |" for row in rows)


if __name__ == "__main__":
    main()
