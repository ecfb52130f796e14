"""The guard before every page: who may ask, from where, and what a browser may do with the answer.

A page listens on this machine only, which alone protects little: every web site that the officer visits can send
requests to 127.0.0.1, and every program on the machine can connect. So each request passes these checks, in order:

1. Its method is GET, HEAD or POST.
2. Its Host is this page's own, so that no foreign name can be pointed here (DNS rebinding).
3. It was not caused by another site: Fetch Metadata (W3C) and Origin (RFC 6454), where the browser sends them; a
   POST must have one of them.
4. It carries the session's cookie, or is the first with the one-time token that the command printed.
5. A POST is JSON, which no form can send, and short.

Every answer, refusals too, gets `HEADERS`: no script but the page's own files, and nothing kept on a disk.

Limits: the token protects against other sites and other users of the machine, not against programs that run as the
same user. Browsers send cookies to every port of a host, so another server on 127.0.0.1 that the officer opens in
the same browser sees the cookie. What is not HTTP at all is refused by the server below, without these headers.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Sequence
from hmac import compare_digest
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES: Final = 16 * 1024
"""The longest body of a POST."""

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=(), clipboard-read=()",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware around one page on one port of this machine, for one session."""

    def __init__(self, app: ASGIApp, port: int, way_in: str) -> None:
        """`way_in`: a sentence that tells who is refused how to get in."""
        self._app = app
        self._way_in = way_in
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._cookie = f"mantlet-{port}"  # cookies do not tell ports apart
        self._session = secrets.token_urlsafe(32)
        self._token: str | None = secrets.token_urlsafe(32)
        self.url = f"http://{self._hosts[0]}/?token={self._token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in _OURS]
                message = {**message, "headers": [*kept, *_RAW]}
            await send(message)

        headers = Headers(scope=scope)
        answer = self._refusal(scope["method"], headers) or self._entry(scope, headers)
        if answer is None and scope["method"] == "POST":
            body = await _body(receive)
            if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
                answer = _refused(415, "A request must be JSON.", headers)
            elif body is None:
                answer = _refused(413, f"A request may hold at most {BODY_BYTES:,} bytes.", headers)
            else:
                receive = _replay(body, receive)
        await (answer or self._app)(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        """Steps 1 to 3."""
        if method not in ("GET", "HEAD", "POST"):
            return _refused(405, "Only GET, HEAD and POST are answered.", headers, {"Allow": "GET, HEAD, POST"})
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return _refused(421, "This page answers only under the address that was printed.", headers)
        if not _own(method, hosts[0], headers):
            return _refused(403, "Another site caused this request, so it is refused.", headers)
        return None

    def _entry(self, scope: Scope, headers: Headers) -> Response | None:
        """Step 4. The token leaves the address bar by the redirect, and is worth nothing from then on."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        entering = scope["path"] == "/" and scope["method"] == "GET" and "token" in query
        if _same(cookie_parser(headers.get("cookie", "")).get(self._cookie), self._session):
            return RedirectResponse("/", 303) if entering else None
        if entering and _same(query["token"][0], self._token):
            self._token = None
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, self._session, path="/", httponly=True, samesite="strict")
            return answer
        return _refused(403, self._way_in, headers)


def _own(method: str, host: str, headers: Headers) -> bool:
    """Whether the page itself, or a person at the address bar, caused the request."""
    origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
    if any(origin != f"http://{host}" for origin in origins):
        return False
    allowed = {"same-origin"}
    if method != "POST" and headers.get("sec-fetch-mode", "navigate") == "navigate":
        allowed.add("none")
    return all(site in allowed for site in sites) and (method != "POST" or bool(origins or sites))


def _same(given: str | None, expected: str | None) -> bool:
    return given is not None and expected is not None and compare_digest(given.encode(), expected.encode())


def _refused(status: int, sentence: str, asked: Headers, headers: dict[str, str] | None = None) -> Response:
    """A page for a person, JSON for a script."""
    if "text/html" not in asked.get("accept", ""):
        return JSONResponse({"error": sentence}, status, headers)
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>Mantlet</title><h1>Mantlet</h1><p>{html.escape(sentence)}</p></html>"
    )
    return HTMLResponse(page, status, headers)


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or None where it is too long."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if message["type"] == "http.disconnect" or len(body) > BODY_BYTES:
            return None
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the app the body that was read already, then what comes after it."""
    waiting = [body]

    async def again() -> Message:
        return {"type": "http.request", "body": waiting.pop()} if waiting else await receive()

    return again


_RAW: Final[Sequence[tuple[bytes, bytes]]] = [(name.lower().encode(), text.encode()) for name, text in HEADERS.items()]
_OURS: Final = {name for name, _ in _RAW}
