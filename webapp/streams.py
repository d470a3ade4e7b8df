"""Downloads that are made while they are sent: if one fails, the client must notice."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from flask import Flask, current_app, request

# struct linger: on, no time to wait. Closing sends a reset instead of an orderly end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class CutOnError:
    """Pass `content` on; if it fails, raise, and in HTTP/1.0 reset the connection first.

    In HTTP/1.1 chunks have an end mark, which is missing then. In HTTP/1.0, which many proxies speak to us,
    the end of the connection *is* the end of the file: a half archive would look whole.
    """

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        old = request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        self._connection: socket.socket | None = request.environ.get("gunicorn.socket") if old else None

    def __iter__(self) -> CutOnError:
        return self

    def __next__(self) -> bytes:
        try:
            with self._app.app_context():  # another copy may be looked for
                return next(self._content)
        except StopIteration:
            raise
        except Exception:
            self._reset()
            raise

    def close(self) -> None:
        """End what makes the content: it may hold a lock."""
        close = getattr(self._content, "close", None)
        if close is not None:
            close()

    def _reset(self) -> None:
        if self._connection is not None:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._connection.close()
