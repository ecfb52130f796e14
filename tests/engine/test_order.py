"""In which order nodes are handed out: what is on an exhibit first, its digest last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mantlet.case.case import create_or_open
from mantlet.case.scan import Scan
from mantlet.governance import keys
from mantlet.types import Address, Node, Rows, Task

PLACE = Address("EX1")
OPEN, WALK, ACQUIRE = (Node(task, PLACE) for task in (Task.OPEN, Task.WALK, Task.ACQUIRE))
RUNS = [Node(Task.EXAMINE, PLACE, part) for part in (1, 2, 3)]


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Scan]:
    """A scan with one exhibit to open."""
    case = create_or_open(tmp_path / "case", keys.actor("tester"))
    scan = Scan(case)
    scan.add([OPEN])
    yield scan
    case.close()


def found(work: Scan, node: Node) -> None:
    """What a worker does with a node."""
    if node.task is Task.OPEN:
        work.merge(Rows(nodes=[ACQUIRE, WALK]))
    if node.task is Task.WALK:
        work.merge(Rows(nodes=RUNS))
    work.done(node)


def test_one_worker_computes_the_digest_last(work: Scan) -> None:
    order = []
    while (node := work.take()) is not None:
        order.append(node)
        found(work, node)
    assert order == [OPEN, WALK, *RUNS, ACQUIRE]


def test_an_idle_worker_computes_it_only_when_no_listing_can_give_other_work(work: Scan) -> None:
    assert work.take() == OPEN
    assert work.take() is None
    found(work, OPEN)
    assert work.take() == WALK
    assert work.take() is None, "the walk may find something"
    work.merge(Rows(nodes=RUNS))
    assert work.take() == RUNS[0]
    work.done(WALK)
    assert [work.take() for _ in range(4)] == [*RUNS[1:], ACQUIRE, None]


def test_an_exhibit_being_listed_does_not_hold_up_the_digest_of_another(work: Scan) -> None:
    assert work.take() == OPEN
    other = Node(Task.ACQUIRE, Address("EX2"))
    work.add([ACQUIRE, other])
    assert [work.take(), work.take()] == [other, None]
