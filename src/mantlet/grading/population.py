"""A frozen set of contents, and the one order in which a sample of it is looked at.

The plan (with `digest_of` the contents) stands in the ledger before the seed is drawn. The order is then fixed by
digest and seed: a uniform random permutation for whoever chose the contents, and one that anybody can recompute.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

_CONTENTS: Final = b"mantlet population/1\n"
_ORDER: Final = b"mantlet order/1\n"


def digest_of(contents: NDArray[np.uint8]) -> str:
    """The digest of a set of contents, whatever order they come in: SHA-256 over a prefix and the sorted contents.

    Args:
        contents: [n, 32], SHA-256s, all distinct.

    Returns:
        64 hex digits.

    Raises:
        ValueError: not [n, 32], or a content comes twice.
    """
    words = _words(contents)
    words = words[np.lexsort(words.T[::-1])]
    if len(words) > 1 and bool((words[1:] == words[:-1]).all(axis=1).any()):
        raise ValueError("a content comes twice in the population")
    return hashlib.sha256(_CONTENTS + words.tobytes()).hexdigest()


def order(contents: NDArray[np.uint8], digest: str, seed: str) -> NDArray[np.int64]:
    """The rows of `contents` ([n, 32]) in the order of looking: by SHA-256 over digest, seed and content.

    Args:
        contents: [n, 32], SHA-256s.
        digest: what `digest_of` gave.
        seed: 64 hex digits, drawn after the plan was recorded.

    Raises:
        ValueError: `digest` or `seed` is not 64 hex digits, or `contents` is not [n, 32].
    """
    hashes = _hashes(contents, digest, seed)
    return np.lexsort(hashes.T[::-1]).astype(np.int64)


def marks(contents: NDArray[np.uint8], digest: str, seed: str) -> NDArray[np.uint64]:
    """For each content a number uniform over 64 bits: the first 8 bytes of the hash that `order` sorts by.

    Raises:
        ValueError: as `order`.
    """
    return np.ascontiguousarray(_hashes(contents, digest, seed)[:, 0]).astype(np.uint64)


def _hashes(contents: NDArray[np.uint8], digest: str, seed: str) -> NDArray[np.uint64]:
    """[n, 4], big-endian words of SHA-256 over a prefix, digest, seed and content."""
    key = bytes.fromhex(digest), bytes.fromhex(seed)
    if [len(part) for part in key] != [32, 32]:
        raise ValueError("digest and seed are 64 hex digits each")
    start = hashlib.sha256(_ORDER + b"".join(key))
    data = _words(contents).tobytes()
    hashes = bytearray(len(data))
    for at in range(0, len(data), 32):
        each = start.copy()
        each.update(data[at : at + 32])
        hashes[at : at + 32] = each.digest()
    return np.frombuffer(hashes, ">u8").reshape(-1, 4)


def _words(contents: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """[n, 4], big-endian words, which sort as the bytes do."""
    if contents.ndim != 2 or contents.shape[1] != 32 or contents.dtype != np.uint8:
        raise ValueError("contents are [n, 32] bytes")
    return np.ascontiguousarray(contents).view(">u8")
