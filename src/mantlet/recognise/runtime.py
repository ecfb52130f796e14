"""A bundle at work: pictures in, what its network says of each out. ONNX Runtime, one thread.

Batches do not pay on a processor (145 pictures a second one at a time, 134 in batches of 16, MobileNetV2; see
docs/decisions/0017), so a still goes through alone, and the frames of a clip together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
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
_PIXELS: Final = _BATCH * 224 * 224
"""Of all pictures of a batch: of larger ones fewer go together, as what lies between layers grows with them."""
_DIMENSIONS: Final = 8192
_NOT_FOR_PEOPLE: Final = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from \S* ?failed:"
    r"|Non-zero status code returned while running \w+ node\. Name:'.*?' Status Message: "
    r"|/\S+:\d+ [^()]*\([^()]*\)(?: const)?(?: \[with [^\]]*\])? |.* was false\. "
)
"""What ONNX Runtime puts before and around what it has to say: codes, files of its source, functions in them."""
_OUT_OF_MEMORY: Final = re.compile("Failed to allocate|bfc_arena|bad_alloc")
_MEMORY: Final = "It needs more memory than a worker may have."
_TYPES: Final = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}


class Looked(msgspec.Struct, frozen=True):
    """What a model says of a still or a clip. `vectors`: [frames, d] float16, each of length 1, None from a network
    without embedding; `said`: the value of the finding "scores", None from an embedder."""

    vectors: NDArray[np.float16] | None
    said: dict[str, Any] | None


class Network:
    """An ONNX file at work. Raises EvidenceError where it cannot be run, or is not what `recipe` says of it.

    `batch`: how many pictures it is given together, at most.
    """

    def __init__(self, data: bytes, recipe: Recipe, name: str) -> None:
        self.recipe = recipe
        self._session = session(data, name)
        fixed = _check_inputs(self._session, recipe, name)
        self.batch = 1 if fixed else max(1, min(_BATCH, _PIXELS // (recipe.width * recipe.height)))
        self._wanted: list[str] = []
        self._last: tuple[Sequence[Pixels], dict[str, NDArray[Any]]] | None = None
        self.want(recipe, name)

    def want(self, recipe: Recipe, name: str) -> None:
        """Has it give the outputs that `recipe` names, too: of another model, of the same `embedding_key`. Raises
        EvidenceError where it has none of that name."""
        there = [each.name for each in self._session.get_outputs()]
        for each in (recipe.embedding, recipe.scores, recipe.boxes):
            if each and each not in there:
                raise EvidenceError(f"The network of '{name}' has no output {each} (it has: {', '.join(there)}).")
            if each and each not in self._wanted:
                self._wanted.append(each)
        self._last = None

    def run(self, pictures: Sequence[Pixels]) -> dict[str, NDArray[Any]]:
        """Its outputs by name, for some pictures. Asked again for the same list, as by a second head, it remembers."""
        if self._last is None or self._last[0] is not pictures:
            self._last = pictures, self._run(lambda each: prepare(each, self.recipe), pictures)
        return self._last[1]

    def run_inputs(self, inputs: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """As `run`, of what `prepare` made."""
        return self._run(lambda each: each, inputs)

    def _run(self, input_of: Callable[[Any], NDArray[Any]], pictures: Sequence[Any]) -> dict[str, NDArray[Any]]:
        parts = []
        for first in range(0, len(pictures), self.batch):
            inputs = [input_of(each) for each in pictures[first : first + self.batch]]
            parts.append(self._session.run(self._wanted, {self.recipe.input: _together(inputs)}))
        return {name: np.concatenate([part[number] for part in parts]) for number, name in enumerate(self._wanted)}


class Running:
    """A bundle that can be asked about pictures. Raises EvidenceError where its networks cannot be run, or do not give
    what the bundle says: that is tried on two pictures, a grey one and one of noise, and on a clip that fills a batch.

    `network`: of another model of the same `embedding_key`, that this one shares. `dimensions`: how many numbers its
    embedding has, 0 where it has none.
    """

    def __init__(self, bundle: Bundle, network: Network | None = None) -> None:
        self.bundle = bundle
        self.dimensions = 0
        name, recipe = bundle.manifest.name, bundle.manifest.recipe
        self.network = network or Network(bundle.network, recipe, name)
        self.network.want(recipe, name)
        self.head = Head(bundle) if bundle.head else None
        noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        for tried in ([np.full((64, 96, 3), 128, np.uint8)], [noise], [noise] * self.network.batch):
            try:
                vectors = self.look(tried).vectors
            except RefusedError as error:
                raise EvidenceError(f"The model '{name}' was tried on a test picture: {error}") from None
            self.dimensions = 0 if vectors is None else vectors.shape[1]

    def look(self, pictures: Sequence[Pixels]) -> Looked:
        """What it says of a still, or of a clip by its frames: pixels are [height, width, 3], R G B.

        Raises:
            RefusedError: its networks fail, or give what is no answer: no numbers, or none that can be.
        """
        try:
            return self._looked(pictures)
        except RefusedError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary around a network
            raise _failed("network", error) from None

    def _looked(self, pictures: Sequence[Pixels]) -> Looked:
        manifest = self.bundle.manifest
        recipe, found = manifest.recipe, self.network.run(pictures)
        vectors = _vectors(found[recipe.embedding], len(pictures)) if recipe.embedding else None
        if vectors is not None and self.dimensions not in (0, vectors.shape[1]):
            numbers = f"{vectors.shape[1]:,} numbers, and of others {self.dimensions:,}"
            raise RefusedError(Reason.NO_ANSWER, f"Its embedding has {numbers}.")
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
            raise _failed("head", error) from None
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
        text = _said(error)
        if "xternal data" in text:
            text = "it keeps its weights in another file; save it as one ONNX file, weights included"
        if _out_of_memory(error):
            text = "it needs more memory than a worker may have"
        raise EvidenceError(f"The network of '{name}' cannot be opened: {text}.") from None


def _failed(which: str, error: Exception) -> RefusedError:
    """Why a network gives no answer, for people."""
    if _out_of_memory(error):
        return RefusedError(Reason.LIMIT, _MEMORY)
    return RefusedError(Reason.NO_ANSWER, f"The {which} cannot be run: {_said(error)}.")


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


def _said(error: Exception) -> str:
    """What ONNX Runtime has to say."""
    return _NOT_FOR_PEOPLE.sub("", plain(error, 1000))[:300].strip().rstrip(".: ") or type(error).__name__


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
    with np.errstate(over="ignore"):  # told below
        vectors = found.reshape(count, -1).astype(np.float32).astype(np.float64)  # whose squares none can leave
    if not 1 < vectors.shape[1] <= _DIMENSIONS:
        raise RefusedError(Reason.NO_ANSWER, f"Its embedding has {vectors.shape[1]:,} numbers.")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise RefusedError(Reason.NO_ANSWER, "Its embedding is not made of numbers, or of nothing but zeros.")
    return np.asarray(vectors / lengths, np.float16)
