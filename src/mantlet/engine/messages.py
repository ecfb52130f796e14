"""What an engine and its workers say to each other: msgpack of these types, never pickles.

So a worker that a hostile file has taken over can send wrong facts of its own contents, and nothing else, to the
process that owns the case. What each finding may hold stands in `_VALUES`: a new stage needs its line there.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from mantlet import settings
from mantlet.known.keyed import DIGEST
from mantlet.recognise.manifest import EMBEDDING, SCORES, Share
from mantlet.recognise.outputs import LONGEST_TEXT, MOST_BOXES, MOST_SCORES
from mantlet.types import Absent, Address, Algorithm, Count, Digest, Finding, Node, Rows, Sentence, Sha256, Word

OF_MODELS: Final = 2**50
"""Added to a mark in `Node.skip` that a worker was lost at while models looked: that lays the loss to the models, which
then look no more at what is marked, nor at what lies in it. Without it, a network could hide a picture that it chooses
from everything else that is stated of it, by never ending."""


class Model(msgspec.Struct, frozen=True):
    """A model that workers open: by its name, or from the file at `path`; its `digest`, and what it states (finding ->
    settings); `memory`, bytes that it may need; `labels`: all that it tells apart."""

    name: str
    path: str | None
    digest: Sha256
    states: dict[str, str]
    memory: int
    labels: frozenset[str]


class Expand(msgspec.Struct, frozen=True, tag=True):
    """Asks for the rows of a node; `exhibits`: id -> path."""

    node: Node
    exhibits: dict[str, str]


class Draw(msgspec.Struct, frozen=True, tag=True):
    """Asks for the picture `sha256` at an address, within a square of `side` pixels; `veiled`: grey, and blurred until
    no detail is left."""

    sha256: str
    address: Address
    exhibits: dict[str, str]
    side: int
    veiled: bool


class Found(msgspec.Struct, frozen=True, tag=True):
    rows: Rows


class Expanded(msgspec.Struct, frozen=True, tag=True):
    """The node is done; `memory` is the most the worker has held so far, in bytes (0 where it cannot be told)."""

    memory: Count


class Away(msgspec.Struct, frozen=True, tag=True):
    """The exhibit cannot be read now, for a reason that can be put right: the node is for the next scan."""

    why: Sentence


class Drawn(msgspec.Struct, frozen=True, tag=True):
    """A picture as rows of bytes, grey (1 channel) or R G B (3), or why there is none.

    Never as a file: whoever shows it would have to trust that a decoder elsewhere can bear it.
    """

    width: Count = 0
    height: Count = 0
    channels: Count = 0
    pixels: bytes = b""
    absent: Absent | None = None

    def check(self, asked: Draw) -> None:
        """Raises ValueError for anything but the pixels that were asked for."""
        fits = 0 < self.width <= asked.side and 0 < self.height <= asked.side
        whole = len(self.pixels) == self.width * self.height * self.channels
        if self.absent is None and not (fits and whole and self.channels == (1 if asked.veiled else 3)):
            raise ValueError("a worker sent other pixels than it was asked for")


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker is in its box; `box` names the protections in force, `stages` what it measures (name -> version,
    settings), `on_request` what it measures only where it is asked to; `fault` why it cannot open its models;
    `dimensions` how many numbers the vectors of each embedding have (its settings -> d), found on test pictures: no
    evidence was read before."""

    box: list[str]
    stages: dict[str, tuple[int, str]]
    on_request: dict[str, tuple[int, str]]
    fault: Sentence = ""
    dimensions: dict[Sha256, Count] = {}


class ReadWhole(msgspec.Struct, frozen=True, tag=True):
    """Asks for digests of what lies at an address: of the whole medium, where that is an exhibit alone."""

    exhibits: dict[str, str]
    address: Address
    algorithms: list[str]


class HasRead(msgspec.Struct, frozen=True, tag=True):
    """Algorithm -> hex, and the size in bytes; or the sentence why there is none."""

    digests: dict[Algorithm, Digest]
    size: Count
    fault: str = ""


class Sample(msgspec.Struct, frozen=True, tag=True):
    """Asks for the digests, keyed with `secret`, of the blocks that begin in the windows at some offsets of the medium
    (`engine.sample`); for its size alone, where there are none."""

    exhibits: dict[str, str]
    exhibit: str
    offsets: list[int]
    secret: bytes


class Sampled(msgspec.Struct, frozen=True, tag=True):
    """Of each window one byte of `held`, whose bits say which of its sectors a block begins at that has a digest; the
    digests end to end; the numbers of the windows that could not be read, and why. Or the sentence why there is none.

    `sequential`: windows before the last one are slow to come back to.
    """

    size: Count = 0
    sequential: bool = False
    held: bytes = b""
    digests: bytes = b""
    unread: list[tuple[Count, Absent]] = []
    fault: Sentence = ""

    def check(self, asked: Sample) -> None:
        """Raises ValueError for anything but what was asked for."""
        fits = len(self.digests) == DIGEST * sum(each.bit_count() for each in self.held)
        numbers = [number for number, _ in self.unread]
        own = sorted(set(numbers)) == numbers and all(number < len(self.held) for number in numbers)
        if not self.fault and not (
            len(self.held) == len(asked.offsets) and fits and own and not any(self.held[number] for number in numbers)
        ):
            raise ValueError("a worker sampled other windows than it was asked to")


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Asks the head of the worker's one model about vectors: float16, little-endian, row by row."""

    exhibits: dict[str, str]
    numbers: bytes
    dimensions: Count


class Answered(msgspec.Struct, frozen=True, tag=True):
    """What a head gave, float32, little-endian, row by row, whatever that is; or the sentence why there is none."""

    values: bytes = b""
    fault: Sentence = ""


Request = Expand | Draw | ReadWhole | Sample | Ask
Answer = Ready | Found | Expanded | Away | Drawn | HasRead | Sampled | Answered

encode: Final = msgspec.msgpack.Encoder().encode
_requests: Final = msgspec.msgpack.Decoder[Request](Request)
_answers: Final = msgspec.msgpack.Decoder[Answer](Answer)


def decode_request(message: bytes) -> Request:
    request: Request = _requests.decode(message)
    return request


def decode_answer(message: bytes) -> Answer:
    """Raises ValueError for anything that is not an answer."""
    answer: Answer = _answers.decode(message)
    return answer


_Seconds = Annotated[float, Meta(ge=0, le=1e12)]
_Quality = Annotated[int, Meta(ge=0, le=100)]


class _Media(msgspec.Struct, forbid_unknown_fields=True):
    width: Count
    height: Count
    duration: _Seconds | None = None
    sound: bool = False
    codec: Word = ""


class _Frame(msgspec.Struct, forbid_unknown_fields=True):
    seconds: _Seconds
    pdq: Sha256
    quality: _Quality


_LENGTH_ERROR: Final = 0.002
"""How far from 1 the length of a vector may be: rounding to float16 moves each number, and so the length, by 2**-11 of
itself at most (IEEE 754, binary16)."""


class _Embedding(msgspec.Struct, forbid_unknown_fields=True):
    dimensions: Annotated[int, Meta(ge=2, le=8192)]
    numbers: Annotated[bytes, Meta(min_length=4)]

    def __post_init__(self) -> None:
        numbers = np.frombuffer(self.numbers, "<f2") if len(self.numbers) % (2 * self.dimensions) == 0 else np.zeros(0)
        if not 0 < len(numbers) <= settings.KEY_FRAMES * self.dimensions or not np.isfinite(numbers).all():
            raise ValueError("an embedding that cannot be")
        lengths = np.linalg.norm(numbers.astype(np.float32).reshape(-1, self.dimensions), axis=1)
        if np.abs(lengths - 1).max() > _LENGTH_ERROR:
            raise ValueError("an embedding that cannot be: its vectors are not of length 1")


class _Box(msgspec.Struct, forbid_unknown_fields=True):
    label: Word
    score: Share
    frame: Annotated[int, Meta(ge=0, lt=settings.KEY_FRAMES)]
    box: Annotated[list[Share], Meta(min_length=4, max_length=4)]


class _Scores(msgspec.Struct, forbid_unknown_fields=True):
    scores: Annotated[dict[Word, Share], Meta(max_length=MOST_SCORES)]
    flagged: Annotated[list[Word], Meta(max_length=MOST_SCORES)]
    boxes: Annotated[list[_Box], Meta(max_length=MOST_BOXES)] | None = None
    years: Annotated[float, Meta(ge=0, le=130)] | None = None
    text: Annotated[str, Meta(max_length=LONGEST_TEXT)] | None = None


_VALUES: Final[dict[str, Any]] = {
    "media": _Media,
    "pdq": Sha256,  # as many bits
    "pdq-quality": _Quality,
    "pdq-forms": Annotated[list[Sha256], Meta(min_length=7, max_length=7)],
    "pdq-512": Annotated[list[Sha256], Meta(min_length=8, max_length=8)],
    "frames": Annotated[list[_Frame], Meta(max_length=settings.KEY_FRAMES)],
    EMBEDDING: _Embedding,
    SCORES: _Scores,
}


def check_value(finding: Finding) -> None:
    """Raises ValueError where a finding holds what no stage of its name says."""
    if finding.name not in _VALUES:
        raise ValueError(f"there is no finding {finding.name}")
    if finding.absent is None:
        msgspec.convert(finding.value, _VALUES[finding.name])


def check_of_model(finding: Finding, dimensions: int | None, labels: frozenset[str]) -> None:
    """Raises ValueError where what a model states, and `check_value` has taken, is not of that model: an embedding of
    other `dimensions`, or a label that it does not have."""
    if finding.absent is not None:
        return
    value = finding.value
    if finding.name == EMBEDDING:
        if value["dimensions"] != dimensions:
            raise ValueError("an embedding of other dimensions than its model makes")
        return
    named = {*value["scores"], *value["flagged"], *(box["label"] for box in value.get("boxes") or ())}
    if not named <= labels:
        raise ValueError("a label that the model does not have")
