"""A bundle at work: pictures in, what its network says of each out. ONNX Runtime, one thread.

Batches do not pay on a processor (145 pictures a second one at a time, 134 in batches of 16, MobileNetV2; see
docs/decisions/0017), so a still goes through alone, and the frames of a clip together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mantlet.errors import EvidenceError, RefusedError, plain
from mantlet.recognise import outputs
from mantlet.recognise.bundle import Bundle
from mantlet.recognise.manifest import Recipe
from mantlet.recognise.prepare import prepare
from mantlet.types import Reason

Pixels = NDArray[np.uint8]
_BATCH: Final = 8
_DIMENSIONS: Final = 8192
_PREFIX: Final = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from \S* ?failed:)?")
_TYPES: Final = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}


class Looked(msgspec.Struct, frozen=True):
    """What a model says of a still or a clip. `vectors`: [frames, d] float16, each of length 1, None from a network
    without embedding; `said`: the value of the finding "scores", None from an embedder."""

    vectors: NDArray[np.float16] | None
    said: dict[str, Any] | None


class Network:
    """An ONNX file at work. Raises EvidenceError where it cannot be run, or is not what `recipe` says of it."""

    def __init__(self, data: bytes, recipe: Recipe, name: str) -> None:
        self.recipe = recipe
        self._session = session(data, name)
        self._names = [each.name for each in self._session.get_outputs()]
        self._fixed = _check_inputs(self._session, recipe, name)
        wanted = [each for each in (recipe.embedding, recipe.scores, recipe.boxes) if each]
        missing = [each for each in wanted if each not in self._names]
        if missing:
            there = ", ".join(self._names)
            raise EvidenceError(f"The network of '{name}' has no output {missing[0]} (it has: {there}).")
        self._wanted = wanted
        self._last: tuple[Sequence[Pixels], dict[str, NDArray[Any]]] | None = None

    def run(self, pictures: Sequence[Pixels]) -> dict[str, NDArray[Any]]:
        """Its outputs by name, for some pictures. Asked again for the same list, as by a second head, it remembers."""
        if self._last is None or self._last[0] is not pictures:
            self._last = pictures, self.run_inputs([prepare(each, self.recipe) for each in pictures])
        return self._last[1]

    def run_inputs(self, inputs: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """As `run`, of what `prepare` made."""
        most = 1 if self._fixed else _BATCH
        parts = [
            self._session.run(self._wanted, {self.recipe.input: _together(inputs[first : first + most])})
            for first in range(0, len(inputs), most)
        ]
        return {name: np.concatenate([part[number] for part in parts]) for number, name in enumerate(self._wanted)}


class Running:
    """A bundle that can be asked about pictures. Raises EvidenceError where its networks cannot be run, or do not give
    what the bundle says: that is tried on two pictures, a grey one and one of noise."""

    def __init__(self, bundle: Bundle, network: Network | None = None) -> None:
        self.bundle = bundle
        name = bundle.manifest.name
        self.network = network or Network(bundle.network, bundle.manifest.recipe, name)
        self.head = Head(bundle) if bundle.head else None
        noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        for tried in (np.full((64, 96, 3), 128, np.uint8), noise):
            try:
                self.look([tried])
            except RefusedError as error:
                raise EvidenceError(f"The model '{name}' was tried on a test picture: {error}") from None

    def look(self, pictures: Sequence[Pixels]) -> Looked:
        """What it says of a still, or of a clip by its frames: pixels are [height, width, 3], R G B.

        Raises:
            RefusedError: its networks fail, or give what is no answer: no numbers, or none that can be.
        """
        manifest = self.bundle.manifest
        recipe = manifest.recipe
        try:
            found = self.network.run(pictures)
        except Exception as error:  # noqa: BLE001 - the boundary around a network
            raise RefusedError(Reason.NO_ANSWER, f"The network cannot be run: {plain(error)}.") from None
        vectors = _vectors(found[recipe.embedding], len(pictures)) if recipe.embedding else None
        if self.head and vectors is not None:
            return Looked(vectors, outputs.by_head(manifest, self.head.values(vectors), len(vectors)))
        if not recipe.scores:
            return Looked(vectors, None)
        sizes = [(each.shape[1], each.shape[0]) for each in pictures]
        return Looked(vectors, outputs.said(manifest, found, sizes))


class Head:
    """The head of a bundle: what it says of vectors that are there already. Raises EvidenceError as `Running`."""

    def __init__(self, bundle: Bundle) -> None:
        self._session = session(bundle.head, bundle.manifest.name)
        taken = self._session.get_inputs()
        if len(taken) != 1 or len(self._session.get_outputs()) != 1 or len(taken[0].shape) != 2:
            raise EvidenceError(f"The head of '{bundle.manifest.name}' does not take one vector and give one answer.")
        self._input = taken[0].name

    def values(self, vectors: NDArray[np.float16]) -> NDArray[np.float32]:
        """What it gives for [n, d]: to be read by `outputs.by_head`. Raises RefusedError where it fails."""
        try:
            (found,) = self._session.run(None, {self._input: vectors.astype(np.float32)})
        except Exception as error:  # noqa: BLE001 - the boundary around a network
            raise RefusedError(Reason.NO_ANSWER, f"The head cannot be run: {plain(error)}.") from None
        return np.asarray(found, np.float32)


def session(data: bytes, name: str) -> Any:
    """An ONNX file opened. Raises EvidenceError for one that is broken, or has operators that nobody here knows."""
    import onnxruntime  # a tenth of a second, which commands without a model need not wait

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Weights that lie beside the file, under no digest, are sought where nothing can be.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return onnxruntime.InferenceSession(data, options, providers=providers())
    except Exception as error:  # noqa: BLE001 - the boundary around a network from anywhere
        text = _PREFIX.sub("", plain(error, 400))
        if "xternal data" in text:
            text = "it keeps its weights in another file; save it as one ONNX file, weights included"
        raise EvidenceError(f"The network of '{name}' cannot be opened: {text}.") from None


def providers() -> list[str]:
    """What runs networks here, the quickest first: other packages of ONNX Runtime bring more than the processor."""
    import onnxruntime

    wanted = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider")
    there = onnxruntime.get_available_providers()
    return [*(each for each in wanted if each in there), "CPUExecutionProvider"]


def _check_inputs(opened: Any, recipe: Recipe, name: str) -> bool:
    """Whether it takes one picture at a time only."""
    taken = {each.name: each for each in opened.get_inputs()}
    if set(taken) != {recipe.input}:
        there = ", ".join(taken)
        raise EvidenceError(f"The network of '{name}' takes {there or 'nothing'}, and its recipe gives {recipe.input}.")
    each = taken[recipe.input]
    size = [3, recipe.height, recipe.width] if recipe.layout == "nchw" else [recipe.height, recipe.width, 3]
    fits = len(each.shape) == 4 and all(
        not isinstance(is_, int) or is_ == given for is_, given in zip(each.shape[1:], size, strict=True)
    )
    if not fits or each.type != _TYPES[recipe.type]:
        shape = " x ".join(map(str, each.shape))
        gives = f"n x {' x '.join(map(str, size))} of {recipe.type}"
        raise EvidenceError(f"The network of '{name}' takes {shape} of {each.type}, and its recipe gives {gives}.")
    return isinstance(each.shape[0], int)


def _together(inputs: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """As a batch; one alone is not copied, which a small network would feel."""
    return inputs[0][np.newaxis] if len(inputs) == 1 else np.stack(inputs)


def _vectors(found: NDArray[Any], count: int) -> NDArray[np.float16]:
    vectors = found.reshape(count, -1).astype(np.float32)
    if not 1 < vectors.shape[1] <= _DIMENSIONS:
        raise RefusedError(Reason.NO_ANSWER, f"Its embedding has {vectors.shape[1]:,} numbers.")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise RefusedError(Reason.NO_ANSWER, "Its embedding is not made of numbers, or of nothing but zeros.")
    return np.asarray(vectors / lengths, np.float16)
