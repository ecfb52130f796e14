"""The officers' page: its routes, in one list."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mantlet.case.case import Case
from mantlet.governance.keys import Actor
from mantlet.grading.scheme import Scheme
from mantlet.review import api
from mantlet.review.keymap import keys_for, shown
from mantlet.review.tiles import LOOK_SIDE, Tiles

WAY_IN: Final = (
    "This page opens with the address that `mantlet review` printed, which works once and in one browser. "
    "To get in again, stop that command with Ctrl-C and start it anew: every grade is kept."
)
_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
)
_TEMPLATES.filters["shown"] = shown


def make_app(case: Case, actor: Actor, scheme: Scheme, tiles: Tiles) -> Starlette:
    """The page without its guard (`mantlet.web.security.Guard`), which must stand before it.

    Raises UsageError for a scheme whose keys collide with those of the page.
    """
    keys = keys_for(scheme)
    desk = api.Api(case, actor, scheme, tiles)
    setup = {"keys": keys, "grades": scheme.grades, "page": api.PAGE, "look": LOOK_SIDE}
    about = {"case": case.folder.resolve().name, "actor": actor.name, "scheme": scheme, "keys": keys}
    page = partial(_page, about={**about, "setup": msgspec.json.encode(setup).decode()})
    return Starlette(
        routes=[
            Route("/", page),
            Route("/api/queue", desk.queue),
            Route("/api/tile/{sha256}", desk.tile),
            Route("/api/look/{sha256}", desk.look),
            Route("/api/progress", desk.progress),
            Route("/api/shown", api.posted(desk.hidden, api.Hidden), methods=["POST"]),
            Route("/api/grade", api.posted(desk.grade, api.Grading), methods=["POST"]),
            Route("/api/undo", api.posted(desk.undo, api.Nothing), methods=["POST"]),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        exception_handlers=dict.fromkeys(api.ERRORS, api.refused),
    )


def _page(request: Request, about: dict[str, Any]) -> Response:
    ungraded = request.query_params.get("ungraded") == "1"
    return HTMLResponse(_TEMPLATES.get_template("review.html").render(ungraded=ungraded, **about))
