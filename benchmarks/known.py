"""Look-ups of perceptual hashes against peers, one core: `python -m benchmarks.known INDEX KIND COUNT QUERIES`.

INDEX is ours, `faiss.IndexBinaryFlat` ("faiss") or the `PDQIndex` of python-threatexchange ("threatexchange"). KIND of
hashes: "random", the best case of any index, or "real": every one of its 16 words of 16 bits is of one of two real
hashes, so that it is as skewed as they are. Half of the queries lie within 31 bits of a hash, at every distance alike.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import pictures
from mantlet.fingerprint.pdq import pdq
from mantlet.known import near
from mantlet.media.picture import decode
from mantlet.settings import PDQ_DISTANCE

FLAG = 1


def hashes(kind: str, count: int) -> NDArray[np.uint64]:
    """[count, 4]."""
    source = np.random.default_rng(1)
    if kind == "random":
        return source.integers(0, 2**64, (count, 4), np.uint64)
    words = _real().view(np.uint16)
    first, second = source.integers(0, len(words), (2, count))
    chosen = source.integers(0, 2, (count, 16), np.uint8).astype(bool)
    return np.ascontiguousarray(np.where(chosen, words[first], words[second])).view(np.uint64)


def _real() -> NDArray[np.uint64]:
    """PDQ of drawn pictures and of crops of them."""
    source, found = random.Random(1), list[bytes]()
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(pictures.fill(Path(folder) / "pictures", 400, 480, 320).iterdir()):
            pixels = decode(path.read_bytes()).pixels
            for _ in range(10):
                top, left = source.randrange(100), source.randrange(150)
                found.append(pdq(np.ascontiguousarray(pixels[top : top + 220, left : left + 330]))[0])
    return np.frombuffer(b"".join(found), np.uint64).reshape(-1, 4)


def asked(words: NDArray[np.uint64], count: int) -> list[bytes]:
    """Queries: every second one is a hash with 0 to 31 bits flipped, the others are of their own."""
    source = random.Random(2)
    found = []
    for number in range(count):
        value = words[source.randrange(len(words))].tobytes() if number % 2 else source.randbytes(32)
        bits = sum(1 << bit for bit in source.sample(range(256), number // 2 % (PDQ_DISTANCE + 1)))
        found.append((int.from_bytes(value) ^ bits).to_bytes(32))
    return found


def ours(words: NDArray[np.uint64]) -> Callable[[list[bytes]], list[int]]:
    cut, room, held = near.tables(len(words)), near.room(len(words)), np.full(len(words), FLAG, np.uint8)
    tables = len(cut.at)
    starts = np.zeros((tables, (1 << cut.longest) + 1), np.uint32)
    rows, others = np.zeros((tables, room), np.uint32), np.zeros((tables, room), np.uint16)
    for table in range(tables):
        places = int(cut.at[table]), int(cut.width[table]), int(cut.at[cut.other[table]])
        near.sort_table(words, held, FLAG, *places, starts[table], rows[table], others[table])
    index = near.Index(words, held, FLAG, cut, starts, rows, others)
    return lambda queries: [len(index.search(query)[0]) for query in queries]


def faiss(words: NDArray[np.uint64]) -> Callable[[list[bytes]], list[int]]:
    import faiss as library

    library.omp_set_num_threads(1)
    index = library.IndexBinaryFlat(256)
    index.add(words.view(np.uint8))

    def search(queries: list[bytes]) -> list[int]:
        found: list[int] = []
        for start in range(0, len(queries), 32):
            batch = np.frombuffer(b"".join(queries[start : start + 32]), np.uint8).reshape(-1, 32)
            limits, _, _ = index.range_search(batch, PDQ_DISTANCE + 1)
            found += np.diff(limits).tolist()
        return found

    return search


def threatexchange(words: NDArray[np.uint64]) -> Callable[[list[bytes]], list[int]]:
    import faiss as library
    from threatexchange.signal_type.pdq.pdq_index import PDQIndex

    library.omp_set_num_threads(1)
    index = PDQIndex.build((row.tobytes().hex(), number) for number, row in enumerate(words))
    return lambda queries: [len(index.query(query.hex())) for query in queries]


INDEXES = {"ours": ours, "faiss": faiss, "threatexchange": threatexchange}


def main() -> None:
    """Prints queries a second of CPU, and how many records were found in all."""
    name, kind, count, queries = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    words = hashes(kind, count)
    search, wanted = INDEXES[name](words), asked(words, queries)
    search(wanted[:4])
    started = time.process_time()
    found = search(wanted)
    print(queries / (time.process_time() - started), sum(found))


if __name__ == "__main__":
    main()
