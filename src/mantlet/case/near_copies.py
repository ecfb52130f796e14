"""Which contents look the same as one that a person graded by a look: directly, and in one stack with it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet import settings
from mantlet.case.case import Case
from mantlet.fingerprint import FORMS
from mantlet.grading.scheme import Scheme

_VIEWS: Final = ("upright", *FORMS)
_PDQ: Final = 32
"""Bytes of one."""


class NearCopy(msgspec.Struct, frozen=True):
    """A content that no person graded, and what its graded near copies say: a `grade`, the `source` that is nearest,
    by which view and at how many bits; None where they disagree. `alike`: all of its stack that have that grade."""

    sha256: str
    grade: str | None
    source: str | None
    view: str | None
    distance: int | None
    alike: frozenset[str] = frozenset()


def near_copies(case: Case, scheme: Scheme, stack: str | None = None) -> Iterator[NearCopy]:
    """Stills within `settings.PDQ_DISTANCE` bits of a still that a person graded by a look, by any of eight views, in
    all stacks or in one. Clips are left out: that two share a frame does not say what else is in them."""
    from mantlet.grading import propagation  # its compiler takes a third of a second to load

    graded = _graded(case, scheme, stack)
    members = case.reader.execute(
        "SELECT stack, sha256 FROM stack WHERE stack IN "
        "(SELECT stack FROM stack WHERE sha256 IN (SELECT value FROM json_each(?))) ORDER BY stack, sha256",
        (json.dumps(list(graded)),),
    ).fetchall()
    for _, group in groupby(members, key=lambda row: row["stack"]):
        contents = [row["sha256"] for row in group]
        copies = [sha256 for sha256 in contents if sha256 not in graded]
        sources = [sha256 for sha256 in contents if graded.get(sha256) is not None]
        if not copies or not sources:
            continue
        views = {sha256: found for sha256 in contents if (found := _views(case, sha256)) is not None}
        copies, sources = [each for each in copies if each in views], [each for each in sources if each in views]
        grades = [graded[each] or "" for each in sources]
        alike = defaultdict(set)
        for sha256, grade in zip(sources, grades, strict=True):
            alike[grade].add(sha256)
        rows, by, bits = propagation.nearest(
            np.array([views[each][0] for each in sources], np.uint8).reshape(-1, _PDQ),
            np.array([sorted(alike).index(grade) for grade in grades], np.int64),
            np.array([views[each] for each in copies], np.uint8).reshape(-1, len(_VIEWS), _PDQ),
            settings.PDQ_DISTANCE,
        )
        for sha256, row, view, distance in zip(copies, rows.tolist(), by.tolist(), bits.tolist(), strict=True):
            if row == propagation.CONFLICT:
                yield NearCopy(sha256, None, None, None, None)
            elif row != propagation.NONE:
                same = frozenset(alike[grades[row]])
                yield NearCopy(sha256, grades[row], sources[row], _VIEWS[view], distance, same)


def _graded(case: Case, scheme: Scheme, stack: str | None) -> dict[str, str | None]:
    """What a person graded by a look, in all stacks or in one; None for a grade of another scheme, which carries
    nothing."""
    rows = case.reader.execute(
        "SELECT sha256, scheme, grade FROM standing WHERE basis = 'viewed' AND grade NOT NULL "
        "AND (:stack IS NULL OR sha256 IN (SELECT sha256 FROM stack WHERE stack = :stack))",
        {"stack": stack},
    )
    return {row["sha256"]: row["grade"] if row["scheme"] == scheme.name else None for row in rows}


def _views(case: Case, sha256: str) -> NDArray[np.uint8] | None:
    """The PDQ of a still as it is, turned and mirrored, [8, 32]; None for what has none. Where turned copies were not
    looked for, it is only as it is."""
    rows = case.reader.execute(
        "SELECT name, value FROM finding WHERE sha256 = ? AND name IN ('pdq', 'pdq-forms') AND value NOT NULL",
        (sha256,),
    )
    found = {row["name"]: json.loads(row["value"]) for row in rows}
    if "pdq" not in found:
        return None
    hashes = [found["pdq"], *found.get("pdq-forms", [found["pdq"]] * len(FORMS))]
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, _PDQ)
