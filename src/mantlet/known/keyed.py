"""Blocks by which files are found without a file system: how long they are, their keyed digest, which say nothing.

Light on purpose: the boxed process that reads a medium loads this, and no set.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 4096
"""Bytes of a block: the cluster of most file systems, so a file in pieces still lies in whole blocks."""
SECTOR: Final = 512
"""File systems put the beginning of a file at a multiple of this, wherever their volume begins."""
SECRET: Final = 32
"""Bytes of the secret of a set."""
DIGEST: Final = 16
"""Bytes of a keyed digest: two of a thousand million blocks agree by chance once in 10^20 such sets."""

_WORDS: Final = BLOCK // 4
_FEW_WORDS: Final = 128
_SPACES: Final = np.isin(np.arange(256), list(b" \t\n\v\f\r"))


def keyed(block: bytes | memoryview, secret: bytes) -> bytes:
    """The digest of a block under the secret of a set (BLAKE2b, RFC 7693, keyed): without it a digest answers
    nothing, so a list that is lost cannot be compared with what others hold."""
    return hashlib.blake2b(block, digest_size=DIGEST, key=secret).digest()


def says_nothing(blocks: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which blocks ([m, BLOCK]) could be in any file: fill, tables, patterns.

    The tests of Garfinkel and McCarrin, "Hash-based carving: searching media for complete files and file fragments with
    sector hashing and hashdb" (DFRWS 2015): a word of four bytes that makes more than a quarter of the block; more than
    half of the words one more than the word before (little-endian); three quarters of the bytes white space. For their
    "fewer than 3 distinct words" stands 128 here, which a pattern that repeats every 508 bytes or sooner has not.
    """
    words = blocks.view("<u4")
    ordered = np.sort(words, axis=1)
    frequent = (ordered[:, _WORDS // 4 :] == ordered[:, : -(_WORDS // 4)]).any(axis=1)
    few = np.count_nonzero(np.diff(ordered, axis=1), axis=1) + 1 < _FEW_WORDS
    ramp = np.count_nonzero(np.diff(words, axis=1) == 1, axis=1) > _WORDS // 2
    space = np.count_nonzero(_SPACES[blocks], axis=1) * 4 >= BLOCK * 3
    found: NDArray[np.bool_] = frequent | few | ramp | space
    return found
