"""Nearest neighbours by exact cosine, held together with the slow and obviously right way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mantlet.errors import EvidenceError, UsageError
from mantlet.recognise.nearest import nearest


def unit(count: int, width: int, seed: int = 1) -> NDArray[np.float16]:
    found = np.random.default_rng(seed).standard_normal((count, width))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)


def plain(vectors: NDArray[np.float16], query: NDArray[np.float32]) -> NDArray[np.float64]:
    wide, asked = vectors.astype(np.float64), query.astype(np.float64)
    found: NDArray[np.float64] = wide @ asked / np.linalg.norm(wide, axis=1) / np.linalg.norm(asked)
    return found


@given(
    count=st.integers(1, 300),
    width=st.sampled_from([1, 2, 63, 64, 65, 127, 128, 200, 576]),
    most=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_it_finds_what_numpy_finds(count: int, width: int, most: int, seed: int) -> None:
    vectors = unit(count, width, seed)
    query = np.random.default_rng(seed + 1).standard_normal(width).astype(np.float32)
    rows, cosines = nearest(vectors, query, most)
    exact = plain(vectors, query)
    assert rows.dtype == np.int64
    assert cosines.dtype == np.float32
    assert len(rows) == len(set(rows.tolist())) == min(most, count)
    assert np.allclose(cosines, exact[rows], atol=5e-7)
    assert (np.diff(cosines) <= 0).all()
    assert np.allclose(cosines, np.sort(exact)[::-1][:most], atol=5e-7), "a nearer row was missed"


def test_every_finite_half_counts_with_its_exact_value() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    one, half = np.float32(1), halves.astype(np.float64)
    rows, cosines = nearest(np.stack([halves, np.ones_like(halves)], 1), np.array([one, 0], np.float32), len(halves))
    assert np.allclose(cosines, (half / np.sqrt(half * half + 1))[rows], rtol=3e-7, atol=0)


def test_equally_near_rows_come_in_their_order_and_the_cut_keeps_the_first() -> None:
    vectors = np.tile(unit(5, 100), (40, 1))
    rows, cosines = nearest(vectors, vectors[3].astype(np.float32), 50)
    assert rows[:40].tolist() == list(range(3, 200, 5))
    assert cosines[:40] == pytest.approx(1, abs=2e-7)
    assert cosines.max() <= 1
    second = rows[40] % 5
    assert rows[40:].tolist() == [second + 5 * place for place in range(10)]


def test_more_than_one_chunk_of_a_mapped_file(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    unit(20_000, 512).tofile(path)
    vectors = np.memmap(path, np.float16, "r", shape=(20_000, 512))
    for wanted in (0, 16_383, 16_384, 19_999):
        rows, _ = nearest(vectors, vectors[wanted].astype(np.float32), 3)
        assert rows[0] == wanted
    exact = plain(vectors, vectors[7].astype(np.float32))
    assert nearest(vectors, vectors[7].astype(np.float32), 20)[0].tolist() == np.argsort(-exact)[:20].tolist()


def test_an_empty_table_has_no_neighbours() -> None:
    rows, cosines = nearest(np.zeros((0, 8), np.float16), np.ones(8, np.float32), 5)
    assert len(rows) == len(cosines) == 0


@pytest.mark.parametrize(
    ("vectors", "query", "most", "says"),
    [
        (unit(4, 8), np.ones(7, np.float32), 1, "same network"),
        (unit(4, 8), np.ones((1, 8), np.float32), 1, "same network"),
        (unit(4, 8), np.zeros(8, np.float32), 1, "all zero"),
        (unit(4, 8), np.full(8, np.nan, np.float32), 1, "no number"),
        (unit(4, 8), np.array([np.inf] + [0.0] * 7, np.float32), 1, "no number"),
        (unit(4, 8), np.ones(8, np.float32), 0, "at least 1"),
        (unit(4, 8).astype(np.float32), np.ones(8, np.float32), 1, "float16"),
        (unit(4, 8).T, np.ones(4, np.float32), 1, "float16"),
        (unit(4, 8)[0], np.ones(8, np.float32), 1, "float16"),
    ],
)
def test_what_does_not_fit_is_refused(
    vectors: NDArray[np.float16], query: NDArray[np.float32], most: int, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        nearest(vectors, query, most)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_a_damaged_row_is_not_passed_over(value: float) -> None:
    vectors = unit(9, 70)
    vectors[5, 69] = value
    if value == 0:
        vectors[5] = 0
    with pytest.raises(EvidenceError, match="Row 5 "):
        nearest(vectors, np.ones(70, np.float32), 2)
