"""Look at a place where a storage is to be, without writing: may it be there, and what is there already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from core import app_state, words
from core.errors import Invalid, Unreachable
from core.jobs.outcomes import sentence
from core.models import Storage
from core.storages import providers, recovery, storages
from core.storages.storage_inputs import LocalInput, S3Input, StorageInput
from repository.errors import Damaged, NoRepository, WrongPassword
from repository.repository import Repository
from storage_adapters.base import ObjectInfo, StorageAdapter
from storage_adapters.errors import (
    NoBucket,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
    StorageUnreachable,
)
from storage_adapters.patience import BoundedAdapter
from storage_adapters.prefixed import PrefixedAdapter
from storage_adapters.retry import RetryingAdapter

Kind = Literal["missing", "empty", "repository", "holdfast", "foreign"]

PREFIX = "repository/"
_FORBIDDEN = ("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/usr")
_IGNORED = ("lost+found", "System Volume Information", "$RECYCLE.BIN")
_SEEN = 1000  # so many objects are looked at to tell whether a place is empty


@dataclass(frozen=True, slots=True)
class Look:
    """What is at a place. `ok`: set-up would go on from here. `text` says what is there, `advice` what to do.

    `opens`: whether the password opens the repository; None if there is none, or it is damaged. `prefix`:
    where that is or would be below the place. `marker`: the id in the marker, "" if not readable, or None.
    """

    kind: Kind
    ok: bool
    text: str
    advice: str = ""
    opens: bool | None = None
    snapshots: int | None = None
    prefix: str = PREFIX
    marker: str | None = None

    @property
    def has_repository(self) -> bool:
        """Tell whether a repository is there, of whomever."""
        return self.kind == "repository" or (self.kind == "holdfast" and self.opens is not None)


def look(data: StorageInput, password: str = "") -> Look:
    """Say what is there; `password` "": try the recovery key. Raises Invalid by field, Unreachable."""
    data = check(data)
    adapter = storages.make_adapter(data, providers.AT_A_PAGE)
    try:
        return examine(adapter, data, password or recovery.stored() or "")
    except StorageError as error:
        raise not_reached(data, error) from error
    finally:
        adapter.close()


def check(data: StorageInput, own: Storage | None = None) -> StorageInput:
    """Return the input with its place in plain form. Raises Invalid where no storage may be.

    `own`: the row of this very storage, which it may overlap.
    """
    if isinstance(data, LocalInput):
        return data.model_copy(update={"path": check_path(data.path, own)})
    mine = providers.where(data) + "/"
    for other in storages.list_all():
        theirs = providers.where(other) + "/"
        if (own is None or other.id != own.id) and (mine.startswith(theirs) or theirs.startswith(mine)):
            field = "prefix" if isinstance(data, S3Input) else "path"
            raise Invalid({field: f"This overlaps the storage {other.name} at {theirs.rstrip('/')}."})
    return data


def check_path(path: str, own: Storage | None = None) -> str:
    """Return the path in its plain form, if a storage may lie there. Raises Invalid; writes nothing."""
    path = path.strip()
    if not path.startswith("/") or not path.isprintable():
        raise Invalid(
            {"path": "The path must be absolute: it starts with /, as /mnt/backup-disk/holdfast does."}
        )
    path = os.path.normpath("/" + path.lstrip("/"))
    real, data_dir = os.path.realpath(path), os.path.realpath(app_state.settings().data_dir)
    if real in _FORBIDDEN:
        raise Invalid(
            {"path": f"{path} belongs to the system. Choose a folder of its own, on another disk if you can."}
        )
    if os.path.exists(real) and not os.path.isdir(real):
        raise Invalid({"path": f"{path} is a file, not a folder. Choose a folder of its own."})
    if _overlaps(real, data_dir):
        raise Invalid(
            {"path": f"{path} overlaps Holdfast's own data folder ({data_dir}). Choose another folder."}
        )
    for other in storages.list_all():
        root = other.settings["path"] if other.provider == "local" else None
        if root and (own is None or other.id != own.id) and _overlaps(real, os.path.realpath(root)):
            raise Invalid({"path": f"{path} overlaps the storage at {root}. Choose another folder."})
    return path


def examine(adapter: StorageAdapter, data: StorageInput, password: str) -> Look:
    """Do the same with an adapter that is open. Raises StorageError."""
    place = providers.where(data)
    if isinstance(data, LocalInput) and not os.path.lexists(data.path):
        return Look("missing", ok=True, text=f"{place} does not exist yet; it will be made.")
    try:
        marker = storages.read_marker(adapter)
    except StorageUnavailable as error:
        if type(error) is not StorageUnavailable or isinstance(data, S3Input | LocalInput):
            raise
        return Look("missing", ok=True, text=f"{place} does not exist yet; it will be made.")
    prefix = _find_repository(adapter)
    if prefix is not None:
        return _look_into(adapter, place, prefix, marker, password)
    if marker is not None:
        return Look(
            "holdfast", ok=False, marker=marker,
            text=f"{place} is the storage of another Holdfast, and there is no repository in it.",
            advice="Mount the right disk, or choose an empty place. Nothing was written.",
        )  # fmt: skip
    return _look_for_others(adapter, data, place)


def not_reached(data: StorageInput, error: StorageError) -> Invalid | Unreachable:
    """Return what to tell a person whose input leads nowhere, by field where that is clear."""
    text = _without_place(data, str(error))
    if _is_host_key(error):
        return Invalid({"host_keys": _about_host_key(error)})
    if isinstance(error, NoBucket):
        return Invalid({"bucket": sentence(text)})
    place, advice = providers.where(data), providers.advice(data.provider)
    if text.startswith("it did not answer"):
        return Unreachable(words.ended(f"{place} {text.removeprefix('it ')}"), advice)
    if isinstance(error, StorageUnreachable):
        return Unreachable(words.ended(f"{place} does not answer: {text}"), advice)
    return Unreachable(words.ended(f"{place} cannot be used: {text}"), advice)


def _without_place(data: StorageInput, text: str) -> str:
    """Leave out the place at the start of what an S3 adapter says: the sentence has named it already."""
    if not isinstance(data, S3Input):
        return text
    _, found, rest = text.partition(f"the bucket {data.bucket} at ")
    if not found:
        return text
    _, _, rest = rest.partition(" ")  # the address, and perhaps a colon
    return rest if text.startswith(f"{found}{providers.endpoint_of(data)}: ") else f"it {rest}"


def _about_host_key(error: StorageError) -> str:
    if getattr(error, "pinned", ()):
        return sentence(str(error))  # another key than was confirmed
    shown = getattr(error, "found", "")
    return f"The server shows the key {shown}. Compare it with its own, then tick it under “Test this place”."


def exists(adapter: StorageAdapter, key: str) -> bool:
    """Tell whether there is such an object. Raises StorageError."""
    try:
        adapter.stat(key)
    except ObjectNotFound:
        return False
    return True


def _is_host_key(error: StorageError) -> bool:
    from storage_adapters.sftp import HostKeyRefused  # slow to import: paramiko

    return isinstance(error, HostKeyRefused)


def _find_repository(adapter: StorageAdapter) -> str | None:
    """Return under which prefix a repository lies: ours, or restic's own, which is the place itself."""
    if exists(adapter, f"{PREFIX}config"):
        return PREFIX
    if exists(adapter, "config") and any(True for _ in adapter.list("keys/")):
        return ""
    return None


def _look_into(adapter: StorageAdapter, place: str, prefix: str, marker: str | None, password: str) -> Look:
    kind: Kind = "repository" if marker is None else "holdfast"
    known = next((one for one in storages.list_all() if marker and one.marker_id == marker), None)
    if known is not None:
        return Look(
            kind, ok=False, prefix=prefix, marker=marker, opens=None,
            text=f"{place} is the storage {known.name}, which is set up already.",
            advice="Change that storage's place if it has moved. Nothing was written.",
        )  # fmt: skip
    try:
        repo = Repository.open(PrefixedAdapter(adapter, prefix), password)
        number = sum(1 for _ in repo.files.list("snapshots"))
    except WrongPassword:
        return Look(
            kind, ok=False, prefix=prefix, marker=marker, opens=False,
            text=f"There is already a repository at {place}, and the recovery key does not open it."
            if password == (recovery.stored() or "")
            else f"There is already a repository at {place}, and this password does not open it.",
            advice="Give the password of that repository to adopt it, or choose an empty place. "
            "Nothing was written.",
        )  # fmt: skip
    except (NoRepository, Damaged) as error:
        return Look(
            "repository", ok=False, prefix=prefix, marker=marker,
            text=words.ended(f"The repository at {place} cannot be opened: {error}"),
            advice="Repair it with restic, or choose an empty place. Nothing was written.",
        )  # fmt: skip
    text = f"There is a repository at {place} with {words.count(number, 'snapshot')}, and it opens."
    return Look(kind, True, text, "It will be adopted as it is.", True, number, prefix, marker)


def _look_for_others(adapter: StorageAdapter, data: StorageInput, place: str) -> Look:
    foreign = sorted(_foreign_names(adapter, data))
    if not foreign:
        return Look("empty", ok=True, text=f"{place} is empty.")
    more = " and more" if len(foreign) > 1 else ""
    return Look(
        "foreign", ok=False, text=f"{place} is not empty: it holds {foreign[0]!r}{more}.",
        advice=f"Choose a place of its own, such as {place}/holdfast. Nothing was written.",
    )  # fmt: skip


def _foreign_names(adapter: StorageAdapter, data: StorageInput) -> set[str]:
    names: Iterator[str]
    if isinstance(data, LocalInput):
        names = iter(os.listdir(data.path))  # also what could be no key
    else:
        names = (found.key.split("/")[0] for found in islice(_unlisted(adapter), _SEEN))
    return {name for name in names if not name.startswith(".") and name not in _IGNORED}


def _unlisted(adapter: StorageAdapter) -> Iterator[ObjectInfo]:
    """List page by page, where the wrapper that tries again would first list all there is."""
    while isinstance(adapter, BoundedAdapter | RetryingAdapter):
        adapter = adapter.inner
    return adapter.list("")


def _overlaps(one: str, other: str) -> bool:
    return os.path.commonpath((one, other)) in (one, other)
