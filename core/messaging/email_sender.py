"""Send one e-mail through a mail server; say in our own words what it did not take."""

from __future__ import annotations

import smtplib
import socket
import ssl
from contextlib import closing
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from core import app_state
from core.messaging import outgoing
from core.messaging.channel_inputs import EmailTarget
from core.messaging.outgoing import PartlyTaken, ReceiverGone, SendFailed

_HELLO = "[127.0.0.1]"  # as smtplib itself says where a machine has no full name; servers refuse a bare one
_DOMAIN = "holdfast.invalid"  # in message ids: this machine's own name is nobody's business


def send(target: EmailTarget, subject: str, text: str) -> None:
    """Hand the mail to the server, for all recipients. Raises ReceiverGone, PartlyTaken, SendFailed."""
    try:
        _deliver(target, _message(target, subject, text))
    except smtplib.SMTPAuthenticationError as error:
        raise SendFailed(
            f"The mail server refused the login ({error.smtp_code}).", "Check user and password."
        ) from error
    except smtplib.SMTPSenderRefused as error:
        raise SendFailed(
            f"The mail server does not take mail from {target.sender} ({error.smtp_code}).",
            "Check the sender's address, and whether the server wants a login.",
        ) from error
    except smtplib.SMTPRecipientsRefused as error:
        refused = ", ".join(sorted(error.recipients))
        raise SendFailed(f"The mail server takes no mail for {refused}.", "Check these.") from error
    except smtplib.SMTPNotSupportedError as error:
        raise SendFailed(
            f"The mail server at {target.host} lacks what was asked for: STARTTLS, or a login.",
            "Choose another kind of encryption, or leave the user empty.",
        ) from error
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        raise ReceiverGone(f"The mail server at {target.host} did not answer: {_reason(error)}.") from error


def _deliver(target: EmailTarget, message: EmailMessage) -> None:
    server = _Server(target)
    with outgoing.limited(lambda: server.opened), closing(server):
        server.connect(target.host, target.port)
        if target.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if target.user:
            server.login(target.user, target.password)
        refused = server.send_message(message)
        server.quit()
    if refused:
        raise PartlyTaken(f"The mail server takes no mail for {', '.join(sorted(refused))}.", "Check these.")


class _Server(smtplib.SMTP):
    """A session on a connection whose address was looked at first."""

    def __init__(self, target: EmailTarget) -> None:
        super().__init__(local_hostname=_HELLO, timeout=outgoing.TIMEOUT_S)
        self._host = target.host  # whose name the certificate must bear after STARTTLS
        self._tls = target.security == "tls"
        self._first: socket.socket | None = None

    @property
    def opened(self) -> socket.socket | None:
        """The socket in use, if there is one."""
        return self.sock or self._first

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self._first = opened = outgoing.connect(host, port, app_state.settings().port)
        if self._tls:
            context = ssl.create_default_context()
            opened = context.wrap_socket(opened, server_hostname=host, do_handshake_on_connect=False)
            self._first = opened
            opened.do_handshake()
        return opened


def _message(target: EmailTarget, subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())[:200]
    message["From"] = Address("Holdfast", addr_spec=target.sender)
    message["To"] = ", ".join(target.recipients)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=_DOMAIN)
    message["Auto-Submitted"] = "auto-generated"  # no "I am on holiday" in return
    message.set_content(text)
    return message


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it broke off with {error.smtp_code}"
    if isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException):
        return outgoing.reason(error)
    return type(error).__name__
