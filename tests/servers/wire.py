"""A proxy before a real HTTP server that does to requests what networks and servers do at their worst."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Request:
    """One request, as a plan sees it: `number` counts from 1."""

    number: int
    method: str
    path: str


@dataclass(frozen=True)
class Reply:
    """Answer instead of the server."""

    status: int
    body: bytes = b""
    content_type: str = "application/xml"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class CutRequest:
    """Hang up after so many bytes of what is sent; the server gets nothing."""

    after: int = 0


@dataclass(frozen=True)
class CutReply:
    """Let the server do it, and hang up after so many bytes of the answer's body; None: before the answer."""

    after: int | None = None


@dataclass(frozen=True)
class Truncate:
    """Give only so many bytes of the answer's body, and say that this is all."""

    to: int


@dataclass(frozen=True)
class FlipReply:
    """Change a byte in the middle of the answer's body."""


@dataclass(frozen=True)
class FlipRequest:
    """Change a byte in the middle of what is sent."""


@dataclass(frozen=True)
class Delay:
    """Wait before the server is asked."""

    seconds: float


Fault = Reply | CutRequest | CutReply | Truncate | FlipReply | FlipRequest | Delay
Plan = Callable[[Request], Fault | None]


def every(step: int, *faults: Fault) -> Plan:
    """Return a plan that does these things in turn, to each `step`-th request."""

    def plan(request: Request) -> Fault | None:
        turn, rest = divmod(request.number, step)
        return None if rest else faults[turn % len(faults)]

    return plan


def always(fault: Fault, start: int = 1) -> Plan:
    """Return a plan that does this to each request from the `start`-th on."""
    return lambda request: fault if request.number >= start else None


class Wire:
    """The proxy. `plan` may be changed at any time; `sent` and `received` count bytes of bodies."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.plan: Plan = lambda request: None
        self.requests: list[Request] = []
        self.faults = 0
        self.sent = 0
        self.received = 0
        self._mutex = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS to clients from now on; the server behind gets plain HTTP."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def begin(self, method: str, path: str, size: int) -> Fault | None:
        """Note a request; return what is to happen to it."""
        with self._mutex:
            request = Request(len(self.requests) + 1, method, path)
            self.requests.append(request)
            self.sent += size
            fault = self.plan(request)
            self.faults += fault is not None
            return fault

    def count_reply(self, size: int) -> None:
        """Note the bytes of an answer."""
        with self._mutex:
            self.received += size

    def restart_counting(self, plan: Plan | None = None) -> None:
        """Begin anew, with another plan or none."""
        with self._mutex:
            self.plan = plan or (lambda request: None)
            self.requests, self.faults, self.sent, self.received = [], 0, 0, 0

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def wire_to(upstream: str) -> Iterator[Wire]:
    """Yield a proxy before the server at this URL."""
    wire = Wire(upstream)
    try:
        yield wire
    finally:
        wire.close()


class _Server(ThreadingHTTPServer):
    """A server that knows its wire."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.daemon_threads = True
        self.wire = wire


class _Handler(BaseHTTPRequestHandler):
    """Passes one client's requests on, with what the plan has for each."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            return  # the client hung up, or we did

    def log_message(self, *arguments: object) -> None:
        return

    def _pass_on(self) -> None:
        wire = self.server.wire
        size = int(self.headers.get("Content-Length") or 0)
        fault = wire.begin(self.command, self.path, size)
        if isinstance(fault, CutRequest):
            self.rfile.read(min(fault.after, size))
            self._hang_up()
            return
        body = self.rfile.read(size)
        if isinstance(fault, Reply):
            self._answer(fault.status, [("Content-Type", fault.content_type), *fault.headers], fault.body)
            return
        if isinstance(fault, Delay):
            time.sleep(fault.seconds)
        status, headers, answer = self._ask(flip(body) if isinstance(fault, FlipRequest) else body)
        wire.count_reply(len(answer))
        self._pass_back(fault, status, headers, answer)

    def _pass_back(
        self, fault: Fault | None, status: int, headers: list[tuple[str, str]], answer: bytes
    ) -> None:
        if isinstance(fault, CutReply) and fault.after is None:
            self._hang_up()
            return
        if isinstance(fault, FlipReply):
            answer = flip(answer)
        if isinstance(fault, Truncate):
            answer = answer[: fault.to]
        self._answer(status, headers, answer, fault.after if isinstance(fault, CutReply) else None)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        server = http.client.HTTPConnection(self.server.wire.upstream, timeout=240)
        try:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                server.putheader(name, value)  # the host too: it is signed
            server.endheaders(body or None)
            reply = server.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        finally:
            server.close()

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, cut: int | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        size = len(body)
        if self.command == "HEAD":
            size = int(dict(headers).get("Content-Length", "0"))
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.wfile.flush()
            self._hang_up()

    def _hang_up(self) -> None:
        """End the connection hard, so that the other side sees a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815


def flip(data: bytes) -> bytes:
    """Return the bytes with one in the middle changed; none of nothing."""
    if not data:
        return data
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1 :]
