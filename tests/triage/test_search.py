"""Triage: what is planted is found wherever it lies, and as often as it says."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantlet import settings
from mantlet.engine import chance, triage
from mantlet.engine.triage import Hit, search
from mantlet.errors import EvidenceError, IntegrityError, UsageError
from mantlet.evidence.container import open_container
from mantlet.known.keyed import BLOCK, SECTOR, says_nothing
from mantlet.known.records import Record
from mantlet.known.sets import Sets
from mantlet.types import Reason
from tests.block_files import MIB, Make, last, noise, whole, written
from tests.known_sets import put


@pytest.mark.parametrize("sector", [0, 1, 7, 8, 63, 2048])
def test_files_are_found_at_any_sector(sets: Sets, known: Make, tmp_path: Path, sector: int) -> None:
    content = noise(1, 5 * BLOCK + 77)
    medium = written(tmp_path / "medium", 2 * MIB, {sector * SECTOR: content})
    found = whole(sets, known(content), medium)
    assert (found.hits, found.files, found.whole) == (5, {1}, True)
    assert found.first == [Hit(sector * SECTOR + at * BLOCK, 1) for at in range(5)]
    assert found.estimate(0.99) == (5 * BLOCK, 5 * BLOCK)
    assert found.chance_of_miss == 0


def test_a_file_in_pieces_on_the_sector_grid_is_found_and_off_it_is_not(
    sets: Sets, known: Make, tmp_path: Path
) -> None:
    content = noise(1, 4 * BLOCK)
    planted = {0: content[: 2 * BLOCK], 50 * BLOCK + SECTOR: content[2 * BLOCK :]}
    assert whole(sets, chosen := known(content), written(tmp_path / "in", MIB, planted)).hits == 4
    assert whole(sets, chosen, written(tmp_path / "off", MIB, {100: content})).hits == 0


@pytest.mark.parametrize("size", [BLOCK, BLOCK + 1, BLOCK + SECTOR, 2 * BLOCK - 1, 2 * BLOCK, 3 * BLOCK + 3 * SECTOR])
def test_the_last_block_of_a_medium_of_any_size_is_found(sets: Sets, known: Make, tmp_path: Path, size: int) -> None:
    at = (size - BLOCK) // SECTOR * SECTOR
    found = whole(sets, known(noise(1, BLOCK)), written(tmp_path / "medium", size, {at: noise(1, BLOCK)}))
    assert found.first == [Hit(at, 1)]
    assert found.windows == len({start // BLOCK for start in range(0, size - BLOCK + 1, SECTOR)})


def test_each_block_begins_in_one_window(sets: Sets, known: Make, tmp_path: Path) -> None:
    content = noise(1, 300 * BLOCK)
    for start in (0, SECTOR, 7 * SECTOR):
        medium = written(tmp_path / f"{start}", 2 * MIB, {start: content})
        found = whole(sets, known(content) if not start else sets.all()[0], medium)
        assert found.hits == 300


def test_common_blocks_and_what_is_filled_are_no_hit(sets: Sets, known: Make, tmp_path: Path) -> None:
    shared = noise(3, BLOCK)
    chosen = known(noise(1, BLOCK) + shared + bytes(BLOCK), noise(2, BLOCK) + shared + bytes(BLOCK))
    medium = written(tmp_path / "medium", MIB, {0: shared, 9 * BLOCK: noise(2, BLOCK)}, fill=b"\0")
    found = whole(sets, chosen, medium)
    assert [hit.offset for hit in found.first] == [9 * BLOCK]
    assert found.looked_at == found.windows == 256


def test_the_first_hits_are_told_and_all_are_counted(sets: Sets, known: Make, tmp_path: Path) -> None:
    content = [noise(number, 40 * BLOCK) for number in range(3)]
    medium = written(tmp_path / "medium", 2 * MIB, {number * 60 * BLOCK: each for number, each in enumerate(content)})
    found = whole(sets, known(*content), medium)
    assert (found.hits, found.files) == (120, {1, 2, 3})
    assert [hit.offset for hit in found.first] == [at * BLOCK for at in range(20)]


def test_a_file_in_an_e01_is_found_as_in_its_medium_and_damage_is_not_looked_at(
    sets: Sets, known: Make, tmp_path: Path, image: Any
) -> None:
    medium = open_container(image("disk.E01")).stream
    raw = tmp_path / "raw"
    raw.write_bytes(medium.read_at(0, medium.size))
    every = np.fromfile(raw, np.uint8).reshape(-1, BLOCK)
    chosen = known(every[~says_nothing(every)].tobytes())
    there, same = (whole(sets, chosen, path) for path in (image("disk.E01"), raw))
    assert there.hits > 5
    assert (there.hits, there.first, there.size) == (same.hits, same.first, same.size)
    packed = bytearray(image("disk.E01").read_bytes())
    packed[20_000:20_200] = bytes(200)
    (tmp_path / "bad.E01").write_bytes(packed)
    found = whole(sets, chosen, tmp_path / "bad.E01")
    assert found.unreadable > 0
    assert found.looked_at == found.windows - found.unreadable
    assert found.reasons == {Reason.UNREADABLE: found.unreadable}
    assert not found.whole
    assert found.chance_of_miss == chance.of_a_miss(found.windows, found.holding, found.looked_at)
    low, high = found.estimate(0.99)
    assert (low, high) == (found.hits * BLOCK, (found.hits + found.unreadable) * BLOCK), "any of those may hold one"


def test_searches_miss_as_often_as_they_say(sets: Sets, known: Make, tmp_path: Path) -> None:
    """Where the blocks lie is read from a made medium; then the order of windows is drawn by many seeds."""
    content = noise(1, 12 * BLOCK)
    medium = written(tmp_path / "medium", 8 * MIB, {123 * SECTOR: content[: 5 * BLOCK], 5 * MIB: content[5 * BLOCK :]})
    found = whole(sets, known(content), medium)
    hold = np.array([hit.offset // BLOCK for hit in found.first], np.uint64)
    assert len(hold) == 12
    drawn, runs = 300, 2000
    stated = chance.of_a_miss(found.windows, 12, drawn)
    places = np.arange(drawn, dtype=np.uint64)
    missed = sum(not np.isin(chance.shuffled(places, found.windows, seed), hold).any() for seed in range(runs))
    assert 0.1 < stated < 0.2
    assert abs(missed - runs * stated) < 4 * math.sqrt(runs * stated * (1 - stated))


def test_a_search_reads_what_was_planned_and_a_seed_repeats_it(sets: Sets, known: Make, tmp_path: Path) -> None:
    content = noise(1, 256 * BLOCK)
    chosen, medium = known(content), written(tmp_path / "medium", 8 * MIB, {MIB: content})
    one, again, other = (last(search(medium, sets.open(chosen), MIB, 0.999, seed)) for seed in (1, 1, 2))
    assert one.looked_at == one.planned == chance.least_drawn(2048, 256, 0.999) < 100
    assert one.chance_of_miss <= 0.001
    assert one.hits > 0
    assert one == again
    assert one.first != other.first


def test_after_each_round_the_chance_is_less(sets: Sets, known: Make, tmp_path: Path) -> None:
    chosen = known(noise(1, 2 * BLOCK))
    medium = written(tmp_path / "medium", 12 * MIB, {})
    told = [
        (found.looked_at, found.chance_of_miss) for found in search(medium, sets.open(chosen), 2 * BLOCK, 0.999999, 1)
    ]
    assert [looked for looked, _ in told] == [0, 1024, 2048, told[-1][0]]
    assert told[0][1] == 1
    assert sorted((each for _, each in told), reverse=True) == [each for _, each in told]
    assert told[-1][1] <= 1e-6


def test_a_medium_smaller_than_the_amount_is_read_whole_and_its_chance_is_that_of_one_block(
    sets: Sets, known: Make, tmp_path: Path
) -> None:
    searching = search(written(tmp_path / "m", 8 * MIB, {}), sets.open(known(noise(1, BLOCK))), 8 * MIB + 1, 0.5, 1)
    told = [found.chance_of_miss for found in searching]
    assert told == pytest.approx([1, 0.5, 0])


@pytest.mark.parametrize(("blocks", "holding"), [(16, 4), (24, 12), (32, 20), (33, 20), (2048, 20)])
def test_the_files_with_the_fewest_blocks_say_how_long_a_search_is(
    sets: Sets, known: Make, tmp_path: Path, blocks: int, holding: int
) -> None:
    """One file of 16 blocks has 4 in the set, one has all, one has none and is not counted on."""
    medium = written(tmp_path / "medium", 8 * MIB, {})
    chosen = known(noise(1, 4 * BLOCK) + bytes(12 * BLOCK), noise(2, 16 * BLOCK), bytes(8 * BLOCK))
    found = next(search(medium, sets.open(chosen), blocks * BLOCK, 0.99, 1))
    assert chosen.blocks is not None
    assert triage.share(chosen.blocks) == 0.5
    assert triage.findable(chosen.blocks) == 32 * BLOCK
    assert (found.holding, found.planned) == (holding, chance.least_drawn(2048, holding, 0.99))


def test_whichever_files_lie_there_are_missed_no_more_often_than_is_said(
    sets: Sets, known: Make, tmp_path: Path
) -> None:
    """Four files have an eighth of their bytes in the set, four have all: the medium holds two of either."""
    poor = [noise(number, BLOCK) + bytes(7 * BLOCK) for number in range(4)]
    rich = [noise(10 + number, 8 * BLOCK) for number in range(4)]
    chosen, runs, missed = known(*poor, *rich), 1000, list[float]()
    for number, two in enumerate((poor[:2], rich[:2])):
        medium = written(tmp_path / f"{number}", 8 * MIB, {MIB: two[0], 5 * MIB + SECTOR: two[1]}, fill=b"x")
        hold = np.array([hit.offset // BLOCK for hit in whole(sets, chosen, medium).first], np.uint64)
        plan = next(search(medium, sets.open(chosen), sum(map(len, two)), 0.9, 1))
        places = np.arange(plan.planned, dtype=np.uint64)
        orders = (chance.shuffled(places, plan.windows, seed) for seed in range(runs))
        missed.append(sum(not np.isin(order, hold).any() for order in orders) / runs)
    assert missed[0] == pytest.approx(0.1, abs=4 * math.sqrt(0.1 * 0.9 / runs))
    assert missed[1] < 0.01


def test_a_set_of_hashes_is_refused(sets: Sets, tmp_path: Path) -> None:
    chosen = put(sets, "hashes", [Record(1, md5=bytes(16))])
    medium = written(tmp_path / "medium", MIB, {})
    with pytest.raises(UsageError, match="'hashes' knows whole files, not blocks; `mantlet known blocks"):
        last(search(medium, sets.open(chosen), MIB, 0.99, 1))


@pytest.mark.parametrize(
    ("amount", "confidence", "says"),
    [
        (0, 0.99, "1 byte or more"),
        (MIB, 1.0, "between 0 and 1"),
        (MIB, 0.0, "between 0 and 1"),
        (MIB, math.nan, "between 0 and 1"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(
    sets: Sets, known: Make, tmp_path: Path, amount: int, confidence: float, says: str
) -> None:
    chosen, medium = known(noise(1, BLOCK)), written(tmp_path / "medium", MIB, {})
    with pytest.raises(UsageError, match=says):
        last(search(medium, sets.open(chosen), amount, confidence, 1))


@pytest.mark.parametrize("damage", [lambda old: old[:-1], lambda old: bytes(8) + old[8:], lambda _: b""])
def test_a_set_whose_sizes_are_damaged_is_refused(
    sets: Sets, known: Make, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    chosen = known(noise(1, BLOCK))
    column = settings.home() / "known" / chosen.folder / "files"
    column.write_bytes(damage(column.read_bytes()))
    with pytest.raises(IntegrityError, match="damaged"):
        next(search(written(tmp_path / "medium", MIB, {}), sets.open(chosen), MIB, 0.99, 1))


def test_what_is_no_medium_is_refused(sets: Sets, known: Make, tmp_path: Path, image: Any) -> None:
    opened = sets.open(known(noise(1, BLOCK)))
    (tmp_path / "short").write_bytes(noise(1, BLOCK - 1))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(noise(1, MIB)))
    broken = bytearray(image("disk.E01").read_bytes())
    (tmp_path / "broken.E01").write_bytes(broken[:300])
    for name, says in (
        ("", "is a folder, not a device"), ("none", "does not exist"), ("short", "smaller than one block"),
        ("packed.gz", "is compressed as a whole"), ("broken.E01", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(EvidenceError, match=says):
            last(search(tmp_path / name, opened, MIB, 0.99, 1))
