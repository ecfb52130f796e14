"""Triage: what is planted is found wherever it lies, and what it says of chances holds."""

from __future__ import annotations

import gzip
import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from typer.testing import CliRunner

from mantlet import settings
from mantlet.cli import triage as command
from mantlet.cli.app import app
from mantlet.engine import chance, triage
from mantlet.engine.messages import HasRead, Sample, Sampled
from mantlet.engine.triage import Found, Hit, search
from mantlet.errors import EvidenceError, NotAllowedError, UsageError
from mantlet.evidence.container import open_container
from mantlet.known import blocks
from mantlet.known.build import Builder
from mantlet.known.columns import Folder
from mantlet.known.keyed import BLOCK, SECTOR, says_nothing
from mantlet.known.records import Category, KnownSet, Record
from mantlet.known.sets import Sets
from mantlet.types import Absent, Reason

MIB = 1 << 20


def noise(seed: int, size: int) -> bytes:
    return np.random.default_rng(seed).bytes(size)


@pytest.fixture
def sets() -> Iterator[Sets]:
    sets = Sets()
    yield sets
    sets.close()


Make = Callable[..., KnownSet]


@pytest.fixture
def known(sets: Sets, tmp_path: Path) -> Make:
    """Makes the set "blocks" of files with these contents."""

    def make(*contents: bytes, of: Sets | None = None) -> KnownSet:
        folder = tmp_path / "known"
        folder.mkdir()
        for number, content in enumerate(contents):
            (folder / f"{number}").write_bytes(content)
        return blocks.build(of or sets, [folder], "blocks", "DC Example")

    return make


def written(path: Path, size: int, planted: dict[int, bytes], fill: bytes | None = None) -> Path:
    data = bytearray(noise(99, size) if fill is None else fill * size)
    for offset, content in planted.items():
        data[offset : offset + len(content)] = content
    assert len(data) == size
    path.write_bytes(data)
    return path


def last(found: Iterator[Found]) -> Found:
    return list(found)[-1]


def whole(sets: Sets, known: KnownSet, medium: Path) -> Found:
    """All of a medium, read by asking about more than it holds."""
    return last(search(medium, sets.open(known), 1 << 40, 0.99, 1))


# What is found


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
    assert low <= found.hits * BLOCK <= high


# What is said of chances


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


def test_a_plan_for_much_on_a_large_medium_takes_little_memory() -> None:
    """1 TiB on 16 TiB: the chance is that of drawing with putting back, nearly."""
    assert chance.least_drawn(1 << 32, 1 << 28, 0.99) == math.ceil(math.log(0.01) / math.log(15 / 16))
    assert chance.of_a_miss(1 << 32, 1 << 28, 1 << 31) == 0


def test_blocks_that_are_not_in_the_set_make_the_search_longer(sets: Sets, known: Make, tmp_path: Path) -> None:
    medium = written(tmp_path / "medium", 8 * MIB, {})
    chosen = known(noise(1, 10 * BLOCK) + bytes(30 * BLOCK))
    found = last(search(medium, sets.open(chosen), MIB, 0.99, 1))
    assert chosen.blocks is not None
    assert triage.share(chosen.blocks) == 0.25
    assert (found.holding, found.planned) == (64, chance.least_drawn(2048, 64, 0.99))


# What is refused


def test_a_set_of_hashes_is_refused(sets: Sets, tmp_path: Path) -> None:
    def fill(builder: Builder, _: Folder) -> dict[str, object]:
        builder.add([Record(1, md5=bytes(16))])
        return {
            "version": "1", "status": "notable", "form": "a list", "sources": [], "digest": "",
            "meaning": lambda code: Category(code, "notable"),
        }  # fmt: skip

    chosen = sets.replace("hashes", "DC Example", fill)
    medium = written(tmp_path / "medium", MIB, {})
    with pytest.raises(UsageError, match="'hashes' knows whole files, not blocks; `mantlet known blocks"):
        last(search(medium, sets.open(chosen), MIB, 0.99, 1))


@pytest.mark.parametrize(
    ("amount", "confidence", "says"),
    [(BLOCK - 1, 0.99, "ask for 4,096 bytes or more"), (0, 0.99, "ask for"), (MIB, 1.0, "between 0 and 1"),
     (MIB, 0.0, "between 0 and 1"), (MIB, math.nan, "between 0 and 1")],
)  # fmt: skip
def test_what_cannot_be_searched_for_is_refused(
    sets: Sets, known: Make, tmp_path: Path, amount: int, confidence: float, says: str
) -> None:
    chosen, medium = known(noise(1, BLOCK)), written(tmp_path / "medium", MIB, {})
    with pytest.raises(UsageError, match=says):
        last(search(medium, sets.open(chosen), amount, confidence, 1))


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


class Fake:
    """A worker that ends, or lies, where it is told to."""

    ends: Sequence[int] = ()
    """Offsets of windows that cost it its life."""
    says: Callable[[Sample], object] | None = None
    blames: int | float | None = None

    def __init__(self) -> None:
        self.clock = [-1.0, 0.0, 0.0]
        self.pipe = self

    def poll(self, _: float) -> bool:
        return True

    def send(self, request: Sample) -> None:
        self.request = request

    def receive(self) -> object:
        for number, offset in enumerate(self.request.offsets):
            if offset in self.ends:
                self.clock[0] = number if self.blames is None else self.blames
                raise EOFError
        if self.says is not None and self.request.offsets:
            return self.says(self.request)
        return Sampled(MIB, held=bytes(len(self.request.offsets)))

    def end(self) -> None:
        pass


def sampled_by(fake: type[Fake], sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Found:
    monkeypatch.setattr(triage, "Worker", fake)
    return whole(sets, known(noise(1, BLOCK)), written(tmp_path / "medium", MIB, {}))


@pytest.mark.parametrize("blames", [None, -1, 10**6, math.nan, math.inf])
def test_a_window_that_costs_a_worker_its_life_is_not_looked_at(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blames: float | None
) -> None:
    fake = type("Dies", (Fake,), {"ends": [0, 7 * BLOCK], "blames": blames})
    if blames is None:
        found = sampled_by(fake, sets, known, tmp_path, monkeypatch)
        assert (found.unreadable, found.looked_at) == (2, 254)
        assert found.reasons == {Reason.CRASHED: 2}
    else:  # it blames others: the first that is left goes, until the right ones have
        found = sampled_by(fake, sets, known, tmp_path, monkeypatch)
        assert (found.unreadable, found.looked_at) == (8, 248)


def test_workers_that_end_again_and_again_end_the_search(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = type("Dies", (Fake,), {"ends": range(0, MIB, BLOCK)})
    with pytest.raises(EvidenceError, match="ends abruptly again and again"):
        sampled_by(fake, sets, known, tmp_path, monkeypatch)


ABSENT = Absent(Reason.UNREADABLE)
LIES: dict[str, Callable[[Sample], object]] = {
    "too few windows": lambda asked: Sampled(MIB, held=bytes(len(asked.offsets) - 1)),
    "too few digests": lambda asked: Sampled(MIB, held=b"\x03" * len(asked.offsets), digests=bytes(16)),
    "digests of none": lambda asked: Sampled(MIB, held=bytes(len(asked.offsets)), digests=bytes(16)),
    "half a digest": lambda asked: Sampled(MIB, held=b"\x01" + bytes(len(asked.offsets) - 1), digests=bytes(8)),
    "unread ones outside": lambda asked: Sampled(MIB, held=bytes(len(asked.offsets)), unread=[(10**6, ABSENT)]),
    "unread twice": lambda asked: Sampled(MIB, held=bytes(len(asked.offsets)), unread=[(1, ABSENT), (1, ABSENT)]),
    "unread and read": lambda asked: Sampled(
        MIB, held=b"\x01" + bytes(len(asked.offsets) - 1), digests=bytes(16), unread=[(0, ABSENT)]
    ),
    "something else": lambda _: HasRead({}, 0),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_was_not_asked_for_is_not_taken(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    fake = type("Lies", (Fake,), {"says": staticmethod(LIES[lie])})
    with pytest.raises(EvidenceError, match="again and again"):
        sampled_by(fake, sets, known, tmp_path, monkeypatch)


def test_a_medium_that_changes_its_size_or_goes_away_is_said(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lies(asked: Sample) -> object:
        return Sampled(2 * MIB, held=bytes(len(asked.offsets)))

    with pytest.raises(EvidenceError, match="Its size has changed"):
        sampled_by(type("Lies", (Fake,), {"says": staticmethod(lies)}), sets, known, tmp_path, monkeypatch)
    monkeypatch.undo()
    gone = tmp_path / "gone"
    searching = search(written(gone, 40 * MIB, {}, b"x"), sets.open(sets.all()[0]), 1 << 40, 0.99, 1)
    next(searching)
    next(searching)
    gone.write_bytes(b"")
    with pytest.raises(EvidenceError, match="gone cannot be read"):
        list(searching)


# The command


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["triage", *map(str, arguments)])


def looked_up() -> list[tuple[str, str, int]]:
    with sqlite3.connect(settings.home() / "known" / "known.sqlite") as database:
        return database.execute("SELECT actor, what, found FROM looked_up").fetchall()


def test_what_is_found_is_said_with_what_it_shows_and_does_not(known: Make, tmp_path: Path) -> None:
    content = noise(1, MIB)
    chosen, medium = known(content, noise(2, 100)), written(tmp_path / "medium", 8 * MIB, {MIB: content})
    out = invoke(medium, "--known", "blocks", "--as", "PC Example", "--amount", "500KiB", "--seed", 3).output
    for says in (
        f"{medium}: 8.0 MiB; ", "windows of 4,096 bytes were looked at, chosen at random (seed 3).",
        f"Set blocks, version {chosen.version}: 2 files; 100.0 % of their bytes",
        "1 of these files are smaller than a block", "hold a block of known files (1 of the 2 files of the set)",
        "99 % interval of Clopper and Pearson", "it does not show that the files are whole, live or reachable",
    ):  # fmt: skip
        assert says in out
    assert "Nothing was found" not in out
    what = f"triage of {medium} with blocks {chosen.version}, seed 3"
    begun, ended = looked_up()
    assert begun == ("PC Example", f"{what}, begun", 0)
    assert ended[:2] == ("PC Example", what)
    assert ended[2] > 0


def test_nothing_found_is_said_with_what_it_means_and_does_not(known: Make, tmp_path: Path) -> None:
    known(noise(1, MIB))
    medium = written(tmp_path / "medium", 8 * MIB, {})
    out = invoke(medium, "--known", "blocks", "--as", "PC Example", "--amount", "500KiB").output
    assert "If 500KiB or more of files of this set lay there in the clear, 99" in out
    assert "It does not say that the device holds nothing: not smaller amounts" in out
    assert "That is all of it" not in out
    assert [found for *_, found in looked_up()] == [0, 0]
    assert "That is all of it: nothing is left to chance." in invoke(medium, "--known", "blocks", "--as", "PC").output


def test_the_json_holds_all_that_a_statement_needs(run: Any, known: Make, tmp_path: Path) -> None:
    content = noise(1, MIB)
    chosen = known(content)
    medium = written(tmp_path / "medium", 8 * MIB, {MIB + SECTOR: content})
    told = run(
        "triage", medium, "--known", "blocks", "--as", "PC Example", "--amount", "256KiB", "--seed", 4, "--json"
    ).json()
    assert {**told, "first": [], "hits": 0, "estimate": {}, "chance_of_miss": 0} == {
        "device": str(medium), "size": 8 * MIB, "set": "blocks", "version": chosen.version, "windows": 2048,
        "planned": told["planned"], "looked_at": told["planned"], "unreadable": 0, "unreadable_by_reason": {},
        "seed": 4, "amount": 256 << 10, "confidence": 0.99, "kept_share": 1.0, "chance_of_miss": 0, "hits": 0,
        "files": 1, "first": [], "estimate": {},
    }  # fmt: skip
    assert 0 < told["chance_of_miss"] <= 0.01
    assert told["hits"] >= len(told["first"]) > 0
    assert all(each["file"] == 1 and MIB < each["offset"] <= 2 * MIB for each in told["first"])
    assert told["estimate"]["at_least"] <= MIB <= told["estimate"]["at_most"]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["--known", "blocks"], NotAllowedError, "A set is not an oracle"),
        (
            ["--known", "other", "--as", "PC"],
            UsageError,
            "there are: blocks.*`mantlet known blocks FOLDER --name NAME`",
        ),
        (["--as", "PC"], UsageError, "Say with --known NAME"),
        (["--known", "blocks", "--as", "PC", "--amount", "lots"], UsageError, "'lots' is no size"),
        (["--known", "blocks", "--as", "PC", "--confidence", "2"], UsageError, "between 0 and 1"),
    ],
)
def test_a_command_that_cannot_work_says_why(
    known: Make, tmp_path: Path, arguments: list[str], error: type[Exception], says: str
) -> None:
    known(noise(1, BLOCK))
    medium = written(tmp_path / "medium", MIB, {})
    result = invoke(medium, *arguments)
    assert isinstance(result.exception, error)
    with pytest.raises(error, match=says):
        raise result.exception


def test_who_does_not_say_who_they_are_leaves_with_code_5(run: Any, tmp_path: Path) -> None:
    assert "say who looks with --as NAME" in run("triage", tmp_path, "--known", "blocks", code=5).err


def test_a_sealed_set_is_opened_by_its_password(known: Make, tmp_path: Path) -> None:
    content = noise(1, 20 * BLOCK)
    known(content, of=Sets(password=b"long enough"))
    (tmp_path / "password").write_text("long enough\n")
    medium = written(tmp_path / "medium", MIB, {0: content})
    arguments = (medium, "--known", "blocks", "--as", "PC", "--json")
    assert "is sealed" in str(invoke(*arguments).exception)
    assert json.loads(invoke(*arguments, "--password-file", tmp_path / "password").output)["hits"] == 20


def test_ctrl_c_says_the_chance_so_far_and_is_kept(
    known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = noise(1, 4 * BLOCK)
    known(content)
    medium = written(tmp_path / "medium", 12 * MIB, {0: content})

    def stopped(*arguments: Any) -> Iterator[Found]:
        rounds = search(*arguments)
        yield next(rounds)
        yield next(rounds)
        raise KeyboardInterrupt

    monkeypatch.setattr(command.engine, "search", stopped)
    with pytest.raises(KeyboardInterrupt):
        command.triage(medium, "blocks", "16KiB", 0.9999, 1, None, "PC Example")
    assert "1,024 windows hold a block of the set; the chance of a miss is" in capsys.readouterr().err
    assert len(looked_up()) == 2


@pytest.mark.parametrize(
    ("text", "size"), [("20MiB", 20 * MIB), ("5 kb", 5 << 10), ("7", 7), ("7B", 7), ("1G", 1 << 30), ("2tib", 2 << 40)]
)
def test_sizes_are_read(known: Make, tmp_path: Path, text: str, size: int) -> None:
    known(noise(1, 1 + BLOCK))
    medium = written(tmp_path / "medium", BLOCK, {})
    result = invoke(medium, "--known", "blocks", "--as", "PC", "--amount", text, "--json")
    if size < 4097:
        assert "ask for 4,097 bytes or more" in str(result.exception)
    else:
        assert json.loads(result.output)["amount"] == size


def test_a_window_that_takes_too_long_is_not_waited_for(
    sets: Sets, known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hangs(Fake):
        def poll(self, _: float) -> bool:
            return 9 * BLOCK not in self.request.offsets

        def overdue(self, seconds: float, listening: float) -> bool:
            assert listening <= time.monotonic()
            self.clock[0] = self.request.offsets.index(9 * BLOCK)
            return seconds == settings.CONTENT_SECONDS

    found = sampled_by(Hangs, sets, known, tmp_path, monkeypatch)
    assert (found.unreadable, found.looked_at, found.reasons) == (1, 255, {Reason.LIMIT: 1})
