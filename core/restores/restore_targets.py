"""Where a restore may write: never over Holdfast's own data, its backups, or the root of the machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence

from core import app_state
from core.errors import Invalid, Refused
from core.points.tokens import printable
from core.storages import storages


def refuse_target(target: str, tree_paths: Sequence[str]) -> str:
    """Return the target as a clean absolute path. Raises Invalid (`target_path`) where it would do harm.

    `tree_paths` are the absolute paths in the point: they are restored *below* the target.
    """
    clean = refuse_ours(target, tree_paths)
    _require_folder(clean, os.path.realpath(clean))
    return clean


def refuse_ours(target: str, tree_paths: Sequence[str]) -> str:
    """The same, only where it would write over the whole machine or what is Holdfast's."""
    clean = os.path.normpath(target)
    if clean.startswith("//"):
        clean = clean[1:]
    real = os.path.realpath(clean)
    if real == "/":
        raise _invalid(
            "Restoring over the whole machine is not offered. Choose a folder, such as /srv/restored."
        )
    for root, what in protected():
        if _is_below(real, root):
            raise _invalid(f"{clean} lies in {what} ({root}). Choose a folder outside of it.")
        if any(_overlap(real + path, root) for path in tree_paths):
            raise _invalid(f"The restore would write over {what} ({root}). Choose another folder.")
    return clean


def refuse_in_place(paths: Sequence[bytes]) -> None:
    """Refuse files to be written where they were. Raises Invalid (`include`) where that would do harm."""
    for path in map(os.fsdecode, paths):
        folder = os.path.dirname(path)
        try:
            refuse_target(folder, [])
        except Invalid as error:
            raise Invalid({"include": f"{path} cannot be put back. {error.message}"}) from error
        real = os.path.join(os.path.realpath(folder), os.path.basename(path))
        if any(real == root for root, _ in protected()):
            raise Invalid({"include": f"{path} cannot be put back: Holdfast keeps its own data there."})


def refuse_put_back(paths: Sequence[bytes]) -> None:
    """Refuse files and folders to be put back where they were, as things stand now. Writes nothing.

    Raises Invalid (`put_back`): a link is in the way, it is Holdfast's, or nothing can be written there.
    """
    for path in map(os.fsdecode, paths):
        link = next((above for above in _ancestors(os.path.dirname(path)) if os.path.islink(above)), None)
        if link is not None:
            raise _not_put_back(_says_link(link))
        for root, what in protected():
            if _is_below(path, root) or _overlap(path, root):
                raise _not_put_back(
                    f"{_shown(path)} is not put back: {what} ({root}) lies there. Choose what is beside it."
                )
        is_folder = os.path.isdir(path) and not os.path.islink(path)
        _require_open(path if is_folder else os.path.dirname(path))


def refuse_folders(folders: Iterable[bytes]) -> None:
    """Refuse to put anything into these folders where a link, or something of Holdfast's, is by now.

    Raises Refused. Also a bind mount of Holdfast's own is seen, by its inode.
    """
    ours = {_inode(root): what for root, what in protected()}
    for folder in sorted({above for each in folders for above in _ancestors(os.fsdecode(each))}):
        if os.path.islink(folder):
            raise Refused(_says_link(folder), "Nothing was touched.")
        if (inode := _inode(folder)) is not None and inode in ours:
            raise Refused(
                f"{_shown(folder)} leads to {ours[inode]}: nothing is put back there.", "Choose others."
            )


def _says_link(link: str) -> str:
    place = _shown(os.path.realpath(link))
    text = f"{_shown(link)} is a link to {place} now, and nothing is put back through a link."
    return f"{text} Restore into a folder instead."


def _require_open(folder: str) -> None:
    """Refuse a folder that is none, or may not be written to; of a missing one, the next above it."""
    there = next((above for above in _ancestors(folder) if os.path.lexists(above)), "/")
    if not os.path.isdir(there):
        text = f"{_shown(there)} is not a folder now. Move it away, or restore into a folder instead."
        raise _not_put_back(text)
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        raise _not_put_back(f"Holdfast may not write to {_shown(there)}. Restore into a folder instead.")


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None  # not there, or not mounted: nobody gets to it by this path
    return found.st_dev, found.st_ino


def _shown(path: str) -> str:
    return printable(os.fsencode(path))


def _not_put_back(message: str) -> Invalid:
    return Invalid({"put_back": message})


def protected() -> Iterator[tuple[str, str]]:
    """Yield the real path of each place that no restore may touch, with what it is."""
    yield os.path.realpath(app_state.settings().data_dir), "Holdfast's own data folder"
    for root in storages.local_roots():
        yield os.path.realpath(root), "a storage that keeps backups"


def _is_below(path: str, root: str) -> bool:
    """Tell whether `path` is `root` or below it, also where a bind mount shows `root` at another place."""
    if path == root or path.startswith(root + "/"):
        return True
    try:
        wanted = os.stat(root)
    except OSError:
        return False  # not mounted: by its name is all that can be said
    return any(_is_same(above, wanted) for above in _ancestors(path))


def _is_same(path: str, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), wanted)
    except OSError:
        return False  # does not exist yet


def _ancestors(path: str) -> Iterator[str]:
    while path != "/":
        yield path
        path = os.path.dirname(path)


def _overlap(one: str, other: str) -> bool:
    one = one.rstrip("/")
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def _require_folder(clean: str, real: str) -> None:
    """Refuse a target that is, or lies below, something that is no folder; a missing one is made later."""
    for above in _ancestors(real):
        if os.path.isdir(above):
            _require_writable(clean, above)
            return
        if os.path.lexists(above):
            raise _invalid(f"{above} is not a folder, so {clean} cannot be one. Choose another path.")


def _require_writable(clean: str, folder: str) -> None:
    """Refuse a target below a folder that takes nothing new, found out by trying.

    Permission bits would not tell of a read-only disk, nor of /proc, where root may write and still cannot.
    """
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".holdfast-", dir=folder))
    except OSError as error:
        raise _invalid(
            f"Nothing can be written to {clean}: {folder} takes no new folder ({error.strerror}). "
            "Choose another folder, or let the user that Holdfast runs as write there."
        ) from error


def _invalid(message: str) -> Invalid:
    return Invalid({"target_path": message})
