"""A small tree of all that is hard to keep, made on a host by its own programs, and what it must be."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repository.entries import SourceUnavailable
from sources.ssh.host import SshHost

_TEXT = b"holdfast 0123456789\n"
_LARGE_BYTES = 3_000_000
_SPARSE_BYTES = 8 * 1024 * 1024
_SECONDS_NS = 10**9
_TIME_NS = 1_234_567_890_123_456_789
_OLD_NS = -86_400_250_000_000
_ODD_NAMES = (b"a\nb", b'it\'s "quoted"', b"-rf", b" ", b"\xff\xfe", b"back\\slash", b"$(id)`id`", b"n" * 255)
# Of an ACL as the kernel stores it: user 12345 may read.
_ACL_ENTRY = struct.pack("<HHI", 2, 4, 12345)

_SCRIPT = rb"""
export TZ=UTC
umask 022
top=$(mktemp -d "${1:-/var/tmp}/holdfast-self-test.XXXXXX") || top=$(mktemp -d) || exit 1
top=$(cd -- "$top" && pwd -P) || exit 1
printf '%s\n' "$top"
mkdir -- "$top/tree" && cd -- "$top/tree" || exit 1
shift

make_contents() {
    : >empty && printf text >small &&
    i=0 && while test $i -lt 1500; do echo 'holdfast 0123456789'; i=$((i + 1)); done >part &&
    i=0 && while test $i -lt 100; do cat part; i=$((i + 1)); done >large && rm part
}
make_names() { for name; do printf '%s' "$name" >"./$name" || return 1; done; }
make_modes() {
    : >private && chmod 600 private && : >suid && chmod 4755 suid && : >mine && chmod 400 mine &&
    mkdir sticky && chmod 1777 sticky
}
make_owners() { : >file && chown 12345:54321 file && ln -s x link && chown -h 12345:54321 link; }
make_times() { : >file && touch -d '2009-02-13 23:31:30.123456789' file && test "$(stat -c %y file)" = \
    '2009-02-13 23:31:30.123456789 +0000' || { echo 'its touch sets whole seconds only'; return 1; } }
make_oldtimes() { : >file && touch -d '1969-12-30 23:59:59.750' file && test "$(stat -c %Y file)" -lt 0; }
make_links() { ln -s 'nowhere at all' dangling && ln -s ../links self && ln -s / root; }
make_linktimes() { ln -s x link && touch -h -d '2009-02-13 23:31:30.123456789' link; }
make_hardlinks() { echo one >one && ln one two && mkdir below && ln one below/three; }
lengthen() { truncate -s 8388604 file || dd if=/dev/null of=file bs=1 seek=8388604; }
make_sparse() {
    printf start >file && lengthen 2>/dev/null && printf last >>file &&
    test "$(stat -c %b file)" -lt 4096 || { echo 'its file system makes no holes'; return 1; }
}
make_fifos() { mkfifo -m 640 fifo; }
make_devices() { mknod -m 666 char c 1 3 && mknod -m 660 block b 7 200; }
make_xattrs() { : >file && setfattr -n user.holdfast -v 'kept as it is' file; }
make_acls() { : >file && setfacl -m u:12345:r file && mkdir folder && setfacl -d -m u:12345:r folder; }

for key in contents names modes owners times oldtimes links linktimes hardlinks sparse fifos devices \
    xattrs acls
do
    mkdir "$key" && cd "$key" || exit 1
    if said=$(make_$key "$@" 2>&1); then echo "ok $key"; else
        echo "no $key $(printf '%s' "$said" | tail -n 1)"
    fi
    cd ..
done
"""
_BLOCKS = b'stat -c %b -- "$1/tree/sparse/file" "$1/back/sparse/file"'


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing: in people's words, and what its files must be, by attributes of an Entry.

    `sha256` is of a file's content; `same` the path of a file that it must be one with; `xattr` a name and a
    part of its value.
    """

    key: str
    title: str
    wanted: Mapping[bytes, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Made:
    """What was made below `folder`, in `tree`; `failed`: kinds that the host cannot make, with why."""

    folder: str
    failed: Mapping[str, str]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _large() -> bytes:
    return _TEXT * (_LARGE_BYTES // len(_TEXT))


def _sparse() -> bytes:
    return b"start" + bytes(_SPARSE_BYTES - 9) + b"last"


KINDS = (
    Kind("contents", "File contents", {
        b"empty": {"kind": "file", "size": 0},
        b"small": {"sha256": _sha256(b"text")},
        b"large": {"sha256": _sha256(_large())},
    }),
    Kind("names", "Odd names", {name: {"kind": "file", "sha256": _sha256(name)} for name in _ODD_NAMES}),
    Kind("modes", "Permissions, setuid and sticky", {
        b"private": {"mode": 0o600}, b"suid": {"mode": 0o4755}, b"mine": {"mode": 0o400},
        b"sticky": {"kind": "dir", "mode": 0o1777},
    }),
    Kind("owners", "Owners and groups", {
        b"file": {"uid": 12345, "gid": 54321}, b"link": {"uid": 12345, "gid": 54321},
    }),
    Kind("times", "Times to the nanosecond", {b"file": {"mtime_ns": _TIME_NS}}),
    Kind("oldtimes", "Times before 1970", {b"file": {"mtime_ns": _OLD_NS}}),
    Kind("links", "Symbolic links", {
        b"dangling": {"kind": "symlink", "linktarget": b"nowhere at all"},
        b"self": {"kind": "symlink", "linktarget": b"../links"},
        b"root": {"kind": "symlink", "linktarget": b"/"},
    }),
    Kind("linktimes", "Times of symbolic links", {b"link": {"mtime_ns": _TIME_NS}}),
    Kind("hardlinks", "Hard links", {
        b"two": {"links": 3, "same": b"one"}, b"below/three": {"links": 3, "same": b"one"},
    }),
    Kind("sparse", "Sparse files", {b"file": {"size": _SPARSE_BYTES, "sha256": _sha256(_sparse())}}),
    Kind("fifos", "Named pipes", {b"fifo": {"kind": "fifo", "mode": 0o640}}),
    Kind("devices", "Devices", {
        b"char": {"kind": "chardev", "device": 0x103}, b"block": {"kind": "dev", "device": 0x7C8},
    }),
    Kind("xattrs", "Extended attributes", {b"file": {"xattr": (b"user.holdfast", b"kept as it is")}}),
    Kind("acls", "ACLs", {
        b"file": {"xattr": (b"system.posix_acl_access", _ACL_ENTRY)},
        b"folder": {"xattr": (b"system.posix_acl_default", _ACL_ENTRY)},
    }),
)  # fmt: skip


def make(host: SshHost, above: str = "") -> Made:
    """Make the tree in a new folder in `above`, or where temporary files go; `remove` takes it away.

    Nobody but the login may enter it. Raises SourceUnavailable, SshError.
    """
    command = [b"env", b"LC_ALL=C", b"sh", b"-c", _SCRIPT, b"sh", above.encode(), *_ODD_NAMES]
    output = host.run(command)
    lines = output.stdout.decode("utf-8", "replace").splitlines()
    if not lines or not lines[0].startswith("/"):
        said = output.stderr.decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said else "no reason given"
        raise SourceUnavailable(f"no folder for the test can be made on {host.name}: {why}")
    told = [line.split(" ", 2) for line in lines[1:]]
    failed = {words[1]: words[2] if len(words) > 2 else "" for words in told if words[0] == "no"}
    failed |= {kind.key: "the host ended too soon" for kind in KINDS if kind.key not in {w[1] for w in told}}
    return Made(lines[0], failed)


def blocks(host: SshHost, folder: str) -> tuple[int, int]:
    """Return how much of the disk the sparse file takes, in blocks of 512 bytes: made, and restored."""
    output = host.run([b"env", b"LC_ALL=C", b"sh", b"-c", _BLOCKS, b"sh", folder.encode()])
    made, _, restored = output.stdout.decode("ascii", "replace").strip().partition("\n")
    return (int(made) if made.isdigit() else 0), (int(restored) if restored.isdigit() else 0)


def remove(host: SshHost, folder: str) -> str:
    """Remove the folder; say why it is still there, "" if it is not. Raises SshError, SourceUnavailable."""
    output = host.run([b"env", b"LC_ALL=C", b"rm", b"-rf", b"--", folder.encode()])
    return output.stderr.decode("utf-8", "replace").strip() if output.code else ""
