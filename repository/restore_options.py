"""What a restore is asked for, and the plan that follows from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from repository.entries import Entry, Problem
from repository.errors import BlobNotFound, Damaged, NothingToRestore, PathNotFound
from repository.lookup import find_node
from repository.repository import Repository
from repository.restore_plan import Conflict, Existing, Holds, Planner, Root, Selection
from repository.snapshot import Snapshot
from repository.tree import entry_from_node

Include = Selection | Callable[[bytes, bool], bool] | Sequence[bytes] | None


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """What to restore, and how.

    `include`: tree paths, each with all below it; or a function (path, is folder) that is asked for
    everything, and alone decides; None is all. `strip`: the folder of the tree whose *content* goes to the
    target's root; everything outside it is left out. Folders that only lead to something included are made
    when missing, and left as they are otherwise.

    `conflict`, where something other than a folder stands already: `replace` it; `keep` it;
    `replace-if-older` replaces it if its mtime is before the snapshot's; `rename` writes beside it, as
    `<name>.restored`. With `keep` and `rename`, folders that exist keep their metadata, too.

    `verify`: ask the target for the size of each file written. (Content is checked in any case: it comes from
    blobs that fit their hash, and must be as long as the snapshot says.)

    `delta`: leave a file alone that has this content already, byte for byte, and only set its metadata.

    `resumed`: an earlier try of the same restore has written a part. What stands at the target just as the
    snapshot has it, time and content, is that part, whatever `conflict` says of what stood there before.

    `workers`: helper processes for small files, once there are many; None is as many as the machine affords.
    """

    include: Include = None
    conflict: Conflict = "replace"
    strip: bytes = b"/"
    verify: bool = True
    delta: bool = True
    resumed: bool = False
    workers: int | None = None


EVERYTHING = RestoreOptions()


def plan(
    repo: Repository,
    snapshot: Snapshot,
    existing: Existing,
    options: RestoreOptions,
    report: Callable[[Problem], None],
    holds: Holds | None = None,
    on_kept: Callable[[bytes, Entry], None] = lambda path, entry: None,
    written: Holds | None = None,
) -> Planner:
    """Return what will say what is to be written where; `existing` tells what stands at the target.

    `written`, for `resumed`: as `holds`, also for files with several names.
    """
    tree, own = _root(repo, snapshot, options.strip)
    root = Root(tree, clean_path(options.strip), own)
    selection = select(options.include)
    return Planner(
        repo, root, existing, selection, options.conflict, report, holds or _holds_nothing, on_kept,
        written if options.resumed else None,
    )  # fmt: skip


def select(include: Include) -> Selection:
    """Return the selection that an `include` means."""
    if include is None:
        return Selection(lambda path, is_dir: True, lambda path: True)
    if isinstance(include, Selection):
        return include
    if callable(include):
        return Selection(include, lambda path: True)
    wanted = [clean_path(path) for path in include]
    return Selection(
        lambda path, is_dir: any(is_within(path, each) for each in wanted),
        lambda path: any(is_within(path, each) or is_within(each, path) for each in wanted),
    )


def missing_paths(repo: Repository, snapshot: Snapshot, options: RestoreOptions) -> Iterator[Problem]:
    """Yield a problem for each path of `include` that the snapshot or the folder to restore does not hold."""
    if options.include is None or callable(options.include) or isinstance(options.include, Selection):
        return
    top = clean_path(options.strip)
    for path in dict.fromkeys(map(clean_path, options.include)):
        if not (is_within(path, top) or is_within(top, path)):
            text = f"it is outside of {os.fsdecode(top)}, the folder that is restored, so it was not restored"
            yield Problem(path, "unreadable", text)
        elif not _is_there(repo, snapshot, path):
            yield Problem(path, "unreadable", "the snapshot does not hold it, so it was not restored")


def _is_there(repo: Repository, snapshot: Snapshot, path: bytes) -> bool:
    try:
        find_node(repo, snapshot, path)
    except PathNotFound:
        return False
    except (BlobNotFound, Damaged):
        return True  # the restore meets the damage and says what it is
    return True


def clean_path(path: bytes) -> bytes:
    """Return a tree path with one slash before each name, and none at the end."""
    return b"/" + b"/".join(part for part in path.split(b"/") if part not in (b"", b"."))


def is_within(path: bytes, folder: bytes) -> bool:
    return path == folder or folder == b"/" or path.startswith(folder + b"/")


def _root(repo: Repository, snapshot: Snapshot, strip: bytes) -> tuple[bytes, Entry | None]:
    if clean_path(strip) == b"/":
        return snapshot.tree, None
    node = find_node(repo, snapshot, strip)
    if node.subtree is None:
        raise NothingToRestore(f"{strip!r} is no folder in the snapshot; name the folder that the file is in")
    return node.subtree, entry_from_node(node)


def _holds_nothing(path: bytes, entry: Entry, content: Sequence[bytes]) -> bool:
    return False


def require_match(planner: Planner) -> None:
    """Raise NothingToRestore if the plan, carried out, met nothing that the selection takes."""
    if not planner.counts.matched:
        raise NothingToRestore("nothing in the snapshot fits the selection, so nothing was restored")
