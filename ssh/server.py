"""Which server, and how to log in there."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Server:
    """An SSH server, its pinned host keys ("type base64" lines), and what to log in with.

    Tried in this order: the private key (PEM text), the agent's keys, the key files, the password.
    `jump` is a server to go through.
    """

    host: str
    user: str
    port: int = 22
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    known_host_keys: tuple[str, ...] = ()
    agent: bool = False
    key_files: tuple[str, ...] = ()
    jump: Server | None = None

    @property
    def name(self) -> str:
        """Return how messages call the server: its host, with the port if it is not 22."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 22 else f"{host}:{self.port}"
