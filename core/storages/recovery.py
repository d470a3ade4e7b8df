"""The recovery key: the default repository's password, shown once, confirmed by typing parts of it back."""

from __future__ import annotations

import hmac
import secrets as random
from collections.abc import Sequence

from sqlalchemy.orm import Session

from core import instance
from core.db import utc_now, write
from core.errors import Conflict, Invalid, Refused

GROUPS = 8
GROUP_LENGTH = 5
ASKED = 3
# Crockford's: no I, L, O, U, so that nothing is mistaken for another when read from paper.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})
_KEY, _ORIGIN, _ASKED, _CONFIRMED = (
    "recovery_key",
    "recovery_key_origin",
    "recovery_key_asked",
    "recovery_key_confirmed_at",
)


def new_key() -> str:
    """Return a random key of 200 bits, as eight groups of five characters."""
    groups = ("".join(random.choice(_ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
    return "-".join(groups)


def stored() -> str | None:
    """Return the key, if there is one: for opening things, never for showing it."""
    return instance.get_secret(_KEY)


def store_in(session: Session, key: str, *, given: bool) -> None:
    """Keep the key, sealed; `given`: a person brought it, so it is never shown."""
    instance.set_secret_in(session, _KEY, key)
    instance.set_in(session, _ORIGIN, "given" if given else "made")
    asked = sorted(random.SystemRandom().sample(range(1, GROUPS + 1), ASKED)) if not given else [1]
    instance.set_in(session, _ASKED, asked)


def was_given() -> bool:
    """Tell whether a person brought the key (BACKUP_ENCRYPTION_KEY, or an adopted repository)."""
    return bool(instance.get(_ORIGIN) == "given")


def confirmed() -> bool:
    """Tell whether a person has proven to have the key."""
    return bool(instance.get(_CONFIRMED))


def show() -> str:
    """Return the key to be written down: only until it is confirmed. Raises Refused, Conflict."""
    key = stored()
    if key is None:
        raise Conflict("There is no recovery key yet.", "Choose where to keep backups first.")
    if confirmed():
        raise Refused(
            "The recovery key was confirmed and is not shown again.", "Look where you have kept it."
        )
    if was_given():
        raise Refused("The recovery key was given by you and is not shown.", "Type it back to confirm it.")
    return key


def challenge() -> list[int]:
    """Return which groups to type back, counted from 1; [1] stands for the whole of a key that was given."""
    return list(instance.get(_ASKED, []))


def confirm(parts: Sequence[str]) -> None:
    """Take the parts asked for, in that order. Raises Invalid naming `part_<number>` of each wrong one."""
    key, asked = stored(), challenge()
    if key is None:
        raise Conflict("There is no recovery key yet.", "Choose where to keep backups first.")
    expected = [key] if was_given() else [key.split("-")[position - 1] for position in asked]
    given = [*parts, *[""] * len(expected)][: len(expected)]
    wrong = {
        f"part_{position}": "This is not what stands there. Look at your copy of the key."
        for position, want, got in zip(asked, expected, given, strict=True)
        if not _same(want, got)
    }
    if wrong:
        raise Invalid(wrong)
    with write() as session:
        instance.set_in(session, _CONFIRMED, utc_now().isoformat())


def _same(want: str, got: str) -> bool:
    """Compare in constant time; our own alphabet is read with the forgiveness it was made for."""
    if hmac.compare_digest(want.strip().encode(), got.strip().encode(errors="replace")):
        return True
    plain = got.upper().translate(_READ_AS)
    ours = want.replace("-", "")
    return set(ours) <= set(_ALPHABET) and hmac.compare_digest(ours.encode(), plain.encode(errors="replace"))
