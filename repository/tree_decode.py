"""Read trees (restic-format.md, section 8); `tree` writes them."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from repository.errors import Damaged
from repository.gotext import ZERO_TIME, is_time, lossy_text, unquote_name
from repository.ids import is_hex_id
from repository.jsontext import MAX_INT, Fields, load
from repository.tree import Node
from repository.tree_json import CommonNode, parse_common

_COMMON = frozenset(
    (
        *("name", "type", "mode", "mtime", "atime", "ctime", "uid", "gid", "user", "group", "inode"),
        *("device_id", "size", "links", "content", "subtree"),
    )
)
_OPTIONAL = _COMMON - {"name", "type"}
_KNOWN = _COMMON | {
    *("linktarget", "linktarget_raw", "extended_attributes", "generic_attributes", "device", "error")
}
_WHAT = "a node in a tree"
_MAX_32 = 2**32 - 1


def decode_tree(data: bytes) -> list[Node]:
    """Return the nodes of a tree blob, in the order they stand. Raises Damaged.

    Names are not judged: one may be empty, `..` or hold a slash; whoever writes to a disk refuses those.
    """
    common = parse_common(data)
    if common is not None:
        return list(map(_common_node, common))
    return [_decode_node(value) for value in Fields(load(data, "a tree"), "a tree").items("nodes")]


def _decode_node(value: Any) -> Node:
    if type(value) is not dict:
        raise Damaged("a tree holds a node that is not a JSON object")
    get = value.get
    name, kind, user, group = get("name"), get("type"), get("user", ""), get("group", "")
    if not (type(name) is type(kind) is type(user) is type(group) is str):
        raise Damaged("a node in a tree lacks its name or type, or one of its names is not a string")
    rest = {key: value[key] for key in _OPTIONAL if key in value}
    node = _common_node(CommonNode(name, kind, **rest))
    if not _COMMON.issuperset(value):
        _decode_special(node, Fields(value, _WHAT))
    return node


def _common_node(raw: CommonNode) -> Node:
    """Return the node of these fields, each checked; of numbers and ids not even the type is sure."""
    mtime = _time(raw.mtime)
    node = Node(
        unquote_name(raw.name),
        raw.type,
        raw.mode,
        mtime,
        mtime if raw.atime == raw.mtime else _time(raw.atime),
        _time(raw.ctime),
        raw.uid,
        raw.gid,
        raw.user,
        raw.group,
        raw.inode,
        raw.device_id,
        raw.size,
        raw.links,
        linktarget=raw.linktarget,
        content=_decode_content(raw.content),
        subtree=_decode_id(raw.subtree),
    )
    _check_numbers((node.mode, node.uid, node.gid), _MAX_32)
    _check_numbers((node.inode, node.device_id, node.size, node.links), MAX_INT)
    return node


def _check_numbers(numbers: tuple[Any, ...], maximum: int) -> None:
    for number in numbers:
        if type(number) is not int or not 0 <= number <= maximum:
            raise Damaged(f"a node in a tree holds a number that is not an integer from 0 to {maximum}")


def _time(text: Any) -> str:
    if type(text) is str and is_time(text):
        return text
    if text is None:
        return ZERO_TIME
    raise Damaged("a node in a tree holds a time that is not one")


def _decode_content(value: Any) -> list[bytes] | None:
    if value is None:
        return None
    if type(value) is not list:
        raise Damaged("a node in a tree holds a content that is not a list of ids")
    return [_need_id(text) for text in value]


def _decode_id(value: Any) -> bytes | None:
    return None if value is None else _need_id(value)


def _need_id(text: Any) -> bytes:
    if type(text) is not str or not is_hex_id(text):
        raise Damaged("a node in a tree holds an id that is not 64 hex digits")
    return bytes.fromhex(text)


def _decode_special(node: Node, fields: Fields) -> None:
    """Set the fields that few nodes have."""
    node.linktarget = fields.text("linktarget")
    if raw := _unb64(fields.text("linktarget_raw")):
        # As restic: where the two differ, the raw bytes are the truth.
        node.linktarget, node.linktarget_raw = lossy_text(raw), raw
    if attributes := fields.items("extended_attributes"):
        named = [Fields(item, "an extended attribute") for item in attributes]
        node.xattrs = [(item.text("name"), _unb64(item.text("value"))) for item in named]
    node.generic_attributes = fields.object_or_none("generic_attributes")
    node.device = fields.integer("device")
    node.error = fields.text("error")
    node.extra = fields.rest(_KNOWN)


def _unb64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as err:
        raise Damaged("a node in a tree holds bytes that are not base64") from err
