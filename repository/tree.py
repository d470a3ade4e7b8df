"""Trees: the metadata of one directory's entries (restic-format.md, section 8), and how they are written.

`encode_tree(decode_tree(x)) == x` for what restic writes; tests/repository/test_tree.py names the exceptions.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, get_args

import msgspec

from repository.entries import Entry, Kind
from repository.errors import Damaged
from repository.gotext import (
    ZERO_TIME,
    LocalZone,
    format_time,
    go_name,
    go_string,
    go_value,
    lossy_text,
    parse_time,
)
from repository.jsontext import JsonObject

EMPTY_TREE_ID = bytes.fromhex("ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8")
TREE_START = b'{"nodes":['
TREE_END = b"]}\n"

_TYPE_BITS: dict[str, int] = {
    "file": 0,
    "dir": 1 << 31,
    "symlink": 1 << 27,
    "dev": 1 << 26,
    "chardev": 1 << 26 | 1 << 21,
    "fifo": 1 << 25,
    "socket": 1 << 24,
}
_KINDS = frozenset(get_args(Kind))
_WITH_LINKS = ("file", "symlink", "dev", "chardev")
_WITH_DEVICE = ("dev", "chardev")


class Node(msgspec.Struct, gc=False):
    """One entry of a tree. Empty, zero and None mean that the key is absent; times are kept as text.

    `mode` is Go's FileMode (see posix_mode). `linktarget` may have lost bytes: if `linktarget_raw` is there,
    it is the truth. `size`, `links`, `device` stand only on the types that have them. `extra`: unknown keys.
    """

    name: bytes
    type: str
    mode: int = 0
    mtime: str = ZERO_TIME
    atime: str = ZERO_TIME
    ctime: str = ZERO_TIME
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0
    size: int = 0
    links: int = 0
    linktarget: str = ""
    linktarget_raw: bytes | None = None
    xattrs: list[tuple[str, bytes]] | None = None
    generic_attributes: JsonObject | None = None
    device: int = 0
    content: list[bytes] | None = None
    subtree: bytes | None = None
    error: str = ""
    extra: JsonObject = msgspec.field(default_factory=dict)


class EncodedNodes(NamedTuple):
    """Nodes of a tree that stand one after the other, none of them a folder: their JSON, and counts."""

    first: bytes
    last: bytes
    json: bytes
    files: int
    size_bytes: int
    others: int


def encode_tree(nodes: Iterable[Node | EncodedNodes]) -> bytes:
    """Return the blob of a tree. Raises ValueError unless names ascend strictly, by their raw bytes."""
    parts, last = [], None
    for node in nodes:
        first = node.first if isinstance(node, EncodedNodes) else node.name
        if last is not None and first <= last:
            raise ValueError(f"nodes of a tree out of order: {first!r} after {last!r}")
        last = node.last if isinstance(node, EncodedNodes) else first
        parts.append(node.json if isinstance(node, EncodedNodes) else encode_node(node))
    return TREE_START + b",".join(parts) + TREE_END


def encode_node(node: Node) -> bytes:
    """Return the JSON of one node; a tree is TREE_START, nodes joined by a comma, TREE_END."""
    mode = f',"mode":{node.mode}' if node.mode else ""
    user = f',"user":{go_string(node.user)}' if node.user else ""
    group = f',"group":{go_string(node.group)}' if node.group else ""
    inode = f',"inode":{node.inode}' if node.inode else ""
    device_id = f',"device_id":{node.device_id}' if node.device_id else ""
    size = f',"size":{node.size}' if node.size else ""
    links = f',"links":{node.links}' if node.links else ""
    special = node.linktarget or node.xattrs or node.device or node.generic_attributes
    subtree = f',"subtree":"{node.subtree.hex()}"' if node.subtree else ""
    return (
        f'{{"name":{go_name(node.name)},"type":{go_string(node.type)}{mode}'
        f',"mtime":"{node.mtime}","atime":"{node.atime}","ctime":"{node.ctime}","uid":{node.uid},"gid":{node.gid}'
        f"{user}{group}{inode}{device_id}{size}{links}{_encode_special(node) if special else ''}"
        f',"content":{_encode_content(node.content)}{subtree}'
        f"{_encode_rest(node) if node.error or node.extra else ''}}}"
    ).encode()


def encode_file(entry: Entry, content: list[bytes], zone: LocalZone) -> bytes:
    """Return the JSON of the node of a file with this content: what encode_node writes, in half the time."""
    if entry.xattrs or not (entry.mode and entry.inode and entry.device_id and entry.size and entry.links):
        node = node_from_entry(entry, zone)
        node.content = content
        return encode_node(node)
    mtime = format_time(entry.mtime_ns, zone)
    ctime = mtime if entry.ctime_ns == entry.mtime_ns else format_time(entry.ctime_ns, zone)
    return (
        f'{{"name":{go_name(entry.name)},"type":"file","mode":{go_mode("file", entry.mode)}'
        f',"mtime":"{mtime}","atime":"{mtime}","ctime":"{ctime}"'
        f"{_encode_owner(entry.uid, entry.gid, entry.user, entry.group)}"
        f',"inode":{entry.inode},"device_id":{entry.device_id},"size":{entry.size},"links":{entry.links}'
        f',"content":{_encode_content(content)}}}'
    ).encode()


def node_from_entry(entry: Entry, zone: LocalZone) -> Node:
    """Return the node of an entry, still without content and subtree; atime is mtime, as restic's default.

    The size of a file is taken over; the caller corrects it to the bytes that were read.
    """
    kind, mtime = entry.kind, format_time(entry.mtime_ns, zone)
    node = Node(
        entry.name,
        kind,
        go_mode(kind, entry.mode),
        mtime,
        mtime,
        format_time(entry.ctime_ns, zone),
        entry.uid,
        entry.gid,
        entry.user,
        entry.group,
        entry.inode,
        entry.device_id,
        entry.size if kind == "file" else 0,
        entry.links if kind in _WITH_LINKS else 0,
    )
    if entry.linktarget:
        _set_linktarget(node, entry.linktarget)
    if entry.xattrs:
        node.xattrs = [(name.decode("utf-8", "surrogateescape"), value) for name, value in entry.xattrs]
    if kind in _WITH_DEVICE:
        node.device = entry.device
    return node


def entry_from_node(node: Node) -> Entry:
    """Return the metadata to restore. Raises Damaged for a type that is not known, or a time that is none."""
    if node.type not in _KINDS:
        raise Damaged(f"the tree holds a node of unknown type {node.type[:40]!r}: {node.name!r}")
    return Entry(
        name=node.name,
        kind=node.type,  # type: ignore[arg-type]
        mode=posix_mode(node.mode),
        mtime_ns=parse_time(node.mtime),
        ctime_ns=parse_time(node.ctime),
        uid=node.uid,
        gid=node.gid,
        user=node.user,
        group=node.group,
        inode=node.inode,
        device_id=node.device_id,
        links=node.links,
        size=node.size,
        linktarget=linktarget(node),
        device=node.device,
        xattrs=_entry_xattrs(node.xattrs) if node.xattrs else (),
    )


def linktarget(node: Node) -> bytes:
    """Return where a symlink points, in its own bytes if they were kept."""
    if node.linktarget_raw:
        return node.linktarget_raw
    return node.linktarget.encode("utf-8", "surrogateescape")


def _entry_xattrs(xattrs: list[tuple[str, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode("utf-8", "surrogateescape"), value) for name, value in xattrs)


def go_mode(kind: Kind, posix: int) -> int:
    """Return Go's FileMode for a type and the twelve permission bits (0o7777)."""
    return _TYPE_BITS[kind] | posix & 0o777 | (posix & 0o6000) << 12 | (posix & 0o1000) << 11


def posix_mode(mode: int) -> int:
    """Return the twelve permission bits of Go's FileMode."""
    return mode & 0o777 | mode >> 12 & 0o6000 | mode >> 11 & 0o1000


def _set_linktarget(node: Node, target: bytes) -> None:
    try:
        node.linktarget = target.decode()
    except UnicodeDecodeError:
        node.linktarget, node.linktarget_raw = lossy_text(target), target


@lru_cache(maxsize=256)
def _encode_owner(uid: int, gid: int, user: str, group: str) -> str:
    named = f',"user":{go_string(user)}' if user else ""
    return f',"uid":{uid},"gid":{gid}{named}' + (f',"group":{go_string(group)}' if group else "")


def _encode_content(content: list[bytes] | None) -> str:
    if content is None:
        return "null"
    if len(content) == 1:
        return f'["{content[0].hex()}"]'
    return "[" + ",".join([f'"{blob.hex()}"' for blob in content]) + "]"


def _encode_special(node: Node) -> str:
    """Encode the keys from linktarget to device, in their order."""
    parts = []
    if node.linktarget:
        # From the raw bytes, so that each bad one becomes restic's escape and not a real U+FFFD.
        parts.append(f',"linktarget":{go_string(node.linktarget_raw or node.linktarget)}')
    if node.linktarget_raw:
        parts.append(f',"linktarget_raw":"{_b64(node.linktarget_raw)}"')
    if node.xattrs:
        items = (f'{{"name":{go_string(name)},"value":"{_b64(value)}"}}' for name, value in node.xattrs)
        parts.append(f',"extended_attributes":[{",".join(items)}]')
    if node.generic_attributes:
        parts.append(f',"generic_attributes":{go_value(node.generic_attributes)}')
    if node.device:
        parts.append(f',"device":{node.device}')
    return "".join(parts)


def _encode_rest(node: Node) -> str:
    error = f',"error":{go_string(node.error)}' if node.error else ""
    return error + "".join(f",{go_string(key)}:{go_value(value)}" for key, value in node.extra.items())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
