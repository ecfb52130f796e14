"""The tables of a case, as migrations: scripts applied once each, in order; a landed one is never edited."""

from __future__ import annotations

from typing import Final

from mantlet.governance import ledger

_FIRST: Final = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE exhibit (
    id TEXT PRIMARY KEY, path TEXT NOT NULL, form TEXT NOT NULL, size INTEGER, reference TEXT, added_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE node (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, late INTEGER NOT NULL, payload BLOB
) STRICT;  -- payload NULL: done
CREATE INDEX node_waiting ON node (late, id) WHERE payload IS NOT NULL;

-- Rows found by a scan. `batch` is the ledger entry that holds their Merkle root.
CREATE TABLE acquisition (
    exhibit TEXT NOT NULL, algorithm TEXT NOT NULL, digest TEXT NOT NULL, origin TEXT NOT NULL, size INTEGER NOT NULL,
    batch INTEGER NOT NULL, PRIMARY KEY (exhibit, algorithm)
) STRICT, WITHOUT ROWID;
CREATE TABLE content (
    sha256 TEXT PRIMARY KEY, md5 TEXT NOT NULL, sha1 TEXT NOT NULL, size INTEGER NOT NULL, kind TEXT NOT NULL,
    mime TEXT NOT NULL, batch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE item (
    address TEXT PRIMARY KEY, exhibit TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    recovery TEXT NOT NULL, containment TEXT NOT NULL, place TEXT NOT NULL,
    created TEXT, modified TEXT, accessed TEXT, batch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX item_content ON item (sha256);
CREATE TABLE finding (
    sha256 TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, settings TEXT NOT NULL,
    value TEXT, reason TEXT, detail TEXT, batch INTEGER NOT NULL,
    PRIMARY KEY (sha256, name, version, settings), CHECK ((value IS NULL) != (reason IS NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE unread (
    address TEXT NOT NULL, stage TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, batch INTEGER NOT NULL,
    PRIMARY KEY (address, stage)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_batch ON item (batch);
CREATE INDEX content_batch ON content (batch);
CREATE INDEX finding_batch ON finding (batch);
CREATE INDEX unread_batch ON unread (batch);

-- Derived from the rows above, and made anew by a match.
CREATE TABLE match (
    sha256 TEXT NOT NULL, set_name TEXT NOT NULL, version TEXT NOT NULL, record INTEGER NOT NULL, how TEXT NOT NULL,
    view TEXT NOT NULL, distance INTEGER NOT NULL, category TEXT, status TEXT NOT NULL,
    PRIMARY KEY (sha256, set_name, record, how)
) STRICT, WITHOUT ROWID;
CREATE TABLE matched (sha256 TEXT PRIMARY KEY, sets TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE stack (sha256 TEXT PRIMARY KEY, stack TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- What people said; append-only.
CREATE TABLE decision (
    id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, scheme TEXT NOT NULL, scheme_version TEXT NOT NULL, grade TEXT,
    note TEXT NOT NULL, basis TEXT, actor TEXT NOT NULL, at TEXT NOT NULL, seen TEXT NOT NULL, undoes INTEGER,
    restores INTEGER, entry INTEGER NOT NULL
) STRICT;
CREATE INDEX decision_content ON decision (sha256, id);
CREATE UNIQUE INDEX decision_undone ON decision (undoes) WHERE undoes IS NOT NULL;  -- once, by two pages at once too
CREATE TRIGGER decision_is_kept BEFORE DELETE ON decision BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decision_is_final BEFORE UPDATE ON decision BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE VIEW standing AS  -- what the last decision on each content says: its own, or the words of the one it restores
    SELECT d.id, d.sha256, s.scheme, s.scheme_version, s.grade, s.note, s.basis, s.actor, s.at, s.seen
    FROM decision d JOIN decision s ON s.id = coalesce(d.restores, d.id)
    WHERE d.id = (SELECT max(id) FROM decision WHERE sha256 = d.sha256);
"""

_SECOND: Final = """
ALTER TABLE match ADD COLUMN severity INTEGER;
ALTER TABLE match ADD COLUMN convention TEXT;
ALTER TABLE match ADD COLUMN trusted INTEGER;
"""

_THIRD: Final = """
CREATE TABLE vector (  -- what the finding "embedding" holds the digest of
    sha256 TEXT NOT NULL, settings TEXT NOT NULL, numbers BLOB NOT NULL, UNIQUE (settings, sha256)
) STRICT;
"""

_DECISIONS: Final = """
CREATE INDEX ledger_kind ON ledger (chain, kind, seq);
ALTER TABLE decision ADD COLUMN source TEXT;  -- JSON: from where a grade was taken over; NULL: from looking at it here
DROP VIEW standing;
CREATE VIEW standing AS  -- what the last decision on each content says: its own, or the words of the one it restores
    SELECT d.id, d.sha256, s.scheme, s.scheme_version, s.grade, s.note, s.basis, s.actor, s.at, s.seen, s.source
    FROM decision d JOIN decision s ON s.id = coalesce(d.restores, d.id)
    WHERE d.id = (SELECT max(id) FROM decision WHERE sha256 = d.sha256);
"""
_MARKS: Final = """
CREATE TABLE marking (  -- what is said of a content beside its grade, all of it each time; the last one counts
    id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, marks TEXT NOT NULL, actor TEXT NOT NULL, at TEXT NOT NULL,
    entry INTEGER NOT NULL
) STRICT;
CREATE INDEX marking_content ON marking (sha256, id);
CREATE TRIGGER marking_is_kept BEFORE DELETE ON marking BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END;
CREATE TRIGGER marking_is_final BEFORE UPDATE ON marking BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END;
"""
_STACKS: Final = """
CREATE TABLE alike (  -- derived: the joins that hold the stacks together, without a circle; `view`: of `sha256`
    sha256 TEXT NOT NULL, other TEXT NOT NULL, how TEXT NOT NULL, view TEXT, distance INTEGER,  -- NULL: by a person
    PRIMARY KEY (sha256, other)
) STRICT, WITHOUT ROWID;
CREATE INDEX stack_members ON stack (stack);
CREATE TABLE stacking (  -- what people split and joined; append-only. `contents`: JSON list of SHA-256
    id INTEGER PRIMARY KEY, act TEXT NOT NULL CHECK (act IN ('split', 'join')), contents TEXT NOT NULL,
    actor TEXT NOT NULL, at TEXT NOT NULL, entry INTEGER NOT NULL
) STRICT;
CREATE TRIGGER stacking_is_kept BEFORE DELETE ON stacking BEGIN SELECT RAISE(ABORT, 'splits are append-only'); END;
CREATE TRIGGER stacking_is_final BEFORE UPDATE ON stacking BEGIN SELECT RAISE(ABORT, 'splits are append-only'); END;
"""
_QUEUE: Final = """
CREATE TABLE queue (  -- derived: the order in which contents are seen, stacks together, and what is still to be seen
    sha256 TEXT PRIMARY KEY, stack TEXT NOT NULL, place TEXT NOT NULL,
    state INTEGER NOT NULL,  -- 1: to be seen; 2: graded by a look; 0: neither
    lot INTEGER              -- 0 to 999,999, by the seed of the case; NULL: not drawn yet
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX queue_place ON queue (place);
CREATE INDEX queue_to_see ON queue (place, stack) WHERE state = 1;
CREATE INDEX queue_seen ON queue (lot) WHERE state = 2;
CREATE TABLE unsettled (  -- derived: what could take over grades that disagree, so that a person decides
    sha256 TEXT PRIMARY KEY, why TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER decision_in_queue AFTER INSERT ON decision BEGIN
    UPDATE queue SET state = CASE
        WHEN new.grade IS NULL THEN 1 WHEN new.basis = 'viewed' THEN 2
        ELSE new.basis = 'propagated' AND coalesce(lot, 1000000) < 50000 END  -- one in twenty is checked by a person
    WHERE sha256 = new.sha256;
END;
INSERT INTO queue  -- of cases from before: until the next match brings them into their order
    SELECT sha256, stack, rank || ' 99999999 ' || stack || ' ' || sha256,
        CASE WHEN grade IS NULL THEN 1 ELSE 2 * (basis = 'viewed') END, NULL
    FROM (
        SELECT c.sha256, coalesce(t.stack, c.sha256) AS stack, coalesce(k.rank, 4) AS rank, s.grade, s.basis
        FROM content c LEFT JOIN stack t USING (sha256) LEFT JOIN standing s USING (sha256) LEFT JOIN (
            SELECT coalesce(t.stack, m.sha256) AS stack, min(
                CASE WHEN how IN ('pdq', 'frames') THEN iif(status = 'notable', 3, 4)
                ELSE CASE status WHEN 'notable' THEN 1 WHEN 'benign' THEN 5 ELSE 4 END END
            ) AS rank
            FROM match m LEFT JOIN stack t USING (sha256) GROUP BY 1
        ) k ON k.stack = coalesce(t.stack, c.sha256)
    );
CREATE TABLE lease (stack TEXT PRIMARY KEY, actor TEXT NOT NULL, until TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""
_POPULATIONS: Final = """
CREATE TABLE population (  -- what a certificate speaks of. `contents`: 32 bytes each, in the order of looking
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, plan TEXT NOT NULL, digest TEXT NOT NULL, seed TEXT NOT NULL,
    contents BLOB NOT NULL, piles BLOB, scores BLOB, entry INTEGER NOT NULL
) STRICT;
CREATE TRIGGER population_is_kept BEFORE DELETE ON population
    BEGIN SELECT RAISE(ABORT, 'populations are append-only'); END;
CREATE TRIGGER population_is_final BEFORE UPDATE ON population
    BEGIN SELECT RAISE(ABORT, 'populations are append-only'); END;
"""

MIGRATIONS: Final = (
    ledger.SCHEMA + _FIRST,
    _SECOND,
    _THIRD,
    _DECISIONS + _MARKS + _STACKS + _QUEUE + _POPULATIONS,
)

SCANNED: Final = {
    "acquisition": ("exhibit", "algorithm", "digest", "origin", "size"),
    "content": ("sha256", "md5", "sha1", "size", "kind", "mime"),
    "item": (
        "address", "exhibit", "sha256", "size", "recovery", "containment", "place", "created", "modified", "accessed",
    ),
    "finding": ("sha256", "name", "version", "settings", "value", "reason", "detail"),
    "unread": ("address", "stage", "reason", "detail"),
}  # fmt: skip
"""The tables whose rows a batch's Merkle root covers, with the columns that enter a leaf."""
