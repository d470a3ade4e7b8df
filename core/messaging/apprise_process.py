"""Send one message with Apprise: `python -m core.messaging.apprise_process`, a JSON object in, one out.

A process of its own, because Apprise knows no limits of ours: here no program can be started, no address that
is forbidden can be connected to, no redirect is followed, and whoever waits for it can end it. What services
answer stays in here, but for a status.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import sys
from typing import Any

import apprise
import requests

from core.messaging import outgoing

_STATUS = re.compile(r"error=(\d{3})\b")
_KINDS = {
    "error": apprise.NotifyType.FAILURE,
    "warning": apprise.NotifyType.WARNING,
    "good": apprise.NotifyType.SUCCESS,
}
_PROGRAMS = {
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system",
    "pty.spawn", "subprocess.Popen",
}  # fmt: skip


class _Guard:
    """An audit hook: what it forbids fails for whoever tries; `why` says what it was."""

    def __init__(self, own_port: int) -> None:
        self.own_port = own_port
        self.why = ""

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise PermissionError for what a message needs not, and may not do."""
        if event in _PROGRAMS:
            self._forbid("it would start a program on this machine")
        elif event in ("socket.connect", "socket.sendto") and (why := self._problem_of(*arguments)):
            self._forbid(why)

    def _problem_of(self, used: socket.socket, place: object) -> str:
        if used.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(place, tuple):
            return "it would speak to another program of this machine"
        address = outgoing.as_address(str(place[0]))
        if address is None:
            return "its address is not understood"
        return outgoing.forbidden(address, int(place[1]), self.own_port)

    def _forbid(self, why: str) -> None:
        self.why = self.why or why
        raise PermissionError(why)


class _Statuses(logging.Handler):
    """Keep of what Apprise logs nothing but the last status that a service answered with."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        found = _STATUS.search(record.getMessage())
        self.last = found[1] if found else self.last


def main() -> int:
    """Read what is wanted, do it, say how it went."""
    given = json.load(sys.stdin)
    statuses, guard = _Statuses(), _Guard(int(given["own_port"]))
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [statuses], False
    requests.Session.get_redirect_target = _no_redirect
    sys.addaudithook(guard.look)
    taken = _send(given)
    json.dump({"taken": taken, "forbidden": guard.why, "status": statuses.last}, sys.stdout)
    return 0


def _send(given: dict[str, Any]) -> bool:
    asset = apprise.AppriseAsset(app_id="Holdfast", app_desc="Holdfast", async_mode=False)
    service = apprise.Apprise.instantiate(given["url"], asset=asset)
    if service is None or given.get("only_look"):
        return service is not None
    return bool(
        service.notify(
            given["text"], title=given["title"], notify_type=_KINDS[given["tone"]],
            body_format=apprise.NotifyFormat.TEXT,
        )
    )  # fmt: skip


def _no_redirect(_session: object, _answer: object) -> None:
    return None


if __name__ == "__main__":
    sys.exit(main())
