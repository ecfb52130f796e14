"""What the page is told and may say: the queue, pictures, grades, undo; and each in the ledger."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from itertools import pairwise

import pytest
from PIL import Image
from reviewing import MANY, OFFICER, STAND_IN, Review, Reviewing, Scanned

from mantlet.demo.pictures import jpeg
from mantlet.demo.scenes import scene

UNKNOWN = "0" * 64


def test_known_ones_come_first_with_their_look_alikes_and_each_is_told_in_words(
    scanned: Scanned, review: Review
) -> None:
    rows = review(scanned.case).enter().get("/api/queue")["rows"]
    assert len(rows) == len({row["sha256"] for row in rows}) == 8
    by_sha256 = {row["sha256"]: row["words"] for row in rows}
    words = {name: by_sha256[sha256] for name, sha256 in scanned.sha256.items()}
    first = {row["sha256"] for row in rows[:2]}
    assert first == {scanned.sha256["boat.jpg"], scanned.sha256["boat small.jpg"]}
    assert words["boat.jpg"]["known"] == ["known notable: boat (force, exact)"]
    assert words["boat small.jpg"]["known"][0].startswith("looks like known notable: boat (force, distance ")
    assert words["camera.jpg"]["copies"] == "2 copies"
    assert (words["kite.jpg"]["what"], words["kite.jpg"]["state"], words["kite.jpg"]["where"]) == (
        "Still",
        "live",
        "camera",
    )
    assert words["film.mp4"]["what"] == "Clip, 0:04, with sound"
    assert words["broken.jpg"]["damage"]


def test_pages_of_the_queue_join_without_gap_or_overlap_both_ways(many: Scanned, review: Review) -> None:
    page = review(many.case, *STAND_IN).enter()

    def ask(**where: str) -> list[str]:
        rows = page.get("/api/queue", **where)["rows"]
        assert len(rows) <= 60
        places.update((row["sha256"], row["place"]) for row in rows)
        return [row["sha256"] for row in rows]

    places: dict[str, str] = {}
    first = ask(end="first")
    second = ask(after=places[first[-1]])
    third = ask(after=places[second[-1]])
    everything = first + second + third
    assert len(set(everything)) == len(everything) == MANY
    assert ask(after=places[third[-1]]) == []
    assert ask(end="last") == everything[-60:]
    assert ask(before=places[second[0]]) == first
    assert ask(around=everything[100]) == everything[88:]
    for sha256 in everything[:70]:
        assert page.grade(sha256, "other").status_code == 200
    assert ask() == everything[58:118], "it opens at the first ungraded one, with some before it"
    assert ask(ungraded="true", after=places[first[0]]) == everything[70:130]


def test_one_grade_covers_all_copies_and_is_kept_with_who_and_how_seen(scanned: Scanned, review: Review) -> None:
    page = review(scanned.case, *STAND_IN).enter()
    camera = scanned.sha256["camera.jpg"]
    answer = page.grade(camera, "camera", side=163, clear=True, milliseconds=1200)
    assert (answer.json()["grade"], answer.json()["actor"]) == ("camera", OFFICER)
    [row] = [row for row in page.get("/api/queue")["rows"] if row["sha256"] == camera]
    assert (row["grade"], row["basis"], row["graded_by"], row["copies"]) == ("camera", "viewed", OFFICER, 2)
    assert page.get("/api/progress")["graded"] == 1
    [(actor, said)] = scanned.ledger("case", "decision")
    assert (actor, said["sha256"], said["grade"], said["scheme"]) == (OFFICER, camera, "camera", "stand-in")
    assert said["seen"] == {"side": 163, "clear": True, "milliseconds": 1200}


def test_undo_restores_what_stood_before_and_outlives_the_page(scanned: Scanned, review: Review) -> None:
    kite, house = scanned.sha256["kite.jpg"], scanned.sha256["house.jpg"]
    page = review(scanned.case, *STAND_IN).enter()
    for sha256, grade in ((kite, "other"), (house, "boat"), (kite, "not-relevant")):
        page.grade(sha256, grade)
    page.stop()
    page = review(scanned.case).enter()
    undone = [page.post("/api/undo", {}).json()["undone"] for _ in range(4)]
    assert [each and (each["sha256"], each["grade"]) for each in undone] == [
        (kite, "other"),
        (house, None),
        (kite, None),
        None,
    ]
    assert page.get("/api/progress")["graded"] == 0
    page.stop()
    assert len(scanned.ledger("case", "decision")) == 6


def test_a_tile_is_small_grey_and_blurred_and_a_look_is_clear_and_recorded(scanned: Scanned, review: Review) -> None:
    page = review(scanned.case).enter()
    kite = scanned.sha256["kite.jpg"]
    tile = Image.open(io.BytesIO(page.client.get(f"/api/tile/{kite}").content))
    assert (tile.mode, max(tile.size)) == ("L", 192)
    assert scanned.ledger("exposure", "shown") == []
    for _ in range(2):
        look = Image.open(io.BytesIO(page.client.get(f"/api/look/{kite}").content))
    assert (look.mode, max(look.size)) == ("RGB", 640)
    assert _detail(tile) < _detail(look.resize(tile.size)) / 20
    shown = scanned.ledger("exposure", "shown")
    assert shown == [(OFFICER, {"sha256": kite, "side": 640, "clear": True, "milliseconds": 0})] * 2
    assert page.post("/api/shown", {"sha256": kite, "side": 500, "milliseconds": 900}).status_code == 200
    hidden = [(OFFICER, {"sha256": kite, "side": 500, "clear": True, "milliseconds": 900})]
    assert scanned.ledger("exposure", "hidden") == hidden


def _detail(image: Image.Image) -> float:
    """How much neighbours differ, squared."""
    values = list(image.convert("L").resize((96, 96)).tobytes())
    return sum((a - b) ** 2 for a, b in pairwise(values)) / len(values)


def test_a_copy_is_shown_where_the_first_is_gone_and_nothing_where_none_is_left(own: Scanned, review: Review) -> None:
    page = review(own.case).enter()
    camera = own.sha256["camera.jpg"]
    (own.evidence / "DCIM/camera.jpg").unlink()
    assert page.client.get(f"/api/look/{camera}").status_code == 200
    (own.evidence / "Pictures/camera again.jpg").unlink()
    answer = page.client.get(f"/api/look/{camera}")
    assert answer.status_code == 422
    assert "cannot be read" in answer.json()["error"]
    assert len(own.ledger("exposure", "shown")) == 1, "what was not shown is not recorded as shown"


def test_a_picture_that_has_changed_since_the_scan_is_not_shown(own: Scanned, review: Review) -> None:
    page = review(own.case).enter()
    (own.evidence / "DCIM/kite.jpg").write_bytes(jpeg(scene("kite", 3)))
    for what in ("tile", "look"):
        answer = page.client.get(f"/api/{what}/{own.sha256['kite.jpg']}")
        assert (answer.status_code, answer.json()["error"]) == (
            422,
            "Other bytes lie there now than when it was scanned.",
        )


def test_what_a_scan_finds_meanwhile_appears(own: Scanned, review: Review) -> None:
    page = review(own.case).enter()
    assert page.get("/api/progress")["contents"] == 8
    more = own.evidence.parent / "more"
    more.mkdir()
    shutil.copy(own.evidence / "DCIM/kite.jpg", more)
    (more / "new.jpg").write_bytes(jpeg(scene("balloon", 2)))
    command = [sys.executable, "-m", "mantlet", "scan", str(more), "--case", str(own.case), "--workers", "1"]
    scan = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while scan.poll() is None:
        assert page.grade(own.sha256["kite.jpg"], "other").status_code == 200
    assert scan.returncode in (0, 1)
    assert (page.get("/api/progress")["contents"], page.get("/api/progress")["items"]) == (9, 11)
    assert len(page.get("/api/queue", end="first")["rows"]) == 9


@pytest.mark.parametrize(
    "path",
    [
        "/api/tile/short",
        f"/api/tile/{'F' * 64}",
        f"/api/look/{'0' * 63}%0A",
        f"/api/look/{'0' * 64}%0A",
        "/api/tile/..%2f..%2fetc%2fpasswd",
        "/api/queue?after=x",
        "/api/queue?around=x",
        "/api/queue?ungraded=perhaps",
        "/api/queue?end=middle",
        "/api/queue?unknown=1",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/nowhere",
    ],
)
def test_wrong_requests_are_answered_by_a_sentence(page: Reviewing, path: str) -> None:
    answer = page.client.get(path)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/grade", {}),
        ("/api/grade", {"sha256": "x", "grade": "boat", "seen": {}}),
        ("/api/grade", {"sha256": UNKNOWN, "grade": "boat", "seen": {}}),
        ("/api/grade", {"sha256": "kite", "grade": "nothing", "seen": {}}),
        ("/api/grade", {"sha256": "kite", "grade": 1, "seen": {}}),
        ("/api/grade", {"sha256": "kite", "grade": "boat"}),
        ("/api/grade", {"sha256": "kite", "grade": "boat", "seen": {"side": -1}}),
        ("/api/grade", {"sha256": "kite", "grade": "boat", "seen": {"side": "1"}}),
        ("/api/grade", {"sha256": "kite", "grade": "boat", "seen": {"milliseconds": 10**30}}),
        ("/api/grade", {"sha256": "kite", "grade": "boat", "seen": {}, "actor": "someone else"}),
        ("/api/shown", {"sha256": UNKNOWN, "side": 1, "milliseconds": 1}),
        ("/api/shown", {"sha256": "kite", "side": 1.5, "milliseconds": 1}),
        ("/api/undo", {"more": 1}),
        ("/api/undo", []),
    ],
)
def test_wrong_words_are_refused_and_change_nothing(scanned: Scanned, page: Reviewing, path: str, said: object) -> None:
    if isinstance(said, dict) and said.get("sha256") == "kite":
        said = {**said, "sha256": scanned.sha256["kite.jpg"]}
    answer = page.post(path, said)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]
    assert page.get("/api/progress")["graded"] == 0
    for garbage in (b"", b"{", b"\xff\xfe", b"[" * 9000):
        headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
        assert page.client.post(path, content=garbage, headers=headers).status_code == 400


def test_the_case_still_verifies_after_all_of_it(scanned: Scanned, review: Review) -> None:
    page = review(scanned.case, *STAND_IN).enter()
    page.grade(scanned.sha256["boat.jpg"], "boat")
    page.client.get(f"/api/look/{scanned.sha256['boat.jpg']}")
    page.post("/api/undo", {})
    page.stop()
    command = [sys.executable, "-m", "mantlet", "verify", str(scanned.case), "--record-only"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
