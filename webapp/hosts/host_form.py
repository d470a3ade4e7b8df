"""Between the form of a host and core's one schema."""

from __future__ import annotations

from core.hosts import host_inputs, hosts
from core.models import Host
from webapp.forms import Form

_FIELDS = (
    "name", "address", "port", "user", "sudo", "jump_id", "parallel_jobs", "compression", "login",
    "private_key", "passphrase", "password",
)  # fmt: skip
_HIDDEN = ("private_key", "passphrase", "password")
LOGINS = (
    ("made", "With a key made here", "Holdfast makes a key for this host alone. You paste one line there."),
    ("given", "With a key of yours", "Paste the private key. It is sealed, and never shown again."),
    ("password", "With a password",
     "Better not: whoever learns it has the whole account, and many servers allow none."),
)  # fmt: skip
_KEEP = ("keep", "As it is now", "The key or password that is stored stays.")


def empty() -> Form:
    """Return the form of a new host, filled with what is usual."""
    return Form({"port": 22, "login": "made", "parallel_jobs": host_inputs.PARALLEL, "compression": "auto"})


def of(host: Host) -> Form:
    """Return the form filled with a host as it is; no secret is in it."""
    return Form(host_inputs.to_form(host))


def to_input(form: Form) -> host_inputs.HostInput:
    """Return what the form asks for, checked by core's schema. Raises Invalid with a sentence by field."""
    # What a browser filled into a field that is hidden decides nothing.
    hidden = _HIDDEN if form.value("login") in ("", "keep") else ()
    return host_inputs.parse(
        {name: form.value(name) for name in _FIELDS if form.has(name) and name not in hidden}
    )


def logins(known: bool) -> list[tuple[str, str, str]]:
    """Return the ways to log in, to choose from; of a host that is known, also the one it has."""
    return [_KEEP, *LOGINS] if known else list(LOGINS)


def compressions() -> list[tuple[str, str]]:
    """Return when to pack what a host sends."""
    return [("auto", "Where the link is slow"), ("always", "Always"), ("never", "Never")]


def jumps(own: Host | None = None) -> list[tuple[str, str]]:
    """Return the hosts that the way may lead through."""
    others = [(host.id, host.name) for host in hosts.list_all() if own is None or host.id != own.id]
    return [("", "Directly"), *others]


def machines() -> list[tuple[str, str]]:
    """Return what a config of files may read, and a restore may go to."""
    return [("", "This machine"), *((host.id, host.name) for host in hosts.list_all())]
