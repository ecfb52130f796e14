"""A scan that is killed and started again ends as one that was not; tests/acceptance/kill.py does it 100 times."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from scans import Scan, add_zip, content, everything, fill, settle, verify

KILLS = 6


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 700 pictures, 100 of them in an archive."""
    folder = fill(tmp_path_factory.mktemp("evidence"), 600, seed=1)
    add_zip(folder / "pictures.zip", 100, seed=2)
    settle(folder)
    return folder


@pytest.fixture(scope="module")
def whole(evidence: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scan, float]:
    """A scan that nothing disturbed, and how long it took (seconds)."""
    folder = tmp_path_factory.mktemp("whole")
    scan = Scan([evidence], folder / "case", folder / "home")
    started = time.monotonic()
    scan.finish()
    return scan, time.monotonic() - started


def test_killed_and_started_again_it_ends_with_the_same_and_repeats_only_nodes_in_flight(
    evidence: Path, whole: tuple[Scan, float], tmp_path: Path
) -> None:
    undisturbed, seconds = whole
    scan = Scan([evidence], tmp_path / "case", tmp_path / "home")
    moments = random.Random(3)
    kills = sum(scan.killed_after(moments.uniform(0.3, 1) * seconds) is not None for _ in range(KILLS))
    scan.finish()
    assert content(scan.case) == content(undisturbed.case)
    assert len(content(scan.case)["item"]) == 700
    verify(scan.case)
    handed_out = scan.handed_out()
    assert handed_out.total() - len(handed_out) <= kills * scan.workers


def test_a_second_scan_changes_nothing(whole: tuple[Scan, float]) -> None:
    scan, _ = whole
    before = everything(scan.case)
    scan.finish()
    assert everything(scan.case) == before


def test_one_worker_finds_what_two_find(evidence: Path, whole: tuple[Scan, float], tmp_path: Path) -> None:
    alone = Scan([evidence], tmp_path / "case", tmp_path / "home", workers=1)
    alone.finish()
    assert content(alone.case) == content(whole[0].case)
