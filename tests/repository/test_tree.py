"""Trees: restic's decode and encode to themselves, ours are the same form, hostile ones are refused."""

from __future__ import annotations

import json
import stat
from datetime import UTC
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from repository import tree_decode
from repository.entries import Entry, Kind
from repository.errors import Damaged
from repository.gotext import ZERO_TIME, LocalZone, parse_time
from repository.ids import hash_bytes
from repository.tree import (
    EMPTY_TREE_ID,
    TREE_END,
    TREE_START,
    EncodedNodes,
    Node,
    encode_file,
    encode_node,
    encode_tree,
    entry_from_node,
    go_mode,
    linktarget,
    node_from_entry,
    posix_mode,
)
from repository.tree_decode import decode_tree
from tests.repository.hostile import HOSTILE_TEXTS, mutations, odd_documents, peak_bytes, refuses_or_decodes
from tests.repository.test_gotext import names

BERLIN = LocalZone(ZoneInfo("Europe/Berlin"))
KINDS: tuple[Kind, ...] = get_args(Kind)
STAT_TYPES: dict[str, int] = {
    "file": stat.S_IFREG,
    "dir": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "dev": stat.S_IFBLK,
    "chardev": stat.S_IFCHR,
    "fifo": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
}
# The two known exceptions to encode(decode(x)) = x, in trees of restic 0.14:
# a link target whose bad bytes it stored as escapes of U+FFFD, without the raw bytes,
# and U+1FAE0, of Unicode 14, in a name, which its tables (13) quote and those of Python 3.11 do not.
LOSSY_TREE = "0d64fbbc2f991be16aa17e826e1abf74a05b2613d138f83b8f4ead3c7dd4cfd2"
ODD_NAMES_TREE = "68d2f0caf20286d4d7d951962ad3b1aa456d52c9f657f6b6e99bcc3c0f759eac"

SAMPLE = encode_tree(
    [
        Node(
            b"a<b>",
            "file",
            0o644,
            uid=1,
            gid=2,
            user="u",
            group="g",
            inode=3,
            size=5,
            links=2,
            content=[b"\1" * 32],
        ),
        Node(
            b"b",
            "dir",
            go_mode("dir", 0o755),
            subtree=b"\2" * 32,
            xattrs=[("user.x", b"\0\1"), ("user.y", b"")],
        ),
        Node(b"c\xff", "symlink", 0o777, linktarget="x\ufffd", linktarget_raw=b"x\xff", links=1),
        Node(
            b"d", "chardev", device=259, error="odd", generic_attributes={"a": {"b": []}}, extra={"new": [1]}
        ),
        Node(b"e", "file", content=[]),
    ]
)

entries = st.builds(
    Entry,
    name=names,
    kind=st.sampled_from(KINDS),
    mode=st.integers(0, 0o7777),
    mtime_ns=st.integers(-(2**62), 2**62),
    ctime_ns=st.integers(0, 2**62),
    uid=st.integers(0, 2**32 - 1),
    gid=st.integers(0, 2**32 - 1),
    user=st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    group=st.sampled_from(["", "root", "<&>", "domänen-benutzer"]),
    inode=st.integers(0, 2**64 - 1),
    device_id=st.integers(0, 2**64 - 1),
    links=st.integers(0, 2**32),
    size=st.integers(0, 2**63 - 1),
    linktarget=names,
    device=st.integers(0, 2**64 - 1),
    xattrs=st.lists(
        st.tuples(
            st.sampled_from([b"user.a", b"user.\xc3\xa9", b"security.capability"]), st.binary(max_size=5)
        ),
        max_size=3,
    ).map(tuple),
)


def with_known_exceptions(tree: bytes) -> bytes:
    """Return what our encoder makes of a tree of restic 0.14 that holds the exceptions, and only of those."""
    return tree.replace(b"melt\\\\U0001fae0", b"melt\xf0\x9f\xab\xa0").replace(b"\\ufffd", b"\xef\xbf\xbd")


def kept(entry: Entry) -> Entry:
    """Return what a tree keeps of an entry: some fields stand only on some types."""
    return Entry(
        name=entry.name,
        kind=entry.kind,
        mode=entry.mode,
        mtime_ns=entry.mtime_ns,
        ctime_ns=entry.ctime_ns,
        uid=entry.uid,
        gid=entry.gid,
        user=entry.user,
        group=entry.group,
        inode=entry.inode,
        device_id=entry.device_id,
        links=entry.links if entry.kind in ("file", "symlink", "dev", "chardev") else 0,
        size=entry.size if entry.kind == "file" else 0,
        linktarget=entry.linktarget,
        device=entry.device if entry.kind in ("dev", "chardev") else 0,
        xattrs=entry.xattrs,
    )


def test_restics_trees_decode_and_encode_to_themselves(vectors: dict[str, Any]) -> None:
    different = set()
    for row in vectors["trees"]["items"] + vectors["go_test_trees"]["items"]:
        text = row["json"].encode()
        assert hash_bytes(text).hex() == row["id"]
        assert len(text) == row.get("bytes", len(text))
        again = encode_tree(decode_tree(text))
        if again != text:
            different.add(row["id"])
            assert again == with_known_exceptions(text)
    assert len(vectors["trees"]["items"]) > 50
    assert different == {LOSSY_TREE, ODD_NAMES_TREE}


def test_the_empty_tree_is_restics(vectors: dict[str, Any]) -> None:
    row = vectors["empty_tree"]
    assert encode_tree([]) == row["json"].encode()
    assert EMPTY_TREE_ID.hex() == row["id"]
    assert hash_bytes(encode_tree([])) == EMPTY_TREE_ID


def test_modes_are_restics(vectors: dict[str, Any]) -> None:
    kinds = {stat_type: kind for kind, stat_type in STAT_TYPES.items()}
    rows = vectors["modes"]
    assert len(rows) == 10
    for row in rows:
        st_mode = int(row["st_mode"], 8)
        kind: Any = kinds[stat.S_IFMT(st_mode)]
        mode = go_mode(kind, stat.S_IMODE(st_mode))
        assert (mode or None) == row["json"], row["kind"]
        assert posix_mode(mode) == stat.S_IMODE(st_mode)


@pytest.mark.parametrize("kind", KINDS)
def test_every_mode_comes_back(kind: Kind) -> None:
    modes = [go_mode(kind, mode) for mode in range(0o10000)]
    assert [posix_mode(mode) for mode in modes] == list(range(0o10000))
    assert len(set(modes)) == 0o10000


@given(st.lists(entries, max_size=6, unique_by=lambda entry: entry.name))
@settings(max_examples=300)
def test_entries_come_back_through_a_tree(some: list[Entry]) -> None:
    nodes = [node_from_entry(entry, BERLIN) for entry in sorted(some, key=lambda entry: entry.name)]
    text = encode_tree(nodes)
    assert decode_tree(text) == nodes
    assert encode_tree(decode_tree(text)) == text
    json.loads(text)
    assert {entry_from_node(node) for node in nodes} == set(map(kept, some))


def test_a_node_is_written_as_restic_writes_it() -> None:
    entry = Entry(
        b"n",
        "file",
        0o4644,
        1_500_000_000_500_000_000,
        1_500_000_000_000_000_000,
        *(0, 5, "root", "", 7, 8, 2, 3),
        xattrs=((b"user.b", b"\0"), (b"user.a", b"")),
    )
    node = node_from_entry(entry, BERLIN)
    node.content = [b"\xaa" * 32, b"\xbb" * 32]
    assert encode_node(node).decode() == (
        '{"name":"n","type":"file","mode":8389028,"mtime":"2017-07-14T04:40:00.5+02:00",'
        '"atime":"2017-07-14T04:40:00.5+02:00","ctime":"2017-07-14T04:40:00+02:00","uid":0,"gid":5,"user":"root",'
        '"inode":7,"device_id":8,"size":3,"links":2,"extended_attributes":[{"name":"user.b","value":"AA=="},'
        f'{{"name":"user.a","value":""}}],"content":["{"aa" * 32}","{"bb" * 32}"]}}'
    )


def test_a_bad_link_target_is_written_as_newer_restic_does() -> None:
    node = node_from_entry(Entry(b"l", "symlink", 0o777, 0, linktarget=b"bad\xff\xfe"), BERLIN)
    text = encode_tree([node])
    assert b'"linktarget":"bad\\ufffd\\ufffd","linktarget_raw":"YmFk//4=","content":null' in text
    assert linktarget(decode_tree(text)[0]) == b"bad\xff\xfe"


def test_a_streamed_tree_is_the_same() -> None:
    nodes = decode_tree(SAMPLE)
    assert TREE_START + b",".join(map(encode_node, nodes)) + TREE_END == SAMPLE


@pytest.mark.parametrize("order", [[b"b", b"a"], [b"a", b"a"], ["\U0001f600".encode(), b"\xef\xbf\xbd"]])
def test_names_out_of_order_are_never_written(order: list[bytes]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        encode_tree(Node(name, "dir", subtree=EMPTY_TREE_ID) for name in order)


def test_nodes_encoded_before_stand_among_the_others() -> None:
    nodes = [Node(name, "file", size=3, content=[]) for name in (b"a", b"b", b"c", b"d")]
    run = EncodedNodes(b"b", b"c", b",".join(map(encode_node, nodes[1:3])), 2, 6, 0)
    assert encode_tree([nodes[0], run, nodes[3]]) == encode_tree(nodes)
    for order in ([nodes[1], run], [run, nodes[2]], [run, run]):
        with pytest.raises(ValueError, match="out of order"):
            encode_tree(order)


@given(entries, st.lists(st.binary(min_size=32, max_size=32), max_size=3))
def test_a_file_is_encoded_as_its_node_is(entry: Entry, content: list[bytes]) -> None:
    file = replace(entry, kind="file", linktarget=b"", device=0)
    for zone in (BERLIN, LocalZone(UTC)):
        node = node_from_entry(file, zone)
        node.content = content
        assert encode_file(file, content, zone) == encode_node(node)


def test_names_are_ordered_by_raw_bytes() -> None:
    raw = sorted([b"\xff", "é".encode(), b"z", b"\xed\xb2\x80", "\U0001f600".encode(), b'"', b"!"])
    nodes = decode_tree(encode_tree(Node(name, "fifo") for name in raw))
    assert [node.name for node in nodes] == raw


def test_unknown_keys_are_kept_and_absent_ones_are_empty() -> None:
    assert encode_tree(decode_tree(SAMPLE)) == SAMPLE
    (node,) = decode_tree(b'{"nodes":[{"name":"x","type":"future"}],"more":1}')
    assert node == Node(b"x", "future", mtime=ZERO_TIME)
    with pytest.raises(Damaged, match="unknown type"):
        entry_from_node(node)


@pytest.mark.parametrize("text", [b'{"nodes":null}', b'{"nodes":[]}', b"{}"])
def test_a_tree_of_nothing_is_read(text: bytes) -> None:
    assert decode_tree(text) == []


def test_a_time_that_is_no_day_shows_when_it_is_used() -> None:
    (node,) = decode_tree(b'{"nodes":[{"name":"x","type":"file","mtime":"2026-02-30T00:00:00Z"}]}')
    with pytest.raises(Damaged, match="no day"):
        entry_from_node(node)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None},
        {"name": 1},
        {"name": "a\nb"},
        {"name": 'a"b'},
        {"name": "\\q"},
        {"type": None},
        {"mode": -1},
        {"mode": 2**32},
        {"uid": 2**32},
        {"gid": True},
        {"size": 1.0},
        {"size": 2**64},
        {"inode": "5"},
        {"mtime": "yesterday"},
        {"mtime": '1970-01-01T00:00:00Z","x":"'},
        {"content": ["ab"]},
        {"content": "ab"},
        {"content": [None]},
        {"subtree": "ABCD"},
        {"subtree": 1},
        {"user": []},
        {"linktarget_raw": "?"},
        {"extended_attributes": [1]},
        {"extended_attributes": [{"name": "a", "value": "?"}]},
        {"generic_attributes": []},
        {"device": -1},
    ],
)
def test_nodes_that_cannot_be_are_damage(fields: dict[str, object]) -> None:
    node = {"name": "x", "type": "file"} | fields
    with pytest.raises(Damaged):
        decode_tree(json.dumps({"nodes": [node]}).encode())


def test_lone_surrogates_become_replacement_characters_as_in_go() -> None:
    text = rb'{"nodes":[{"name":"x\ud800","type":"file","user":"\uDFFF","content":[],"k\udc00":"\ud800"}]}'
    (node,) = decode_tree(text)
    assert (node.name, node.user, node.extra) == ("x\ufffd".encode(), "\ufffd", {"k\ufffd": "\ufffd"})
    assert encode_node(node)


@given(mutations(SAMPLE))
@settings(max_examples=500)
def test_mutated_trees_are_damaged_or_decode(data: bytes) -> None:
    still_encodes(data)


def test_hostile_trees_are_damaged() -> None:
    for data in (*HOSTILE_TEXTS, *odd_documents(SAMPLE)):
        still_encodes(data)


def still_encodes(data: bytes) -> None:
    """Decode; what can be decoded can be written, and read to the same again."""
    nodes = refuses_or_decodes(decode_tree, data)
    for node in nodes or ():
        text = TREE_START + encode_node(node) + TREE_END
        assert decode_tree(text) == [node]
        entry = refuses_or_decodes(entry_from_node, node)
        assert entry is None or entry.mtime_ns == parse_time(node.mtime)


@pytest.mark.parametrize("unit", [b"{},", b"[],", b"1,", b'"",', b"null,"])
def test_a_flood_of_odd_nodes_is_refused_in_bounded_memory(unit: bytes) -> None:
    flood = b'{"nodes":[' + unit * 300_000 + b"1]}"

    def refuse() -> None:
        with pytest.raises(Damaged):
            decode_tree(flood)

    assert peak_bytes(refuse) < 120 * len(flood)


def test_depth_of_unknown_values_is_bounded() -> None:
    deep = b"[" * 200 + b"]" * 200
    with pytest.raises(Damaged, match="deeper"):
        decode_tree(b'{"nodes":[{"name":"x","type":"file","new":' + deep + b"}]}")


_PIECES = [
    *(
        b"1.0",
        b"1e2",
        b"-1",
        b"-0",
        b"01",
        b"18446744073709551615",
        b"18446744073709551616",
        b"true",
        b"null",
    ),
    *(
        b'"x"',
        b'""',
        b'"\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\\u0000"',
        b'"\xff"',
        b'"\xc3\xa4"',
        b'"\\x"',
        b"[]",
        b"{}",
    ),
    *(b'"%c"' % code for code in range(32)),
    *(
        b'["%s"]' % (b"a" * 64),
        b'["%s"]' % (b"A" * 64),
        b'"%s"' % (b"b" * 64),
        b'"%s\\n"' % (b"b" * 64),
        b"NaN",
    ),
    *(b'"2020-01-01T00:00:00Z"', b'"2020-01-01T00:00:00"', b"[1]", b"[null]", b"4294967296"),
]


@pytest.mark.parametrize("key", sorted({*tree_decode._COMMON, "unknown"}))
def test_the_fast_parser_says_what_the_exact_one_says(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or leaves it to that one."""

    def outcome(data: bytes) -> object:
        try:
            return decode_tree(data)
        except Damaged:
            return Damaged

    for piece in _PIECES:
        node = b'{"name":"a","type":"file","%s":%s}' % (key.encode(), piece)
        twice = b'{"name":"a","type":"file","%s":%s,"%s":0}' % (key.encode(), piece, key.encode())
        for data in (
            b'{"nodes":[%s]}',
            b'{"nodes":[],"nodes":[%s]}',
            b'{"nodes":[%s],"more":1}',
            b"[%s]",
            b'{"nodes":[%s]} x',
        ):
            for text in (data % node, data % twice):
                fast = outcome(text)
                with monkeypatch.context() as patch:
                    patch.setattr(tree_decode, "parse_common", lambda data: None)
                    assert fast == outcome(text), text
