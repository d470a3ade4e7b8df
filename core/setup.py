"""First start, by browser or environment: admin, first storage, recovery key, first config."""

from __future__ import annotations

import hmac
import secrets as random
from collections.abc import Sequence
from typing import Literal

from sqlalchemy import select

from core import app_state, instance, words
from core.access import users
from core.configs import environment
from core.db import db, utc_now, write
from core.errors import Conflict, Invalid, Refused
from core.models import Config, RepositoryRecord, Storage, User
from core.settings import Settings
from core.storages import recovery, storage_setup

Stage = Literal["admin", "storage", "recovery", "config", "done"]

FIRST_STORAGE = "Local disk"
_TOKEN = "setup_token"  # noqa: S105  (the name of the row)
# A key that somebody could guess; what is adopted has its password already.
SHORTEST_KEY = 12


class KeyTooShort(Refused):
    """BACKUP_ENCRYPTION_KEY is too short for a new repository."""


def stage() -> Stage:
    """Return the step of set-up that comes next."""
    if not users.any_admin():
        return "admin"
    if not has_repository():
        return "storage"
    if not recovery.confirmed():
        return "recovery"
    return "done" if db.session.scalar(select(Config.id).limit(1)) else "config"


def has_repository() -> bool:
    """Tell whether the first storage is initialised."""
    return db.session.scalar(select(RepositoryRecord.id).limit(1)) is not None


def setup_token() -> str | None:
    """Return the token of the one-time link that makes the first admin; None once there is one."""
    if users.any_admin():
        return None
    token = instance.get_secret(_TOKEN)
    if token is not None:
        return token
    with write() as session:
        if instance.get_in(session, _TOKEN) is None:
            instance.set_secret_in(session, _TOKEN, random.token_urlsafe(24))
    return instance.get_secret(_TOKEN)


def token_matches(token: str) -> bool:
    """Tell, in constant time, whether this is the token of the link; never once an admin exists."""
    expected = setup_token()
    return expected is not None and hmac.compare_digest(expected.encode(), token.encode(errors="replace"))


def create_admin(token: str, name: str, password: str) -> User:
    """Make the first admin; the link is used up. Raises Refused for a wrong or used link, Invalid."""
    if not token_matches(token):
        raise Refused(
            "This set-up link is not valid, or was used before.", "Use the link that the start printed."
        )
    hashed = users.check_and_hash(name, password)
    with write() as session:
        if session.scalar(select(User.id).where(User.role == "admin").limit(1)) is not None:
            raise Conflict(
                "Somebody has made the first admin meanwhile.", "Log in, or ask them for an account."
            )
        instance.set_in(session, _TOKEN, None)
        admin = users.insert(session, name, hashed, "admin")
        admin.last_login_at = utc_now()  # who sets it up is logged in from then on
        return admin


def create_first_storage(path: str, existing_key: str = "") -> Storage:
    """Initialise the first storage; its recovery key is made now, unless the environment or `existing_key`
    (that of a repository which is already there, to adopt it) gives one.

    Raises Invalid, Refused, Conflict; whatever ended an earlier try, this goes on from there.
    """
    settings = app_state.settings()
    with app_state.lock("setup"):
        db.session.rollback()  # what was read before the lock may be old
        if has_repository():
            raise Conflict("The first storage is set up already.", "Go on with the next step.")
        path = storage_setup.check_path(path)
        _settle_key(path, settings, existing_key.strip())
        storage = storage_setup.create_local(FIRST_STORAGE, path, recovery.stored() or "")
        environment.apply(settings)
        return storage


def recovery_key() -> str:
    """Return the recovery key, until it is confirmed. Raises Refused if it was given by a person."""
    return recovery.show()


def recovery_challenge() -> list[int]:
    """Return which groups of the key are asked for, from 1; [1] for the whole of a given key."""
    return recovery.challenge()


def confirm_recovery_key(parts: Sequence[str]) -> None:
    """Take what was typed for each group asked for, in that order. Raises Invalid (`part_<number>`)."""
    recovery.confirm(parts)


def apply_environment(settings: Settings) -> list[str]:
    """Do what the environment asks for at first start; return sentences for the person who starts it.

    Safe at each start. Raises Refused for what cannot be done, such as a changed BACKUP_ENCRYPTION_KEY.
    """
    if not settings.encryption:
        raise Refused(
            "BACKUP_ENCRYPTION is false: this version keeps encrypted repositories only.",
            "Remove the variable.",
        )
    _refuse_changed_key(settings)
    environment.check(settings)
    _note_not_used(settings)
    if settings.encryption_key and not has_repository():
        _create_in_backup_dir(settings)
    elif has_repository():
        environment.apply(settings)
    return notes()


def ensure_for_command(interactive: bool) -> str | None:
    """See to it that a command has a repository to work with; return a new recovery key, to print once.

    Without a person to show it to, and without BACKUP_ENCRYPTION_KEY, it is Refused.
    """
    settings = app_state.settings()
    apply_environment(settings)
    if has_repository():
        return None
    if not interactive:
        raise Refused(
            "Nothing is set up yet, and there is no terminal to show a new recovery key on.",
            "Set BACKUP_ENCRYPTION_KEY (or BACKUP_ENCRYPTION_KEY_FILE), or run this once on a terminal.",
        )
    _create_in_backup_dir(settings)
    return recovery.stored()


def notes() -> list[str]:
    """Return sentences about variables that are set, and not used: by this version, or in this install."""
    names = instance.get("environment_not_used", [])
    unused = [f"Set, but not used by this version of Holdfast yet: {', '.join(names)}."] if names else []
    return unused + environment.differences(app_state.settings())


def _create_in_backup_dir(settings: Settings) -> None:
    try:
        create_first_storage(settings.backup_dir)
    except KeyTooShort:
        raise
    except (Invalid, Refused) as error:
        raise Refused(f"BACKUP_DIR cannot become the first storage. {error.message}", error.advice) from error


def _settle_key(path: str, settings: Settings, existing_key: str) -> None:
    """Store the recovery key, once nothing speaks against this folder that can be known before."""
    given = settings.encryption_key or existing_key
    found = storage_setup.can_adopt(path, given or recovery.stored() or "")
    if existing_key and not found:
        raise Invalid({"existing_key": f"There is no repository at {path} that this key could open."})
    if not found:
        _refuse_short_key(settings.encryption_key or "")
    if given and recovery.stored() != given:
        _store_key(given, given=True)
    elif recovery.stored() is None:
        _store_key(recovery.new_key(), given=False)


def _refuse_short_key(key: str) -> None:
    if 0 < len(key) < SHORTEST_KEY:
        raise KeyTooShort(
            f"BACKUP_ENCRYPTION_KEY has {words.count(len(key), 'character')}: the key of a new repository "
            f"must have at least {SHORTEST_KEY}.",
            "Choose a longer one; a few random words are fine. Nothing was written.",
        )


def _store_key(key: str, *, given: bool) -> None:
    with write() as session:
        recovery.store_in(session, key, given=given)


def _refuse_changed_key(settings: Settings) -> None:
    if settings.encryption_key and has_repository() and settings.encryption_key != recovery.stored():
        raise Refused(
            "BACKUP_ENCRYPTION_KEY is not the recovery key of this install, and was not applied.",
            "Put the former value back, or remove the variable: the stored key goes on being used.",
        )


def _note_not_used(settings: Settings) -> None:
    names = list(settings.not_used)
    if instance.get("environment_not_used", []) != names:
        instance.put("environment_not_used", names)
