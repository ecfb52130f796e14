"""The built-in embedder: the same bytes everywhere, a usable vector of any picture, and near copies near."""

import hashlib
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mantlet.recognise import builtin
from mantlet.recognise.manifest import Manifest
from mantlet.recognise.prepare import prepare

DIGEST = "5526f0545335613f5928968cce6023414be7c6ac1c273c4e1fd654a7fbf7acbd"


@pytest.fixture(scope="module")
def session() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(builtin.network(), options, providers=["CPUExecutionProvider"])


def embedded(session: Any, *pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [pictures, values], of length one each, all in one batch."""
    batch = np.stack([prepare(picture, builtin.RECIPE) for picture in pictures])
    (vectors,) = session.run([builtin.RECIPE.embedding], {builtin.RECIPE.input: batch})
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.isfinite(vectors).all()
    assert (lengths > 0.1).all()
    unit: NDArray[np.float32] = vectors / lengths
    return unit


def flat(*colour: int) -> NDArray[np.uint8]:
    return np.full((150, 200, 3), colour, np.uint8)


def drawn(seed: int) -> Image.Image:
    """Discs, boxes and lines of some colours on a ground of another."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (320, 240), tuple(random.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(2, 7)):
        x, y = random.integers(0, 240), random.integers(0, 160)
        box = (int(x), int(y), int(x + random.integers(20, 120)), int(y + random.integers(20, 120)))
        shape = [draw.ellipse, draw.rectangle, draw.line][random.integers(3)]
        shape(box, fill=tuple(random.integers(0, 256, 3).tolist()))
    return image


def test_the_bytes_are_the_same_on_every_machine_and_in_every_process() -> None:
    """Whoever changes them raises `VERSION`, and this digest: embeddings of another network are not comparable."""
    assert hashlib.sha256(builtin.network()).hexdigest() == DIGEST
    code = "from mantlet.recognise.builtin import manifest; print(manifest().network)"
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert again.stdout.strip() == DIGEST


def test_the_network_is_valid_and_small() -> None:
    import onnx

    model = onnx.load_from_string(builtin.network())
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 10
    assert len(builtin.network()) < 100_000
    assert [each.name for each in model.graph.input] == [builtin.RECIPE.input]
    assert [each.name for each in model.graph.output] == [builtin.RECIPE.embedding]


def test_it_gives_what_it_declares(session: Any) -> None:
    (output,) = session.get_outputs()
    assert output.shape[1] == embedded(session, flat(1, 2, 3)).shape[1] <= 800


@pytest.mark.parametrize(
    "picture",
    [
        flat(0, 0, 0),
        flat(255, 255, 255),
        flat(128, 128, 128),
        flat(255, 0, 0),
        flat(0, 0, 255),
        np.random.default_rng(3).integers(0, 256, (150, 200, 3), np.uint8),
        np.indices((128, 128)).sum(axis=0).astype(np.uint8)[:, :, None].repeat(3, axis=2) % 2 * 255,
        np.zeros((1, 1, 3), np.uint8),
    ],
    ids=["black", "white", "grey", "red", "blue", "noise", "chequers", "one pixel"],
)
def test_every_picture_has_a_direction(session: Any, picture: NDArray[np.uint8]) -> None:
    """`embedded` checks that it is finite and not zero."""
    vector = embedded(session, picture.astype(np.uint8))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_near_copies_are_nearer_than_other_pictures(session: Any) -> None:
    originals = [drawn(seed) for seed in range(25)]
    vectors = embedded(session, *(np.asarray(image) for image in originals))
    changes = {
        "smaller": lambda image: image.resize((150, 110)),
        "cropped": lambda image: image.crop((8, 6, 314, 236)),
        "darker": lambda image: image.point(lambda sample: sample * 0.8),
        "fewer colours": lambda image: image.quantize(32).convert("RGB"),
    }
    for name, change in changes.items():
        copies = embedded(session, *(np.asarray(change(image)) for image in originals))
        assert ((copies @ vectors.T).argmax(axis=1) == np.arange(25)).mean() >= 0.95, name


def test_colour_alone_and_direction_alone_tell_pictures_apart(session: Any) -> None:
    red, dark_red, blue = embedded(session, flat(200, 40, 40), flat(180, 36, 36), flat(40, 40, 200))
    assert red @ dark_red > red @ blue + 0.2
    upright = np.zeros((128, 128, 3), np.uint8)
    upright[:, ::8] = 255
    shifted = np.roll(upright, 3, axis=1)
    level = upright.transpose(1, 0, 2)
    one, same, other = embedded(session, upright, shifted, level)
    assert one @ same > one @ other + 0.2


def test_a_batch_gives_what_single_pictures_give(session: Any) -> None:
    pictures = [np.asarray(drawn(seed)) for seed in range(5)] + [flat(128, 128, 128)]
    singles = np.concatenate([embedded(session, picture) for picture in pictures])
    assert np.abs(embedded(session, *pictures) - singles).max() < 1e-4


def test_its_head_is_complete_and_honest() -> None:
    made = builtin.manifest()
    assert made.card.missing() == []
    assert "not learnt" in made.notice
    assert msgspec.convert(msgspec.to_builtins(made), Manifest) == made


def test_most_photographs_have_nearest_look_alikes_of_their_kind_far_above_chance(session: Any, shared: Any) -> None:
    """On every tenth of the photographs: the nearest of another group is of the same class (by chance 1 in 40)."""
    lines = (shared / "photos.tsv").read_text().splitlines()[1::10]
    rows = [line.split("\t") for line in lines]
    vectors = np.concatenate(
        [embedded(session, np.asarray(Image.open(shared / row[4]).convert("RGB"))) for row in rows]
    )
    classes, groups = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    alike = vectors @ vectors.T
    alike[groups[:, None] == groups] = -2
    assert (classes[alike.argmax(axis=1)] == classes).mean() >= 0.35
