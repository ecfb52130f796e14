"""What an engine and its workers say to each other: msgpack of these types, never pickles.

So a worker that a hostile file has taken over can send wrong facts of its own contents, and nothing else, to the
process that owns the case.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mantlet.types import Absent, Address, Node, Rows


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

    memory: int


class Drawn(msgspec.Struct, frozen=True, tag=True):
    """A JPEG, or why there is none."""

    jpeg: bytes = b""
    absent: Absent | None = None


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker is in its box; `box` names the protections in force, `stages` what it measures (name -> version,
    settings)."""

    box: list[str]
    stages: dict[str, tuple[int, str]]


Request = Expand | Draw
Answer = Ready | Found | Expanded | Drawn

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
