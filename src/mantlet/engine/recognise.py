"""Models over a case: what lacks their findings is looked at, by way of what is stored where that will do.

A scan that names models has them look at what it finds. This has them look at what a case has already: contents with an
embedding by the same network are scored from that, without the exhibits; the rest are read again, as
`mantlet.engine.measure` does it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet import settings
from mantlet.case import queue, recognition
from mantlet.case.case import Case
from mantlet.case.scan import Scan
from mantlet.case.vectors import vectors
from mantlet.engine import local
from mantlet.engine.alone import only_scan
from mantlet.engine.measure import measure
from mantlet.engine.messages import Answered, Ask, Expand, Expanded, Found, Model
from mantlet.errors import EvidenceError, IntegrityError, NotAllowedError, RefusedError, UsageError
from mantlet.recognise import builtin, models, outputs
from mantlet.recognise import bundle as bundle_
from mantlet.recognise.bundle import Bundle, read
from mantlet.recognise.manifest import EMBEDDING, SCORES, VERSION, Manifest
from mantlet.types import Absent, Address, Entry, Finding, Node, Reason, Rows, Step, Task

_AT_ONCE: Final = 1000
_ASKED: Final = 12 * settings.MIB
"""Bytes of vectors that go into one message, or of what comes back, at most."""
_MEMORY: Final = 256 * 1024 * 1024
"""Bytes that a network may need besides four times its size: the file, its own copy, and what lies between layers."""
_FLOATS: Final = 3 * 4 * 64
"""Bytes more for each pixel that it takes: what lies between layers grows with them."""


class Recognised(msgspec.Struct, frozen=True):
    """For how many of the contents a model has an answer, now or before, and for how many not, by reason; how many it
    flags, by label; and why others could not be read again: the SHA-256 of each, with a sentence."""

    contents: int
    answered: int
    silent: dict[str, int]
    flagged: dict[str, int]
    out_of_reach: dict[str, str]


class Similar(msgspec.Struct, frozen=True):
    """A content that looks like an example: the cosine of the two embeddings, of the nearest ones; 1 for the same."""

    sha256: str
    cosine: float


def model_of(bundle: Bundle, path: Path | None = None) -> Model:
    """What workers are told of a model: of one that is kept here, or of the file at `path`."""
    manifest = bundle.manifest
    taken = manifest.recipe.width * manifest.recipe.height * _FLOATS
    memory = _MEMORY + 4 * (len(bundle.network) + len(bundle.head)) + taken
    labels = frozenset(label.name for label in manifest.labels)
    return Model(manifest.name, str(path) if path else None, bundle.digest, manifest.states, memory, labels)


def add(data: bytes, called: str) -> Bundle:
    """Keeps the file of a bundle, once a boxed worker has opened it and tried it on test pictures; `called`: in errors.

    Raises:
        EvidenceError, IntegrityError: it is no bundle, is damaged, or its networks do not do what it says.
        UsageError: its name is taken.
    """
    bundle = read(data, called)
    with tempfile.NamedTemporaryFile(prefix="mantlet-trying-") as file:
        file.write(data)
        file.flush()
        try_out(bundle, Path(file.name))
    models.keep(bundle.manifest.name, data, replace=False)
    return bundle


def try_out(bundle: Bundle, path: Path | None) -> None:
    """Has a boxed worker open a model, kept here or at `path`, and try it on test pictures. Raises EvidenceError where
    its networks do not do what it says."""
    local.Worker([model_of(bundle, path)]).end()


def embed(
    case: Case,
    bundle: Bundle,
    contents: Sequence[str],
    workers: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, NDArray[np.float16]]:
    """The vectors of some contents by a model's network, [frames, d], made now where there are none yet; those that it
    could not make are left out. Of the model, nothing else is stored. Raises as `recognise`."""
    key = bundle.manifest.embedding_key
    found = recognition.vectors_of(case, key, contents)
    lacking = [sha256 for sha256 in contents if sha256 not in found]
    if lacking:
        try_out(bundle, None)
        with only_scan(case), case.change() as change:
            change.record("models asked", {"model": bundle.manifest.name, "digest": bundle.digest, "for": EMBEDDING})
        measure(case, EMBEDDING, lacking, workers, progress, model_of(bundle))
        found |= recognition.vectors_of(case, key, lacking)
    return found


def scores(
    case: Case,
    bundle: Bundle,
    contents: Sequence[str],
    workers: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, dict[str, float]]:
    """What a model without a head says of some contents, label -> probability, asked now where it was not before; those
    of which it says nothing are left out. Raises as `recognise`: it is stored, so the model must be one to use."""
    settings_ = bundle.manifest.states[SCORES]
    lacking = set(recognition.lacking(case, SCORES, settings_)) & set(contents)
    if lacking:
        try_out(bundle, None)
        with only_scan(case):
            _note(case, bundle)
        measure(case, SCORES, sorted(lacking), workers, progress, model_of(bundle))
    said, wanted = recognition.scores_of(case, settings_), set(contents)
    return {sha256: each["scores"] for sha256, each in said.items() if sha256 in wanted}


def recognise(
    case: Case, bundle: Bundle, workers: int, progress: Callable[[int, int], None] = lambda *_: None
) -> Recognised:
    """Has a model look at everything in a case that it has not looked at.

    Raises:
        UsageError: a scan of this case is running.
        NotAllowedError: the model may not be used.
        EvidenceError: the model cannot be run.
        KeyboardInterrupt: everything found so far is stored.
    """
    states = bundle.manifest.states
    name = SCORES if SCORES in states else EMBEDDING
    total = case.reader.execute("SELECT count(*) FROM content").fetchone()[0]
    if not recognition.lacking(case, name, states[name]) and recognition.is_last(case, bundle):
        return Recognised(total, **recognition.answers(case, states), out_of_reach={})
    try_out(bundle, None)
    with only_scan(case):
        _note(case, bundle)
    first = EMBEDDING if bundle.head else name  # a head is asked afterwards, about what its network made
    contents = recognition.lacking(case, first, states[first])
    away = measure(case, first, contents, workers, progress, model_of(bundle)).out_of_reach if contents else {}
    if bundle.head:
        with only_scan(case):
            _score(case, bundle)
    queue.arrange(case)
    return Recognised(total, **recognition.answers(case, states), out_of_reach=away)


def _note(case: Case, bundle: Bundle) -> None:
    """In the ledger: that a model is about to look at the case."""
    with case.change() as change:
        change.record("models asked", {"model": bundle.manifest.name, "digest": bundle.digest})
        recognition.use(change, [bundle])


def _score(case: Case, bundle: Bundle) -> None:
    """States the scores of what has an embedding already."""
    scan, states = Scan(case), bundle.manifest.states
    with closing(Judge(bundle)) as judge:
        while some := list(islice(recognition.unscored(case, states[EMBEDDING], states[SCORES]), _AT_ONCE)):
            found = judge.values([vectors for _, vectors in some])
            judged = zip(some, found, strict=True)
            scan.merge(Rows(findings=[_finding(bundle.manifest, sha256, values) for (sha256, _), values in judged]))
            scan.flush()


def _finding(manifest: Manifest, sha256: str, values: NDArray[np.float32]) -> Finding:
    settings_ = manifest.states[SCORES]
    try:
        return Finding(sha256, SCORES, VERSION, settings_, outputs.by_head(manifest, values, len(values)))
    except RefusedError as error:
        return Finding(sha256, SCORES, VERSION, settings_, absent=Absent(Reason(error.reason), str(error)))


class Judge:
    """A boxed worker that asks the head of a model about vectors. Raises EvidenceError where it cannot be opened."""

    def __init__(self, bundle: Bundle) -> None:
        self._worker = local.Worker([model_of(bundle)])
        self._labels = len(bundle.manifest.labels)

    def values(self, contents: Sequence[NDArray[np.float16]]) -> list[NDArray[np.float32]]:
        """What the head gives for the vectors of each content: [frames, labels], to be read by `outputs.by_head` or
        `outputs.probabilities`.

        Raises:
            EvidenceError: it cannot be run.
        """
        found: list[NDArray[np.float32]] = []
        most = max(1, _ASKED // max(1, settings.KEY_FRAMES * max(8192 * 2, 4 * self._labels)))
        for first in range(0, len(contents), most):
            some = contents[first : first + most]
            values = self._asked(np.concatenate(some))
            found += np.split(values, np.cumsum([len(each) for each in some])[:-1])
        return found

    def _asked(self, vectors: NDArray[np.float16]) -> NDArray[np.float32]:
        try:
            self._worker.send(Ask({}, vectors.astype("<f2").tobytes(), vectors.shape[1]))
            answer = self._worker.receive(settings.CONTENT_SECONDS)
        except (EOFError, OSError, ValueError) as error:
            raise EvidenceError("The process that ran the head of the model ended abruptly.") from error
        if not isinstance(answer, Answered) or answer.fault:
            raise EvidenceError(answer.fault if isinstance(answer, Answered) else "The head gave no answer.")
        if len(answer.values) != 4 * len(vectors) * self._labels:
            raise EvidenceError(f"The head does not give {self._labels:,} scores for each picture.")
        return np.frombuffer(answer.values, "<f4").reshape(len(vectors), self._labels)

    def close(self) -> None:
        self._worker.end()


def embedder(case: Case, name: str | None) -> Bundle:
    """The model of that name, or that which made most embeddings of the case and is still here, or the one built in.

    Raises:
        UsageError: it makes no embedding.
        NotAllowedError: it may not be used.
    """
    if name is not None:
        bundle = models.to_use(name)
        if not bundle.manifest.recipe.embedding:
            raise UsageError(f"The model '{name}' makes no embedding, by which pictures could be compared.")
        return bundle
    counts, best = recognition.embeddings(case), models.to_use(builtin.NAME)
    for each in models.names()[1:]:
        try:
            seen = counts.get(bundle_.peek(models.path_of(each)).embedding_key, 0)
            if seen and seen >= counts.get(best.manifest.embedding_key, 0):
                best = models.to_use(each)
        except (EvidenceError, IntegrityError, NotAllowedError):
            continue
    return best


def look_at(path: Path, bundle: Bundle) -> NDArray[np.float16]:
    """The vectors of a picture or a clip in a file, [frames, d], made in a boxed worker.

    Raises:
        EvidenceError: it is neither, or cannot be read.
    """
    if not path.is_file():
        raise EvidenceError(f"There is no file {path}.")
    entry = Entry(Step("whole", 0, "given"), path.stat().st_size)
    node = Node(Task.EXAMINE, Address("given"), entries=(entry,))
    worker = local.Worker([model_of(bundle)])
    try:
        worker.send(Expand(node, {"given": str(path.resolve())}))
        found, why = Rows(), ""
        while not isinstance(answer := worker.receive(settings.CONTENT_SECONDS), Expanded):
            if not isinstance(answer, Found):
                raise EvidenceError(f"{path} cannot be read.")
            found.findings.extend(answer.rows.findings)
            why = next((each.absent.detail for each in answer.rows.unread), why)
    except (EOFError, OSError, ValueError) as error:
        raise EvidenceError(f"{path} cannot be read: the process that read it ended abruptly.") from error
    finally:
        worker.end()
    for finding in found.findings:
        if finding.name == EMBEDDING:
            if finding.absent:
                raise EvidenceError(f"{path} cannot be compared: {finding.absent.detail}")
            return np.frombuffer(finding.value["numbers"], "<f2").reshape(-1, finding.value["dimensions"])
    raise EvidenceError(f"{path} is neither a picture nor a clip that can be read. {why}".rstrip())


def similar(
    case: Case, examples: list[NDArray[np.float16]], bundle: Bundle, most: int, besides: frozenset[str] = frozenset()
) -> list[Similar]:
    """The contents that look most like an example, nearest first; of several examples, most like what they share, by a
    head taught on them (`mantlet.recognise.online`). `besides`: contents that are left out.

    Raises:
        EvidenceError: the case has no embedding by this model.
    """
    from mantlet.recognise.nearest import nearest  # its compiler takes a third of a second to load
    from mantlet.recognise.online import Ranker

    there = vectors(case, bundle.manifest.embedding_key)
    given = np.unique(np.concatenate(examples), axis=0).astype(np.float32)
    wanted = settings.KEY_FRAMES * (most + len(besides))  # a clip may fill as many places with its frames
    if len(given) == 1:
        rows, _ = nearest(there.numbers, given[0], min(len(there.numbers), wanted))
    else:
        ranker = Ranker(there.numbers, seed=0)
        ranker.teach(given, True)
        rows = ranker.order()[:wanted]
    best: dict[str, float] = {}
    for row in rows:
        cosine = min(1.0, float((given @ there.numbers[row].astype(np.float32)).max()))
        best[there.content(row)] = max(cosine, best.get(there.content(row), -1.0))
    return [Similar(each, cosine) for each, cosine in best.items() if each not in besides][:most]
