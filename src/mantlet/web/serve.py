"""Serves a page on this machine only, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import socket

import uvicorn
from starlette.types import ASGIApp

from mantlet.errors import UsageError


def bind(port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1, on a free port where `port` is 0: who connects before `serve` waits for it.

    Raises UsageError where the port cannot be had.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UsageError(f"Port {port} cannot be used ({error.strerror}); leave --port out for a free one.") from error
    return listener


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Returns once the page is closed. Nothing is logged of a request, since addresses may hold a token."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn shuts down first, then raises the signal again
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)
