"""What can go wrong with a database server. Messages say what happened and what to do, and no secret."""

from __future__ import annotations

from repository.entries import SourceUnavailable, TargetError, TargetFull


class ServerUnavailable(SourceUnavailable):
    """The server cannot be reached, or refuses the login."""


class BadConnection(SourceUnavailable):
    """The settings of a connection, or its URL, are not right."""


class ProgramMissing(SourceUnavailable):
    """A client program is not installed, or all of its versions are older than needed."""


class NoSuchDatabase(SourceUnavailable):
    """A database that was named is not on the server, or cannot be connected to."""


class MissingRight(SourceUnavailable):
    """The user may not read something that belongs into the dump."""


class NoWorkRoom(SourceUnavailable):
    """The folder for parallel dumps cannot be used, or has too little room."""


class DumpFailed(SourceUnavailable):
    """A dump broke off: nothing of it may be taken for a dump."""


class RestoreRefused(TargetError):
    """The server cannot take this dump as asked; nothing was changed there."""


class RestoreFailed(TargetError):
    """A restore broke off; the message says what was left on the server."""


class RestoreTargetFull(TargetFull):
    """The server ran out of space while a dump was restored; the message says what was left there."""


class BadManifest(ValueError):
    """The manifest beside the dumps is not one: damaged, or made by a later version."""
