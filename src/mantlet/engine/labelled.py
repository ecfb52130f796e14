"""What people said of the pictures of some cases, put together with what a network sees in them: to teach from, and to
measure by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet import settings
from mantlet.case import recognition
from mantlet.case.case import Case
from mantlet.engine import recognise
from mantlet.errors import UsageError
from mantlet.recognise.bundle import Bundle
from mantlet.recognise.manifest import LONGEST_LABEL
from mantlet.recognise.models import Known
from mantlet.store.tables import Table
from mantlet.types import Kind

NONE: Final = "none of these"
"""The label of what people looked at and gave none of the labels: what tells a model what to leave alone."""
Progress = Callable[[int, int], None]


class Example(msgspec.Struct, frozen=True):
    """A content that a person labelled: in which of the cases, where it lies first, and when that was said (None where
    a table said it)."""

    sha256: str
    label: str
    case: int
    exhibit: str
    kind: Kind
    at: str | None


class Examples(msgspec.Struct, frozen=True):
    """Each content once, however many cases have it. `scheme`: what the grades are of, "" for a table of labels;
    `means`: label -> the codes that people give it. `elsewhere`: rows of the table about no content of the cases."""

    rows: tuple[Example, ...]
    scheme: str
    means: dict[str, tuple[str, ...]]
    elsewhere: int = 0


def graded(cases: Sequence[Case], scheme: str | None, means: Mapping[str, tuple[str, ...]]) -> Examples:
    """The grades that people gave on viewing. `means`: label -> codes; without any, each code is its own label. Codes
    that no label means become NONE.

    Raises:
        UsageError: nothing is graded, by several schemes of which none is named, or exact copies contradict each other.
    """
    found = [(number, each) for number, case in enumerate(cases) for each in recognition.graded(case)]
    there = sorted({each.scheme for _, each in found})
    if scheme is None and len(there) > 1:
        raise UsageError(f"These cases are graded by several schemes; choose one: --scheme {' or '.join(there)}.")
    chosen = scheme or (there[0] if there else "")
    found = [(number, each) for number, each in found if each.scheme == chosen]
    if not found:
        raise UsageError(f"Nothing in these cases is graded{f' by {chosen}' if chosen else ' yet'}: grade some first.")
    codes = sorted({each.grade for _, each in found})
    labels = dict(means) or {code: (code,) for code in codes}
    unknown = sorted({code for meant in labels.values() for code in meant} - set(codes))
    if unknown:
        raise UsageError(f"Nothing is graded {', '.join(unknown)}; what is graded is {', '.join(codes)}.")
    if NONE in labels:
        raise UsageError(f"'{NONE}' is what has no label; call the label something else.")
    of = {code: label for label, meant in labels.items() for code in meant}
    rows = [
        Example(each.sha256, of.get(each.grade, NONE), number, each.exhibit, Kind(each.kind), each.at)
        for number, each in found
    ]
    return Examples(_once(rows), chosen, labels)


def tabled(cases: Sequence[Case], table: Path) -> Examples:
    """The labels of a CSV table with the columns `sha256` and `label`; an empty label says: none of them.

    Raises:
        UsageError: it cannot be read, holds what is no digest, contradicts itself, or speaks of nothing in the cases.
    """
    said = _read(table)
    rows: list[Example] = []
    for number, case in enumerate(cases):
        there = recognition.places(case, list(said))
        rows += [
            Example(sha256, said[sha256], number, exhibit, Kind(kind), None)
            for sha256, (kind, exhibit) in there.items()
        ]
    if not rows:
        raise UsageError(f"None of the {len(said):,} contents in {table} is in these cases.")
    labels = sorted({row.label for row in rows} - {NONE})
    distinct = _once(rows)
    return Examples(distinct, "", {label: (label,) for label in labels}, len(said) - len(distinct))


def _read(path: Path) -> dict[str, str]:
    said: dict[str, str] = {}
    against: list[str] = []
    table = Table(path, ("sha256", "label"))
    for row in table:
        sha256, label = table.sha256(row), row.cells["label"]
        if len(label) > LONGEST_LABEL or not label.isprintable():
            raise table.wrong(row.line, f"a label has at most {LONGEST_LABEL} characters, on one line")
        if said.setdefault(sha256, label or NONE) != (label or NONE):
            against.append(sha256)
    if not said:
        raise UsageError(f"{path} holds no row: it needs the columns sha256,label and a row for each picture.")
    _refuse_contradictions(against)
    return said


def _once(rows: Sequence[Example]) -> tuple[Example, ...]:
    """Each content once, the first case that has it."""
    kept: dict[str, Example] = {}
    for row in rows:
        kept.setdefault(row.sha256, row)
    _refuse_contradictions([row.sha256 for row in rows if row.label != kept[row.sha256].label])
    return tuple(kept[sha256] for sha256 in sorted(kept))


def _refuse_contradictions(against: Sequence[str]) -> None:
    if against:
        few = ", ".join(f"{sha256[:16]}..." for sha256 in dict.fromkeys(list(against)[:3]))
        raise UsageError(
            f"{len(set(against)):,} contents are given two labels, exact copies of each other: {few}; "
            "grade them alike first, since nothing can be learnt from both."
        )


def hashes(cases: Sequence[Case], rows: Sequence[Example]) -> dict[str, bytes]:
    """The PDQ of each content that has one."""
    found: dict[str, bytes] = {}
    for number, case in enumerate(cases):
        found |= recognition.hashes(case, [row.sha256 for row in rows if row.case == number])
    return found


def stacks(cases: Sequence[Case], rows: Sequence[Example]) -> NDArray[np.int64]:
    """A number for each content, the same for near-duplicates, in whichever case they lie."""
    found = hashes(cases, rows)
    numbers = np.arange(len(rows))
    hashed = [number for number, row in enumerate(rows) if row.sha256 in found]
    if hashed:
        numbers[hashed] = np.asarray(hashed)[_connected([found[rows[number].sha256] for number in hashed])]
    return numbers


def fresh(cases: Sequence[Case], rows: Sequence[Example], known: Known) -> list[Example]:
    """What is neither among what a model was taught on, nor a near-duplicate of that."""
    found = hashes(cases, rows)
    hashed = sorted(found)
    first = _connected([*known.hashes, *(found[sha256] for sha256 in hashed)])
    near = {
        sha256 for sha256, stack in zip(hashed, first[len(known.hashes) :], strict=True) if stack < len(known.hashes)
    }
    return [row for row in rows if row.sha256 not in known.contents and row.sha256 not in near]


def _connected(pdq: Sequence[bytes]) -> NDArray[np.int32]:
    """For each the first that it is connected to, by hashes that are near each other."""
    from mantlet.grading.stacks import stacks as connected  # its compiler takes a third of a second to load

    return connected(np.frombuffer(b"".join(pdq), np.uint8).reshape(-1, 32), settings.PDQ_DISTANCE)


def counted(rows: Sequence[Example]) -> dict[str, int]:
    """How many contents have each label."""
    return dict(sorted(Counter(row.label for row in rows).items()))


def exhibits(cases: Sequence[Case], rows: Sequence[Example]) -> list[str]:
    """The exhibit of each content, told apart between cases."""
    folders = [case.folder.resolve().name for case in cases]
    told = folders if len(set(folders)) == len(folders) else [case.id[:8] for case in cases]
    return [f"{told[row.case]}/{row.exhibit}" if len(cases) > 1 else row.exhibit for row in rows]


def seen(
    cases: Sequence[Case], rows: Sequence[Example], model: Bundle, workers: int, progress: Progress
) -> dict[str, NDArray[np.float16]]:
    """The vectors of each content that the model's network can make some of, [frames, d]; made now where there are
    none yet."""
    found: dict[str, NDArray[np.float16]] = {}
    for number, case in enumerate(cases):
        found |= recognise.embed(case, model, [row.sha256 for row in rows if row.case == number], workers, progress)
    return found
