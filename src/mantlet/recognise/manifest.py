"""What a model bundle says of itself: what it takes, what it gives, who taught it on what, how good it was found.

Everything here is a claim of whoever made the bundle, and bounded: a bundle may come from anywhere. What a signature
adds is who stands for the claims (`mantlet.recognise.bundle`).
"""

from __future__ import annotations

import hashlib
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from mantlet.types import Count, Sentence, Sha256, Word

NAME: Final = r"\A[a-z0-9][a-z0-9._-]{0,63}\Z"
ModelName = Annotated[str, Meta(pattern=NAME)]
Share = Annotated[float, Meta(ge=0, le=1)]
Text = Annotated[str, Meta(max_length=20_000)]
_Side = Annotated[int, Meta(ge=8, le=1024)]
_Three = tuple[float, float, float]
LONGEST_LABEL: Final = 200
EMBEDDING: Final = "embedding"
SCORES: Final = "scores"
VERSION: Final = 1
"""The findings that models state, and the version of how: of `mantlet.recognise.runtime` and `outputs`."""


class Kind(StrEnum):
    """What a network says of a picture."""

    EMBEDDER = "embedder"
    CLASSIFIER = "classifier"
    DETECTOR = "detector"
    AGE = "age"
    TEXT = "text"


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How pixels become the network's input, and which of its outputs is what.

    Pixels (upright sRGB, R G B) are fitted into `width` x `height`: "stretch" changes their proportions, "crop" takes
    the largest centred part of the right proportions, times `keep` in each direction, "pad" puts the whole picture into
    the middle of grey (114). Then value = (pixel - mean) / std for each channel, in the order of `channels`; with
    `type` uint8 the pixels themselves. `embedding`, `scores` and `boxes` name outputs, "" where there is none; `apply`
    is what makes probabilities of `scores`.
    """

    input: Word
    width: _Side
    height: _Side
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    keep: Annotated[float, Meta(gt=0, le=1)] = 1.0
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    type: Literal["float32", "uint8"] = "float32"
    mean: _Three = (0.0, 0.0, 0.0)
    std: _Three = (255.0, 255.0, 255.0)
    embedding: Word = ""
    scores: Word = ""
    boxes: Word = ""
    apply: Literal["nothing", "softmax", "sigmoid"] = "nothing"

    def __post_init__(self) -> None:
        _refuse_unprintable(self.input, self.embedding, self.scores, self.boxes)


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which probability on a label is flagged: chosen so that a share of `miss` of the targets lies below, by
    `method` on so many held-out `examples`."""

    at: Share
    miss: Share
    examples: Count
    method: Word

    def __post_init__(self) -> None:
        _refuse_unprintable(self.method)


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing a network tells apart; `means`: the codes of `scheme`, or the words, that people give it."""

    name: Annotated[str, Meta(min_length=1, max_length=LONGEST_LABEL)]
    means: tuple[Word, ...] = ()
    threshold: Threshold | None = None

    def __post_init__(self) -> None:
        _refuse_unprintable(self.name, *self.means)


class Frames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a clip scores: for each label the `nth_highest` of its frames (of fewer frames, the lowest)."""

    nth_highest: Annotated[int, Meta(ge=1, le=32)] = 1


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people must know before they use a model. The first five are for a person to write; `taught_on` (counts,
    cases, exhibits, splits) and `membership` (what an attack that asks "was this picture taught?" gains) are measured.
    """

    purpose: Text = ""
    lawful_basis: Text = ""
    source: Text = ""
    limits: Text = ""
    contact: Text = ""
    taught_on: dict[str, Any] = {}
    membership: dict[str, Any] = {}

    def missing(self) -> list[str]:
        """The fields that a person has still to write."""
        wanted = ("purpose", "lawful_basis", "source", "limits", "contact")
        return [name for name in wanted if not getattr(self, name).strip()]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The head of a bundle. `network` and `head` are the SHA-256 of the ONNX files that follow it: pixels to outputs,
    and embedding to the probabilities of the labels. `authority`: who released it; `released`: when that was first done
    for these networks (RFC 3339), which a new signature does not change; `expires`: a date (ISO 8601)."""

    name: ModelName
    version: Annotated[str, Meta(min_length=1, max_length=40)]
    kind: Kind
    recipe: Recipe
    network: Sha256
    licence: Annotated[str, Meta(min_length=1, max_length=200)]
    made_at: Word
    made_by: Word
    head: Sha256 | None = None
    scheme: Word = ""
    labels: Annotated[tuple[Label, ...], Meta(max_length=20_000)] = ()
    frames: Frames = Frames()
    calibration: dict[str, Any] = {}
    card: Card = Card()
    evaluation: dict[str, Any] = {}
    authority: Word = ""
    released: Word = ""
    expires: Annotated[str, Meta(pattern=r"\A\d{4}-\d{2}-\d{2}\Z")] | None = None
    notice: Sentence = ""

    def __post_init__(self) -> None:
        said = (self.version, self.licence, self.made_at, self.made_by, self.scheme, self.authority, self.notice)
        _refuse_unprintable(*said, self.released)
        if self.expires is not None:
            date.fromisoformat(self.expires)

    @property
    def embedding_key(self) -> str:
        """Names the embedding: what the same network makes by the same recipe can be compared, whoever carries it."""
        taken = msgspec.structs.replace(self.recipe, scores="", boxes="", apply="nothing")
        return _digest([self.network, taken])

    @property
    def states(self) -> dict[str, str]:
        """The findings that its network and head state of a content, and all that each depends on, as a digest."""
        states = {EMBEDDING: self.embedding_key} if self.recipe.embedding else {}
        if self.kind is not Kind.EMBEDDER:
            states[SCORES] = _digest([self.kind, self.network, self.head, self.recipe, self.labels, self.frames])
        return states


def _digest(held: Any) -> str:
    return hashlib.sha256(msgspec.json.encode([VERSION, held], order="sorted")).hexdigest()


def _refuse_unprintable(*texts: str) -> None:
    """Raises ValueError for what could pose as something else on a terminal."""
    for text in texts:
        if not text.isprintable():
            raise ValueError(f"{ascii(text)[:60]} holds characters that cannot be shown")
