"""Nearest neighbours against peers: `python -m benchmarks.recognition INDEX COUNT WIDTH QUERIES`.

INDEX is ours (exact, over mapped float16), "numpy" (a product of matrices over float32 in memory) or "faiss"
(`IndexFlatIP`, float32 in memory). The same vectors, the same queries, the 100 nearest, one at a time; the processor
time of all threads. The peers hold twice the bytes in memory, which they were given before the clock starts.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mantlet.recognise.nearest import nearest

MOST = 100
PARTS = 100

Search = Callable[[NDArray[np.float32]], NDArray[np.int64]]


def fill(path: Path, count: int, width: int) -> NDArray[np.float16]:
    """[count, width], of length 1 each, mapped."""
    source = np.random.default_rng(1)
    with path.open("wb") as file:
        for part in np.array_split(np.arange(count), PARTS):
            made = source.standard_normal((len(part), width), np.float32)
            file.write((made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16).tobytes())
    return np.memmap(path, np.float16, "r", shape=(count, width))


def widened(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    found = np.empty(vectors.shape, np.float32)
    for part in np.array_split(np.arange(len(vectors)), PARTS):
        found[part] = vectors[part]
    return found


def ours(vectors: NDArray[np.float16]) -> Search:
    return lambda query: nearest(vectors, query, MOST)[0]


def numpy(vectors: NDArray[np.float16]) -> Search:
    wide = widened(vectors)

    def search(query: NDArray[np.float32]) -> NDArray[np.int64]:
        found = wide @ query
        rows = np.argpartition(-found, MOST)[:MOST]
        return rows[np.argsort(-found[rows])]

    return search


def faiss(vectors: NDArray[np.float16]) -> Search:
    import faiss as library

    library.omp_set_num_threads(1)
    index = library.IndexFlatIP(vectors.shape[1])
    for part in np.array_split(np.arange(len(vectors)), PARTS):
        index.add(vectors[part].astype(np.float32))
    return lambda query: index.search(query[np.newaxis], MOST)[1][0]


INDEXES = {"ours": ours, "numpy": numpy, "faiss": faiss}


def main() -> None:
    """Prints queries a second of CPU, and a sum over the nearest rows found, to compare."""
    name, count, width, queries = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    with tempfile.TemporaryDirectory() as folder:
        vectors = fill(Path(folder) / "vectors", count, width)
        search = INDEXES[name](vectors)
        asked = np.random.default_rng(2).standard_normal((queries, width), np.float32)
        search(asked[0])
        started = time.process_time()
        found = [search(query) for query in asked / np.linalg.norm(asked, axis=1, keepdims=True)]
        print(queries / (time.process_time() - started), sum(int(rows[0]) for rows in found))


if __name__ == "__main__":
    main()
