"""Merkle tree hash of RFC 6962, section 2.1: one digest that stands for a list of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def root(rows: Iterable[bytes]) -> str:
    """The SHA-256 Merkle root, as hex, of `rows` in the order given; leaves and nodes are told apart by prefix."""
    level = [hashlib.sha256(b"\x00" + row).digest() for row in rows]
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        # RFC 6962 splits at the largest power of two below n: the same tree as pairing up and carrying an odd end.
        paired = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        level = paired + level[-1:] if len(level) % 2 else paired
    return level[0].hex()
