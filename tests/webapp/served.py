"""An install of a test behind a real port, for a real browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from playwright.sync_api import Browser, BrowserContext
from werkzeug.serving import WSGIRequestHandler, make_server

from core.access import sessions, users
from webapp.access import access


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        """Leave the log of the tests to what fails."""


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an app on a port that is free; yield its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def open_as(browser: Browser, url: str, app: Flask, user_id: int | None, **more: object) -> BrowserContext:
    """Return a browser's window, logged in; `more`: how it is made, such as its viewport."""
    context = browser.new_context(reduced_motion="reduce", **more)  # type: ignore[arg-type]
    if user_id is not None:
        with app.app_context():
            token = sessions.start(users.get(user_id), "127.0.0.1")
        context.add_cookies([{"name": access.COOKIE, "value": token, "url": url}])
    return context
