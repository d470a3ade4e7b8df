"""What the answers of S3 servers, and of what stands before them, mean to us."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass

from urllib3 import exceptions as http

from storage_adapters.errors import (
    NoBucket,
    ObjectNotFound,
    ObjectTruncated,
    PermissionDenied,
    StorageError,
    StorageFull,
    StorageUnavailable,
    StorageUnreachable,
    TransientStorageError,
)

_CODE = re.compile(r"<Code>\s*([A-Za-z0-9._-]{1,80})\s*</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,1000})</Message>")
_TITLE = re.compile(r"<title>\s*([^<]{1,200}?)\s*</title>", re.IGNORECASE)
_REGION = re.compile(r"(?:<Region>|expecting '|use region )([a-z]{2}[a-z0-9-]{1,38})")

_SKEW = "the clocks differ by too much: set this machine's clock (NTP), or the server's"
_WRONG_PAIR = "the secret access key does not fit the access key: enter it again"
_EXPIRED = "the session token has expired, or is wrong: enter new credentials"

# Code of the server -> kind of error, and what to do about it.
_MEANINGS: dict[str, tuple[type[StorageError], str]] = {
    "InvalidAccessKeyId": (PermissionDenied, "the access key is not known there: check the access key ID"),
    "SignatureDoesNotMatch": (PermissionDenied, _WRONG_PAIR),
    "AccessDenied": (PermissionDenied, "the access key may not do this: check its policy and the bucket's"),
    "AllAccessDisabled": (PermissionDenied, "all access to this bucket is disabled: ask its provider"),
    "AccountProblem": (PermissionDenied, "there is a problem with the account: ask its provider"),
    "InvalidObjectState": (PermissionDenied, "the object is archived: restore it there, then try again"),
    "ObjectLocked": (PermissionDenied, "the object is locked until its retention ends"),
    "RequestTimeTooSkewed": (PermissionDenied, _SKEW),
    "RequestExpired": (PermissionDenied, _SKEW),
    "ExpiredToken": (PermissionDenied, _EXPIRED),
    "InvalidToken": (PermissionDenied, _EXPIRED),
    "TokenRefreshRequired": (PermissionDenied, _EXPIRED),
    "NoSuchBucket": (NoBucket, "there is no such bucket: check its name and region, or make it"),
    "InvalidBucketName": (StorageUnavailable, "this cannot be the name of a bucket: check it"),
    "QuotaExceeded": (StorageFull, "the quota is used up: raise it, or remove what is not needed"),
    "XMinioAdminBucketQuotaExceeded": (StorageFull, "the bucket's quota is used up: raise it"),
    "XMinioStorageFull": (StorageFull, "the server's disks are full"),
    "InsufficientStorage": (StorageFull, "the server has no room left"),
    "EntityTooLarge": (StorageError, "the object is too large for this server"),
    "InvalidStorageClass": (StorageError, "the storage class is not known there: choose another"),
    "InvalidRange": (ObjectTruncated, "the object ends before the part that was asked for"),
    "NotImplemented": (StorageError, "the server cannot do this: is it an S3 server?"),
}

_BUSY = {
    "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Throttling", "ThrottlingException",
    "RequestLimitExceeded", "TooManyRequests", "TooManyRequestsException", "BandwidthLimitExceeded",
}  # fmt: skip
_PASSING = {
    "InternalError", "RequestTimeout", "OperationAborted", "XMinioServerNotInitialized", "BadDigest",
    "IncompleteBody", "XAmzContentSHA256Mismatch", "XMinioBackendDown", "XMinioReadQuorum",
    "XMinioWriteQuorum",
}  # fmt: skip
_ELSEWHERE = {
    "PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed", "InvalidRegion",
    "IllegalLocationConstraintException",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no success: HTTP status, S3 code, what it says, the region it names; "" for none."""

    status: int
    code: str = ""
    message: str = ""
    region: str = ""


def read_body(status: int, body: str) -> Answer:
    """Return what a body says that is not labelled as an S3 error: XML of another type, a proxy's page."""
    code, message, title = _CODE.search(body), _MESSAGE.search(body), _TITLE.search(body)
    said = message or title
    text = said.group(1) if said else _first_words(body)
    return Answer(status, code.group(1) if code else "", text, region_in(body))


def region_in(text: str) -> str:
    """Return the region that a message of the server names; "" for none."""
    found = _REGION.search(text)
    return found.group(1) if found else ""


def explain(answer: Answer, place: str, key: str = "") -> StorageError:
    """Return the error to raise: what happened at `place`, and what to do about it."""
    said = _quote(answer)
    if answer.code == "NoSuchKey" and key:
        return ObjectNotFound(key)
    if answer.code in _ELSEWHERE or answer.status in (301, 302, 307, 308):
        return _points_elsewhere(answer, place)
    if answer.code in _MEANINGS:
        kind, advice = _MEANINGS[answer.code]
        return kind(f"{place}: {advice} ({said})")
    if answer.code in _BUSY or answer.status in (429, 503):
        return TransientStorageError(f"{place} is busy or being throttled: try again later ({said})")
    if answer.code in _PASSING or answer.status in (408, 500, 502, 504):
        return TransientStorageError(f"{place} had a fault of its own, which may pass ({said})")
    return _explain_status(answer, place, key, said)


def _explain_status(answer: Answer, place: str, key: str, said: str) -> StorageError:
    if "HTTP request to an HTTPS server" in answer.message:
        return StorageUnavailable(f"{place} expects TLS: write https:// before its address ({said})")
    if answer.status in (401, 403, 407):
        return PermissionDenied(f"{place} refuses: check the keys, and any proxy on the way ({said})")
    if answer.status == 404:
        return ObjectNotFound(key) if key else StorageUnavailable(f"{place}: nothing is there ({said})")
    if answer.status == 416:
        return ObjectTruncated(f"{place}: the object {key} ends before the part that was asked for")
    if answer.status == 507:
        return StorageFull(f"{place} has no room left ({said})")
    return StorageError(f"{place} refused: is it the address of an S3 server? ({said})")


def _points_elsewhere(answer: Answer, place: str) -> StorageError:
    said = _quote(answer)
    if answer.region:
        return StorageUnavailable(f"{place} is in another region: set the region {answer.region} ({said})")
    advice = "check endpoint and region, and whether it should begin with https://"
    return StorageUnavailable(f"{place} points to another address: {advice} ({said})")


def explain_connection(error: http.HTTPError, place: str) -> StorageError:
    """Return the error to raise for a connection that failed or broke."""
    cause = _innermost(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return StorageUnavailable(_untrusted(cause, place))
    if isinstance(cause, ssl.SSLError):
        return StorageUnavailable(
            f"{place} does not speak TLS as expected: is its address http://? ({cause.reason or cause})"
        )
    if isinstance(error, http.NameResolutionError) or isinstance(cause, socket.gaierror):
        return StorageUnreachable(f"{place}: its name is not known here: check the address and DNS")
    if isinstance(cause, ConnectionRefusedError):
        return StorageUnreachable(f"{place} refuses connections: is the server running, and the port right?")
    if isinstance(error, http.ConnectTimeoutError):
        return StorageUnreachable(f"{place} did not answer in time: check the address and the network")
    if isinstance(error, http.NewConnectionError):
        return StorageUnreachable(f"{place} cannot be reached: {cause}")
    if isinstance(error, http.TimeoutError) or isinstance(cause, TimeoutError):
        return TransientStorageError(f"{place} stopped answering in the middle of a request")
    return TransientStorageError(f"the connection to {place} broke: {_short(str(cause))}")


def _untrusted(error: ssl.SSLCertVerificationError, place: str) -> str:
    if "hostname" in error.verify_message.lower() or "IP address" in error.verify_message:
        return f"{place}: the certificate is for another name: check the address ({error.verify_message})"
    return (
        f"{place}: the certificate is not trusted; if the server's authority is your own, give its "
        f"certificate as CA file ({error.verify_message})"
    )


def _innermost(error: BaseException) -> BaseException:
    """Return the first fault behind a chain of wrapped ones."""
    for inner in (error.__cause__, *error.args, error.__context__):
        if isinstance(inner, BaseException) and inner is not error:
            return _innermost(inner)
    return error


def _quote(answer: Answer) -> str:
    """Return what the server said, cut to a length that a person reads."""
    words = [f"HTTP {answer.status}" if answer.status else "", answer.code, _short(answer.message)]
    return ", ".join(filter(None, words))


def _short(text: str) -> str:
    return " ".join(text.split())[:200]


def _first_words(body: str) -> str:
    """Return the beginning of a plain text; nothing of a page, which says little to a person."""
    return "" if "<" in body[:200] else _short(body)
