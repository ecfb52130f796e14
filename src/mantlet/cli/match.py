"""`mantlet match`: a case against sets of known material, without the exhibits."""

from __future__ import annotations

from mantlet.case import matching
from mantlet.case.case import open_case
from mantlet.cli.output import As, CaseFolder, Json, Known, log_to, print_json, progress_bar, say
from mantlet.governance import keys
from mantlet.known.sets import Sets


def match(case: CaseFolder, known: Known = None, actor: As = None, as_json: Json = False) -> None:
    """Matches what a case found with sets of known material, by digest and by perceptual hash.

    Example: mantlet match case-17 --known force
    """
    sets = Sets()
    matcher = matching.Matcher(sets, sets.named(known or []))
    opened = open_case(case, keys.actor(actor))
    log_to(case)
    with progress_bar("Matching") as (bar, task):
        counts = matching.match(opened, matcher, lambda done: bar.advance(task, done))
    if as_json:
        print_json({**counts, "sets": {each.name: each.version for each in matcher.chosen}})
        return
    if not matcher.chosen:
        say("There are no sets of known material; `mantlet known import FILE --name NAME` makes one.")
    for what in ("notable exact", "notable near", "benign exact", "benign near"):
        print(f"{what}: {counts.get(what, 0):,} distinct pictures and clips")  # noqa: T201
