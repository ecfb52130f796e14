"""Where Mantlet keeps what outlives a case, and every limit in one place.

Limits are explicit because nothing from an exhibit is trusted: sizes, counts, depths and ratios are claims.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB

CONTENT_SECONDS: Final = 30
"""Wall-clock seconds one content may take before its worker is replaced."""
WORKER_MEMORY: Final = 768 * MIB
"""Bytes of private memory a worker may have."""
IN_MEMORY_BYTES: Final = 256 * MIB
"""The largest still picture, or clip inside an archive, that is read into memory."""
PIXELS_JPEG: Final = 400_000_000
"""Pixels of the largest JPEG: it is decoded at a reduced scale, row by row."""
PIXELS_OTHER: Final = 100_000_000
"""Pixels of the largest picture in a format that must be decoded whole (4 bytes a pixel and a copy)."""
DEPTH: Final = 8
"""How many archives may lie inside each other."""
MEMBERS: Final = 1_000_000
"""Members of one archive, and of all that is expanded together with it."""
RATIO: Final = 1_000
"""Inflated to packed size of an archive member larger than `RATIO_FREE_BYTES`, and of an archive with all in it."""
IN_PLACE_BYTES: Final = 16 * MIB
"""The largest archive that is expanded together with the run of files it was met in; a larger one is a node."""
RATIO_FREE_BYTES: Final = 64 * MIB
MEDIUM_BYTES: Final = 1 << 44
"""A medium larger than this, 16 TiB, and than `RATIO` times its image is not read whole for its digest."""
NAME_LENGTH: Final = 64 * 1024
"""Characters of a name or path, as `types.escape` writes them."""
TREE_DEPTH: Final = 256
"""Nested folders of one file system."""
NODE_ENTRIES: Final = 128
"""Entries one node of work examines: what a kill repeats, and the grain at which work is shared."""
NODE_BYTES: Final = 256 * MIB
"""Bytes one node of work examines, unless a single entry is larger."""
KEY_FRAMES: Final = 32
"""Frames that stand for a clip, at most."""
PDQ_DISTANCE: Final = 31
"""Bits of 256 in which two PDQ hashes may differ and still match (ThreatExchange, pdq/README.md, "Matching")."""
PDQ_QUALITY: Final = 50
"""PDQ quality, of 100, below which a hash fits unrelated pictures and is not used (ibid.)."""
KNOWN_RECORDS: Final = 400_000_000
"""Records of one set of known material."""
KNOWN_CHECKED: Final = 256 * MIB
"""Bytes of the largest set that is read whole for its digests when it is opened; of a larger one only the sizes of its
files are looked at, and `mantlet known list --check` reads it."""
KNOWN_REPEATS: Final = 1_000
"""Records of one set that may hold the same digest or hash; one stored file was named by 116 records of a real set."""
KNOWN_CATEGORIES: Final = 1_000
"""Distinct category codes of one set."""
KNOWN_MATCHES: Final = 1_000
"""Records of one set that are kept of those that look like one content: the nearest."""


def home() -> Path:
    """The folder of this user's keys and known sets: $MANTLET_HOME, or the XDG data folder."""
    explicit = os.environ.get("MANTLET_HOME")
    if explicit:
        return Path(explicit)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "mantlet"
