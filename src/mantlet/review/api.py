"""What the page asks for and says, as JSON. Every decision and every clear picture is in the ledger first."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mantlet.case import carry, exposure, opinions, queries, queue
from mantlet.case.case import Case
from mantlet.case.decisions import Seen
from mantlet.errors import MantletError, UsageError
from mantlet.governance.keys import Actor
from mantlet.grading.scheme import Scheme
from mantlet.review.tiles import LOOK_SIDE, Shown, Tiles
from mantlet.review.words import words

T = TypeVar("T")

PAGE: Final = 60
"""Tiles of one page."""
_BEFORE: Final = 12
"""How many of them come before the one that a page is opened at."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Place = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{1,64}( [0-9a-f]{1,64}){2,3})?\Z")]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of the queue: after or before a place, around a content, the `last`, or the `first`; if nothing is
    said, the one with the first ungraded content."""

    ungraded: bool = False
    after: _Place = ""
    before: _Place = ""
    around: Sha256 | None = None
    end: Literal["", "first", "last"] = ""


class Grading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: Sha256
    grade: Annotated[str, msgspec.Meta(max_length=64)]
    seen: Seen


class Hidden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A clear picture is hidden again: how large it was on the screen, and for how long."""

    sha256: Sha256
    side: Annotated[int, msgspec.Meta(ge=0, le=65_536)]
    milliseconds: Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An empty object."""


class Api:
    """One officer's session on one case. Works on threads, since SQLite and drawing block."""

    def __init__(self, case: Case, actor: Actor, scheme: Scheme, tiles: Tiles) -> None:
        self._case = case
        self._actor = actor
        self._scheme = scheme
        self._tiles = tiles

    def queue(self, request: Request) -> Response:
        """A page of the queue, in its order, each content told in words."""
        ask = msgspec.convert(dict(request.query_params), Ask, strict=False)
        return _json({"rows": [{**row, "words": words(row)} for row in self._page(ask)]})

    def _page(self, ask: Ask) -> list[dict[str, Any]]:
        again = opinions.wanted(self._case, self._actor)

        def part(place: str, most: int, seek: Literal["after", "from", "before"]) -> list[dict[str, Any]]:
            return queue.read(self._case, place, most, ungraded_only=ask.ungraded, seek=seek, again=again)

        if ask.end == "last" or ask.before:
            return part(ask.before or "~", PAGE, "before")
        if ask.end == "first" or ask.after:
            return part(ask.after, PAGE, "after")
        if ask.around:
            place = queue.place_in_queue(self._case, ask.around)
        else:
            ungraded = queue.read(self._case, "", 1, ungraded_only=True, again=again)
            place = ungraded[0]["place"] if ungraded else ""
        if place is None:
            raise UsageError("There is no such content in this case.")
        before = part(place, _BEFORE, "before")
        return before + part(place, PAGE - len(before), "from")

    def tile(self, request: Request) -> Response:
        """The veiled tile of a content."""
        return _picture(self._tiles.veiled(self._sha256(request)))

    def look(self, request: Request) -> Response:
        """A content shown clearly; that it was is recorded before a pixel is sent."""
        sha256 = self._sha256(request)
        drawn = self._tiles.clear(sha256)
        if drawn.absent is None:
            exposure.exposed(self._case, self._actor, sha256, Seen(LOOK_SIDE, clear=True))
        return _picture(drawn)

    def hidden(self, said: Hidden) -> Response:
        self._check(said.sha256)
        seen = Seen(said.side, clear=True, milliseconds=said.milliseconds)
        exposure.hidden(self._case, self._actor, said.sha256, seen)
        return _json({})

    def grade(self, said: Grading) -> Response:
        seen = {said.sha256: said.seen}
        return _json(carry.decide_stack(self._case, self._actor, self._scheme, said.grade, seen)[0])

    def undo(self, _: Nothing) -> Response:
        """The content that has its former grade back, or null: nothing of this actor's is left to take back."""
        return _json({"undone": carry.undo(self._case, self._actor, self._scheme)})

    def progress(self, _: Request) -> Response:
        return _json(
            {
                **queries.tally(self._case),
                **queue.tally(self._case),
                "unfinished": queries.unfinished(self._case),
            }
        )

    def _sha256(self, request: Request) -> str:
        sha256 = msgspec.convert(request.path_params["sha256"], Sha256)
        self._check(sha256)
        return sha256

    def _check(self, sha256: str) -> None:
        if not queries.has_content(self._case, sha256):
            raise HTTPException(404, "There is no such content in this case.")


def posted(work: Callable[[T], Response], form: type[T]) -> Callable[[Request], Any]:
    """An endpoint that decodes the body as `form`, strictly, and does `work` on a thread."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(work, msgspec.json.decode(await request.body(), type=form))

    return endpoint


def refused(_: Request, error: Exception) -> Response:
    """Every error as a sentence; what the page may try again is 503."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    if isinstance(error, msgspec.MsgspecError):
        return JSONResponse({"error": f"The request is not understood: {error}."}, 400)
    if isinstance(error, MantletError):
        return JSONResponse({"error": str(error)}, 400)
    if isinstance(error, sqlite3.OperationalError):
        return JSONResponse({"error": f"The case cannot be written just now: {error}."}, 503)
    return JSONResponse({"error": f"Mantlet has a defect: {type(error).__name__}. The log has the details."}, 500)


ERRORS: Final = (HTTPException, msgspec.MsgspecError, MantletError, sqlite3.OperationalError, Exception)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _picture(drawn: Shown) -> Response:
    if drawn.absent is not None:
        return JSONResponse({"error": drawn.absent.detail or drawn.absent.reason}, 422)
    return Response(drawn.jpeg, media_type="image/jpeg")
