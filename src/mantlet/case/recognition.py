"""What models said of a case, and what people said that models can be taught from and measured by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet import __version__
from mantlet.case.case import Case, Change
from mantlet.errors import EvidenceError
from mantlet.recognise import models
from mantlet.recognise.bundle import Bundle
from mantlet.recognise.manifest import EMBEDDING, SCORES, VERSION
from mantlet.types import Reason


class Graded(msgspec.Struct, frozen=True):
    """What a person said of a content that they viewed, by the last decision that stands; and where it lies first."""

    sha256: str
    kind: str
    scheme: str
    grade: str
    at: str
    exhibit: str


def use(change: Change, bundles: Sequence[Bundle]) -> None:
    """Puts into the ledger which models look at this case, in whose name, and on what ground they may; those that did
    so last under their name are left out. Raises NotAllowedError for a model that may not be used."""
    last = {each["name"]: (each["digest"], each["ground"]) for each in _used(change.tx)}
    for bundle in bundles:
        manifest, ground = bundle.manifest, models.ground(bundle)
        if last.get(manifest.name) != (bundle.digest, ground):
            about = {
                "mantlet": __version__, "name": manifest.name, "version": manifest.version, "kind": manifest.kind,
                "digest": bundle.digest, "states": manifest.states, "authority": manifest.authority,
                "ground": ground, "signer": bundle.signature.signer if bundle.signature else None,
                "public_key": bundle.signature.public_key if bundle.signature else None,
                "expires": manifest.expires, "notice": manifest.notice,
            }  # fmt: skip
            change.record("model used", about)


def is_last(case: Case, bundle: Bundle) -> bool:
    """Whether it is the model that looked last under its name, on the ground on which it may now."""
    last = {each["name"]: (each["digest"], each["ground"]) for each in used(case)}
    return last.get(bundle.manifest.name) == (bundle.digest, models.ground(bundle))


def used(case: Case) -> list[dict[str, Any]]:
    """The models that looked at the case, the last one last, as the ledger names them."""
    return _used(case.reader)


def _used(reader: Any) -> list[dict[str, Any]]:
    rows = reader.execute("SELECT payload FROM ledger WHERE chain = 'case' AND kind = 'model used' ORDER BY seq")
    return [json.loads(row["payload"]) for row in rows if row["payload"] is not None]


def current(case: Case) -> dict[str, list[str]]:
    """Settings of the finding "scores" -> the names of the models that state it: of each, as it looked last. What an
    earlier one of the same name said stays in the record, and is shown no more."""
    last = {each["name"]: each["states"].get(SCORES) for each in used(case)}
    found: dict[str, list[str]] = {}
    for name, settings in last.items():
        if settings is not None:
            found.setdefault(settings, []).append(name)
    return found


def lacking(case: Case, finding: str, settings: str) -> list[str]:
    """The contents of which a model has not stated a finding, nor why it cannot."""
    rows = case.reader.execute(
        "SELECT sha256 FROM content c WHERE NOT EXISTS (SELECT 1 FROM finding f WHERE f.sha256 = c.sha256 "
        "AND f.name = ? AND f.version = ? AND f.settings = ?) ORDER BY sha256",
        (finding, VERSION, settings),
    )
    return [row["sha256"] for row in rows]


def unscored(case: Case, embedding: str, scores: str) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """Contents that have an embedding and no scores yet, with their vectors, [frames, d]."""
    rows = case.reader.execute(
        "SELECT v.sha256, v.numbers, f.value FROM vector v JOIN finding f ON f.sha256 = v.sha256 AND f.name = ? "
        "AND f.version = ? AND f.settings = v.settings WHERE v.settings = ? AND NOT EXISTS (SELECT 1 FROM finding s "
        "WHERE s.sha256 = v.sha256 AND s.name = ? AND s.version = ? AND s.settings = ?)",
        (EMBEDDING, VERSION, embedding, SCORES, VERSION, scores),
    )
    for row in rows:
        yield row["sha256"], matrix(row["numbers"], json.loads(row["value"])["dimensions"])


def vectors_of(case: Case, embedding: str, contents: Sequence[str]) -> dict[str, NDArray[np.float16]]:
    """The vectors of some contents, [frames, d]; those without any are left out."""
    found = {}
    query = (
        "SELECT v.numbers, f.value FROM vector v JOIN finding f USING (sha256, settings) "
        "WHERE v.settings = ? AND v.sha256 = ? AND f.name = ?"
    )
    for sha256 in contents:
        row = case.reader.execute(query, (embedding, sha256, EMBEDDING)).fetchone()
        if row is not None:
            found[sha256] = matrix(row["numbers"], json.loads(row["value"])["dimensions"])
    return found


def embeddings(case: Case) -> dict[str, int]:
    """How many contents have an embedding of each kind."""
    rows = case.reader.execute("SELECT settings, count(*) AS count FROM vector GROUP BY 1")
    return {row["settings"]: row["count"] for row in rows}


def scores_of(case: Case, settings: str) -> dict[str, dict[str, Any]]:
    """What a model said of each content; those of which it said nothing are left out."""
    rows = case.reader.execute(
        "SELECT sha256, value FROM finding WHERE name = ? AND settings = ? AND value NOT NULL", (SCORES, settings)
    )
    return {row["sha256"]: json.loads(row["value"]) for row in rows}


def said(case: Case, sha256: str, names: dict[str, list[str]]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """What each model said of a content, by its name, and why others said nothing; `names`: as `current`."""
    found, silent = {}, {}
    rows = case.reader.execute(
        "SELECT settings, value, reason, detail FROM finding WHERE sha256 = ? AND name = ?", (sha256, SCORES)
    )
    for row in rows:
        for name in names.get(row["settings"], ()):
            if row["value"] is not None:
                found[name] = json.loads(row["value"])
            else:
                silent[f"{SCORES} {name}"] = f"{row['reason']}: {row['detail']}"
    if not found and not silent:
        silent[SCORES] = f"{Reason.NOT_RUN}: no model that tells things apart has looked at it"
    return found, silent


def is_label(case: Case, label: str) -> bool:
    """Whether a model gave it to anything."""
    query = (
        "SELECT 1 FROM finding f, json_each(f.value, '$.scores') e WHERE f.name = ? AND f.settings = ? "
        "AND f.value NOT NULL AND e.key = ? LIMIT 1"
    )
    return any(case.reader.execute(query, (SCORES, each, label)).fetchone() for each in current(case))


def flagged(case: Case, settings: str | None) -> dict[str, int]:
    """How many contents a model flags, by label; `settings` of its finding, None for a model without labels."""
    rows = case.reader.execute(
        "SELECT e.value AS label, count(*) AS count FROM finding f, json_each(f.value, '$.flagged') e "
        "WHERE f.name = ? AND f.settings IS ? AND f.value NOT NULL GROUP BY 1 ORDER BY 1",
        (SCORES, settings),
    )
    return {row["label"]: row["count"] for row in rows}


def summary(case: Case) -> list[dict[str, Any]]:
    """The models that looked at the case, each with how many contents it answered for, for how many not, by reason, and
    how many it flagged, by label. Of several of one name, the last."""
    last = {model["name"]: model for model in used(case)}
    return [{**model, **answers(case, model["states"])} for model in last.values()]


def answers(case: Case, states: dict[str, str]) -> dict[str, Any]:
    """For how many contents what a model states is there, for how many not, by reason, and how many it flags."""
    name = SCORES if SCORES in states else EMBEDDING
    rows = case.reader.execute(
        "SELECT reason, count(*) AS count FROM finding WHERE name = ? AND settings = ? GROUP BY 1 ORDER BY 1",
        (name, states[name]),
    )
    counts = {row["reason"]: row["count"] for row in rows}
    return {"answered": counts.pop(None, 0), "silent": counts, "flagged": flagged(case, states.get(SCORES))}


def graded(case: Case) -> list[Graded]:
    """Contents with a grade that a person gave on viewing them: nothing that was carried over teaches or measures."""
    rows = case.reader.execute(
        "SELECT s.sha256, c.kind, s.scheme, s.grade, s.at, (SELECT min(exhibit) FROM item i WHERE i.sha256 = s.sha256) "
        "AS exhibit FROM standing s JOIN content c USING (sha256) "
        "WHERE s.grade NOT NULL AND s.basis = 'viewed' ORDER BY s.sha256"
    )
    return [Graded(*row) for row in rows]


def places(case: Case, contents: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The kind of each content that the case has, and the exhibit where it lies first."""
    query = (
        "SELECT c.kind, min(i.exhibit) AS exhibit FROM content c JOIN item i USING (sha256) WHERE sha256 = ? GROUP BY 1"
    )
    found = {}
    for sha256 in contents:
        row = case.reader.execute(query, (sha256,)).fetchone()
        if row is not None:
            found[sha256] = (row["kind"], row["exhibit"])
    return found


def hashes(case: Case, contents: Sequence[str]) -> dict[str, bytes]:
    """The PDQ of each still among them that has one."""
    query = "SELECT json_extract(value, '$') AS pdq FROM finding WHERE sha256 = ? AND name = 'pdq' AND value NOT NULL"
    rows = ((sha256, case.reader.execute(query, (sha256,)).fetchone()) for sha256 in contents)
    return {sha256: bytes.fromhex(row["pdq"]) for sha256, row in rows if row is not None}


def matrix(numbers: bytes, dimensions: int) -> NDArray[np.float16]:
    """Stored numbers as [frames, d]. Raises EvidenceError where they cannot be that."""
    if len(numbers) % (2 * dimensions):
        raise EvidenceError("An embedding of this case has another size than the rest; `mantlet verify` says more.")
    return np.frombuffer(numbers, "<f2").reshape(-1, dimensions)
