"""Find out whether everything that the snapshots need is there, and whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

from repository.check_damage import Damage, name_affected
from repository.check_index import check_index, check_packs
from repository.check_packs import PackReader
from repository.check_subset import LastRead, Subset
from repository.check_trees import check_trees
from repository.errors import Damaged, DamagedKey
from repository.files import list_files
from repository.ids import hash_bytes
from repository.keyfile import KeyFile
from repository.lockfile import LockInfo
from repository.progress import Progress, ProgressCallback, ignore_progress
from repository.repository import Repository
from storage_adapters.errors import ObjectNotFound


@dataclass(slots=True)
class CheckResult:
    """What a check found. Errors mean that data is lost or a restore would fail; hints are harmless.

    `affected` names what the errors hit, as (snapshot id in hex, tree path). `read`: the packs that were
    read, whole or damaged; `present`: all that could have been.
    """

    errors: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    affected: list[tuple[str, bytes]] = field(default_factory=list)
    snapshots: int = 0
    trees: int = 0
    packs: int = 0
    read: list[bytes] = field(default_factory=list)
    present: list[bytes] = field(default_factory=list)
    bytes_read: int = 0

    @property
    def packs_read(self) -> int:
        """The count of packs that were read whole."""
        return len(self.read)

    @property
    def ok(self) -> bool:
        """Tell whether there are no errors."""
        return not self.errors


def check(
    repo: Repository,
    *,
    read_data: bool = False,
    subset: Subset | None = None,
    last_read: LastRead = MappingProxyType({}),
    progress: ProgressCallback = ignore_progress,
) -> CheckResult:
    """Check the structure; with `read_data` also every byte of every pack. Changes nothing.

    With a `subset` only those packs are read (`read_data` or not); `last_read` says when each was, so that
    the next check reads others: keep a ReadLog, and record `read` and `present` of the result in it.
    The caller holds a lock. What is damaged is in the result, whatever it is; raises StorageError, Cancelled.
    """
    result = CheckResult()
    damage = Damage()
    _check_small_files(repo, result.errors, result.hints)
    snapshots = repo.list_snapshots(lambda damaged, error: result.errors.append(str(error)))
    result.snapshots = len(snapshots)
    progress(Progress("checking"))
    facts = check_index(repo, result.errors, result.hints)
    present = check_packs(repo, facts, damage, result.errors, result.hints)
    result.packs = len(present)
    result.present = list(present)
    if subset is not None:
        present = subset.choose(present, last_read)
    elif not read_data:
        present = {}
    with PackReader(repo, present, facts) as packs:
        result.trees = check_trees(repo, snapshots, damage, result.errors, progress)
        packs.collect(damage, result.errors, progress)
    result.read = list(present)
    result.bytes_read = sum(present.values())
    result.affected = name_affected(repo, snapshots, damage)
    return result


def _check_small_files(repo: Repository, errors: list[str], hints: list[str]) -> None:
    """Check the keys and the locks: neither is data, but a bad one can keep everybody out."""
    for file in sorted(list_files(repo.storage, "keys")):
        try:
            data = repo.storage.get(f"keys/{file.id.hex()}")
            KeyFile.decode(data)
        except ObjectNotFound:
            continue
        except DamagedKey as error:
            errors.append(f"the file keys/{file.id.hex()} is damaged: {error}")
            continue
        if hash_bytes(data) != file.id:
            errors.append(f"the file keys/{file.id.hex()} is damaged: its content does not fit its name")
    for file in repo.files.list("locks"):
        try:
            LockInfo.decode(repo.files.load("locks", file.id))
        except ObjectNotFound:
            continue
        except Damaged as error:
            (errors if file.size_bytes else hints).append(f"the lock {file.id.hex()} cannot be read: {error}")
