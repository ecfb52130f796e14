"""The guard lets in the one who holds the token, once, and refuses whatever another site could send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import pytest
from asgi import Client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mantlet.web.security import BODY_BYTES, HEADERS, Guard

OWN = "http://127.0.0.1:8000"
OURS = {"Origin": OWN, "Content-Type": "application/json"}


async def _page(_: Request) -> Response:
    return PlainTextResponse(
        "the page", headers={"Cache-Control": "public", "Content-Security-Policy": "default-src *"}
    )


async def _length(request: Request) -> Response:
    return JSONResponse(len(await request.body()))


async def _defect(_: Request) -> Response:
    raise RuntimeError


@pytest.fixture
def guard() -> Guard:
    routes = [Route("/", _page), Route("/say", _length, methods=["POST"]), Route("/defect", _defect)]
    return Guard(Starlette(routes=routes), 8000, "Come in by <the> door.")


def _client(guard: Guard, base: str = OWN) -> Client:
    return Client(guard, base)


@pytest.fixture
def inside(guard: Guard) -> Client:
    client = _client(guard)
    assert client.get(guard.url).status_code == 303
    return client


def test_the_token_is_exchanged_once_for_a_session_that_scripts_cannot_read(guard: Guard) -> None:
    first, second = _client(guard), _client(guard)
    answer = first.get(guard.url)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert all(each in cookie for each in ("httponly", "samesite=strict", "path=/"))
    assert "token" not in cookie
    assert guard.url.rpartition("=")[2].lower() not in cookie
    assert first.get("/").text == "the page"
    assert second.get(guard.url).status_code == 403
    assert second.get("/").status_code == 403
    assert first.get(guard.url).status_code == 303, "who is in already is only sent on"


def test_without_the_session_one_is_told_how_to_get_in(guard: Guard) -> None:
    client = _client(guard)
    page = client.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 403
    assert "Come in by &lt;the&gt; door." in page.text
    assert client.get("/").json() == {"error": "Come in by <the> door."}
    for wrong in ("/?token=", "/?token=wrong", "/say?token=" + guard.url.rpartition("=")[2]):
        assert client.get(wrong).status_code == 403
    assert client.get("/", headers={"Cookie": b"mantlet-8000=wrong; mantlet-8001=other; \xe9"}).status_code == 403


def test_asking_for_headers_only_does_not_use_the_token_up(guard: Guard) -> None:
    assert _client(guard)("HEAD", guard.url).status_code == 403
    assert _client(guard).get(guard.url).status_code == 303


def test_each_guard_has_its_own_token_and_session(guard: Guard, inside: Client) -> None:
    other = Guard(Starlette(), 8000, "")
    assert other.url != guard.url
    stranger = Client(other, OWN)
    stranger.cookies.update(inside.cookies)
    assert stranger.get("/").status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1",
        "127.0.0.1:8001",
        "localhost",
        "[::1]:8000",
        "127.0.0.1:8000.x",
        "",
    ],
)
def test_another_host_name_is_refused(inside: Client, host: str) -> None:
    assert inside.get("/", headers={"Host": host}).status_code == 421


def test_two_host_names_are_refused(inside: Client) -> None:
    hosts = [("Host", "127.0.0.1:8000"), ("Host", "evil.example")]
    assert inside.get("/", headers=hosts).status_code == 421
    assert inside.get("/", headers=hosts[::-1]).status_code == 421


def test_localhost_is_a_name_of_this_machine(guard: Guard) -> None:
    client = _client(guard, "http://localhost:8000")
    assert client.get(guard.url.replace("127.0.0.1", "localhost")).status_code == 303
    assert client.get("/", headers={"Origin": "http://localhost:8000"}).status_code == 200
    assert client.get("/", headers={"Origin": OWN}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "no-cors"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8001"},
        {"Origin": "https://127.0.0.1:8000"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_requests_that_another_site_caused_are_refused(guard: Guard, inside: Client, headers: dict[str, str]) -> None:
    assert inside.get("/", headers=headers).status_code == 403
    assert inside.post("/say", headers={"Content-Type": "application/json", **headers}).status_code == 403


def test_another_site_cannot_use_the_token_up(guard: Guard) -> None:
    assert _client(guard).get(guard.url, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert _client(guard).get(guard.url).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Origin": OWN},
        {},
    ],
)
def test_the_page_itself_and_a_person_may_ask(inside: Client, headers: dict[str, str]) -> None:
    assert inside.get("/", headers=headers).status_code == 200


def test_a_post_says_where_it_comes_from(inside: Client) -> None:
    json = {"Content-Type": "application/json"}
    assert inside.post("/say", headers=json, content=b"12").status_code == 403
    assert inside.post("/say", headers={**json, "Sec-Fetch-Site": "none"}, content=b"12").status_code == 403
    assert inside.post("/say", headers={**json, "Sec-Fetch-Site": "same-origin"}, content=b"12").json() == 2
    assert inside.post("/say", headers={**json, "Origin": OWN}, content=b"12").json() == 2


@pytest.mark.parametrize("form", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_can_send_is_refused(inside: Client, form: str) -> None:
    assert inside.post("/say", headers={"Origin": OWN, "Content-Type": form}, content=b"{}").status_code == 415


def test_a_long_body_is_refused_whether_its_length_is_said_or_not(inside: Client) -> None:
    long = b" " * (BODY_BYTES + 1)
    assert inside.post("/say", headers=OURS, content=long).status_code == 413
    assert inside.post("/say", headers=OURS, content=_pieces([long[:9000], long[9000:]])).status_code == 413
    assert inside.post("/say", headers=OURS, content=_pieces([b"1", b"2"])).json() == 2
    assert inside.post("/say", headers=OURS, content=long[1:]).json() == BODY_BYTES


async def _pieces(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_other_methods_are_refused(inside: Client, method: str) -> None:
    answer = inside(method, "/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


def test_web_sockets_are_refused(guard: Guard) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(guard, {"type": "websocket", "path": "/", "headers": []}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_every_answer_carries_every_header_and_the_app_cannot_weaken_one(guard: Guard, inside: Client) -> None:
    outside = _client(guard)
    answers = [
        inside.get("/"),
        inside("HEAD", "/"),
        inside.get(guard.url),
        outside.get("/"),
        inside.get("/nowhere"),
        inside("PUT", "/"),
        inside.post("/say", headers=OURS, content=b" " * (BODY_BYTES + 1)),
        inside.post("/say", headers={"Origin": OWN, "Content-Type": "text/plain"}),
        inside.get("/", headers={"Host": "evil.example"}),
        inside.get("/defect"),
    ]
    assert [each.status_code for each in answers] == [200, 200, 303, 403, 404, 405, 413, 415, 421, 500]
    for answer in answers:
        for name, text in HEADERS.items():
            assert answer.headers.get_list(name) == [text]
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert HEADERS["Cache-Control"] == "no-store"
    assert not any(name.lower().startswith("access-control") for answer in answers for name in answer.headers)
