"""8-bit networks: near the float ones, the same each time, and nothing left behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantlet.errors import EvidenceError, UsageError
from mantlet.recognise.quantise import FEWEST_PICTURES, IN_FLOAT, Batch, compare, quantise

onnx = pytest.importorskip("onnx")

SIDE, WIDTH = 16, 8


def network(convolutions: int, extra: str = "Relu", domain: str = "") -> bytes:
    """Convolutions 3 x 3 with a rectifier each, then the mean of each channel."""
    from onnx import TensorProto, helper, numpy_helper

    source, nodes, weights, at = np.random.default_rng(5), list[Any](), list[Any](), "x"
    for number in range(convolutions):
        shape = (WIDTH, WIDTH if number else 3, 3, 3)
        weight = source.standard_normal(shape) / np.sqrt(9 * shape[1])
        weight *= 4.0 ** source.uniform(-1, 1, (WIDTH, 1, 1, 1))  # channels of unlike range
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"w{number}"))
        nodes.append(helper.make_node("Conv", [at, f"w{number}"], [f"c{number}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        at = f"r{number}"
    nodes.append(helper.make_node(extra, [at], ["last"], domain=domain))
    nodes.append(helper.make_node("GlobalAveragePool", ["last"], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["embedding"]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", WIDTH])],
        weights,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    found: bytes = made.SerializeToString(deterministic=True)
    return found


def pictures(count: int, seed: int = 1) -> Batch:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3, SIDE, SIDE)).astype(np.float32)


def batches(count: int, size: int = 4) -> Iterator[Batch]:
    every = pictures(count)
    return (every[at : at + size] for at in range(0, count, size))


def test_it_stays_near_the_float_network_and_fits_in_its_place() -> None:
    before = network(6)
    after = quantise(before, batches(32), "x")
    found = compare(before, after, pictures(16, seed=2), "x", "embedding", seconds=0.01)
    assert 0.99 < found.cosine < 1 - 1e-7
    assert found.gain == found.rate / found.float_rate > 0
    given, made = onnx.load_from_string(before), onnx.load_from_string(after)
    onnx.checker.check_model(made)
    assert list(made.graph.input) == list(given.graph.input)
    assert list(made.graph.output) == list(given.graph.output)
    assert {(each.domain, each.version) for each in made.opset_import} == {("", 17)}


def test_the_first_layers_stay_and_the_others_get_a_scale_for_each_channel() -> None:
    made = onnx.load_from_string(quantise(network(6), batches(16), "x"))
    held = {each.name: each for each in made.graph.initializer}
    source = {node.output[0]: node for node in made.graph.node}
    weights = [node.input[1] for node in made.graph.node if node.op_type == "Conv"]
    assert [held[name].data_type for name in weights[:IN_FLOAT]] == [onnx.TensorProto.FLOAT] * IN_FLOAT
    quantised = [source[name] for name in weights[IN_FLOAT:]]
    assert [held[node.input[0]].data_type for node in quantised] == [onnx.TensorProto.INT8] * 3
    assert [list(held[node.input[1]].dims) for node in quantised] == [[WIDTH]] * 3


def test_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    given, asked = tmp_path / "network.onnx", tmp_path / "pictures.npy"
    given.write_bytes(network(5))
    np.save(asked, pictures(16))
    code = (
        "import hashlib, pathlib, sys, numpy\n"
        "from mantlet.recognise.quantise import quantise\n"
        "made = quantise(pathlib.Path(sys.argv[1]).read_bytes(), numpy.split(numpy.load(sys.argv[2]), 4), 'x')\n"
        "print(hashlib.sha256(made).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, given, asked],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == hashlib.sha256(quantise(network(5), batches(16), "x")).hexdigest()


def test_nothing_is_said_and_no_picture_is_written_and_no_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    seen: list[bytes] = []

    def watched() -> Iterator[Batch]:
        for batch in batches(32):
            yield batch
            seen.extend(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    quantise(network(5), watched(), "x")
    assert seen
    assert not any(batch.tobytes()[:64] in each for batch in batches(32) for each in seen)
    with pytest.raises(EvidenceError):
        quantise(network(5), batches(16), "y")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_calibration_is_read_one_batch_at_a_time() -> None:
    """So that hundreds of pictures need no more memory than a few."""
    alive, most = 0, 0

    class Counted(np.ndarray[Any, Any]):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def counted() -> Iterator[Batch]:
        nonlocal alive, most
        for batch in batches(64, FEWEST_PICTURES):
            alive += 1
            most = max(most, alive)
            yield np.ndarray.__new__(Counted, batch.shape, batch.dtype, batch.tobytes())

    quantise(network(4), counted(), "x")
    assert most <= 3


@pytest.mark.parametrize(
    ("given", "calibration", "says"),
    [
        (network(IN_FLOAT), list(batches(16)), "nothing to quantise"),
        (network(0), list(batches(16)), "0 convolutions"),
        (network(5), list(batches(FEWEST_PICTURES - 1)), "got 7"),
        (network(5), [], "got 0"),
        (network(5), [pictures(8), np.full((2, 3, SIDE, SIDE), np.nan, np.float32)], "no number"),
        (quantise(network(5), batches(16), "x"), list(batches(16)), "quantised already"),
    ],
)
def test_what_cannot_gain_is_refused(given: bytes, calibration: list[Batch], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        quantise(given, calibration, "x")


def test_weights_in_another_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = onnx.load_from_string(network(5))
    onnx.save(model, "network.onnx", save_as_external_data=True, location="elsewhere.bin", size_threshold=0)
    assert Path("elsewhere.bin").stat().st_size
    with pytest.raises(EvidenceError, match="xternal"):
        quantise(Path("network.onnx").read_bytes(), batches(16), "x")


@pytest.mark.parametrize(
    ("given", "calibration"),
    [
        (b"", list(batches(16))),
        (b"no network at all", list(batches(16))),
        (network(5)[:-40], list(batches(16))),
        (network(5, extra="Unheard"), list(batches(16))),
        (network(5, extra="Odd", domain="elsewhere"), list(batches(16))),
        (network(5), [np.zeros((8, 3, SIDE), np.float32)]),
        (network(5), [np.zeros((8, 4, SIDE, SIDE), np.float32)]),
    ],
)
def test_a_network_that_cannot_be_read_or_run_is_refused_in_one_line(given: bytes, calibration: list[Batch]) -> None:
    with pytest.raises(EvidenceError, match=r"\AThe network cannot be quantised: [^\n]{3,300}\Z"):
        quantise(given, calibration, "x")


@pytest.mark.parametrize("extra", ["Log", "Reciprocal"])
def test_a_network_that_makes_no_numbers_is_refused(extra: str) -> None:
    """Each rectifier is 0 somewhere."""
    with pytest.raises(EvidenceError, match="no number"):
        quantise(network(5, extra=extra), batches(16), "x")


def test_comparing_with_what_does_not_run_is_refused_and_with_itself_shows_no_loss() -> None:
    given = network(4)
    same = compare(given, given, pictures(4), "x", "embedding", seconds=0)
    assert same.cosine == pytest.approx(1, abs=1e-6)
    for other, output in ((b"", "embedding"), (given, "nothing"), (network(4, extra="Unheard"), "embedding")):
        with pytest.raises(EvidenceError, match="cannot be compared"):
            compare(given, other, pictures(4), "x", output, seconds=0)


@pytest.mark.parametrize("fill", [0, np.nan])
def test_outputs_without_a_direction_are_not_called_alike(fill: float) -> None:
    empty = np.full((4, 3, SIDE, SIDE), fill, np.float32)
    with pytest.raises(EvidenceError, match="no direction"):
        compare(network(4), network(4), empty, "x", "embedding", seconds=0)
