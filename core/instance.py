"""Facts about this install by name (instance values), secrets among them sealed."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from core import secrets
from core.db import db, utc_now, write
from core.models import InstanceValue


def get(key: str, default: Any = None) -> Any:
    """Return the value of `key`, or `default`."""
    row = db.session.get(InstanceValue, key)
    return default if row is None else row.value


def get_in(session: Session, key: str) -> Any:
    """Return the value of `key` as the caller's transaction sees it; None if there is none."""
    row = session.get(InstanceValue, key)
    return None if row is None else row.value


def put(key: str, value: Any) -> None:
    """Store `value` (anything JSON can hold) in a transaction of its own."""
    with write() as session:
        set_in(session, key, value)


def set_in(session: Session, key: str, value: Any) -> None:
    """Store `value` in the caller's transaction; None removes the key."""
    row = session.get(InstanceValue, key)
    if value is None:
        if row is not None:
            session.delete(row)
    elif row is None:
        session.add(InstanceValue(key=key, value=value, updated_at=utc_now()))
    else:
        row.value, row.updated_at = value, utc_now()


def get_secret(key: str) -> str | None:
    """Return the text that set_secret_in stored. Raises secrets.SealBroken."""
    sealed = get(key)
    return (
        None if sealed is None else secrets.unseal(sealed, table="instance_values", row=key, column="value")
    )


def set_secret_in(session: Session, key: str, text: str | None) -> None:
    """Store `text` sealed, in the caller's transaction; None removes the key."""
    sealed = None if text is None else secrets.seal(text, table="instance_values", row=key, column="value")
    set_in(session, key, sealed)


def recovery_key_confirmed() -> bool:
    """Tell whether a person has typed parts of the recovery key back."""
    return bool(get("recovery_key_confirmed_at"))
