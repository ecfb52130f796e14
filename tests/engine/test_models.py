"""Models at work in boxed workers: what a network does to one picture costs what it would have said of it, at most."""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import tarfile
import zipfile
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faults
import msgspec
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from test_local import HOW

from mantlet.engine import local
from mantlet.engine.messages import Model, Ready
from mantlet.engine.recognise import model_of
from mantlet.errors import EvidenceError
from mantlet.recognise import bundle, models
from mantlet.recognise.manifest import Recipe
from mantlet.types import Absent, Address, Entry, Finding, Node, Reason, Rows, Step, Task
from tests import networks

OF_MODELS = {"embedding", "scores"}
ROOT = Address("EX1")


def painted(red: bool, number: int = 0, fault: bytes = b"") -> bytes:
    """A PNG of soft blobs, red or green; `fault` stands in it as text."""
    generator = np.random.default_rng([red, number])
    blocks = np.repeat(generator.integers(0, 220, (8, 8, 1), dtype=np.uint8), 3, axis=2)
    blocks[..., 0 if red else 1] = 235
    image = Image.fromarray(blocks).resize((128, 128), Image.Resampling.BICUBIC)
    about = PngImagePlugin.PngInfo()
    about.add_text("about", fault.decode() or "nothing")
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=about)
    return file.getvalue()


def kept(network: bytes | None = None, head: bytes = b"", **fields: Any) -> Model:
    """A model that is kept in this test's home."""
    data = networks.made(network, head, **fields)
    made = bundle.read(data, "it")
    models.keep(made.manifest.name, data, replace=False)
    return model_of(made, models.path_of(made.manifest.name))  # workers may have the home of an earlier test


class Work:
    """Nodes to expand, and what was found of them: of each content the first statement stays."""

    def __init__(self, *nodes: Node) -> None:
        self._nodes = deque(nodes)
        self.names: dict[str, str] = {}
        self.found: dict[tuple[str, str, str], Finding] = {}
        self.unread: dict[str, Absent] = {}
        self.lost = 0

    def take(self) -> Node | None:
        return self._nodes.popleft() if self._nodes else None

    def merge(self, rows: Rows) -> None:
        self._nodes.extend(rows.nodes)
        self.names.update((row.address.name, row.sha256) for row in rows.items)
        self.unread.update((row.address.name, row.absent) for row in rows.unread)
        for row in rows.findings:
            self.found.setdefault((row.sha256, row.name, row.settings), row)

    def done(self, node: Node) -> None:
        pass

    def again(self, node: Node) -> None:
        self.lost += 1
        self._nodes.appendleft(node)

    def away(self, node: Node, why: str) -> None:
        raise AssertionError(node, why)

    def flush(self) -> None:
        pass

    def absent(self, name: str) -> dict[str, Absent | None]:
        """Of a file, whether what is stated has a value (None), or why not."""
        return {row.name: row.absent for row in self.found.values() if row.sha256 == self.names[name]}


def expanded(folder: Path, models: Sequence[Model], *nodes: Node) -> Work:
    work = Work(*(nodes or [Node(Task.WALK, ROOT)]))
    local.run(work, {"EX1": str(folder)}, 1, lambda _: None, models)
    return work


def values(absent: dict[str, Absent | None]) -> set[str]:
    return {name for name, why in absent.items() if why is None}


STILL = {"media", "pdq", "pdq-quality", "pdq-forms"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two green pictures, and room for more."""
    folder = tmp_path / "exhibit"
    folder.mkdir()
    (folder / "0.png").write_bytes(painted(False, 0))
    (folder / "2.png").write_bytes(painted(False, 2))
    return folder


def test_a_network_that_never_ends_at_one_picture_costs_what_models_say_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mantlet.settings.CONTENT_SECONDS", 1)
    monkeypatch.setattr(local, "_TICK_SECONDS", 0.1)
    (folder / "1.png").write_bytes(painted(True))
    work = expanded(folder, [kept(networks.never_ending())])
    assert work.absent("1.png") == dict.fromkeys(STILL)  # which of several it was is not known: each is asked alone
    assert values(work.absent("0.png")) == values(work.absent("2.png")) == STILL | OF_MODELS
    assert (work.lost, work.unread) == (1, {})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker's memory has no limit")
def test_a_network_that_wants_too_much_memory_for_one_picture_says_nothing_of_it(folder: Path) -> None:
    (folder / "1.png").write_bytes(painted(True))
    work = expanded(folder, [kept(networks.greedy())])
    greedy = Absent(Reason.LIMIT, "It needs more memory than a worker may have.")
    assert work.absent("1.png") == dict.fromkeys(STILL) | dict.fromkeys(OF_MODELS, greedy)
    assert values(work.absent("2.png")) == STILL | OF_MODELS
    assert work.lost == 0


def in_zip(folder: Path, count: int) -> None:
    with zipfile.ZipFile(folder / "1.zip", "w") as archive:
        for number in range(count):
            archive.writestr(f"red-{number}.png", painted(True, number))


def in_tar(folder: Path, count: int) -> None:
    with tarfile.open(folder / "1.tar.gz", "w:gz") as archive:
        for number in range(count):
            data = painted(True, number)
            about = tarfile.TarInfo(f"red-{number}.png")
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))


TAR = Node(Task.WALK, ROOT.child(Step("file", 0, "1.tar.gz")))


@pytest.mark.parametrize(
    ("pack", "nodes"), [(in_zip, []), (in_tar, []), (in_tar, [TAR])], ids=["zip", "tar", "tar as a node"]
)
@pytest.mark.parametrize("most", [64, 2])
def test_pictures_in_an_archive_at_which_models_fail_cost_what_models_say_of_them(
    pack: Callable[[Path, int], None],
    nodes: list[Node],
    most: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each costs a worker, but after `most` of them models look no more into the archive."""
    monkeypatch.setattr(local, "_serve", faults.serve_with_fatal_models)
    monkeypatch.setattr(local, "_BLAMED_IN_ARCHIVES", most)
    pack(folder, 5)
    work = expanded(folder, [kept()], *nodes)
    for number in range(5):
        assert work.absent(f"red-{number}.png") == dict.fromkeys(STILL)
    assert (work.lost, work.unread) == (min(5, most + 1 + len(nodes)), {})


@pytest.mark.parametrize("looked", [True, False])
def test_what_kills_a_decoder_costs_one_worker_more_where_models_look(
    looked: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_serve", faults.serve)
    (folder / "1.png").write_bytes(painted(False, 1, faults.mark("killed")))
    (folder / "3.png").write_bytes(painted(False, 3, faults.mark_of_reading("killed")))
    work = expanded(folder, [kept()] if looked else [])
    every = STILL | (OF_MODELS if looked else set())
    assert work.absent("1.png") == dict.fromkeys(STILL | {"frames"}, HOW["killed"])
    assert work.unread == {"3.png": HOW["killed"]}
    assert values(work.absent("0.png")) == values(work.absent("2.png")) == every
    assert work.lost == (2 + 3 if looked else 1 + 2)


@pytest.mark.parametrize("fault", ["clock broken", "blames another"])
def test_one_that_hides_which_content_it_was_at_costs_its_run_of_entries(
    fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_serve", faults.serve)
    (folder / "1.png").write_bytes(painted(False, 1, faults.mark(fault)))
    work = expanded(folder, [kept()])
    assert work.unread == {"EX1": HOW["left"]}
    assert work.lost <= 4


def test_a_picture_skipped_for_a_model_is_whole_where_no_model_looks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a scan goes on without the models that it began with."""
    monkeypatch.setattr(local, "_serve", faults.serve_with_fatal_models)
    (folder / "1.png").write_bytes(painted(True))
    again = list[Node]()
    monkeypatch.setattr(Work, "again", lambda _, node: again.append(node))
    expanded(folder, [kept()])
    assert values(expanded(folder, [], *again).absent("1.png")) == STILL


@pytest.fixture
def shared(folder: Path) -> tuple[Model, Model]:
    """A network with a head of its own, and the same network with another."""
    recipe = Recipe("picture", networks.SIDE, networks.SIDE, embedding="embedding")
    return kept(), kept(head=networks.head(), recipe=recipe, name="headed")


@pytest.mark.parametrize("headed_first", [False, True])
def test_models_of_one_network_state_what_each_has_to_say(
    headed_first: bool, shared: tuple[Model, Model], folder: Path
) -> None:
    work = expanded(folder, shared[::-1] if headed_first else shared)
    sha256 = work.names["0.png"]
    of_models = [row for row in work.found.values() if row.sha256 == sha256 and row.name in OF_MODELS]
    assert {row.settings for row in of_models} == {key for each in shared for key in each.states.values()}
    assert len(of_models) == 3
    for row in of_models:
        assert row.absent is None
        assert row.name == "embedding" or max(row.value["scores"], key=row.value["scores"].get) == "green"


def test_models_of_one_network_with_scores_of_their_own_do_not_mix(folder: Path) -> None:
    labels = tuple(map(networks.Label, ("rot", "gruen", "blau")))
    both = [kept(), kept(name="other", labels=labels)]
    work = expanded(folder, both)
    said = [set(row.value["scores"]) for row in work.found.values() if row.name == "scores"]
    assert sorted(map(sorted, said)) == 2 * [["blau", "gruen", "rot"]] + 2 * [["blue", "green", "red"]]


def measuring(folder: Path, stage: str, name: str) -> Node:
    """Asks for what models state of a file that has been scanned."""
    sha256 = expanded(folder, []).names[name]
    entry = Entry(Step("file", 0, name), (folder / name).stat().st_size)
    return Node(Task.MEASURE, ROOT, 1, (entry,), stage=stage, contents=(sha256,))


@pytest.mark.parametrize(("stage", "stated"), [("embedding", {"embedding"}), ("scores", OF_MODELS)])
def test_measured_again_a_model_states_no_more_than_it_was_asked_for(
    stage: str, stated: set[str], folder: Path
) -> None:
    work = expanded(folder, [kept()], measuring(folder, stage, "0.png"))
    assert (
        {row.name for row in work.found.values() if row.absent is None} == stated == {name for _, name, _ in work.found}
    )


def test_measured_again_a_picture_at_which_models_fail_is_told_apart(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "1.png").write_bytes(painted(True))
    node = measuring(folder, "scores", "1.png")
    monkeypatch.setattr(local, "_serve", faults.serve_with_fatal_models)
    work = expanded(folder, [kept()], node)
    assert {name: row.absent for (_, name, _), row in work.found.items()} == dict.fromkeys(OF_MODELS, HOW["killed"])
    assert (work.lost, work.unread) == (1, {})


OWN = "a" * 64
ENTRY = Entry(Step("file", 0, "a.jpg"), 1)
NODE = Node(Task.MEASURE, ROOT, 1, (ENTRY,), stage="scores", contents=(OWN,))
EMBEDDED, SCORED = "b" * 64, "c" * 64
MODEL = Model("it", None, "d" * 64, {"embedding": EMBEDDED, "scores": SCORED}, 0, frozenset({"boat"}))
ABOUT = Ready([], {}, {}, dimensions={EMBEDDED: 2})
VECTOR = Finding(OWN, "embedding", 1, EMBEDDED, {"dimensions": 2, "numbers": b"\x00\x3c\x00\x00"})
SAID = Finding(OWN, "scores", 1, SCORED, {"scores": {"boat": 0.5}, "flagged": []})


@pytest.mark.parametrize(("stage", "findings"), [("scores", [VECTOR, SAID]), ("embedding", [VECTOR])])
def test_what_a_model_was_asked_for_is_taken(stage: str, findings: list[Finding]) -> None:
    node = msgspec.structs.replace(NODE, stage=stage)
    local._check_stated(Rows(findings=findings), node, ABOUT, [MODEL])


@pytest.mark.parametrize(
    ("stage", "finding"),
    [
        ("embedding", SAID),
        ("embedding", msgspec.structs.replace(SAID, value=None, absent=Absent(Reason.NO_ANSWER))),
        ("pdq-512", VECTOR),
        ("scores", msgspec.structs.replace(VECTOR, value={"dimensions": 4, "numbers": b"\x00\x3c" + bytes(6)})),
        ("scores", msgspec.structs.replace(SAID, value={"scores": {"barge": 0.5}, "flagged": []})),
        ("scores", msgspec.structs.replace(SAID, settings=EMBEDDED)),
        ("scores", msgspec.structs.replace(SAID, version=2)),
    ],
)
def test_what_a_model_was_not_asked_for_is_refused(stage: str, finding: Finding) -> None:
    node = msgspec.structs.replace(NODE, stage=stage)
    with pytest.raises(ValueError, match=r"no stage states|other dimensions|does not have"):
        local._check_stated(Rows(findings=[finding]), node, ABOUT, [MODEL])


def test_a_worker_tells_the_dimensions_of_its_embeddings() -> None:
    model = kept()
    worker = local.Worker([model])
    worker.end()
    assert worker.about.dimensions == {model.states["embedding"]: 4}


def refused(workers: int = 1) -> str:
    """Why a worker with a model cannot be had; its process has been ended by then."""
    before = {each.pid for each in multiprocessing.active_children()}
    models = [kept(networks.never_ending(more_than=-1))]
    with pytest.raises(EvidenceError) as error:
        local.run(Work(), {}, workers, lambda _: None, models)
    assert {each.pid for each in multiprocessing.active_children()} == before
    assert str(error.value).endswith(".")
    return str(error.value)


def test_a_network_that_never_ends_is_refused_when_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_OPENING_SECONDS", 0.5)
    sentence = "The process that opened the model 'colours' gave no right answer within 0.5 seconds; leave it out."
    assert refused() == sentence


def test_a_worker_that_dies_while_it_opens_models_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_serve", faults.serve_no_models)
    assert refused() == "The process that opened the model 'colours' ended abruptly; leave it out."


def test_what_nobody_thought_of_while_models_are_opened_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_serve", faults.serve_unforeseen)
    assert refused() == "The model 'colours' cannot be opened: 'unforeseen of colours.model'."


def test_where_one_worker_cannot_open_its_models_the_others_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_serve", faults.serve_without_models)
    ready = local.Worker._ready

    def first(worker: local.Worker) -> Ready:
        monkeypatch.setattr(local, "_serve", faults.serve_no_models)
        return ready(worker)

    monkeypatch.setattr(local.Worker, "_ready", first)
    assert "ended abruptly" in refused(workers=2)


def test_no_message_in_time_is_a_fault_of_the_worker() -> None:
    worker = local.Worker()
    try:
        with pytest.raises(ValueError, match="no message"):
            worker.receive(0)
        os.kill(worker.process.pid or 0, 9)
        with pytest.raises((EOFError, OSError)):
            worker.receive(60)
    finally:
        worker.end()
