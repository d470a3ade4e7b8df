"""The second factor of a login: codes of an app (TOTP, RFC 6238), and recovery codes for when it is lost."""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
import time
from collections.abc import Sequence

import pyotp
from sqlalchemy.orm import Session

from core import secrets
from core.access import users
from core.access.users import LoginFailed
from core.db import utc_now, write
from core.errors import Conflict, Invalid
from core.models import User

ISSUER = "Holdfast"
RECOVERY_CODES = 10
_STEP_S = 30
# Codes of the step before and after are taken, too: clocks differ, and typing takes its time.
_STEPS_OFF = (0, -1, 1)
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_SEALED_IN = {"table": "users", "column": "totp_sealed"}


def is_on(user: User) -> bool:
    """Tell whether a login of this user needs a code."""
    return user.totp_confirmed_at is not None


def begin(user_id: int) -> None:
    """Make a new secret, which does not count before it is confirmed. Raises Conflict if one does."""
    with write() as session:
        user = _get(session, user_id)
        if is_on(user):
            raise Conflict("The second factor is on already.", "Turn it off first.")
        user.totp_sealed = secrets.seal(pyotp.random_base32(), row=user.id, **_SEALED_IN)
        user.totp_step = 0


def secret_to_confirm(user: User) -> str | None:
    """Return the secret that was begun with and waits to be confirmed; None if there is none."""
    return None if is_on(user) or not user.totp_sealed else _secret(user)


def uri(user: User, secret: str) -> str:
    """Return the address that apps read from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.name, issuer_name=ISSUER)


def confirm(user_id: int, code: str) -> list[str]:
    """Turn it on, since a code shows that the app has the secret; return recovery codes, known only now.

    Raises Invalid (`code`), Conflict.
    """
    with write() as session:
        user = _get(session, user_id)
        if is_on(user) or not user.totp_sealed:
            raise Conflict("There is nothing to confirm.", "Begin anew.")
        if not _takes(user, code):
            raise Invalid({"code": "This is not the code that your app shows now. Is the clock right there?"})
        user.totp_confirmed_at = utc_now()
        return _new_codes(user)


def turn_off(user_id: int) -> None:
    """Let this user log in with the password alone; the recovery codes are void."""
    with write() as session:
        user = _get(session, user_id)
        user.totp_sealed, user.totp_confirmed_at, user.totp_step, user.recovery_codes = "", None, 0, {}


def check(user_id: int, code: str, address: str) -> None:
    """Take a code of the app, or a recovery code, which then is used up.

    Raises LoginFailed, TooManyAttempts. Each code of the app is taken once.
    """
    with write() as session:
        user = _get(session, user_id)
        # Noted before the look, so that many guesses at once cannot slip past the count.
        users.note_attempt(session, [f"code:{user.name.lower()}", f"address:{users.network(address)}"])
    with write() as session:
        user = _get(session, user_id)
        if not is_on(user) or not (_takes(user, code) or _takes_recovery(user, code)):
            raise LoginFailed("This code is not right, or was used already.", "Take the next one.")
        users.forget_attempts(session, f"code:{user.name.lower()}")
        users.forget_last_attempt(session, f"address:{users.network(address)}")


def codes_left(user: User) -> int:
    """Return how many recovery codes are not used up."""
    return len(user.recovery_codes.get("hashes", []))


def _takes(user: User, code: str) -> bool:
    """Tell whether it is a code of about now that was not taken yet, and remember that it was."""
    typed, now = "".join(code.split()), int(time.time()) // _STEP_S
    codes = pyotp.TOTP(_secret(user))
    # A step that is still to come was noted under a clock that was ahead: it must not lock anybody out.
    last = user.totp_step if user.totp_step <= now + max(_STEPS_OFF) else 0
    for step in (now + off for off in _STEPS_OFF):
        if step > last and hmac.compare_digest(codes.generate_otp(step).encode(), typed.encode()):
            user.totp_step = step
            return True
    return False


def _takes_recovery(user: User, code: str) -> bool:
    hashes: Sequence[str] = user.recovery_codes.get("hashes", [])
    typed = _hash(code)
    if typed not in hashes:
        return False
    user.recovery_codes = {"hashes": [each for each in hashes if each != typed]}
    return True


def _new_codes(user: User) -> list[str]:
    codes = ["-".join(_word() for _ in range(3)) for _ in range(RECOVERY_CODES)]
    user.recovery_codes = {"hashes": [_hash(code) for code in codes]}
    return codes


def _word() -> str:
    return "".join(random.choice(_ALPHABET) for _ in range(4))


def _hash(code: str) -> str:
    # Of 59 random bits: nothing slower is needed.
    plain = "".join(char for char in code.lower() if char.isalnum())
    return hashlib.sha256(plain.encode(errors="replace")).hexdigest()


def _secret(user: User) -> str:
    return secrets.unseal(user.totp_sealed, row=user.id, **_SEALED_IN)


def _get(session: Session, user_id: int) -> User:
    return session.get_one(User, user_id)
