"""What networks say of pictures, and how those that cannot be used are refused."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from mantlet.errors import EvidenceError, RefusedError
from mantlet.recognise import bundle
from mantlet.recognise.manifest import Frames, Kind, Label, Recipe, Threshold
from mantlet.recognise.runtime import Network, Running
from tests import networks

RED, GREEN, BLUE = (networks.plain(colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


def running(network: bytes | None = None, head: bytes = b"", **fields) -> Running:
    return Running(bundle.read(networks.made(network, head, **fields), "it"))


def said(pictures, *args, **fields):
    looked = running(*args, **fields).look(pictures)
    assert looked.said is not None
    return looked.said


def test_a_classifier_gives_each_label_a_probability() -> None:
    scores = said([GREEN])["scores"]
    assert list(scores) == ["green", "red", "blue"]
    assert scores["green"] == pytest.approx(np.exp(10) / (np.exp(10) + 2), abs=1e-5)


def test_an_embedding_has_length_one() -> None:
    vectors = running().look([RED, BLUE]).vectors
    assert vectors is not None
    assert (vectors.shape, vectors.dtype) == ((2, 4), np.float16)
    assert np.linalg.norm(vectors.astype(np.float32), axis=1) == pytest.approx([1, 1], abs=1e-3)


@pytest.mark.parametrize(("nth", "score"), [(1, 1.0), (2, 1.0), (3, 0.0)])
def test_a_clip_scores_by_its_rule(nth, score) -> None:
    clip = [RED, RED, BLUE, GREEN, GREEN]
    assert said(clip, frames=Frames(nth))["scores"]["red"] == pytest.approx(score, abs=0.01)
    assert said([RED], frames=Frames(nth))["scores"]["red"] == pytest.approx(1, abs=0.01)


def test_flagged_from_the_threshold_on() -> None:
    labels = tuple(Label(name, threshold=Threshold(0.5, 0.05, 40, "given")) for name in ("red", "green", "blue"))
    assert said([GREEN], labels=labels)["flagged"] == ["green"]
    assert said([GREEN])["flagged"] == []


def test_a_score_a_hair_below_the_threshold_is_not_flagged() -> None:
    labels = tuple(Label(name, threshold=Threshold(0.5, 0.05, 40, "given")) for name in ("red", "green"))
    network = networks.constant(scores=[0.4999999, 0.5])
    found = said([RED], network, recipe=Recipe("picture", 16, 16, scores="scores"), labels=labels)
    assert found == {"scores": {"green": 0.5, "red": 0.5}, "flagged": ["green"]}


def test_of_many_labels_the_highest_are_kept() -> None:
    values = np.linspace(0, 1, 500)
    labels = tuple(Label(f"l{number}", threshold=Threshold(0.5, 0.05, 40, "given")) for number in range(500))
    recipe = Recipe("picture", 16, 16, scores="scores")
    found = said([RED], networks.constant(scores=values), recipe=recipe, labels=labels)
    assert list(found["scores"])[:2] == ["l499", "l498"]
    assert len(found["scores"]) == 64
    assert found["flagged"] == list(found["scores"])


def test_a_network_that_takes_one_picture_only_is_given_one_at_a_time() -> None:
    vectors = running(networks.colours(batch=1)).look([RED, GREEN, BLUE]).vectors
    assert vectors is not None
    assert vectors.astype(np.float32).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("side", "frames", "together"), [(16, 8, 8), (16, 9, 7.2), (224, 8, 8), (448, 4, 2), (1024, 3, 1)]
)
def test_of_large_inputs_fewer_go_together(side, frames, together) -> None:
    recipe = Recipe("picture", side, side, scores="scores")
    clip = [RED] * frames
    assert said(clip, networks.batch_sizes(side), recipe=recipe, kind=Kind.AGE, labels=())["years"] == together


@pytest.mark.parametrize("headed_first", [False, True])
def test_a_network_that_is_shared_gives_what_each_model_needs(headed_first: bool) -> None:
    alone = bundle.read(networks.made(), "it")
    recipe = Recipe("picture", 16, 16, embedding="embedding")
    headed = bundle.read(networks.made(head=networks.head(), recipe=recipe), "headed")
    first, second = (headed, alone) if headed_first else (alone, headed)
    one = Running(first)
    other = Running(second, one.network)
    clip = [RED, GREEN]
    for each in (one, other):
        looked = each.look(clip)
        assert looked.vectors is not None
        assert looked.said is not None
        assert (looked.vectors.shape, list(looked.said["scores"])) == ((2, 4), ["red", "green", "blue"])


def test_a_network_that_is_to_give_more_runs_again() -> None:
    made = bundle.read(networks.made(), "it")
    network = Network(made.network, Recipe("picture", 16, 16, embedding="embedding"), "it")
    clip = [RED, GREEN]
    assert set(network.run(clip)) == {"embedding"}
    network.want(networks.RECIPE, "it")
    assert set(network.run(clip)) == {"embedding", "scores"}


def test_a_shared_network_must_have_what_each_model_names() -> None:
    one = running()
    other = bundle.read(networks.made(recipe=Recipe("picture", 16, 16, embedding="embedding", scores="no")), "it")
    with pytest.raises(EvidenceError, match="has no output no"):
        Running(other, one.network)


def test_a_tiny_embedding_has_length_one_too() -> None:
    recipe = Recipe("picture", 16, 16, embedding="embedding")
    network = networks.constant(embedding=[3e-25, 4e-25])
    vectors = running(network, recipe=recipe, kind=Kind.EMBEDDER, labels=()).look([RED]).vectors
    assert vectors is not None
    assert vectors[0].tolist() == pytest.approx([0.6, 0.8], abs=1e-3)


def test_what_makes_probabilities_of_scores() -> None:
    recipe = Recipe("picture", 16, 16, scores="scores", apply="sigmoid")
    network = networks.constant(scores=[0.0, 100.0, -1000.0])
    assert list(said([RED], network, recipe=recipe)["scores"].values()) == pytest.approx([1.0, 0.5, 0.0])
    soft = Recipe("picture", 16, 16, scores="scores", apply="softmax")
    assert said([RED], networks.constant(scores=[1.0, 1.0, 1.0]), recipe=soft)["scores"]["red"] == pytest.approx(1 / 3)


DETECTOR = {"kind": Kind.DETECTOR, "labels": (Label("boat"), Label("camera"))}
BOXES = [[2, 4, 10, 12], [2.5, 4, 10, 12], [0, 0, 4, 4], [0, 0, 0, 0]]
FOUND = [[0.9, 0.0], [0.8, 0.0], [0.0, 0.7], [0.01, 0.01]]


@pytest.mark.parametrize(
    ("fit", "box"),
    [
        ("stretch", [2 / 16, 4 / 16, 10 / 16, 12 / 16]),
        # of 60 x 40 pixels the middle 40 are seen: 2.5 of them to one of the network's
        ("crop", [(10 + 2 * 2.5) / 60, 4 * 2.5 / 40, (10 + 10 * 2.5) / 60, 12 * 2.5 / 40]),
        # all 60 and a border of 10 above and below: 3.75 to one
        ("pad", [2 * 3.75 / 60, (4 * 3.75 - 10) / 40, 10 * 3.75 / 60, (12 * 3.75 - 10) / 40]),
    ],
)
def test_a_detector_gives_boxes_as_parts_of_the_picture(fit, box) -> None:
    recipe = Recipe("picture", 16, 16, fit=fit, scores="scores", boxes="boxes")
    found = said([RED], networks.constant(boxes=BOXES, scores=FOUND), recipe=recipe, **DETECTOR)
    assert found["scores"] == {"boat": 0.9, "camera": 0.7}
    assert [(each["label"], each["score"]) for each in found["boxes"]] == [("boat", 0.9), ("camera", 0.7)]
    assert found["boxes"][0]["box"] == pytest.approx(box, abs=1e-3)


def test_an_age_estimator_says_years() -> None:
    recipe = Recipe("picture", 16, 16, scores="scores")
    assert said([RED], networks.constant(scores=[33.3]), recipe=recipe, kind=Kind.AGE, labels=())["years"] == 33.3
    spread = np.zeros(101)
    spread[[20, 40]] = 0.5
    assert said([RED], networks.constant(scores=spread), recipe=recipe, kind=Kind.AGE, labels=())["years"] == 30


def test_text_is_the_likeliest_character_of_each_step() -> None:
    steps = np.eye(4)[[0, 1, 1, 0, 1, 2, 0, 3, 3]]  # blank is number 0
    fields = {"kind": Kind.TEXT, "labels": tuple(Label(letter) for letter in "abc")}
    recipe = Recipe("picture", 16, 16, scores="scores")
    assert said([RED], networks.constant(scores=steps), recipe=recipe, **fields)["text"] == "aabc"


ONLY_SCORES = Recipe("picture", 16, 16, scores="scores")
ONE_AT_A_TIME = networks.network(
    helper.make_node("Reshape", ["picture", "shape"], ["alone"]),
    helper.make_node("ReduceMean", ["alone"], ["scores"], axes=[2, 3], keepdims=0),
    outputs={"scores": ["n", 3]},
    shape=np.array([1, 3, 16, 16]),
)
"""Though it says that it takes any number."""


@pytest.mark.parametrize(
    ("network", "fields", "sentence"),
    [
        (b"no network at all", {}, "cannot be opened"),
        (networks.unknown_operator(), {"recipe": ONLY_SCORES}, "Frobnicate"),
        (networks.beside_the_file(), {}, "save it as one ONNX file"),
        (networks.colours(side=32), {}, "takes n x 3 x 32 x 32 .* its recipe gives n x 3 x 16 x 16"),
        (None, {"recipe": Recipe("x", 16, 16, scores="scores")}, "takes picture, and its recipe gives x"),
        (None, {"recipe": Recipe("picture", 16, 16, scores="logits")}, "has no output logits"),
        (None, {"recipe": Recipe("picture", 16, 16, scores="scores", type="uint8")}, "of uint8"),
        (None, {"recipe": Recipe("picture", 16, 16, scores="scores", layout="nhwc")}, "16 x 16 x 3"),
        (ONE_AT_A_TIME, {"recipe": ONLY_SCORES}, "was tried on a test picture: The network cannot be run"),
        (networks.colours(scores=2), {}, "gives 2 scores for 3 labels"),
        (networks.constant(scores=[np.nan, 0, 1]), {"recipe": ONLY_SCORES}, r"not numbers \(NaN"),
        (networks.constant(scores=[0.0, 3.0, 1.0]), {"recipe": ONLY_SCORES}, "outside 0 to 1"),
        (networks.constant(scores=[1.0]), {"recipe": ONLY_SCORES, "kind": Kind.TEXT}, "characters apart"),
        (networks.constant(scores=[900.0]), {"recipe": ONLY_SCORES, "kind": Kind.AGE}, "900 years"),
        (
            networks.constant(embedding=[0.0, 0.0]),
            {"recipe": Recipe("picture", 16, 16, embedding="embedding"), "kind": Kind.EMBEDDER, "labels": ()},
            "nothing but zeros",
        ),
        (
            networks.constant(boxes=BOXES, scores=[[0.5]]),
            {"recipe": Recipe("picture", 16, 16, scores="scores", boxes="boxes"), **DETECTOR},
            "do not fit 4 boxes",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(network, fields, sentence) -> None:
    with pytest.raises(EvidenceError, match=sentence) as refused:
        running(network, **fields)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("nodes", "weights", "sentence"),
    [
        (
            [helper.make_node("Reshape", ["picture", "shape"], ["then"])],
            {"shape": np.array([7, 3])},
            "The network cannot be run: The input tensor cannot be reshaped to the requested shape. "
            "Input shape:{1,3,16,16}, requested shape:{7,3}.",
        ),
        (
            [helper.make_node("Gather", ["picture", "number"], ["then"], axis=0, name="/a/b.onnx")],
            {"number": np.array([5])},
            "The network cannot be run: indices element out of data bounds, idx=5 must be within the inclusive range "
            "[-1,0].",
        ),
    ],
)
def test_why_a_network_fails_is_told_without_what_only_its_makers_can_read(nodes, weights, sentence) -> None:
    it = running(networks.at_red(*nodes, **weights))
    with pytest.raises(RefusedError) as refused:
        it.look([RED])
    assert refused.value.reason == "model gave no answer"
    assert str(refused.value) == sentence


def test_an_embedding_of_another_size_is_no_answer() -> None:
    flat = [helper.make_node("Concat", ["picture", "picture"], ["then"], axis=1)]
    recipe = Recipe("picture", 16, 16, embedding="embedding")
    it = running(networks.at_red(*flat), recipe=recipe, kind=Kind.EMBEDDER, labels=())
    assert it.dimensions == 4
    with pytest.raises(RefusedError, match="has 7 numbers, and of others 4"):
        it.look([RED])


def test_a_network_that_fails_on_one_picture_costs_that_one() -> None:
    good = running()
    with pytest.raises(RefusedError, match="cannot be run") as refused:
        good.look([np.zeros((0, 0, 3), np.uint8)])
    assert refused.value.reason == "model gave no answer"
    assert good.look([RED]).said is not None
