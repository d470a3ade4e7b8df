"""What is behind an error of a job or a test on a host, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core.db import db
from core.hosts import hosts
from core.jobs.joblog import storable
from core.jobs.outcomes import sentence
from repository.entries import SourceUnavailable, TargetError
from sources.postgres import errors as postgres
from ssh.errors import (
    BadPrivateKey,
    ForwardRefused,
    HostKeyRefused,
    LoginRefused,
    NobodyThere,
    NoCommonAlgorithms,
    NoSftp,
    SshError,
    Unreachable,
)

_SUDO = (
    "On the host, let this user run what is needed by sudo without a password (the host’s page has the "
    "lines), or take sudo off the host; then test the host."
)
# From the most special class to the most general: (class, what to do).
_ADVICE: tuple[tuple[type[SshError], str], ...] = (
    (
        HostKeyRefused,
        "Nothing was sent to it. If the machine was set up anew, open the host, ask for its key, compare the "
        "fingerprint on the machine itself, and confirm the new one. If it was not, somebody may be in "
        "between: find out who before you confirm anything.",
    ),
    (
        LoginRefused,
        "On the host, check that the account is not locked or expired and that the line of the key stands in "
        "its authorized_keys; then test the host.",
    ),
    (BadPrivateKey, "Edit the host: give its private key again, with the passphrase, or have one made here."),
    (NoCommonAlgorithms, "Update the SSH server there: it knows only what is not safe any more."),
    (NoSftp, "On the host, allow this user SFTP (the line Subsystem sftp of sshd_config) or a shell."),
    (
        Unreachable,
        "See that the host is on and connected, and test it on its page; then run the job again. What was "
        "stored already is not sent a second time.",
    ),
)
_IN_GENERAL = (
    "See that the path exists on the host and its disk is mounted there, or correct the config; the host’s "
    "page has a test. Then run it again."
)
OTHERWISE = "Test the host on its page: it says which step fails."
# What the host itself has not done: it let us in, and the message says what is missing.
_NOT_ITS_FAULT = (ForwardRefused, NobodyThere)
# What says by itself where it happened, and gets its advice as it does without a host.
_OF_DATABASES = (
    postgres.ServerUnavailable, postgres.BadConnection, postgres.ProgramMissing, postgres.NoSuchDatabase,
    postgres.MissingRight, postgres.NoWorkRoom, postgres.DumpFailed,
    postgres.RestoreRefused, postgres.RestoreFailed, postgres.RestoreTargetFull,
)  # fmt: skip


class HostTrouble(SourceUnavailable):
    """A host cannot be backed up now; `advice` says what to do, `retryable` whether waiting may be enough."""

    def __init__(self, message: str, advice: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.advice = advice
        self.retryable = retryable


class HostTargetTrouble(TargetError):
    """The same for a restore to a host."""

    def __init__(self, message: str, advice: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.advice = advice
        self.retryable = retryable


def ssh_error_behind(error: BaseException) -> SshError | None:
    """Return what SSH said, if that led to an error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SshError):
            return None if isinstance(cause, _NOT_ITS_FAULT) else cause
        cause = cause.__cause__
    return None


def advice_for(error: BaseException) -> str:
    """Say what to do about an error that came from the host itself; "" where it did not."""
    cause = ssh_error_behind(error)
    if cause is None:
        return _SUDO if type(error).__name__ == "SudoRefused" else ""
    return next((text for kind, text in _ADVICE if isinstance(cause, kind)), OTHERWISE)


@contextmanager
def told(host_id: str) -> Iterator[None]:
    """Note on the host's row how the block went, and raise what a host has done with its name and advice."""
    name = hosts.get(host_id).name
    db.session.rollback()
    try:
        yield
    except (SourceUnavailable, TargetError, SshError) as error:
        found = _named(host_id, name, error)
        if found is error:
            raise  # not from itself: whoever follows the causes would never end
        raise found from error
    hosts.note_success(host_id)


def _named(host_id: str, name: str, error: SourceUnavailable | TargetError | SshError) -> Exception:
    """Return the error with the host's name; where the host is to blame, with advice, and noted on it."""
    db.session.rollback()
    advice, cause = advice_for(error), ssh_error_behind(error)
    if not advice:
        hosts.note_success(host_id)  # it let us in and answered
        if isinstance(error, _OF_DATABASES):
            return error
        if isinstance(error, TargetError):
            return type(error)(f"{name}: {error}")
        return HostTrouble(f"{name}: {error}", _IN_GENERAL, retryable=False)
    hosts.note_trouble(host_id, storable(sentence(str(error))), advice)
    kind = HostTargetTrouble if isinstance(error, TargetError) else HostTrouble
    text = str(error) if str(error).startswith(f"{name}: ") else f"{name}: {error}"
    found = kind(text, advice, retryable=cause is not None and cause.retryable)
    for note in getattr(error, "__notes__", ()):
        found.add_note(note)
    return found
