"""The main job: register exhibits, expand every node, match, stack. The same call resumes where it stopped."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from mantlet import __version__
from mantlet.case import recognition
from mantlet.case import scan as case_scan
from mantlet.case.case import Case, Exhibit, add_exhibit
from mantlet.case.matching import Matcher
from mantlet.engine import local
from mantlet.engine.alone import only_scan
from mantlet.engine.known import Matched, match
from mantlet.engine.recognise import model_of
from mantlet.errors import EvidenceError, IntegrityError, MantletError, UsageError
from mantlet.evidence.container import form_of
from mantlet.evidence.source import RawFile
from mantlet.governance.ledger import now
from mantlet.known.lookup import LookUp
from mantlet.recognise.bundle import Bundle
from mantlet.types import Address, Node, Rows, Task

log = logging.getLogger("mantlet")

_IDENTITY: Final = re.compile(r"[\w.-]{1,64}")


class Progress(msgspec.Struct):
    """How far a scan is: files listed so far and examined, and their bytes; items found, contents known.

    The bytes of an exhibit itself are among them, as it is read whole for its digest at the end.
    """

    listed: int = 0
    listed_bytes: int = 0
    examined: int = 0
    examined_bytes: int = 0
    items: int = 0
    known: int = 0


class _Work(case_scan.Scan):
    """Leaves the nodes of exhibits that are `away` for the next scan, and notes each node handed out, so that what a
    kill repeats can be counted."""

    def __init__(self, case: Case, matcher: Matcher, away: set[str]) -> None:
        super().__init__(case, matcher)
        self._away = away
        self.faults: dict[str, str] = {}

    def take(self) -> Node | None:
        node = super().take()
        while node is not None and node.address.exhibit in self._away:
            node = super().take()
        if node is not None:
            log.info("expand %s", node.key)
        return node

    def again(self, node: Node) -> None:
        mark, absent = node.skip[-1]
        own = (str(entry.step) for entry in node.entries if node.address.child(entry.step).mark == mark)
        log.warning("gave up %s %s in %s: %s", absent.reason, next(own, "a part"), node.key, absent.detail)
        super().again(node)

    def away(self, node: Node, why: str) -> None:
        self.faults[node.address.exhibit] = why
        self._away.add(node.address.exhibit)


def scan(
    case: Case,
    sources: Sequence[Path],
    look_up: LookUp,
    workers: int,
    exhibit: str | None = None,
    reference: str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    bundles: Sequence[Bundle] = (),
) -> tuple[list[MantletError], Matched]:
    """Scans `sources` into the case, with models looking, and matches it. Returns the errors of those that could not be
    used, the rest being done, and how the matching went.

    Raises:
        UsageError: an exhibit's name that cannot be, or another scan of this case is running.
        IntegrityError: a source has changed since it was scanned.
        KeyboardInterrupt: everything found so far is stored.
    """
    with only_scan(case):
        refused = _register(case, sources, exhibit, reference)
        exhibits = {each.id: each.path for each in case.exhibits()}
        away = _away(case, exhibits)
        matcher = Matcher(look_up)
        work = _Work(case, matcher, set(away))
        work.add(Node(Task.OPEN, Address(each)) for each in exhibits)
        state = Progress(*case_scan.waiting(case))

        def note(rows: Rows) -> None:
            state.listed += rows.listed
            state.listed_bytes += rows.listed_bytes
            state.examined += rows.examined
            state.examined_bytes += rows.examined_bytes
            state.items += len(rows.items)
            state.known = work.known
            progress(state)

        if case_scan.unfinished(case):
            with case.change() as change:
                sets = {known.name: [known.version, known.status] for known in matcher.chosen}
                change.record("scan begun", {"mantlet": __version__, "workers": workers, "known": sets})
                recognition.use(change, bundles)
            about = local.run(work, exhibits, workers, note, [model_of(each) for each in bundles])
            with case.change() as change:
                change.record("scan ended", about)
        found = {each: EvidenceError(f"{exhibits[each]}: {why}") for each, why in work.faults.items()}
        for error in {**found, **away, **_away(case, exhibits)}.values():  # also what went away meanwhile
            if str(error) not in map(str, refused):
                refused.append(error)
    return refused, match(case, look_up, workers)


def _register(case: Case, sources: Sequence[Path], identity: str | None, reference: str | None) -> list[MantletError]:
    if identity is not None and (len(sources) != 1 or not _IDENTITY.fullmatch(identity)):
        raise UsageError("--exhibit names one SOURCE, by letters, digits and . _ - (at most 64).")
    refused: list[MantletError] = []
    for source in sources:
        try:
            _register_one(case, source.expanduser().absolute(), identity, reference)
        except MantletError as error:
            refused.append(error)
    return refused


def _away(case: Case, exhibits: dict[str, str]) -> dict[str, MantletError]:
    """The exhibits with work left that cannot be reached now: their nodes wait until they can."""
    found: dict[str, MantletError] = {}
    for identity in case_scan.unfinished_exhibits(case):
        try:
            form_of(Path(exhibits[identity]))
        except EvidenceError as error:
            found[identity] = error
    return found


def refuse_case_within(folder: Path, sources: Sequence[Path]) -> None:
    """Raises EvidenceError where a case at `folder` would lie inside evidence: before anything is written."""
    for source in sources:
        if source.is_dir() and folder.expanduser().resolve().is_relative_to(source.expanduser().resolve()):
            raise EvidenceError(f"The case would lie inside {source} and change the evidence; choose another --case.")


def _register_one(case: Case, path: Path, identity: str | None, reference: str | None) -> None:
    form = form_of(path)
    path = path.resolve()
    size = None if form == "folder" else path.stat().st_size if form != "device" else RawFile(path).size
    there = {each.path: each for each in case.exhibits()}
    if str(path) in there:
        known = there[str(path)]
        if (known.form, known.size) != (form, size):
            raise IntegrityError(
                f"{path} has changed since it was scanned as {known.id}: {known.size} is now {size} bytes."
            )
        if identity not in (None, known.id):
            raise UsageError(f"{path} is already in this case, as {known.id}.")
        return
    if identity in {each.id for each in there.values()}:
        raise UsageError(f"There is another exhibit {identity} in this case; give this one another name.")
    number = len(there) + 1
    while (name := identity or f"EX{number}") in {each.id for each in there.values()}:
        number += 1
    add_exhibit(case, Exhibit(name, str(path), form, size, reference, now()))


def medium_digests(path: Path, algorithms: Iterable[str]) -> tuple[dict[str, str], int]:
    """The digests and the size of the medium at `path`. Raises EvidenceError."""
    form_of(path)
    with closing(local.Reader("E", path)) as reader:
        return reader.digests(Address("E"), list(algorithms))


def move_exhibit(case: Case, identity: str, path: Path) -> None:
    """Points an exhibit to where it lies now, once its digest agrees.

    Raises:
        UsageError: no such exhibit, or one without a digest to compare.
        IntegrityError: another medium lies there.
    """
    path = path.expanduser().resolve()
    recorded = case.reader.execute("SELECT * FROM acquisition WHERE exhibit = ?", (identity,)).fetchall()
    exhibit = next((each for each in case.exhibits() if each.id == identity), None)
    if exhibit is None:
        raise UsageError(f"There is no exhibit {identity} in this case.")
    if form_of(path) == "folder" or exhibit.form == "folder":
        check_folder(case, exhibit, path)
    elif not recorded:
        raise UsageError(f"{identity} has no digest yet, so nothing can show that {path} is the same; finish its scan.")
    if recorded:
        wanted = {row["algorithm"]: row["digest"] for row in recorded}, recorded[0]["size"]
        if medium_digests(path, wanted[0]) != wanted:
            raise IntegrityError(f"{path} is not {identity}: its {' or '.join(wanted[0])} differs from the record.")
    with case.change() as change:
        change.tx.execute("UPDATE exhibit SET path = ? WHERE id = ?", (str(path), identity))
        change.record("exhibit moved", {"exhibit": identity, "from": exhibit.path, "to": str(path)})


def check_folder(case: Case, exhibit: Exhibit, path: Path) -> int:
    """A folder has no digest of its own: every item in it must have its recorded digest. How many there are.

    Raises:
        IntegrityError: one has another, or is not there.
    """
    count = 0
    with closing(local.Reader(exhibit.id, path)) as reader:
        for row in case.reader.execute("SELECT address, sha256 FROM item WHERE exhibit = ?", (exhibit.id,)):
            try:
                found, _ = reader.digests(Address.parse(row["address"]), ["sha256"])
            except EvidenceError as error:
                raise IntegrityError(f"{path} is not {exhibit.id}: {row['address']} is not there.") from error
            if found["sha256"] != row["sha256"]:
                raise IntegrityError(f"{path} is not {exhibit.id}: {row['address']} has other content.")
            count += 1
    return count
