"""The chunker polynomial that all repositories share, so that what is in two of them is cut the same way."""

from __future__ import annotations

import logging

from core import secrets
from core.errors import HoldfastError
from core.models import RepositoryRecord
from core.storages import storages
from repository.errors import RepositoryError
from storage_adapters.errors import StorageError

_log = logging.getLogger(__name__)


def shared() -> str | None:
    """Return the polynomial of the repository that was made first; None while there is none to be read."""
    for record in storages.list_repositories():
        found = _of(record)
        if found is not None:
            return found
    return None


def seal(record_id: str, polynomial: str) -> str:
    """Return a polynomial sealed for the row of its repository: from it, chunk boundaries could be told."""
    return secrets.seal(polynomial, table="repositories", row=record_id, column="polynomial_sealed")


def _of(record: RepositoryRecord) -> str | None:
    if record.polynomial_sealed:
        return secrets.unseal(
            record.polynomial_sealed, table="repositories", row=record.id, column="polynomial_sealed"
        )
    try:  # made by a version that did not note it
        repo = storages.open_repository(record)
    except (HoldfastError, RepositoryError, StorageError) as error:
        _log.warning("the chunker polynomial of repository %s cannot be read: %s", record.id, error)
        return None
    repo.close()
    return repo.config.chunker_polynomial
