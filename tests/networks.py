"""Small ONNX networks with a known answer, made by code: what they say of a picture tells its mean colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mantlet.recognise import bundle
from mantlet.recognise.manifest import Kind, Label, Manifest, Recipe

SIDE = 16
RECIPE = Recipe(input="picture", width=SIDE, height=SIDE, embedding="embedding", scores="scores")
"""Takes SIDE x SIDE pictures, each channel 0 to 1."""


def network(*nodes: Any, outputs: dict[str, list[Any]], batch: Any = "n", side: int = SIDE, **weights: Any) -> bytes:
    """A network of `nodes`, whose input is called "picture"."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def colours(scores: int = 3, batch: Any = "n", side: int = SIDE) -> bytes:
    """The embedding is the mean of each channel, and 0.1; the scores are a softmax over ten times the first `scores` of
    them: red, green, blue."""
    return network(
        helper.make_node("ReduceMean", ["picture"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Pad", ["means", "pads", "tenth"], ["embedding"]),
        helper.make_node("Slice", ["embedding", "from", "to", "axis"], ["first"]),
        helper.make_node("Mul", ["first", "ten"], ["times"]),
        helper.make_node("Softmax", ["times"], ["scores"], axis=1),
        outputs={"embedding": [batch, 4], "scores": [batch, scores]},
        batch=batch,
        side=side,
        pads=np.array([0, 0, 0, 1]), tenth=np.float32(0.1), ten=np.float32(10),
        **{"from": np.array([0]), "to": np.array([scores]), "axis": np.array([1])},
    )  # fmt: skip


def constant(**outputs: Any) -> bytes:
    """Says the same of each picture; only for one at a time."""
    values = {name: np.asarray(value, np.float32)[None] for name, value in outputs.items()}
    nodes = [helper.make_node("Identity", [f"{name}_"], [name]) for name in values]
    shapes = {name: list(value.shape) for name, value in values.items()}
    return network(*nodes, outputs=shapes, batch=1, **{f"{name}_": value for name, value in values.items()})


def head(bias: float = 0.0) -> bytes:
    """For `colours`: the probabilities are a softmax over ten times the first three numbers of the embedding, the first
    of them less `bias`."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["vectors", "weights"], ["times"]),
            helper.make_node("Sub", ["times", "bias"], ["less"]),
            helper.make_node("Softmax", ["less"], ["probabilities"], axis=1),
        ],
        "head",
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(10 * np.eye(4, 3, dtype=np.float32), "weights"),
            numpy_helper.from_array(np.array([bias, 0, 0], np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def batch_sizes(side: int = SIDE) -> bytes:
    """Gives for each picture how many it was given together."""
    return network(
        helper.make_node("Shape", ["picture"], ["count"], start=0, end=1),
        helper.make_node("Cast", ["count"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["count", "one"], ["shape"], axis=0),
        helper.make_node("Expand", ["number", "shape"], ["scores"]),
        outputs={"scores": ["n", 1]},
        side=side,
        one=np.array([1]),
    )


def at_red(*nodes: Any, more_than: float = 0.8, **weights: Any) -> bytes:
    """As `colours`, but where a picture is red by `more_than` on average, it looks at "then" in its place, which
    `nodes` make of "picture"."""
    model = onnx.load_from_string(colours())
    model.graph.node[0].input[0] = "seen"
    then, seen = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("then", "other"))
    same = helper.make_node("Identity", ["picture"], ["other"])
    before = [
        helper.make_node("ReduceMean", ["picture"], ["colour"], axes=[0, 2, 3], keepdims=0),
        helper.make_node("Gather", ["colour", "first_number"], ["red"], axis=0),
        helper.make_node("Greater", ["red", "more_than"], ["is_red"]),
        helper.make_node(
            "If", ["is_red"], ["seen"],
            then_branch=helper.make_graph(list(nodes), "then", [], [then]),
            else_branch=helper.make_graph([same], "else", [], [seen]),
        ),
    ]  # fmt: skip
    after = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*before, *after])
    given = {**weights, "first_number": np.array(0), "more_than": np.float32(more_than)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in given.items())
    return bytes(model.SerializeToString())


def never_ending(more_than: float = 0.8) -> bytes:
    """As `colours`; with a picture that is red it never ends."""
    body = helper.make_graph(
        [helper.make_node("Add", ["before", "before"], ["after"]), helper.make_node("Identity", ["on"], ["go_on"])],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["ever", "true", "picture"], ["then"], body=body)
    return at_red(loop, more_than=more_than, ever=np.array(2**62), true=np.array(True))


def greedy() -> bytes:
    """As `colours`; with a picture that is red it wants 12 GiB."""
    wide = helper.make_node("Expand", ["picture", "many"], ["wide"])
    mean = helper.make_node("ReduceMean", ["wide"], ["then"], axes=[0], keepdims=1)
    return at_red(wide, mean, many=np.array([1 << 22, 3, SIDE, SIDE]))


def unknown_operator() -> bytes:
    return network(helper.make_node("Frobnicate", ["picture"], ["scores"]), outputs={"scores": ["n", 3]})


def beside_the_file() -> bytes:
    """Keeps its weights in another file."""
    model = onnx.load_from_string(colours())
    for tensor in model.graph.initializer:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        tensor.ClearField("raw_data")
    return bytes(model.SerializeToString())


def manifest(**fields: Any) -> Manifest:
    """Of `colours`, or as told."""
    about: dict[str, Any] = {
        "name": "colours", "version": "1", "kind": Kind.CLASSIFIER, "recipe": RECIPE, "network": "0" * 64,
        "licence": "CC0-1.0", "made_at": "2026-01-01T00:00:00Z", "made_by": "a test",
        "labels": tuple(Label(name) for name in ("red", "green", "blue")),
    }  # fmt: skip
    return Manifest(**{**about, **fields})


def made(network: bytes | None = None, head: bytes = b"", **fields: Any) -> bytes:
    """The file of an unsigned bundle."""
    return bundle.make(manifest(**fields), colours() if network is None else network, head)


def plain(colour: tuple[int, int, int], height: int = 40, width: int = 60) -> Any:
    return np.broadcast_to(np.asarray(colour, np.uint8), (height, width, 3)).copy()
