"""A worker that goes wrong costs the content it was at, and nothing else; the reason is kept, and the scan ends."""

from __future__ import annotations

import io
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import faults
import pytest
from PIL import Image
from scans import living, small_picture

from mantlet.case.case import Case, create_or_open
from mantlet.case.verify import verify_record
from mantlet.engine import local
from mantlet.engine.messages import Expand, Ready
from mantlet.engine.scan import scan
from mantlet.governance import keys
from mantlet.known.sets import Sets
from mantlet.types import Absent, Address, Node, Reason, Rows, Task
from tests.known_sets import look_up

Scanned = Callable[[], Case]


_random = random.Random(5)


def picture(comment: bytes = b"") -> bytes:
    """A JPEG, no two alike."""
    with Image.open(io.BytesIO(small_picture(_random))) as image:
        file = io.BytesIO()
        image.save(file, "JPEG", comment=comment)
        return file.getvalue()


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """A folder of 40 pictures that are well."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02} well.jpg").write_bytes(picture())
    return folder


@pytest.fixture
def scanned(evidence: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scanned]:
    """Scans the evidence with two workers that meet the faults marked in it."""
    monkeypatch.setattr(local, "_serve", faults.serve)
    case = create_or_open(tmp_path / "case", keys.actor("tester"))

    def call() -> Case:
        refused, _ = scan(case, [evidence], look_up(Sets(), []), workers=2)
        assert refused == []
        verify_record(case)
        return case

    yield call
    case.close()


def measured(case: Case) -> set[str]:
    """Names of files whose picture was decoded."""
    rows = case.reader.execute(
        "SELECT address FROM item JOIN finding USING (sha256) WHERE name = 'media' AND value NOT NULL"
    )
    return {Address.parse(row["address"]).name for row in rows}


def unmeasured(case: Case) -> dict[str, Absent]:
    """Names of files that were found and could not be decoded, and why."""
    rows = case.reader.execute(
        "SELECT address, reason, detail FROM item JOIN finding USING (sha256) WHERE name = 'media' AND reason NOT NULL"
    )
    return {Address.parse(row["address"]).name: Absent(Reason(row["reason"]), row["detail"]) for row in rows}


def unread(case: Case) -> dict[str, Absent]:
    rows = case.reader.execute("SELECT address, reason, detail FROM unread")
    return {Address.parse(row["address"]).name: Absent(Reason(row["reason"]), row["detail"]) for row in rows}


def names(evidence: Path) -> set[str]:
    return {path.name for path in evidence.iterdir()}


ABRUPT = "The process that read it ended abruptly ({})."
WRONG = "The process that read it gave an answer that cannot be right."
HOW = {
    "killed": Absent(Reason.CRASHED, ABRUPT.format("SIGKILL")),
    "crashed": Absent(Reason.CRASHED, ABRUPT.format("SIGSEGV")),
    "left": Absent(Reason.CRASHED, ABRUPT.format("exit 3")),
    "stood still": Absent(Reason.LIMIT, "It took longer than 30 seconds."),
    "nonsense": Absent(Reason.CRASHED, WRONG),
    "endless nesting": Absent(Reason.CRASHED, WRONG),
    "foreign item": Absent(Reason.CRASHED, WRONG),
    "foreign digest": Absent(Reason.CRASHED, WRONG),
    "another file": Absent(Reason.CRASHED, WRONG),
    "endless size": Absent(Reason.CRASHED, WRONG),
    "no digest": Absent(Reason.CRASHED, WRONG),
    "another content": Absent(Reason.CRASHED, WRONG),
    "another finding": Absent(Reason.CRASHED, WRONG),
    "another task": Absent(Reason.CRASHED, WRONG),
    "half a message": Absent(Reason.CRASHED, WRONG),
    "trickle": Absent(Reason.CRASHED, WRONG),
    "too long": Absent(Reason.CRASHED, WRONG),
    "not asked": Absent(Reason.CRASHED, WRONG),
}


@pytest.mark.parametrize("fault", HOW)
def test_it_costs_the_content_it_was_at(fault: str, evidence: Path, scanned: Scanned) -> None:
    (evidence / "20 bad.jpg").write_bytes(picture(faults.mark(fault)))
    case = scanned()
    assert unmeasured(case) == {"20 bad.jpg": HOW[fault]}
    assert measured(case) == names(evidence) - {"20 bad.jpg"}
    assert unread(case) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker's memory has no limit")
def test_memory_beyond_the_limit_costs_the_content_that_asked_for_it(evidence: Path, scanned: Scanned) -> None:
    (evidence / "20 bad.jpg").write_bytes(picture(faults.mark("greedy")))
    case = scanned()
    sentence = "It needs more than the 768 MiB of memory that a worker may have."
    assert unmeasured(case) == {"20 bad.jpg": Absent(Reason.LIMIT, sentence)}
    assert measured(case) == names(evidence) - {"20 bad.jpg"}


def test_several_in_one_run_of_entries_are_told_apart(evidence: Path, scanned: Scanned) -> None:
    bad = {f"{7 * number:02} {fault}.jpg": fault for number, fault in enumerate(("killed", "left", "stood still"))}
    for name, fault in bad.items():
        (evidence / name).write_bytes(picture(faults.mark(fault)))
    case = scanned()
    assert unmeasured(case) == {name: HOW[fault] for name, fault in bad.items()}
    assert measured(case) == names(evidence) - set(bad)


def test_one_that_kills_even_when_only_its_digests_are_made_is_left_alone(evidence: Path, scanned: Scanned) -> None:
    (evidence / "20 bad.jpg").write_bytes(picture(faults.mark_of_reading("killed")))
    case = scanned()
    assert unread(case) == {"20 bad.jpg": HOW["killed"]}
    assert measured(case) == names(evidence) - {"20 bad.jpg"}


def test_an_archive_that_kills_whoever_lists_it_costs_itself(evidence: Path, scanned: Scanned) -> None:
    with zipfile.ZipFile(evidence / "killed on listing.zip", "w") as archive:
        archive.writestr("in it.jpg", picture())
    case = scanned()
    assert unread(case) == {"killed on listing.zip": HOW["killed"]}
    assert measured(case) == names(evidence) - {"killed on listing.zip"}


@pytest.mark.parametrize("fault", ["clock broken", "blames another"])
def test_one_that_hides_which_content_it_was_at_costs_its_run_of_entries(
    fault: str, evidence: Path, scanned: Scanned
) -> None:
    (evidence / "20 bad.jpg").write_bytes(picture(faults.mark(fault)))
    with zipfile.ZipFile(evidence / "01 another run.zip", "w") as archive:
        archive.writestr("in it.jpg", picture())
    case = scanned()
    assert unread(case)["EX1"] == HOW["left"]
    assert measured(case) == {"in it.jpg", *(f"{number:02} well.jpg" for number in range(15))}


def test_one_that_dies_while_it_has_nothing_to_do_costs_nothing(
    evidence: Path, scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = local.Worker.send
    deaths = iter(range(3))

    def send_to_one_that_died(worker: local.Worker, request: Expand) -> None:
        if next(deaths, None) is not None:
            worker.process.kill()
            worker.process.join()
        send(worker, request)

    monkeypatch.setattr(local.Worker, "send", send_to_one_that_died)
    case = scanned()
    assert measured(case) == names(evidence)
    assert (unmeasured(case), unread(case)) == ({}, {})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel ends no process with another")
def test_one_that_a_decoder_holds_ends_with_an_engine_that_is_killed(evidence: Path) -> None:
    (evidence / "20 bad.jpg").write_bytes(picture(faults.mark("held")))
    script = f"import faults; faults.killed_engine({str(evidence)!r}, '20 bad.jpg')"
    engine = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parent, start_new_session=True)
    assert engine.wait() == -signal.SIGKILL
    while living(engine.pid):
        pass  # the time limit of tests ends this


@pytest.mark.parametrize(("box", "said"), [(["files", "network"], ""), (["memory"], "from: files, network")])
def test_a_box_that_does_not_hold_is_told_in_the_log(
    box: list[str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker = local.Worker()
    try:
        worker.about = Ready(box, {}, {})
        local._warn_of_open_box(worker)
    finally:
        worker.end()
    assert bool(caplog.messages) == bool(said)
    assert said in caplog.text


def test_a_node_of_an_exhibit_that_goes_away_waits_for_the_next_scan(evidence: Path, tmp_path: Path) -> None:
    class Once:
        """Work of one node, that notes whether it was done."""

        nodes = [Node(Task.WALK, Address("EX1"))]  # noqa: RUF012
        ended: list[Node] = []  # noqa: RUF012

        def take(self) -> Node | None:
            return self.nodes.pop() if self.nodes else None

        def merge(self, rows: Rows) -> None:
            raise AssertionError(rows)

        def done(self, node: Node) -> None:
            self.ended.append(node)

        again = done

        def away(self, node: Node, why: str) -> None:
            self.why = f"{node.address}: {why}"

        def flush(self) -> None:
            pass

    work = Once()
    local.run(work, {"EX1": str(tmp_path / "gone")}, 1, lambda _: None)
    assert (work.nodes, work.ended) == ([], [])
    assert "does not exist" in work.why


def test_time_in_which_no_one_listened_does_not_count_as_standing_still() -> None:
    worker = local.Worker()
    try:
        worker.clock[1] = time.monotonic() - 60
        assert worker.overdue(30, 0)
        assert not worker.overdue(30, time.monotonic() - 1)
    finally:
        worker.end()
