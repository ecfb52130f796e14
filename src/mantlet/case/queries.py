"""What a case is asked: the items, the count matrix, what could not be read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from mantlet.case import recognition
from mantlet.case.case import Case
from mantlet.errors import UsageError
from mantlet.types import Address, Containment, Kind, Place, Reason, Recovery

NEAR: Final = ("pdq", "frames")
"""Ways of matching that say "looks like", against the digests, which say "is"."""

UNGRADED: Final = "ungraded"

CARRIED: Final = {"known": ", known, unseen", "propagated": ", provisional: propagated"}
"""What is said behind a grade that was carried over, by its basis, so that it is not taken for one by a person."""

# How a content is counted: by its grade; where nothing is graded, by the strongest thing known of it.
_CATEGORY: Final = f"""
    CASE
        WHEN s.grade IS NOT NULL THEN s.grade || CASE s.basis
            WHEN 'known' THEN '{CARRIED["known"]}' WHEN 'propagated' THEN '{CARRIED["propagated"]}' ELSE '' END
        WHEN k.exact_notable THEN 'ungraded, known notable'
        WHEN k.near_notable THEN 'ungraded, looks like notable'
        WHEN k.exact_benign THEN 'ungraded, known benign'
        WHEN k.exact_ungraded THEN 'ungraded, known uncategorised'
        ELSE 'ungraded'
    END
"""
_KNOWN: Final = """
    SELECT sha256,
        max(status = 'notable' AND how NOT IN ('pdq', 'frames')) AS exact_notable,
        max(status = 'notable' AND how IN ('pdq', 'frames')) AS near_notable,
        max(status = 'benign' AND how NOT IN ('pdq', 'frames')) AS exact_benign,
        max(status = 'ungraded' AND how NOT IN ('pdq', 'frames')) AS exact_ungraded
    FROM match GROUP BY sha256
"""

FILTERS: Final = {
    "exhibit": "i.exhibit", "recovery": "i.recovery", "containment": "i.containment", "place": "i.place",
    "kind": "c.kind", "mime": "c.mime", "sha256": "i.sha256", "stack": "coalesce(t.stack, i.sha256)",
    "grade": "coalesce(s.grade, 'ungraded')", "basis": "s.basis", "graded_by": "iif(s.grade IS NULL, NULL, s.actor)",
}  # fmt: skip
_VALUES: Final[dict[str, Iterable[str]]] = {
    "recovery": Recovery, "containment": Containment, "place": Place, "kind": Kind,
    "known": ("notable", "benign", "ungraded"), "how": ("md5", "sha1", "sha256", *NEAR),
}  # fmt: skip
"""What some fields hold: any other value is a slip of the pen."""
_FLAGGED: Final = (
    "EXISTS (SELECT 1 FROM finding f, json_each(f.value, '$.flagged') e WHERE f.sha256 = i.sha256 "
    "AND f.name = 'scores' AND f.settings IN (SELECT settings FROM current) AND f.value NOT NULL "
    "AND e.value = ?)"
)
_SCORED: Final = (
    "(SELECT max(e.value) FROM finding f, json_each(f.value, '$.scores') e WHERE f.sha256 = i.sha256 "
    "AND f.name = 'scores' AND f.settings IN (SELECT settings FROM current) AND f.value NOT NULL "
    "AND e.key = ?)"
)
_SET_FILTERS: Final = {"known": "status", "set": "set_name", "how": "how", "category": "category"}


def where(terms: Sequence[str]) -> tuple[str, list[str]]:
    """`field=value` and `field!=value` as SQL, all of which must hold.

    Raises:
        UsageError: naming the fields there are, or what a field can hold.
    """
    clauses, values = [], []
    for term in terms:
        field, operator, value = term.partition("=")
        other, field = field.endswith("!"), field.removesuffix("!")
        if field in FILTERS and operator:
            clauses.append(f"{FILTERS[field]} IS {'NOT ' if other else ''}?")
        elif field in _SET_FILTERS and operator:
            exists = f"EXISTS (SELECT 1 FROM match WHERE sha256 = i.sha256 AND {_SET_FILTERS[field]} = ?)"  # noqa: S608
            clauses.append(f"{'NOT ' if other else ''}{exists}")
        elif field == "flagged" and operator:
            clauses.append(f"{'NOT ' if other else ''}{_FLAGGED}")
        else:
            fields = ", ".join((*FILTERS, *_SET_FILTERS, "flagged"))
            raise UsageError(f"'{term}' is no filter; write FIELD=VALUE or FIELD!=VALUE with one of {fields}.")
        if field in _VALUES and value not in set(_VALUES[field]):
            known = ", ".join(_VALUES[field])
            raise UsageError(f"'{term}': {field} is one of {known}.")
        values.append(value)
    return " AND ".join(clauses) or "1", values


def items(case: Case, terms: Sequence[str] = (), by: str | None = None) -> Iterator[dict[str, Any]]:
    """One dict an item, in the order of addresses, or of what models gave the label `by`, highest first, with the
    fields of `docs/reference.md`.

    Raises:
        UsageError: as `where`, or for a label that no model gave anything.
    """
    condition, values = where(terms)
    models = recognition.current(case)
    for label in (term.partition("=")[2] for term in terms if term.startswith(("flagged=", "flagged!="))):
        if not recognition.is_label(case, label):
            raise UsageError(
                f"No model gave anything in this case the label '{label}'; `mantlet recognise` has one look."
            )
    if by is not None and not recognition.is_label(case, by):
        raise UsageError(f"No model gave anything in this case the label '{by}'; `mantlet recognise` has one look.")
    order = "i.address" if by is None else f"{_SCORED} DESC NULLS LAST, i.address"
    rows = case.reader.execute(
        f"""
        WITH current AS (SELECT value AS settings FROM json_each(?))
        SELECT i.*, c.md5, c.sha1, c.kind, c.mime, coalesce(t.stack, i.sha256) AS stack, s.grade, s.basis, s.actor,
            s.source
        FROM item i JOIN content c USING (sha256) LEFT JOIN stack t USING (sha256) LEFT JOIN standing s USING (sha256)
        WHERE {condition} ORDER BY {order}
        """,  # noqa: S608 - `where` puts in only names from its own tables
        [json.dumps(list(models)), *values, *([] if by is None else [by])],
    )
    for row in rows:
        yield _item(case, row, models)


def _item(case: Case, row: Any, models: dict[str, list[str]]) -> dict[str, Any]:
    findings, settings, absent = findings_of(case, row["sha256"])
    media = findings.get("media") or {}
    said, silent = recognition.said(case, row["sha256"], models)
    return {
        "address": row["address"],
        "exhibit": row["exhibit"],
        "name": Address.parse(row["address"]).name,
        "recovery": row["recovery"],
        "containment": row["containment"],
        "place": row["place"],
        "kind": row["kind"],
        "mime": row["mime"],
        "size": row["size"],
        "width": media.get("width"),
        "height": media.get("height"),
        "duration": media.get("duration"),
        "sound": media.get("sound"),
        "created": row["created"],
        "modified": row["modified"],
        "accessed": row["accessed"],
        "md5": row["md5"],
        "sha1": row["sha1"],
        "sha256": row["sha256"],
        "pdq": findings.get("pdq"),
        "pdq_quality": findings.get("pdq-quality"),
        "pdq_convention": settings.get("pdq"),
        "known": known(case, row["sha256"]),
        "scores": {name: each["scores"] for name, each in said.items()},
        "recognised": {
            name: {key: value for key, value in each.items() if key != "scores"} for name, each in said.items()
        },
        "stack": row["stack"],
        "grade": row["grade"],
        "basis": row["basis"] if row["grade"] else None,
        "graded_by": row["actor"] if row["grade"] else None,
        "source": json.loads(row["source"]) if row["grade"] and row["source"] else None,
        "absent": absent | silent,
    }


def findings_of(case: Case, sha256: str) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Values, settings and reasons of absence, each by the finding's name; what models state is apart
    (`recognition.said`)."""
    values, settings, absent = {}, {}, {}
    query = "SELECT * FROM finding WHERE sha256 = ? AND name NOT IN ('embedding', 'scores')"
    for row in case.reader.execute(query, (sha256,)):
        settings[row["name"]] = row["settings"]
        if row["reason"] is None:
            values[row["name"]] = json.loads(row["value"])
        else:
            absent[row["name"]] = f"{row['reason']}: {row['detail']}" if row["detail"] else row["reason"]
    return values, settings, absent


def known(case: Case, sha256: str) -> list[dict[str, Any]]:
    """Matches of a content, the one that counts first: known notable, looks notable, known benign, the rest."""
    rows = case.reader.execute(
        'SELECT set_name AS "set", version, record, how, view, distance, convention, category, severity, status, '
        "trusted FROM match WHERE sha256 = ? ORDER BY CASE WHEN status = 'notable' THEN how IN ('pdq', 'frames') "
        "WHEN how IN ('pdq', 'frames') THEN 4 WHEN status = 'benign' THEN 2 ELSE 3 END, severity IS NULL, severity, "
        "distance, set_name, record",
        (sha256,),
    )
    return [{**dict(row), "trusted": None if row["trusted"] is None else bool(row["trusted"])} for row in rows]


_PROPER: Final = f"(i.containment != '{Containment.PREVIEW}')"
"""A picture, and not what a camera or a program put into one to show it small."""


def matrix(case: Case) -> dict[str, Any]:
    """The count matrix: category x kind x recovery x containment, distinct contents and all occurrences.

    `counts` splits by recovery and containment, so a content that is both live and deleted is distinct in two of
    its cells; `totals` counts each content once, and none that was found only as a preview within another picture.
    """
    joined = f"""
        FROM item i JOIN content c USING (sha256) LEFT JOIN standing s USING (sha256)
        LEFT JOIN ({_KNOWN}) k USING (sha256)
    """
    tallies = 'count(DISTINCT i.sha256) AS "distinct", count(*) AS "all"'
    counts = case.reader.execute(
        f"SELECT {_CATEGORY} AS category, c.kind, i.recovery, i.containment, {tallies} {joined} "
        "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3 DESC, 4"
    )
    totals = case.reader.execute(
        f"SELECT {_CATEGORY} AS category, c.kind, {tallies} {joined} WHERE {_PROPER} GROUP BY 1, 2 ORDER BY 1, 2"
    )
    stacks = case.reader.execute(
        "SELECT count(*) FROM (SELECT stack FROM stack GROUP BY stack HAVING count(*) > 1)"
    ).fetchone()[0]
    return {
        "counts": [dict(row) for row in counts],
        "totals": [dict(row) for row in totals],
        "stacks": stacks,
        "unread": unread(case),
        "exhibits": exhibits(case),
        "unfinished": unfinished(case),
    }


def unread(case: Case) -> list[dict[str, Any]]:
    """What could not be read, by stage and reason: places without content, and contents without a finding."""
    rows = case.reader.execute(
        "SELECT stage, reason, count(*) AS count FROM unread GROUP BY 1, 2 "
        "UNION ALL SELECT name, reason, count(*) FROM finding WHERE reason NOT NULL AND reason != ? AND name = 'media' "
        "GROUP BY 1, 2 "
        "UNION ALL SELECT name, reason, count(*) FROM finding f WHERE reason NOT NULL AND reason != ? AND name = 'pdq' "
        "AND NOT EXISTS (SELECT 1 FROM finding WHERE sha256 = f.sha256 AND name = 'media' AND reason NOT NULL) "
        "GROUP BY 1, 2 ORDER BY 1, 2",
        (Reason.NOT_APPLICABLE, Reason.NOT_APPLICABLE),
    )
    return [dict(row) for row in rows]


def read_not_hashed(row: dict[str, Any]) -> bool:
    """Whether a row of `unread` speaks of what was read in full, and is only too flat for a perceptual hash."""
    return bool(row["reason"] == Reason.TOO_FLAT)


def unread_places(case: Case, most: int | None = None) -> list[dict[str, Any]]:
    """Where something could not be read, with the sentence why; all of them, or the first few."""
    rows = case.reader.execute(
        "SELECT address, stage, reason, detail FROM unread UNION ALL "
        "SELECT min(i.address), f.name, f.reason, f.detail FROM finding f JOIN item i USING (sha256) "
        "WHERE f.name = 'media' AND f.reason NOT NULL OR f.name = 'pdq' AND f.reason = ? GROUP BY f.sha256 "
        "ORDER BY 1 LIMIT ?",
        (Reason.DAMAGED, -1 if most is None else most),
    )
    return [dict(row) for row in rows]


_EXPECTED: Final = (Reason.GONE, Reason.TOO_FLAT, Reason.NOT_APPLICABLE)


def incomplete(case: Case) -> bool:
    """Whether anything that should have been readable was not; deleted content that is gone does not count."""
    return any(row["reason"] not in _EXPECTED for row in unread(case))


def unusable(case: Case) -> list[tuple[str, str]]:
    """Exhibits that could not be opened at all, or whose medium is damaged: the task that failed, and a sentence."""
    rows = case.reader.execute(
        "SELECT stage, id, path, detail FROM unread JOIN exhibit ON address = id WHERE stage != 'read' ORDER BY id, 1"
    )
    return [(row["stage"], f"{row['id']} ({row['path']}): {row['detail']}") for row in rows]


def unfinished(case: Case) -> int:
    """Nodes that a scan has still to expand."""
    count: int = case.reader.execute("SELECT count(*) FROM node WHERE payload IS NOT NULL").fetchone()[0]
    return count


def exhibits(case: Case) -> list[dict[str, Any]]:
    """Exhibits with their digests. `recomputed`: whether this scan's full read gave a digest stored in the image again
    (None: not read yet); `digest_fault`: why it did not."""
    found = []
    for exhibit in case.exhibits():
        digests = case.reader.execute(
            "SELECT algorithm, digest, origin, size FROM acquisition WHERE exhibit = ? ORDER BY algorithm",
            (exhibit.id,),
        )
        fault = case.reader.execute(
            "SELECT detail FROM unread WHERE stage = 'acquire' AND address = ?", (exhibit.id,)
        ).fetchone()
        read = case.reader.execute(
            "SELECT 1 FROM node WHERE key = ? AND payload IS NULL", (f"acquire 0 {exhibit.id}",)
        ).fetchone()
        found.append(
            {
                **msgspec.to_builtins(exhibit),
                "acquisition": [dict(row) for row in digests],
                "recomputed": None if read is None else fault is None,
                "digest_fault": fault["detail"] if fault else None,
            }
        )
    return found


def tally(case: Case) -> dict[str, int]:
    """Items, distinct contents and how many of those are graded, previews apart; how many contents are known by digest
    or by look."""
    read = case.reader.execute
    return {
        "items": read(f"SELECT count(*) FROM item i WHERE {_PROPER}").fetchone()[0],  # noqa: S608 - our own words
        "contents": read(f"SELECT count(DISTINCT sha256) FROM item i WHERE {_PROPER}").fetchone()[0],  # noqa: S608
        "previews": read(f"SELECT count(*) FROM item i WHERE NOT {_PROPER}").fetchone()[0],  # noqa: S608
        "graded": read(
            f"SELECT count(DISTINCT sha256) FROM item i JOIN standing USING (sha256) WHERE grade NOT NULL AND {_PROPER}"  # noqa: S608
        ).fetchone()[0],
        "known": read(
            f"SELECT count(DISTINCT sha256) FROM item i JOIN match USING (sha256) WHERE {_PROPER}"  # noqa: S608
        ).fetchone()[0],
        "unread": read("SELECT count(*) FROM unread").fetchone()[0],
    }


def graded_by(case: Case) -> list[dict[str, Any]]:
    """How the grades that stand came about: contents, by basis ("imported": viewed, as a table states it) and by who
    gave or carried over the grade, of an imported one whom the table names."""
    imported = "basis = 'viewed' AND source NOT NULL"
    rows = case.reader.execute(
        f"SELECT iif({imported}, 'imported', basis) AS basis, "  # noqa: S608 - our own words
        f"""iif({imported}, coalesce(json_extract(source, '$.by'), actor), actor) AS "by", count(*) AS contents """
        "FROM standing WHERE grade NOT NULL GROUP BY 1, 2 ORDER BY 1 != 'viewed', 1, 2"
    )
    return [dict(row) for row in rows]


def has_content(case: Case, sha256: str) -> bool:
    return case.reader.execute("SELECT 1 FROM content WHERE sha256 = ?", (sha256,)).fetchone() is not None


def addresses(case: Case, sha256: str) -> list[Address]:
    """Where a content lies: live files first, since they open fastest and surest."""
    rows = case.reader.execute(
        "SELECT address FROM item WHERE sha256 = ? ORDER BY recovery != 'live', containment != 'file', address",
        (sha256,),
    )
    return [Address.parse(row["address"]) for row in rows]


def known_summary(case: Case) -> dict[str, int]:
    """Distinct contents, previews apart, that are notable by digest (`exact`), and that only look so (`near`)."""
    row = case.reader.execute(
        f"SELECT total(exact_notable), total(near_notable AND NOT exact_notable) FROM ({_KNOWN}) "  # noqa: S608
        f"WHERE sha256 IN (SELECT sha256 FROM item i WHERE {_PROPER})"
    ).fetchone()
    return {"exact": int(row[0]), "near": int(row[1])}


def findings_used(case: Case) -> list[dict[str, Any]]:
    rows = case.reader.execute("SELECT DISTINCT name, version, settings FROM finding ORDER BY 1, 2, 3")
    return [dict(row) for row in rows]


def scheme_in_use(case: Case) -> str | None:
    """The category scheme of the last grade that stands; None while there is none."""
    row = case.reader.execute("SELECT scheme FROM standing WHERE grade NOT NULL ORDER BY id DESC LIMIT 1").fetchone()
    return row["scheme"] if row else None
