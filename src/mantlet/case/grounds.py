"""What a certificate rests on beside its statistics: what is no part of it, which looks count, what nobody saw to."""

from __future__ import annotations

from collections.abc import Collection

from mantlet.case import populations
from mantlet.case.case import Case
from mantlet.case.populations import SIDE, Frozen
from mantlet.types import Kind


def rests_on(case: Case, since: Frozen, graded: Collection[int], stated: int, before: int) -> list[str]:
    """What a certificate before a ledger entry rests on beside its statistics, as sentences.

    Args:
        graded: the places in the population whose looks count.
        stated: how many looks of the sample are as an imported table states them.
    """
    plan = since.plan
    (unread,) = case.reader.execute("SELECT count(*) FROM unread WHERE batch < ?", (since.entry,)).fetchone()
    (others,) = case.reader.execute(
        "SELECT count(*) - 1 FROM ledger WHERE chain = 'case' AND kind = ?", (populations.FROZEN,)
    ).fetchone()
    settled = "a look that counts" if since.claims else "a look that counts, a look that found a target, or a known set"
    said = [
        f"The population is each distinct picture and clip that the scans before it found, unless {settled} had "
        f"settled it. No part of it: what could not be read ({unread:,} places), and what cannot be shown "
        f"({since.left_out:,} pictures and clips)."
    ]
    if plan.side < SIDE:
        said.append(f"A look counts if the picture was clear and at least {plan.side:,} pixels long, or shown whole.")
    else:
        said.append(
            f"A look counts if the picture was clear and its longest side at least {plan.side:,} pixels, or all of it "
            "where it has fewer."
        )
    if again := _graded_again(case, since, graded, before):
        said.append(
            f"Of the pictures and clips that count, {again:,} were graded differently before; the last word counts."
        )
    if stated:
        said.append(
            f"Of the looks, {stated:,} are as an imported table states them; Mantlet did not show those pictures."
        )
    if plan.overlooked is not None:
        said.append(f"The trial of small looks is as {since.actor} stated it when freezing; Mantlet did not see it.")
    (clips,) = case.reader.execute(
        "SELECT count(*) FROM content WHERE kind = ? AND batch < ?", (Kind.MOVING, since.entry)
    ).fetchone()
    if clips:
        said.append(f"Of a clip, its first frame is what was looked at; there are {clips:,} clips in the case.")
    if others:
        were = "population was" if others == 1 else "populations were"
        said.append(
            f"{others:,} other {were} frozen in this case. The confidence holds for one that was settled on "
            f"beforehand; if this one was chosen among all {others + 1:,} for what it says, the risk of being wrong is "
            f"up to {others + 1:,} times as large."
        )
    return said


def _graded_again(case: Case, since: Frozen, graded: Collection[int], before: int) -> int:
    """How many of the contents that count were graded by looks since the freeze in more than one way, taken back or
    not: who changes grades until they suit is seen."""
    rows = case.reader.execute(
        "SELECT sha256 FROM decision WHERE id >= ? AND id < ? AND basis = 'viewed' AND undoes IS NULL "
        "GROUP BY +sha256 HAVING min(grade) < max(grade)",
        (populations.decision_after(case, since.entry), populations.decision_after(case, before)),
    )
    places = populations.places_of(since.contents, [row["sha256"] for row in rows])
    return sum(place in graded for place in places.tolist())
