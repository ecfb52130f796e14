"""The hash-chained record of everything that changed a case.

Two chains live in one table: `case` (what was done) and `exposure` (what was shown to whom). An entry's payload
enters its hash only through a salted digest, so a payload can be withheld from a reader, or erased, and the
chain still verifies; the salt keeps a short payload from being guessed. One signature, by the actor's key, which does
not live in the case, covers the ends of all chains, so that none can be shortened or dropped alone.

What a verified chain proves: no entry was changed, removed from the middle, or reordered since the head was
signed. What it does not: that an older copy of the whole case was not put back (compare the head that
`mantlet verify` prints with one written down earlier), nor that the signer's key was held by the signer.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from mantlet.errors import IntegrityError
from mantlet.governance import keys
from mantlet.governance.keys import Actor

Chain = Literal["case", "exposure"]
CHAINS: Final[tuple[Chain, ...]] = ("case", "exposure")
GENESIS: Final = "0" * 64

SCHEMA: Final = """
CREATE TABLE ledger (
    chain TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, actor TEXT NOT NULL, kind TEXT NOT NULL,
    payload TEXT, salt TEXT, payload_digest TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL,
    PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_head (  -- one row; `ends`: for each chain its length and its last hash
    id INTEGER PRIMARY KEY CHECK (id = 1), ends TEXT NOT NULL,
    actor TEXT NOT NULL, public_key TEXT NOT NULL, signature TEXT NOT NULL
) STRICT;
"""


class Entry(msgspec.Struct, frozen=True):
    """One entry; `payload` and `salt` are None where the payload was withheld or erased."""

    chain: str
    seq: int
    at: str
    actor: str
    kind: str
    payload: str | None
    salt: str | None
    payload_digest: str
    previous: str
    hash: str


class Head(msgspec.Struct, frozen=True):
    """The signed end of a chain. `length` entries; `hash` of the last; `withheld`: how many have lost their payload."""

    chain: str
    length: int
    hash: str
    actor: str
    public_key: str
    withheld: int


def now() -> str:
    """UTC, RFC 3339, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def append(tx: sqlite3.Connection, chain: Chain, actor: str, kind: str, payload: dict[str, Any]) -> int:
    """Adds an entry within the caller's transaction and returns its number, counted from 1."""
    last = tx.execute("SELECT seq, hash FROM ledger WHERE chain = ? ORDER BY seq DESC LIMIT 1", (chain,)).fetchone()
    seq, previous = (last["seq"] + 1, last["hash"]) if last else (1, GENESIS)
    text, salt, at = msgspec.json.encode(payload, order="sorted").decode(), secrets.token_hex(16), now()
    digest = _payload_digest(salt, text)
    own = _hash(chain, seq, at, actor, kind, digest, previous)
    row = (chain, seq, at, actor, kind, text, salt, digest, previous, own)
    tx.execute("INSERT INTO ledger VALUES (?,?,?,?,?,?,?,?,?,?)", row)
    return seq


def check_ends(tx: sqlite3.Connection) -> None:
    """That the chains end where the last writer signed: what was cut off since would else be signed as whole.

    Raises:
        IntegrityError: a chain ends elsewhere, or the signed head is gone.
    """
    head = tx.execute("SELECT ends FROM ledger_head").fetchone()
    signed = _ends(head["ends"]) if head else {}
    for chain in CHAINS:
        last = tx.execute("SELECT seq, hash FROM ledger WHERE chain = ? ORDER BY seq DESC LIMIT 1", (chain,)).fetchone()
        if signed.get(chain, (0, GENESIS)) != (tuple(last) if last else (0, GENESIS)):
            raise IntegrityError(
                f"The {chain} chain of this case does not end where it was signed, so nothing more is written to it; "
                "`mantlet verify` says more."
            )


def sign_heads(tx: sqlite3.Connection, actor: Actor) -> None:
    """Signs the ends of all chains, if any has grown, within the caller's transaction."""
    ends = {}
    for chain in CHAINS:
        last = tx.execute("SELECT seq, hash FROM ledger WHERE chain = ? ORDER BY seq DESC LIMIT 1", (chain,)).fetchone()
        ends[chain] = tuple(last) if last else (0, GENESIS)
    text = msgspec.json.encode(ends).decode()
    signed = tx.execute("SELECT ends FROM ledger_head").fetchone()
    if not signed or signed["ends"] != text:
        row = (text, actor.name, actor.public_key, actor.sign(_head_message(text, actor.name)))
        tx.execute("INSERT OR REPLACE INTO ledger_head VALUES (1,?,?,?,?)", row)


def entries(reader: sqlite3.Connection, chain: Chain) -> Iterator[Entry]:
    for row in reader.execute("SELECT * FROM ledger WHERE chain = ? ORDER BY seq", (chain,)):
        yield Entry(*row)


def verify(reader: sqlite3.Connection, chain: Chain) -> Head | None:
    """Checks one chain; returns its signed head, or None for a chain without entries.

    For each entry: 1. its number follows the one before; 2. it names the hash of the one before; 3. its payload,
    where still there, has the digest recorded; 4. its own hash is right. At the end: 5. the signed head holds this
    end of this chain, an empty chain too; 6. the signature over the ends of all chains is right.

    The caller's duty: that the head's public key belongs to whom it should, and that the rows which payloads
    speak of are still what they were (`mantlet.case.verify`).

    Raises:
        IntegrityError: naming the entry at which the first check fails.
    """
    previous, length, withheld = GENESIS, 0, 0
    for entry in entries(reader, chain):
        place = f"Entry {entry.seq} of the {chain} chain"
        if entry.seq != length + 1:  # 1
            raise IntegrityError(f"{place} does not follow entry {length}: entries are missing.")
        if entry.previous != previous:  # 2
            raise IntegrityError(f"{place} does not continue the entry before it.")
        if (entry.payload is None) != (entry.salt is None):
            raise IntegrityError(f"{place} has lost one of payload and salt.")
        if entry.payload is not None and entry.salt is not None:
            digest = _payload_digest(entry.salt, entry.payload)
            if not hmac.compare_digest(digest, entry.payload_digest):  # 3
                raise IntegrityError(f"{place} says something else than when it was written.")
        own = _hash(chain, entry.seq, entry.at, entry.actor, entry.kind, entry.payload_digest, entry.previous)
        if not hmac.compare_digest(own, entry.hash):  # 4
            raise IntegrityError(f"{place} was changed after it was written.")
        previous, length, withheld = entry.hash, entry.seq, withheld + (entry.payload is None)
    head = reader.execute("SELECT * FROM ledger_head").fetchone()
    if head is None and length == 0:
        return None
    if head is None or _ends(head["ends"]).get(chain) != (length, previous):  # 5
        raise IntegrityError(f"The signed head of the {chain} chain is not its last entry ({length}).")
    if not keys.verify(head["public_key"], _head_message(head["ends"], head["actor"]), head["signature"]):  # 6
        raise IntegrityError(f"The signature on the head of the {chain} chain is wrong.")
    return Head(chain, length, previous, head["actor"], head["public_key"], withheld) if length else None


def _ends(text: str) -> dict[str, tuple[int, str]]:
    try:
        return msgspec.json.decode(text, type=dict[str, tuple[int, str]])
    except msgspec.DecodeError:
        return {}


def _payload_digest(salt: str, payload: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + payload.encode()).hexdigest()


def _hash(chain: str, seq: int, at: str, actor: str, kind: str, payload_digest: str, previous: str) -> str:
    fields = msgspec.json.encode([chain, seq, at, actor, kind, payload_digest, previous])
    return hashlib.sha256(fields).hexdigest()


def _head_message(ends: str, actor: str) -> bytes:
    return msgspec.json.encode(["mantlet ledger ends", ends, actor])
