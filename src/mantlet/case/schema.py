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

MIGRATIONS: Final = (ledger.SCHEMA + _FIRST, _SECOND, _THIRD)

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
