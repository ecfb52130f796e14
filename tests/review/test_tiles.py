"""Veiled tiles are kept up to a limit, clear pictures never."""

from __future__ import annotations

import pytest
from reviewing import Scanned

from mantlet.case import queries
from mantlet.case.case import open_case
from mantlet.engine.messages import Draw, Drawn
from mantlet.review import tiles
from mantlet.types import Absent, Address, Reason


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Draw]:
    """Every request made of a drawer that answers each with 48 x 1 pixels; content "bad" crashes it, "lost" is
    unreadable at its first place."""
    asked: list[Draw] = []

    class Fake:
        def draw(self, request: Draw) -> Drawn:
            asked.append(request)
            if request.sha256 == "bad":
                return Drawn(absent=Absent(Reason.CRASHED, "It crashed."))
            if request.sha256 == "lost" and request.address.exhibit == "EX1":
                return Drawn(absent=Absent(Reason.UNREADABLE, "It is not there."))
            return Drawn(48, 1, 1, bytes(48)) if request.veiled else Drawn(48, 1, 3, bytes(144))

        def close(self) -> None:
            pass

    monkeypatch.setattr(tiles, "Drawer", Fake)
    monkeypatch.setattr(queries, "addresses", lambda *_: [Address("EX1"), Address("EX2")])
    return asked


@pytest.fixture
def made(drawn: list[Draw], scanned: Scanned) -> tiles.Tiles:
    one = len(tiles._jpeg(Drawn(48, 1, 1, bytes(48))).jpeg)
    return tiles.Tiles(open_case(scanned.case), cache_bytes=5 * one // 2)


def test_the_tiles_used_last_are_kept_up_to_a_limit(made: tiles.Tiles, drawn: list[Draw]) -> None:
    for sha256 in ("a", "b", "a", "c", "a", "b"):
        assert made.veiled(sha256).jpeg.startswith(b"\xff\xd8\xff")
    assert [each.sha256 for each in drawn] == ["a", "b", "c", "b"]
    assert all(each.veiled and each.side == tiles.TILE_SIDE for each in drawn)


def test_clear_pictures_are_drawn_each_time(made: tiles.Tiles, drawn: list[Draw]) -> None:
    made.veiled("a")
    made.clear("a")
    made.clear("a")
    assert [(each.veiled, each.side) for each in drawn] == [(True, 192), (False, 640), (False, 640)]


def test_another_copy_is_tried_unless_the_bytes_themselves_are_the_trouble(
    made: tiles.Tiles, drawn: list[Draw]
) -> None:
    assert made.veiled("lost").jpeg
    assert made.veiled("bad").absent
    assert made.veiled("bad").absent, "a failure is not kept: the exhibit may be back"
    assert [(each.sha256, each.address.exhibit) for each in drawn] == [
        ("lost", "EX1"), ("lost", "EX2"), ("bad", "EX1"), ("bad", "EX1"),
    ]  # fmt: skip
