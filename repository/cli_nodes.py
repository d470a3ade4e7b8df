"""How the command line shows what stands in a snapshot."""

from __future__ import annotations

from typing import Any

from repository.cli_output import printable
from repository.gotext import lossy_text
from repository.tree import Node, linktarget, posix_mode

_TYPE_LETTERS = {"dir": "d", "symlink": "l", "fifo": "p", "socket": "s", "dev": "b", "chardev": "c"}


def node_line(path: bytes, node: Node, long: bool) -> str:
    """Return the line of a listing: the path, `long` also mode, owner, size and time."""
    name = printable(lossy_text(path))
    if not long:
        return name
    mode = permissions(node)
    arrow = f" -> {printable(lossy_text(linktarget(node)))}" if node.type == "symlink" else ""
    moment = node.mtime[:19].replace("T", " ")
    return f"{mode} {node.uid:5} {node.gid:5} {node.size:10} {moment} {name}{arrow}"


def permissions(node: Node) -> str:
    """Return type and mode as `ls -l` does."""
    return _TYPE_LETTERS.get(node.type, "-") + _permissions(posix_mode(node.mode))


def _permissions(mode: int) -> str:
    letters = "".join(letter if mode & 0o400 >> place else "-" for place, letter in enumerate("rwx" * 3))
    for bit, place, on, off in ((0o4000, 2, "s", "S"), (0o2000, 5, "s", "S"), (0o1000, 8, "t", "T")):
        if mode & bit:
            letters = letters[:place] + (on if letters[place] == "x" else off) + letters[place + 1 :]
    return letters


def node_json(path: bytes, node: Node) -> dict[str, Any]:
    """Return a node as restic's `ls --json` shows it."""
    shown: dict[str, Any] = {
        "name": lossy_text(node.name),
        "type": node.type,
        "path": lossy_text(path),
        "uid": node.uid,
        "gid": node.gid,
    }
    if node.type == "file":
        shown["size"] = node.size
    letters = permissions(node)
    times = {"mtime": node.mtime, "atime": node.atime, "ctime": node.ctime}
    return {**shown, "mode": node.mode, "permissions": letters, **times, "struct_type": "node"}


def found_json(path: bytes, node: Node) -> dict[str, Any]:
    """Return a node as restic's `find --json` shows it; what is empty is left out."""
    shown = node_json(path, node)
    values: dict[str, Any] = {
        **{key: shown[key] for key in ("path", "permissions", "type", "mode", "mtime", "atime", "ctime")},
        "uid": node.uid,
        "gid": node.gid,
    }
    more = {
        "user": node.user,
        "group": node.group,
        "device_id": node.device_id,
        "size": node.size,
        "links": node.links,
        "linktarget": lossy_text(linktarget(node)),
    }
    return {**values, **{key: value for key, value in more.items() if value}}
