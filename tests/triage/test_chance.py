"""Triage: what it says of chances holds."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mantlet.engine import chance
from mantlet.known.keyed import BLOCK
from tests.block_files import MIB


def miss(windows: int, holding: int, drawn: int) -> Fraction:
    return Fraction(math.comb(windows - holding, drawn), math.comb(windows, drawn))


@given(some.integers(1, 400), some.data())
def test_the_chance_of_a_miss_is_exact(windows: int, data: some.DataObject) -> None:
    holding, drawn = data.draw(some.integers(0, windows)), data.draw(some.integers(0, windows))
    assert chance.of_a_miss(windows, holding, drawn) == pytest.approx(float(miss(windows, holding, drawn)), rel=1e-12)


@pytest.mark.parametrize(
    ("windows", "holding", "drawn"), [(1 << 28, 5120, 241_333), (1 << 32, 3, 17), (10**7, 9, 10**6)]
)
def test_the_chance_of_a_miss_is_exact_for_large_media(windows: int, holding: int, drawn: int) -> None:
    least, most = sorted((holding, drawn))
    exact = math.fsum(math.log(windows - most - at) - math.log(windows - at) for at in range(least))
    assert chance.of_a_miss(windows, holding, drawn) == pytest.approx(math.exp(exact), rel=1e-9)
    if least < 10:
        ratio = math.prod(Fraction(windows - most - at, windows - at) for at in range(least))
        assert 1 - chance.of_a_miss(windows, holding, drawn) == pytest.approx(float(1 - ratio), rel=1e-6)


@given(some.integers(1, 300), some.data(), some.floats(0.01, 0.9999))
def test_the_plan_is_the_least_that_holds(windows: int, data: some.DataObject, confidence: float) -> None:
    holding = data.draw(some.integers(1, windows))
    drawn = chance.least_drawn(windows, holding, confidence)
    assert float(miss(windows, holding, drawn)) <= (1 - confidence) * (1 + 1e-9)
    assert drawn == 0 or float(miss(windows, holding, drawn - 1)) > (1 - confidence) * (1 - 1e-9)


def test_twenty_mebibytes_of_a_tebibyte_take_a_quarter_of_a_million_windows() -> None:
    assert chance.least_drawn((1 << 40) // BLOCK, 20 * MIB // BLOCK, 0.99) == 241_333
    assert chance.least_drawn(10**12 // BLOCK, 20 * MIB // BLOCK, 0.99) == 219_491


@given(
    some.lists(some.tuples(some.integers(1, 50), some.integers(1, 12)), min_size=1, max_size=7), some.integers(1, 200)
)
def test_no_choice_of_files_has_fewer_blocks_than_is_counted_on(files: list[tuple[int, int]], amount: int) -> None:
    """Beside it all choices; only the last file, of which a part may be taken, can make a difference."""
    amount = min(amount, sum(size for size, _ in files))
    choices = [choice for count in range(1, len(files) + 1) for choice in combinations(files, count)]
    fewest = min(sum(blocks for _, blocks in each) for each in choices if sum(size for size, _ in each) >= amount)
    counted_on = chance.least_kept(np.array(files, np.uint64), amount)
    assert max(1, fewest - max(blocks for _, blocks in files)) <= counted_on <= fewest


def test_of_files_alike_each_byte_counts_the_same() -> None:
    files = np.tile(np.array([MIB, MIB // BLOCK], np.uint64), (40, 1))
    assert chance.least_kept(files, 20 * MIB) == 20 * MIB // BLOCK
    assert chance.least_kept(files, 20 * MIB + BLOCK // 2) == 20 * MIB // BLOCK, "rounded down"
    assert chance.least_kept(files, 1) == 1
    assert chance.least_kept(files, 41 * MIB) == 40 * MIB // BLOCK, "all there is"


def test_a_plan_for_much_on_a_large_medium_takes_little_memory() -> None:
    """1 TiB on 16 TiB: the chance is that of drawing with putting back, nearly."""
    assert chance.least_drawn(1 << 32, 1 << 28, 0.99) == math.ceil(math.log(0.01) / math.log(15 / 16))
    assert chance.of_a_miss(1 << 32, 1 << 28, 1 << 31) == 0


@pytest.mark.parametrize("windows", [1, 2, 3, 64, 65, 1000, 4097])
def test_the_order_of_windows_holds_each_once_and_the_seed_decides_it(windows: int) -> None:
    places = np.arange(windows, dtype=np.uint64)
    order = chance.shuffled(places, windows, 5)
    assert sorted(order.tolist()) == list(range(windows))
    assert chance.shuffled(places[-1:], windows, 5)[0] == order[-1], "whatever it is asked together with"
    assert windows < 64 or order.tolist() != chance.shuffled(places, windows, 6).tolist()


def test_the_order_of_windows_stays_what_it_was() -> None:
    """Else a seed in a statement of last year would repeat another search."""
    stays = [12475593, 122833639, 15098389, 19062418, 205413553]
    assert chance.shuffled(np.arange(5, dtype=np.uint64), 1 << 28, 12345).tolist() == stays


def test_every_window_comes_at_each_place_as_often_as_by_chance() -> None:
    windows, seeds = 50, 4000
    first = np.array([chance.shuffled(np.arange(3, dtype=np.uint64), windows, seed) for seed in range(seeds)])
    for place in range(3):
        counts = np.bincount(first[:, place].astype(int), minlength=windows)
        chi_square = float(((counts - seeds / windows) ** 2 / (seeds / windows)).sum())
        assert chi_square < 49 + 5 * math.sqrt(2 * 49)


def binomial(hits: int, drawn: int, share: Fraction) -> Fraction:
    """The chance of at most `hits`."""
    return sum(
        (math.comb(drawn, each) * share**each * (1 - share) ** (drawn - each) for each in range(hits + 1)), Fraction(0)
    )


@given(some.integers(1, 60), some.data(), some.sampled_from([0.5, 0.9, 0.99]))
def test_the_interval_is_that_of_clopper_and_pearson(drawn: int, data: some.DataObject, confidence: float) -> None:
    """Its ends are where what was found, or more, and or less, has half of what is left of the confidence."""
    hits, windows, each = data.draw(some.integers(0, drawn)), 10**9, (1 - confidence) / 2
    low, high = chance.interval(windows, drawn, hits, confidence)
    if hits < drawn:
        assert float(binomial(hits, drawn, Fraction(high + 1, windows))) <= each * (1 + 1e-6)
        assert float(binomial(hits, drawn, Fraction(high - 1, windows))) >= each * (1 - 1e-6)
    else:
        assert high == windows
    if hits > 0 and low > hits:
        assert float(1 - binomial(hits - 1, drawn, Fraction(low - 1, windows))) <= each * (1 + 1e-6)
        assert float(1 - binomial(hits - 1, drawn, Fraction(low + 1, windows))) >= each * (1 - 1e-6)
    assert low >= hits


def test_the_interval_of_a_published_example() -> None:
    """4 of 20 at 95 %: 0.0573 to 0.4366 (Newcombe and others print it so)."""
    low, high = chance.interval(10**6, 20, 4, 0.95)
    assert low / 10**6 == pytest.approx(0.0573, abs=5e-5)
    assert high / 10**6 == pytest.approx(0.4366, abs=5e-5)


@pytest.mark.parametrize(
    ("windows", "drawn", "hits", "wanted"),
    [(100, 100, 7, (7, 7)), (100, 100, 0, (0, 0)), (100, 0, 0, (0, 100)), (100, 99, 99, (99, 100))],
)
def test_the_interval_keeps_to_what_was_read(windows: int, drawn: int, hits: int, wanted: tuple[int, int]) -> None:
    assert chance.interval(windows, drawn, hits, 0.99) == wanted
