"""Look-alikes among a million embeddings, and what MobileNetV2 loses and gains in 8 bits on the benign photographs."""

from __future__ import annotations

import csv
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mantlet.media import picture
from mantlet.recognise.nearest import nearest
from mantlet.recognise.prepare import prepare
from mantlet.recognise.quantise import compare, quantise
from mantlet.recognise.runtime import Network
from tests.acceptance import recognition_teaching as teaching
from tests.acceptance.figure import Figure
from tests.conftest import SHARED

_MILLION: Final = 1_000_000
_WIDTHS: Final = (1280, 576)
_AT_ONCE: Final = 10_000
_SECONDS: Final = 1.0
_MOST: Final = 100
_CALIBRATION: Final = 200
_SEEDS: Final = 2
_LOSS: Final = 0.005
_GAIN: Final = 1.7


def look_alikes(folder: Path) -> Figure:
    """The median of five look-ups by wall time, the file in the page cache; what is found, held against numpy."""
    said, slowest, wrong = [], 0.0, 0
    for width in _WIDTHS:
        source, path = np.random.default_rng(width), folder / f"{width}"
        with path.open("wb") as file:
            for _ in range(0, _MILLION, _AT_ONCE):
                made = source.standard_normal((_AT_ONCE, width), np.float32)
                file.write((made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16).tobytes())
        vectors = np.memmap(path, np.float16, "r", shape=(_MILLION, width))
        queries = [vectors[row].astype(np.float32) for row in source.integers(0, _MILLION, 6)]
        nearest(vectors, queries.pop(), _MOST)  # its pages are in memory now
        times = []
        for query in queries:
            started = time.perf_counter()
            rows, _ = nearest(vectors, query, _MOST)
            times.append(time.perf_counter() - started)
        wrong += len(set(rows.tolist()) ^ set(_plain(vectors, query).tolist()))
        slowest = max(slowest, float(np.median(times)))
        said.append(f"{np.median(times):.2f} s ({width} numbers each)")
        path.unlink()
    return Figure(
        f"{', '.join(said)}, {wrong} rows other than numpy's", f"{_SECONDS:.0f} s", slowest <= _SECONDS and not wrong
    )


def _plain(vectors: NDArray[np.float16], query: NDArray[np.float32]) -> NDArray[np.int64]:
    """The nearest rows, the slow way."""
    found = []
    for first in range(0, len(vectors), _AT_ONCE):
        wide = vectors[first : first + _AT_ONCE].astype(np.float64)
        found.append(wide @ query / np.linalg.norm(wide, axis=1))
    return np.argsort(-np.concatenate(found))[:_MOST]


def eight_bits(_: Path) -> Figure:
    """Top-1 of a linear head on what the float network makes, the same head on what the 8-bit one makes, and a head
    that was taught on that."""
    limit = f"{100 * _LOSS} points lost, {_GAIN} times the rate"
    photos = teaching.photographs()
    if photos is None:
        return Figure("left out: shared/data and shared/models do not lie beside this checkout", limit, passed=True)
    with (SHARED / "data" / "photos.tsv").open(newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file, delimiter="\t")]

    def inputs(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        pixels = (picture.decode((SHARED / "data" / paths[row]).read_bytes()).pixels for row in rows)
        return np.stack([prepare(each, teaching._RECIPE) for each in pixels])

    taught_on, asked = np.flatnonzero(~photos.test), np.flatnonzero(photos.test)
    chosen = taught_on[np.linspace(0, len(taught_on) - 1, _CALIBRATION).astype(np.int64)]
    before = (SHARED / "models" / "mobilenet_v2.onnx").read_bytes()
    after = quantise(before, map(inputs, np.array_split(chosen, _CALIBRATION // 8)), "x")
    alone, together = (compare(before, after, inputs(asked[:count]), "x", "embedding") for count in (1, 8))
    network = Network(after, teaching._RECIPE, "8 bits")
    parts = np.array_split(np.arange(len(paths)), len(paths) // 32)
    found = np.concatenate([network.run_inputs(list(inputs(rows)))["embedding"] for rows in parts])
    small = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)
    cosine = float(np.mean((small.astype(np.float32) * photos.vectors).sum(axis=1)))
    top = np.mean([_top(photos, small, seed) for seed in range(_SEEDS)], axis=0)
    return Figure(
        f"top-1 {top[0]:.2%} in float32, {top[1]:.2%} with the same head in 8 bits, {top[2]:.2%} taught again "
        f"({_SEEDS} seeds, {len(asked)} pictures); mean cosine {cosine:.4f}; {alone.gain:.2f} times the rate alone "
        f"({alone.float_rate:.0f} to {alone.rate:.0f} a CPU second), {together.gain:.2f} in batches of 8",
        limit,
        bool(top[0] - top[1:].min() <= _LOSS) and min(alone.gain, together.gain) >= _GAIN,
    )


def _top(photos: teaching.Photographs, small: NDArray[np.float16], seed: int) -> list[float]:
    random, test = np.random.default_rng(seed), np.flatnonzero(photos.test)
    rows = np.concatenate([teaching._thirty(photos, place, random) for place in range(len(photos.names))])
    heads = []
    for vectors in (photos.vectors, small):
        seen = dataclasses.replace(photos, vectors=vectors)
        heads.append(teaching._teach(seen, rows, photos.classes[rows], photos.names, seed)[0].head)
    tried = ((heads[0], photos.vectors), (heads[0], small), (heads[1], small))
    return [
        float(np.mean(head.probabilities(vectors[test]).argmax(axis=1) == photos.classes[test]))
        for head, vectors in tried
    ]


FIGURES: Final[dict[str, Callable[[Path], Figure]]] = {
    "recognition.look-alikes": look_alikes,
    "recognition.eight-bits": eight_bits,
}
