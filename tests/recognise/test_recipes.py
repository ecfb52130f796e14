"""Each recipe that is shipped can be read, says what its kind needs, and fits a network of the shape that it is for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from mantlet.recognise import adding, bundle
from mantlet.recognise.manifest import Kind, Recipe
from mantlet.recognise.runtime import Running

ROOT = Path(__file__).parents[2]
MODELS = (ROOT / "docs" / "models.md").read_text()
WANTED = ("dinov2-small", "efficientnet-b0", "mobilenet-v2", "siglip-base")
WHITE = np.full((300, 400, 3), 255, np.uint8)


def stand_in(recipe: Recipe) -> bytes:
    """A network with the input and the output of a recipe: the mean of each channel, and 1."""
    nodes = [
        helper.make_node("ReduceMean", [recipe.input], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Pad", ["means", "pads", "one"], [recipe.embedding]),
    ]
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info(recipe.input, TensorProto.FLOAT, ["n", 3, recipe.height, recipe.width])],
        [helper.make_tensor_value_info(recipe.embedding, TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(np.array([0, 0, 0, 1]), "pads"), numpy_helper.from_array(np.float32(1), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_the_recipes_that_the_documents_name_are_shipped() -> None:
    assert tuple(adding.shipped()) == WANTED
    for name in WANTED:
        assert f"| `{name}` |" in MODELS


@pytest.mark.parametrize("name", adding.shipped())
def test_a_shipped_recipe_is_complete(name: str) -> None:
    described = adding.recipe(name)
    assert described.name == name
    assert described.kind is Kind.EMBEDDER
    assert described.licence in MODELS
    assert described.card.missing() == ["lawful_basis", "contact"], "what only the force that uses it can say"
    assert described.notice == ""


@pytest.mark.parametrize("name", adding.shipped())
def test_a_network_with_the_names_of_a_shipped_recipe_is_taken_and_sees_what_its_authors_showed_it(
    name: str, tmp_path: Path
) -> None:
    described = adding.recipe(name)
    path = tmp_path / "network.onnx"
    path.write_bytes(stand_in(described.recipe))
    made = bundle.read(adding.bundled(path, described, None, None, "a test"), name)
    found = Running(made).network.run([WHITE])[described.recipe.embedding][0, :3]
    wanted = [1, 1, 1] if described.recipe.mean == (127.5,) * 3 else [2.2489, 2.4286, 2.64]
    assert np.allclose(found, wanted, atol=1e-3), "white, less the mean, over the deviation that they publish"
