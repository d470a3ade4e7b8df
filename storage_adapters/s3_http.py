"""The connections to an S3 server: time-outs, trusted certificates, and no retries of their own."""

from __future__ import annotations

import ssl

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from storage_adapters.errors import InvalidSettings

CONNECT_TIMEOUT_S = 15.0  # also for each piece that is sent
READ_TIMEOUT_S = 60.0
CONNECTIONS = 16

_PIECE = 128 * 1024


class _PatientConnection(HTTPConnection):
    """Send a body in pieces: the time-out of a socket is for the whole of what one call sends."""

    def send(self, data: bytes) -> None:  # type: ignore[override]  # bodies are bytes here
        for start in range(0, len(data), _PIECE):
            super().send(memoryview(data)[start : start + _PIECE])


class _PatientTlsConnection(HTTPSConnection):
    """The same over TLS."""

    def send(self, data: bytes) -> None:  # type: ignore[override]
        for start in range(0, len(data), _PIECE):
            super().send(memoryview(data)[start : start + _PIECE])


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _PatientConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _PatientTlsConnection


def make_pool(
    *,
    secure: bool,
    ca_file: str = "",
    ca_pem: str = "",
    connect_s: float | None = None,
    answer_s: float | None = None,
) -> urllib3.PoolManager:
    """Return a pool; a `secure` one trusts the given authorities, else the system's and Mozilla's.

    `connect_s`, `answer_s`: how long to wait, if not as long as usual. Raises InvalidSettings where a
    certificate cannot be read.
    """
    pool = urllib3.PoolManager(
        num_pools=4,
        maxsize=CONNECTIONS,
        block=True,
        timeout=urllib3.Timeout(connect=connect_s or CONNECT_TIMEOUT_S, read=answer_s or READ_TIMEOUT_S),
        retries=False,  # only storage_adapters.retry tries again
        ssl_context=_trust(ca_file, ca_pem) if secure else None,  # reading the authorities takes 50 ms
    )
    pool.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return pool


def _trust(ca_file: str, ca_pem: str) -> ssl.SSLContext:
    try:
        if ca_file or ca_pem:
            return ssl.create_default_context(cafile=ca_file or None, cadata=ca_pem or None)
    except (OSError, ValueError) as error:
        what = ca_file or "that was given"
        raise InvalidSettings(f"the certificate of the authority {what} cannot be used: {error}") from error
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # a container may have none of its own
    return context
