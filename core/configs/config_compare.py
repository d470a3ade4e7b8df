"""Files of a point held against those of this machine: which differ, and how, line by line."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from core.configs import config_source
from core.errors import Refused
from core.models import Point
from core.points import browse
from core.points.tokens import printable, token_from_path
from core.text_diff import BEYOND, LARGEST_TEXT, Line, diff_lines, why_no_text
from repository import browse as engine
from repository.repository import Repository
from repository.restore_compare import has_content
from repository.snapshot import Snapshot
from repository.tree import Node, linktarget, posix_mode
from sources.config_bundle.source import DOCUMENT

Verdict = Literal["changed", "gone", "attributes", "unreadable", "other"]

LONGEST_S = 10.0  # looked at in one go: a page waits for it
_OWN_FOLDER = DOCUMENT.rpartition(b"/")[0]


@dataclass(frozen=True, slots=True)
class Difference:
    """A file or link of a point that is not so on this machine. `note` says how, where one word does not.

    `changed`: other content; `gone`: not there; `attributes`: same content, other mode or owner; `other`:
    something else stands there; `unreadable`: Holdfast may not look.
    """

    path: bytes
    name: str
    token: str
    kind: Literal["file", "symlink"]
    verdict: Verdict
    note: str
    size: int
    size_now: int | None

    @property
    def has_diff(self) -> bool:
        """Tell whether it can be shown line by line, if it is text."""
        return self.kind == "file" and self.verdict in ("changed", "gone")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs, by path; `same` is a count. `folder`: where it looked; `complete`: at all of it."""

    folder: bytes
    differences: list[Difference]
    same: int
    complete: bool


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file, from how it is now to how it was in the point. `note`: why there are no lines."""

    path: bytes
    name: str
    token: str
    note: str
    lines: list[Line]
    more: bool  # lines were left out
    hidden: bool  # some of them are shown without their secret


def require_comparable(point: Point) -> None:
    """Refuse a point that is not of files of this machine. Raises Refused."""
    config = point.config
    if config is None or config.type == "database" or not config_source.is_of_this_machine(config):
        raise Refused(
            f"Point {point.id} is not of files of this machine, so there is nothing to compare it with.",
            "Restore it into a folder and look there.",
        )


def is_file(point: Point, path: bytes, copy_id: int | None = None) -> bool:
    """Tell whether a path of a point is a file. Raises as browsing does."""
    return path != b"/" and browse.find(point, path, copy_id).kind == "file"


def compare(point: Point, folder: bytes = b"/", copy_id: int | None = None) -> Comparison:
    """Return which files below a folder of a point differ from this machine's now.

    Content is compared by its hashes: nothing is read from the storage but lists of folders. Raises Refused,
    and as browsing does.
    """
    require_comparable(point)

    def look(repo: Repository, snapshot: Snapshot) -> Comparison:
        return _compare(repo, engine.walk(repo, engine.find_node(repo, snapshot, folder), folder), folder)

    return browse.look(point, look, folder, copy_id)


def diff(point: Point, path: bytes, copy_id: int | None = None, *, reveal: bool = False) -> FileDiff:
    """Return how one file differs, as text. What looks like a secret is masked, unless `reveal`.

    Raises Refused, NotFound, and as browsing does.
    """
    require_comparable(point)
    name, token = printable(path), token_from_path(path)
    if (browse.find(point, path, copy_id).size or 0) > LARGEST_TEXT:
        return FileDiff(path, name, token, "It is too large to be shown line by line.", [], False, False)
    before = b"".join(browse.read_file(point, path, copy_id)[1])
    now, note = _live(path)
    note = note or why_no_text(before) or why_no_text(now)
    if note:
        return FileDiff(path, name, token, note, [], False, False)
    lines, more, hidden = diff_lines(os.fsdecode(path), now.decode(), before.decode(), reveal=reveal)
    note = "" if lines else "The content is the same." if now == before else BEYOND
    return FileDiff(path, name, token, note, lines, more, hidden)


def _compare(repo: Repository, found: Iterator[tuple[bytes, Node]], folder: bytes) -> Comparison:
    differences, same, complete, end = list[Difference](), 0, True, time.monotonic() + LONGEST_S
    for path, node in found:
        if node.type not in ("file", "symlink") or path.startswith(_OWN_FOLDER + b"/"):
            continue
        if time.monotonic() > end:
            complete = False
            break
        if (difference := _difference(repo, path, node)) is not None:
            differences.append(difference)
        else:
            same += 1
    return Comparison(folder, sorted(differences, key=lambda each: each.path), same, complete)


def _difference(repo: Repository, path: bytes, node: Node) -> Difference | None:
    size_now = None
    try:
        status = os.lstat(path)
        size_now = status.st_size if stat.S_ISREG(status.st_mode) else None
        verdict, note = _judge(repo, path, node, status)
    except (FileNotFoundError, NotADirectoryError):
        verdict, note = "gone", ""
    except OSError as error:
        verdict, note = "unreadable", f"Holdfast cannot look at it: {error.strerror}"
    if verdict is None:
        return None
    kind: Literal["file", "symlink"] = "file" if node.type == "file" else "symlink"
    return Difference(path, printable(path), token_from_path(path), kind, verdict, note, node.size, size_now)


def _judge(repo: Repository, path: bytes, node: Node, status: os.stat_result) -> tuple[Verdict | None, str]:
    if stat.S_IFMT(status.st_mode) != (stat.S_IFREG if node.type == "file" else stat.S_IFLNK):
        return "other", "a folder stands there now" if stat.S_ISDIR(
            status.st_mode
        ) else "no file stands there"
    if node.type == "symlink":
        there, before = os.readlink(path), linktarget(node)
        return (None, "") if there == before else ("changed", f"a link to {printable(there)} now")
    if status.st_size != node.size or not _has_content(repo, path, node):
        return "changed", ""
    note = _attributes(node, status)
    return ("attributes", note) if note else (None, "")


def _has_content(repo: Repository, path: bytes, node: Node) -> bool:
    with _open(path) as file:
        return has_content(repo, file, node.content or ())


def _attributes(node: Node, status: os.stat_result) -> str:
    """Say which attributes are others now; "" for none."""
    parts = []
    before, now = stat.S_IMODE(posix_mode(node.mode)), stat.S_IMODE(status.st_mode)
    if before != now:
        parts.append(f"mode {now:04o} now, {before:04o} then")
    if (node.uid, node.gid) != (status.st_uid, status.st_gid):
        parts.append(f"owner {status.st_uid}:{status.st_gid} now, {node.uid}:{node.gid} then")
    return "; ".join(parts)


def _open(path: bytes) -> BinaryIO:
    """Open a file to read it; what was put in its place meanwhile is neither followed nor waited for."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    return os.fdopen(fd, "rb")


def _live(path: bytes) -> tuple[bytes, str]:
    """Return what a file of this machine holds, b"" if it is gone; and why it cannot be shown, if so."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return b"", "Something else than a file stands there now."
        with _open(path) as file:
            content = file.read(LARGEST_TEXT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return b"", ""
    except OSError as error:
        return b"", f"The file that stands there now cannot be read: {error.strerror}."
    if len(content) > LARGEST_TEXT:
        return b"", "The file that stands there now is too large to be shown line by line."
    return content, ""
