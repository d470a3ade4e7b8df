"""Real receivers on loopback: an HTTP server and a mail server that note what they get."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Receiver(ThreadingHTTPServer):
    """A server on a free port of loopback that notes what it gets and answers with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 204
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.delay_s = 0.0
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        """Its address, with a secret in the path."""
        return f"http://127.0.0.1:{self.server_port}/hook/s3cr3t?key=1"

    @property
    def events(self) -> list[str]:
        """What the messages were about."""
        return [message["event"] for _, message in self.got]

    def wait_for(self, event: str, timeout_s: float = 60.0) -> None:
        """Wait until a message about an event has come."""
        until = time.monotonic() + timeout_s
        while event not in self.events:
            assert time.monotonic() < until, f"no {event} among {self.events}"
            time.sleep(0.05)


class _Handler(BaseHTTPRequestHandler):
    """Take one message."""

    server: Receiver

    def do_POST(self) -> None:
        """Take a message."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.got.append((self.path, json.loads(body or b"{}")))
        self.server.ended.wait(self.server.delay_s)
        self.send_response(self.server.status)
        if 300 <= self.server.status < 400:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"leak-me-9")

    def do_GET(self) -> None:
        """Take a ping, or what a followed redirect would send."""
        self.do_POST()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    """Run an HTTP receiver."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """What a mail server took. `refuse`: an address that it takes no mail for."""

    port: int = 0
    mails: list[Envelope] = field(default_factory=list)
    refuse: str = ""

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        if address == self.refuse:
            return "550 leak-me: no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a mail."""
        self.mails.append(envelope)
        return "250 OK"


class _Authenticator:
    """Lets in who has the password."""

    def __call__(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == b"pa55 word"
        return AuthResult(success=good, handled=False)


def make_certificate(folder: Path) -> Path:
    """Write a self-signed certificate of 127.0.0.1, with its key, into one file; return that."""
    key, certificate = folder / "key.pem", folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    certificate.write_bytes(certificate.read_bytes() + key.read_bytes())
    return certificate


@contextmanager
def mail_server(
    *, login: bool = False, security: str = "none", certificate: Path | None = None
) -> Iterator[Mailbox]:
    """Run a mail server; with a certificate it speaks TLS, from the start or after STARTTLS."""
    mailbox, loop, ready = Mailbox(), asyncio.new_event_loop(), threading.Event()
    options: dict[str, Any] = {"hostname": "localhost", "loop": loop}
    if login:
        options |= {"authenticator": _Authenticator(), "auth_required": True}
        options["auth_require_tls"] = security == "starttls"
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    if security == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    wrapped = context if security == "tls" else None
    thread = threading.Thread(target=_serve_mail, args=(mailbox, loop, ready, options, wrapped))
    thread.start()
    try:
        assert ready.wait(120)
        yield mailbox
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _serve_mail(
    mailbox: Mailbox,
    loop: asyncio.AbstractEventLoop,
    ready: threading.Event,
    options: dict[str, Any],
    wrapped: ssl.SSLContext | None,
) -> None:
    asyncio.set_event_loop(loop)
    server = loop.run_until_complete(
        loop.create_server(lambda: SMTP(mailbox, **options), "127.0.0.1", 0, ssl=wrapped)
    )
    mailbox.port = server.sockets[0].getsockname()[1]
    ready.set()
    loop.run_forever()
    server.close()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(server.wait_closed())
