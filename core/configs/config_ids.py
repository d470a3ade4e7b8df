"""What clients of the API may choose for a config of theirs: its id, and data of their own."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, JsonValue
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid
from core.models import Config

MOST_METADATA_BYTES = 16 * 1024
# Stands in addresses and in the tags of snapshots. A digit or a dash keeps it apart from words in addresses.
_ID = re.compile(r"(?=.*[0-9-])[a-z0-9][a-z0-9-]{0,15}\Z")


def _check_metadata(data: dict[str, Any] | None) -> dict[str, Any] | None:
    if data is not None and len(json.dumps(data)) > MOST_METADATA_BYTES:
        raise ValueError(f"metadata has at most {MOST_METADATA_BYTES:,} bytes")
    return data


Metadata = Annotated[dict[str, JsonValue] | None, AfterValidator(_check_metadata)]


def require_free(session: Session, config_id: object) -> None:
    """Raise Invalid for what cannot be an id, Conflict for one that is taken; None is always free."""
    if config_id is None:
        return
    if not isinstance(config_id, str) or not _ID.match(config_id):
        text = "An id has 1 to 16 small letters, digits and dashes, and at least one digit or dash."
        raise Invalid({"id": text})
    taken = session.get(Config, config_id)
    if taken is not None:
        gone = ", which was deleted and whose points may still be there" if taken.deleted_at else ""
        raise Conflict(f"There is already a config {config_id!r}{gone}.", "Choose another id, or none.", "id")
