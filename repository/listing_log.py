"""Remember when the packs of a large and far repository were last listed, all of them there and whole.

A listing of thousands takes megabytes: more than all else that a backup sends which meets nothing new.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Set

from repository.cache import LISTED
from repository.crypto import seal, unseal
from repository.errors import Damaged
from repository.jsontext import load_object
from repository.repository import Repository
from storage_adapters.base import is_far

# Fewer packs are listed each time: that is half a megabyte at most.
FEW_PACKS = 1_500
# A daily backup still lists each time, an hourly one once a day.
GOOD_FOR_S = 20 * 3600

logger = logging.getLogger(__name__)


def was_listed(repo: Repository) -> bool:
    """Tell whether a listing not long ago need not be repeated, for the index that is loaded.

    It must be if index files have gone since: then somebody has pruned or repaired. What came since was
    looked for by whoever wrote it, before an index named it.
    """
    cache = repo.files.cache
    if cache is None or not is_far(repo.storage) or repo.index.pack_count <= FEW_PACKS:
        return False
    sealed = cache.get_note(LISTED)
    if sealed is None:
        return False
    try:
        listed_at_ns, index = _decode(unseal(repo.key, sealed), repo.id)
    except (Damaged, ValueError) as error:
        logger.info("the packs are listed, because it is not known when they last were: %s", error)
        return False
    age_s = (time.time_ns() - listed_at_ns) / 1e9
    return 0 <= age_s < GOOD_FOR_S and index <= repo.index.files


def note_listed(repo: Repository, began_ns: int) -> None:
    """Take note that a listing, begun at that time, had all packs of the loaded index, whole."""
    if repo.files.cache is not None and is_far(repo.storage) and repo.index.files:
        repo.files.cache.put_note(LISTED, seal(repo.key, _encode(repo.id, began_ns, repo.index.files)))


def forget_listing(repo: Repository) -> None:
    """List the packs the next time in any case: something was missed."""
    if repo.files.cache is not None:
        repo.files.cache.drop_note(LISTED)


def _encode(repository: str, at_ns: int, index: Set[bytes]) -> bytes:
    names = sorted(each.hex() for each in index)
    return json.dumps({"repository": repository, "at_ns": at_ns, "index": names}).encode()


def _decode(text: bytes, repository: str) -> tuple[int, frozenset[bytes]]:
    """Return when, and with which index files. Raises Damaged, ValueError."""
    values = load_object(text, "the note of the last listing").values
    if values.get("repository") != repository:
        raise Damaged("the note of the last listing is of another repository")
    at_ns, index = values.get("at_ns"), values.get("index")
    if not isinstance(at_ns, int) or not isinstance(index, list):
        raise Damaged("the note of the last listing is not complete")
    return at_ns, frozenset(bytes.fromhex(each) for each in index)
