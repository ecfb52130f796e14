"""The HTML report of a case: counts, matches, exhibits, what was not read, how it was counted. No picture in it.

One file without scripts or outside references, so that it can be disclosed, printed and kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from mantlet import __version__
from mantlet.case import allowed, certificates, exposure, matching, populations, queries, recognition, stacks
from mantlet.case.case import Case, refuse_output
from mantlet.case.populations import Frozen
from mantlet.governance import ledger
from mantlet.grading import scheme
from mantlet.grading.exposure import SPARED
from mantlet.report import certificate, page

_UNREAD_PLACES = 500


def write(case: Case, path: Path) -> None:
    """Writes the report to `path`, replacing what was there only when it is whole.

    Raises:
        UsageError: not an .html name, or a folder that cannot be written to.
    """
    page.refuse_name(path)
    refuse_output(case, path)
    page.write(path, render(case))


def render(case: Case) -> str:
    """The report as text."""
    text: str = page.environment().get_template("report.html").render(facts(case))
    return text


def facts(case: Case) -> dict[str, Any]:
    """All that the report states."""
    matrix = queries.matrix(case)
    places = queries.unread_places(case, _UNREAD_PLACES + 1)
    schemes = case.reader.execute("SELECT DISTINCT scheme, scheme_version FROM decision ORDER BY 1, 2").fetchall()
    return {
        **matrix,
        "case": case.id,
        "made": ledger.now()[:19] + "Z",
        "version": __version__,
        "heads": [head for chain in ledger.CHAINS if (head := ledger.verify(case.reader, chain))],
        "models": recognition.summary(case),
        "schemes": [_scheme(*row) for row in schemes],
        "tally": queries.tally(case),
        "compared": stacks.finished(case),
        "graded": _graded(case),
        "certificates": [_certificate(case, since) for since in populations.frozen(case)],
        "suffices": certificate.SUFFICES,
        "sets": matching.sets_used(case),
        "known": queries.known_summary(case),
        "findings": queries.findings_used(case),
        "unread": [row for row in matrix["unread"] if not queries.read_not_hashed(row)],
        "not_hashed": [row for row in matrix["unread"] if queries.read_not_hashed(row)],
        "unread_places": places[:_UNREAD_PLACES],
        "more_unread": len(places) > _UNREAD_PLACES,
    }


_BASES: Final = {
    "viewed": "given by a person who looked at it",
    "imported": "given elsewhere by a person, as an imported table states",
    "known": "carried over from a trusted set, unseen",
    "propagated": "provisional: carried over from a near copy, unseen",
}


def _graded(case: Case) -> dict[str, Any]:
    """How the grades came about: whose they are, what was spared, how much was seen, and what is allowed unseen."""
    shown = exposure.everybody(case, certificates.spoken_for(case))
    avoided, steps = shown["avoided"], allowed.in_force(case)
    return {
        "grades": [{**row, "basis": _BASES.get(row["basis"], row["basis"])} for row in queries.graded_by(case)],
        "spared": [(what, getattr(avoided, name)) for name, what in SPARED.items()],
        "avoided": avoided,
        "looks": [(how, total) for how, total in shown["total"].items() if total.clear or total.veiled],
        "withheld": shown["withheld"],
        "steps": [allowed.STEPS[step] for step in steps.steps],
        "authority": steps.authority,
        "reason": steps.reason,
    }


def _certificate(case: Case, since: Frozen) -> list[str]:
    """What is stated of a population now, in plain words, and under which digest and seed."""
    told = certificates.certificate(case, since)
    return [certificate.named(told), *certificate.sentences(told), certificate.drawn(told)]


def _scheme(name: str, version: str) -> dict[str, str]:
    """A scheme as decisions name it: in the version by which they were made, whatever version this Mantlet has."""
    own = scheme.load(name)
    source = own.source if own.version == version else f"this Mantlet has version {own.version}"
    return {"title": own.title, "version": version, "source": source}
