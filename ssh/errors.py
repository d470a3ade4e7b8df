"""What can be wrong between this machine and an SSH server; each class says whether trying again can help."""

from __future__ import annotations

from collections.abc import Sequence


class SshError(Exception):
    """Say what went wrong at a server, and what to do. `retryable`: the same may succeed a moment later."""

    retryable = False


class Unreachable(SshError):
    """No connection, or it broke: refused, no such name, time-out, cut."""

    retryable = True


class NoCommonAlgorithms(SshError):
    """The server speaks only algorithms that are too weak for us, or none that we know."""


class HostKeyRefused(SshError):
    """The server's host key is not one of the pinned ones; nothing was sent to it, no login was tried."""

    def __init__(self, server: str, found: str, pinned: Sequence[str]) -> None:
        """Take the server's name, the fingerprint it showed, and the pinned ones (none: unknown host)."""
        self.found = found
        self.pinned = tuple(pinned)
        super().__init__(_changed(server, found, pinned) if pinned else _unknown(server, found))


class LoginRefused(SshError):
    """The server does not let this user in with this key or password."""


class BadPrivateKey(SshError):
    """The private key cannot be read: no key, of an unknown kind, or its passphrase is missing or wrong."""


class BadHostKey(SshError):
    """A line that should hold a pinned host key holds none."""


class ForwardRefused(SshError):
    """The server lets us in, but leads on to no other address: its settings or the key's line forbid that."""


class NobodyThere(SshError):
    """The server would lead on, but nobody answers at the address that was asked for."""


class RelayFailed(SshError):
    """A program on the server that was to hold on to a socket there failed; says why."""


class NoSftp(SshError):
    """The server lets us in, but offers no SFTP."""


def _changed(server: str, found: str, pinned: Sequence[str]) -> str:
    return (
        f"{server} shows another host key than the one that was confirmed: it shows {found}, confirmed is "
        f"{', '.join(pinned)}. Either the server was set up anew, or somebody is in between. Ask "
        "who runs it; confirm the new key only if he names the same fingerprint"
    )


def _unknown(server: str, found: str) -> str:
    return (
        f"the host key of {server} is not known yet: it shows {found}. Compare it with the server's own "
        "(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there), then confirm it; for the command line, "
        "that means to put it into ~/.ssh/known_hosts"
    )
