"""In which order stacks are seen: what must be confirmed, then by score, with some drawn at random mixed in.

Whoever sees the queue cannot tell a stack that was drawn from one that a model ranked, so that what officers find in
the drawn ones says how much the ranking misses.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

CONFLICT, KNOWN, PROVISIONAL, LOOKS_KNOWN, REST, BENIGN = range(6)
"""Why a stack comes when it does: grades that could be taken over disagree; it is known notable; it has a provisional
grade to check; it looks like what is known notable; none of these; it is known benign, and comes last."""
LOTS: Final = 1_000_000
EVERY: Final = 20
"""One in so many is drawn: about every such place of the queue is one that was drawn."""


def lot(seed: bytes, content: bytes) -> int:
    """The lot of a content, 0 to `LOTS` - 1: of SHA-256(seed, content), so as good as random for all who chose
    neither."""
    return int.from_bytes(hashlib.sha256(seed + content).digest()[:8]) % LOTS


_DRAWN: Final = LOTS // EVERY
"""Lots below this are drawn."""


def is_drawn(own: int) -> bool:
    """Whether a content, or a stack by the first in it, is one of those drawn."""
    return own < _DRAWN


def places(
    stack: NDArray[np.int64], rank: NDArray[np.int64], score: NDArray[np.float64], lots: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each stack its place in the queue, from 0, and the rank by which it comes there.

    Of each content: its `stack`, from 0; its `rank`, one of the numbers above, or -1 for one that says nothing of its
    stack; its `score`, the probability of a target, NaN where no model gave one. The strongest member counts for the
    stack. `lots`: of each stack its own. Stacks without any score are spread evenly among the others: that nothing was
    said is not a low score. Without any score at all, the order is that of the stacks.
    """
    count = len(lots)
    why = np.full(count, BENIGN + 1)
    np.minimum.at(why, stack[rank >= 0], rank[rank >= 0])
    why[why > BENIGN] = REST
    best = np.full(count, -np.inf)
    scored = ~np.isnan(score)
    np.maximum.at(best, stack[scored], score[scored])
    key = np.arange(count, dtype=np.float64)
    rest = np.flatnonzero(why == REST)
    if scored.any():
        key[rest] = _mixed(best[rest], lots[rest])
    order = np.lexsort((key, why))
    found = np.empty(count, np.int64)
    found[order] = np.arange(count)
    return found, why


def _mixed(best: NDArray[np.float64], lots: NDArray[np.int64]) -> NDArray[np.float64]:
    """What to sort by: the place by score, or for those drawn the place at which one is mixed in, if that is before."""
    ranked = np.flatnonzero(np.isfinite(best))
    depth = lots / LOTS  # of those without a score
    depth[ranked[np.argsort(-best[ranked], kind="stable")]] = (np.arange(len(ranked)) + 0.5) / max(1, len(ranked))
    key = np.empty(len(best))
    key[np.argsort(depth, kind="stable")] = np.arange(len(best))
    drawn = np.flatnonzero(lots < _DRAWN)
    drawn = drawn[np.argsort(lots[drawn], kind="stable")]
    key[drawn] = np.minimum(key[drawn], EVERY * (np.arange(len(drawn)) + 1) - 1.5)
    return key
