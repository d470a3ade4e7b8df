"""How a job ended, in words: what happened, what it means for the data, what to do."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.errors import HoldfastError, Unreachable
from repository.entries import SourceUnavailable, TargetError, TargetFull
from repository.errors import (
    BlobNotFound,
    Damaged,
    Locked,
    LockLost,
    NoRepository,
    NothingToBackUp,
    NothingToRestore,
    RepositoryError,
    WrongPassword,
)
from sources.postgres.errors import (
    BadConnection,
    DumpFailed,
    MissingRight,
    NoSuchDatabase,
    ProgramMissing,
    RestoreFailed,
    RestoreRefused,
    RestoreTargetFull,
    ServerUnavailable,
)
from storage_adapters.errors import (
    ObjectNotFound,
    PermissionDenied,
    StorageError,
    StorageFull,
    StorageUnavailable,
)


@dataclass(slots=True)
class Outcome:
    """What is written to the row when a job ends. `status` is one of core.models.job.ENDED."""

    status: str
    summary: str
    meaning: str = ""
    advice: str = ""
    detail: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    problems: int = 0


# From the most special class to the most general: (class, what to do).
_ADVICE: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (
        ServerUnavailable,
        "See that the server runs, is reachable and lets this user in, then run it again.",
    ),
    (ProgramMissing, "Install PostgreSQL's client programs of the server's version, then run it again."),
    (
        (BadConnection, NoSuchDatabase, MissingRight, DumpFailed),
        "Mend what is named, on the server or in the config; its preview looks at connection and rights. "
        "A dump that broke off is never kept as a point.",
    ),
    ((RestoreRefused, RestoreFailed), "Mend what is named on the server, then restore again."),
    (RestoreTargetFull, "Make room on the server, or choose another one, then restore again."),
    (
        SourceUnavailable,
        "See that the path exists and its disk is mounted, or correct the config; then run it again.",
    ),
    (
        NothingToBackUp,
        "See that the source is really there and readable: a disk that is not mounted looks like this. "
        "If it is meant to be empty, run `flask backup files --allow-empty --wait --config NAME` once.",
    ),
    (
        Unreachable,
        "Mount or connect the storage, then run the job again. Holdfast never makes a new one in its place.",
    ),
    (
        StorageFull,
        "Make room on the storage, then run the job again. Nothing is deleted by itself to make room.",
    ),
    (StorageUnavailable, "Mount or connect the storage, then run the job again."),
    (PermissionDenied, "Give the user that Holdfast runs as the right to read and write there."),
    (
        WrongPassword,
        "Somebody changed the repository's password, or it is another repository. Put the right one back.",
    ),
    (NoRepository, "Mount the storage that holds it. Holdfast never makes a new repository in its place."),
    (
        ObjectNotFound,
        "Run `restic check` on the repository to learn what is missing, and keep the other points.",
    ),
    (Damaged, "Look at the disk and memory of the machines involved, and run `restic check --read-data`."),
    (
        BlobNotFound,
        "Run `restic check` on the repository to learn what is missing, and keep the other points.",
    ),
    (NothingToRestore, "Look into the point to see what it holds, and name the paths as they stand there."),
    (
        Locked,
        "End the other program, or wait; a lock of a program that is gone is removed with `restic unlock`.",
    ),
    (
        LockLost,
        "See what removed or delayed it: `restic unlock --remove-all`, a suspended machine, a slow storage.",
    ),
    (TargetFull, "Make room at the target, or choose another one, then restore again."),
    (TargetError, "Look at the path named, then restore again."),
)
_OTHERWISE = (
    "Look at the technical detail below. If it happens again, please report it as a fault of Holdfast."
)

_SUMMARY: tuple[tuple[type[Exception], str], ...] = (
    (StorageFull, "The storage is full: {error}"),
    (WrongPassword, "The repository's password is wrong: {error}"),
    (NoRepository, "The repository is not there: {error}"),
    (LockLost, "The lock on the repository was lost: {error}"),
    (Damaged, "Stored data is damaged: {error}"),
    (ObjectNotFound, "Stored data is missing: {error}"),
    (BlobNotFound, "Stored data is missing: {error}"),
    (StorageUnavailable, "The storage is not reachable: {error}"),
    (StorageError, "The storage failed: {error}"),
    (RepositoryError, "{error}"),
)

# What is a person's or the world's doing. Anything else is a fault of ours and keeps its traceback.
EXPECTED = (HoldfastError, RepositoryError, StorageError, SourceUnavailable, TargetError)


# What it means that a job of this kind ended before it was done.
_HALF_DONE = {
    "backup": "It made no new point, unless the list shows one. Earlier points are as good as before.",
    "copy": "What it had copied counts and stays. It goes on from there when it is run again.",
    "restore": "What was restored so far is at the target, the rest is not. The backup was not changed.",
    "catalog": "Search does not know all points yet; what it had read stays. No backup was changed.",
    "download": "Nothing of it is kept, and nothing can be downloaded. The backup was not changed.",
    "prune": "Every point is as good as before. What was freed stays free; the next prune goes on.",
    "retention": "What it had moved to the trash stays there. Nothing else was removed.",
}


def half_done(kind: str) -> str:
    """Say what it means for the data that a job was cancelled or interrupted."""
    return _HALF_DONE.get(kind, "It is not known how far it came.")


def explain(error: Exception, meaning: str) -> Outcome:
    """Turn an error that ended a job into a failed outcome; `meaning` says what it means for the data."""
    left = "".join(f" {sentence(note)}" for note in getattr(error, "__notes__", ()))  # on a server
    return Outcome("failed", sentence(_say(error)), meaning + left, _advise(error), _chain(error))


def sentence(text: str) -> str:
    """Return the text as a sentence: a capital first, a full stop at the end, on one line."""
    text = " ".join(text.split())
    if not text:
        return text
    first = text[0].upper() + text[1:]
    return first if first[-1] in ".!?…" else f"{first}."


def _say(error: Exception) -> str:
    if not isinstance(error, EXPECTED):
        return f"Holdfast itself failed ({type(error).__name__}): {error}"
    if isinstance(error, HoldfastError):
        return error.message  # its advice has a place of its own
    for kind, text in _SUMMARY:
        if isinstance(error, kind):
            return text.format(error=error)
    return str(error)


def _advise(error: Exception) -> str:
    own: str = getattr(error, "advice", "")  # errors of ours, and those of hosts
    if own:
        return own
    for kind, text in _ADVICE:
        if isinstance(error, kind):
            return text
    return _OTHERWISE


def _chain(error: BaseException) -> str:
    """Return the error and its causes, one a line, with their types."""
    lines = []
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        lines.append(f"{type(cause).__module__}.{type(cause).__name__}: {cause}")
        cause = cause.__cause__
    return "\n".join(lines)
