"""Send with Apprise, in a process that is ended when it takes too long; say what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from core import app_state
from core.errors import Invalid
from core.messaging.channel_messages import Message
from core.messaging.outgoing import ReceiverGone, SendFailed
from core.settings import PROJECT_DIR, variables

# Starting it costs a second; each of its connections may take four to be made, and four to answer.
TIMEOUT_S = 30.0
_PASSED_ON = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


def check(url: str) -> None:
    """Raise Invalid (`url`) unless Apprise knows the service and the URL has all that it needs."""
    try:
        answer = _ask({"url": url, "only_look": True})
    except SendFailed as error:
        raise Invalid({"url": str(error)}) from error
    if not answer["taken"]:
        raise Invalid({"url": "Apprise does not know this service, or a part of its URL is missing."})


def send(url: str, message: Message) -> None:
    """Send the message. Raises ReceiverGone, SendFailed."""
    answer = _ask({"url": url, "title": message.title, "text": message.text, "tone": message.tone})
    if answer["taken"]:
        return
    if answer["forbidden"]:
        raise SendFailed(f"Nothing was sent: {answer['forbidden']}.", "Set another address.")
    if answer["status"]:
        raise SendFailed(f"The service did not take the message: it answered {answer['status']}.")
    raise ReceiverGone("The service was not reached, or did not take the message.", "Check its URL.")


def _ask(question: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in variables(_PASSED_ON).items() if value is not None}
    try:
        # The URL holds secrets: it goes by stdin, for arguments are seen by everybody.
        done = subprocess.run(
            [sys.executable, "-m", "core.messaging.apprise_process"],
            cwd=PROJECT_DIR, text=True, timeout=TIMEOUT_S,
            input=json.dumps({**question, "own_port": app_state.settings().port}), check=False,
            env={"LC_ALL": "C.UTF-8", "NETRC": os.devnull, **given}, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ReceiverGone(f"The service gave no answer within {TIMEOUT_S:.0f} seconds.") from None
    if done.returncode != 0:
        raise SendFailed("Apprise broke off.", "Check its URL, and that Holdfast is installed completely.")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
