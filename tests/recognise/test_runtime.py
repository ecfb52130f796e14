"""What networks say of pictures, and how those that cannot be used are refused."""

from __future__ import annotations

import numpy as np
import pytest

from mantlet.errors import EvidenceError, RefusedError
from mantlet.recognise import bundle
from mantlet.recognise.manifest import Frames, Kind, Label, Recipe, Threshold
from mantlet.recognise.runtime import Running
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


def test_of_many_labels_the_highest_are_kept() -> None:
    values = np.linspace(0, 1, 500)
    labels = tuple(Label(f"l{number}") for number in range(500))
    recipe = Recipe("picture", 16, 16, scores="scores")
    scores = said([RED], networks.constant(scores=values), recipe=recipe, labels=labels)["scores"]
    assert list(scores)[:2] == ["l499", "l498"]
    assert len(scores) == 64


def test_a_network_that_takes_one_picture_only_is_given_one_at_a_time() -> None:
    vectors = running(networks.colours(batch=1)).look([RED, GREEN, BLUE]).vectors
    assert vectors is not None
    assert vectors.astype(np.float32).argmax(axis=1).tolist() == [0, 1, 2]


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


def test_a_network_that_fails_on_one_picture_costs_that_one() -> None:
    good = running()
    with pytest.raises(RefusedError, match="cannot be run") as refused:
        good.look([np.zeros((0, 0, 3), np.uint8)])
    assert refused.value.reason == "model gave no answer"
    assert good.look([RED]).said is not None
