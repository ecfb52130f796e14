"""A network in 8 bits: some twice as fast on a processor, for a little accuracy. Static, calibrated on pictures.

Activations become unsigned and weights signed 8-bit integers, each channel of a weight with a scale of its own, as
QuantizeLinear and DequantizeLinear around the operators (ONNX "QDQ"), with which ONNX Runtime is fastest. Measured on
MobileNetV2 (embeddings, mean cosine with those of the float network; rate against it): this 0.994, 2.2 times as fast;
one scale a weight 0.76; all layers in 8 bits 0.987; 7-bit weights 0.982; signed activations 1.2 times; unsigned weights
0.3 times.

A processor older than VNNI (x86, before 2019) may saturate when it adds two such products, unless the session is
opened with "session.x64quantprecision": so what it costs is measured (`compare`) on the machine that is to use it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mantlet.errors import EvidenceError, MantletError, UsageError, plain

FEWEST_PICTURES: Final = 8
"""Pictures that calibration needs at least. 100 to 300 of the kind that will be met are right."""
IN_FLOAT: Final = 3
"""The first layers stay as they are: they see pixels, their channels differ most in range, and they are cheap."""
_LAYERS: Final = {"Conv", "Gemm", "MatMul"}
_QUANTISED: Final = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"}
_PROVIDERS: Final = ["CPUExecutionProvider"]
_ROUNDS: Final = 5

Batch = NDArray[np.float32]
"""[n, ...]: what the network takes, for n pictures."""


def quantise(network: bytes, batches: Iterable[Batch], input_name: str) -> bytes:
    """The network in 8 bits, with the same inputs and outputs; the same bytes for the same pictures.

    Args:
        network: an ONNX file that holds its weights.
        batches: pictures of the kind that will be met, prepared for the network; read once, one at a time.
        input_name: the input they are for.

    Raises:
        UsageError: there is nothing to gain, or too few pictures to learn the range of the activations from.
        EvidenceError: the network cannot be read or run, or makes no numbers of the pictures.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="mantlet-quantise-") as folder:
            return _quantise(network, ({input_name: batch} for batch in _checked(batches)), Path(folder))
    except MantletError:
        raise
    except Exception as error:  # what onnx and ONNX Runtime raise has no common root
        raise EvidenceError(f"The network cannot be quantised: {plain(error)}.") from error


def _quantise(network: bytes, given: Iterator[dict[str, Batch]], folder: Path) -> bytes:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = _simplified(network, folder)
    kinds = {node.op_type for node in model.graph.node}
    if kinds & _QUANTISED:
        raise UsageError("This network is quantised already: start from the one in float32.")
    layers = [node.name for node in model.graph.node if node.op_type in _LAYERS]
    if len(layers) <= IN_FLOAT:
        raise UsageError(
            f"This network has {len(layers)} convolutions and products of matrices, and the first {IN_FLOAT} stay in "
            "float32: there is nothing to quantise, so use it as it is."
        )
    made = folder / "quantised.onnx"
    with np.errstate(all="ignore"):  # of a range that is not finite, which is refused below
        quantize_static(
            model,
            str(made),
            SimpleNamespace(get_next=partial(next, given, None)),  # its CalibrationDataReader
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=layers[:IN_FLOAT],
        )
    _check_scales(made)
    return made.read_bytes()


def _check_scales(made: Path) -> None:
    import onnx

    graph = onnx.load(made).graph
    scales = {node.input[1] for node in graph.node if node.op_type in _QUANTISED}
    for tensor in graph.initializer:
        if tensor.name in scales and not np.isfinite(onnx.numpy_helper.to_array(tensor)).all():
            raise EvidenceError(
                "The network makes something that is no number of the pictures: it cannot be quantised."
            )


def _simplified(network: bytes, folder: Path) -> Any:
    """The network with constants folded, each node named and each shape known, which the quantiser needs."""
    import onnx
    import onnxruntime
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "simplified.onnx")
    onnxruntime.InferenceSession(network, options, providers=_PROVIDERS)
    model = onnx.shape_inference.infer_shapes(onnx.load(options.optimized_model_filepath))
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    del model.opset_import[:]  # ONNX Runtime names sets of operators that are not used
    model.opset_import.extend(onnx.load_from_string(network).opset_import)
    add_pre_process_metadata(model)
    return model


def _checked(batches: Iterable[Batch]) -> Iterator[Batch]:
    pictures = 0
    for batch in batches:
        if not np.isfinite(batch).all():
            raise UsageError("A picture to calibrate on holds something that is no number: prepare it again.")
        pictures += len(batch)
        yield batch
    if pictures < FEWEST_PICTURES:
        raise UsageError(
            f"Quantising needs at least {FEWEST_PICTURES} pictures to calibrate on and got {pictures}: "
            "give 100 to 300 of the kind that the network will meet."
        )


class Compared(NamedTuple):
    """How near the outputs of a quantised network are to those of the float one (mean cosine), and pictures a second
    of processor time of each, on one core."""

    cosine: float
    float_rate: float
    rate: float

    @property
    def gain(self) -> float:
        return self.rate / self.float_rate


def compare(
    network: bytes, quantised: bytes, batch: Batch, input_name: str, output_name: str, seconds: float = 5.0
) -> Compared:
    """What quantising costs and gains on this machine, with pictures that it was not calibrated on.

    Both take turns and each counts its median, in processor time, so that other work on the machine cancels out.
    It takes at least `seconds` of it.

    Raises:
        EvidenceError: one of them cannot be run, or makes something that is no direction.
    """
    import onnxruntime

    options = _options()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        both = [onnxruntime.InferenceSession(each, options, providers=_PROVIDERS) for each in (network, quantised)]
        taken = both[0].get_inputs()[0].shape[0]
        most = taken if isinstance(taken, int) else len(batch)  # some networks take one picture at a time
        parts = [{input_name: batch[first : first + most]} for first in range(0, len(batch), most)]
        first, second = (
            np.concatenate([session.run([output_name], part)[0] for part in parts]).reshape(len(batch), -1)
            for session in both
        )
        with np.errstate(all="ignore"):
            lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
            cosine = float(np.mean((first * second).sum(axis=1) / lengths))
        turn = seconds / _ROUNDS / len(both)
        rates = [[_rate(session, parts[0], most, turn) for session in both] for _ in range(_ROUNDS)]
    except Exception as error:
        raise EvidenceError(f"The networks cannot be compared: {plain(error)}.") from error
    if not np.isfinite(cosine):
        raise EvidenceError("The networks cannot be compared: one of them makes something that is no direction.")
    return Compared(cosine, *np.median(rates, axis=0).tolist())


def _rate(session: Any, given: dict[str, Batch], pictures: int, seconds: float) -> float:
    """Pictures a second of processor time."""
    started, taken, done = time.process_time(), 0.0, 0
    while taken < seconds or not done:
        session.run(None, given)
        done += pictures
        taken = time.process_time() - started
    return done / taken


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Weights beside the network, under no digest, are sought where nothing can be.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    return options
