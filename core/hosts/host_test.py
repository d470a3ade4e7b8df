"""Test a host step by step, as a backup would use it, with the time that each step takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from core.db import db, utc_now, write
from core.hosts import gate_keys, host_login, host_trouble, hosts
from core.jobs.joblog import storable
from core.jobs.outcomes import sentence
from core.models import Host
from repository.entries import SourceUnavailable
from ssh.errors import SshError

if TYPE_CHECKING:
    from sources.ssh.host import SshHostSettings
    from sources.ssh.probe import Probe
    from ssh.connection import Step as SshStep

_SKEW_S = 60
_NAMES: dict[str, str] = {
    "jump": "Go through the jump host",
    "connect": "Connect",
    "recognise": "Recognise it",
    "login": "Log in",
    "programs": "Look for its programs",
    "sudo": "Become root",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: whether it went well, how long it took, what was found. `ok` None: it was not come to."""

    name: str
    ok: bool | None
    ms: int = 0
    text: str = ""


@dataclass(slots=True)
class Result:
    """How a test went. `facts`: what the host can do; `limits`: what of its files cannot be kept, and why."""

    steps: list[Step] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    advice: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether every step went well."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    @property
    def failed(self) -> Step | None:
        """Return the step that went wrong."""
        return next((step for step in self.steps if step.ok is False), None)


class _Steps:
    """The steps that are to be gone, and those that were, with their times."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.done: list[Step] = []
        self._todo = list(keys)
        self._since = time.monotonic()

    def passed(self, text: str) -> None:
        """Note that the next step went well."""
        self._add(True, text)

    def failed(self, text: str) -> None:
        """Note that the next step went wrong, and that those after it were not come to."""
        self._add(False, text)
        self.done += [Step(_NAMES[key], None) for key in self._todo]
        self._todo = []

    def _add(self, ok: bool, text: str) -> None:
        now = time.monotonic()
        self.done.append(Step(_NAMES[self._todo.pop(0)], ok, round((now - self._since) * 1000), text))
        self._since = now


def test(host_id: str) -> Result:
    """Go the whole way that a backup goes, and note on the row how that went; then try its keys for gates.

    Nothing is written there. Raises NotFound, Refused where a host key is not confirmed yet.
    """
    host = hosts.get(host_id)
    settings = host_login.settings_of(host, quick=True)  # before anything is sent
    keys = ["jump"] * bool(host.jump) + ["connect", "recognise", "login", "programs"] + ["sudo"] * host.sudo
    steps, result = _Steps(keys), Result()
    words = _words_of(host)
    db.session.rollback()
    try:
        _log_in(settings, lambda step: steps.passed(words[step]))
        _look(settings, steps, result)
    except (SshError, SourceUnavailable) as error:
        steps.failed(storable(sentence(str(error))))
        result.advice = host_trouble.advice_for(error)
    result.steps = steps.done
    _note(host_id, result)
    if result.ok:
        gate_keys.test_all(host_id)
    return result


def last(host: Host) -> Result | None:
    """Return what the last test found; None if there was none since the host was changed."""
    found = host.test_result
    if not found:
        return None
    steps = [Step(**step) for step in found["steps"]]
    return Result(steps, dict(found["facts"]), list(found["limits"]), found["advice"])


def _log_in(settings: SshHostSettings, done: Callable[[SshStep], None]) -> None:
    from ssh.connection import connect  # slow to import: paramiko

    connect(settings.server, settings.limits, done).close()


def _words_of(host: Host) -> dict[str, str]:
    way = "the key" if host.public_key else "the password"
    return {
        "jump": f"Logged in to {host.jump.name}." if host.jump else "",
        "connect": f"{host.address}, port {host.port}, answers.",
        "recognise": "It shows the host key that was confirmed.",
        "login": f"{host.user} may log in with {way}.",
    }


def _look(settings: SshHostSettings, steps: _Steps, result: Result) -> None:
    from sources.ssh.host import SshHost
    from sources.ssh.probe import probe

    plain = SshHost(replace(settings, sudo=False))
    try:
        found = probe(plain)
        result.facts, result.limits = _facts(found), list(found.limits)
        steps.passed(_programs(found))
    finally:
        plain.close()
    if settings.sudo:
        host = SshHost(settings)
        try:
            probe(host)
            steps.passed("sudo runs programs as root, and asks for no password.")
        finally:
            host.close()


def _facts(found: Probe) -> dict[str, Any]:
    return {
        "hostname": found.hostname,
        "uid": found.uid,
        "shell": found.shell,
        "gnu": found.gnu_find and found.gnu_tar,
        "gnu_tar": found.gnu_tar,
        "tools": sorted(found.tools),
        "ahead_s": round(found.ahead_ns / 1e9),
    }


def _programs(found: Probe) -> str:
    if not found.shell:
        return "It runs no programs for this user, so files are read by SFTP alone, which is slower."
    kind = "GNU find and tar" if found.gnu_find and found.gnu_tar else "find and tar as BusyBox has them"
    text = f"Calls itself {found.hostname}; has {kind}."
    skew = round(found.ahead_ns / 1e9)
    if abs(skew) > _SKEW_S:
        text += f" Its clock is {abs(skew)} s {'ahead' if skew > 0 else 'behind'}."
    return text


def _note(host_id: str, result: Result) -> None:
    document = asdict(result)
    failed = result.failed
    with write() as session:
        host = session.get(Host, host_id)
        if host is None:
            return
        host.tested_at, host.test_result = utc_now(), document
        if failed is None:
            host.trouble, host.trouble_advice, host.trouble_since = "", "", None
        else:
            host.trouble, host.trouble_advice = failed.text, result.advice
            host.trouble_since = host.trouble_since or utc_now()
