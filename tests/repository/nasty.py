"""A tree of everything that is hard to keep."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

DAY_NS = 86_400 * 10**9


def make_nasty_tree(top: Path, *, raw_links: bool = False) -> None:
    """Fill a folder; devices and foreign owners only where root does it.

    `raw_links`: also with link targets that are not UTF-8, which restic before 0.16 cannot keep.
    """
    top.mkdir()
    _odd_names(os.fsencode(top))
    _contents(top)
    _links(top)
    if raw_links:
        os.symlink(b"no/where/\xff\xfe", os.fsencode(top / "raw link"))
    _attributes(top)
    if os.geteuid() == 0:
        _for_root(top)
    _times(top)


def _odd_names(top: bytes) -> None:
    names = [b"\xff\xfe raw", b"new\nline", b"tab\tbell\a", b'quote"back\\slash', b"-dash", b"~", b" lead"]
    names += ["Jürgen \u202e".encode(), "\U0001f600".encode(), b"<&>", b"x" * 255, b"\x01\x7f", b"'`$(x)"]
    names += ["e\u0301".encode(), "\u00e9".encode(), b"\xed\xa0\x80", b"a\\x41"]
    folder = os.path.join(top, b"names \xe9")
    os.mkdir(folder)
    for number, name in enumerate(names):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"%d" % number)
    deep = os.path.join(folder, *([b"deep"] * 40))
    os.makedirs(deep)
    with open(os.path.join(deep, b"end"), "wb") as file:
        file.write(b"down here")


def _contents(top: Path) -> None:
    (top / "empty").touch()
    (top / "empty folder").mkdir()
    (top / "small").write_bytes(b"small")
    (top / "same").write_bytes(b"small")
    (top / "large").write_bytes(os.urandom(3_500_000))
    (top / "text").write_bytes(b"all work and no play\n" * 100_000)
    with open(top / "sparse", "wb") as file:
        file.write(b"head")
        file.seek(5 * 2**20)
        file.write(b"middle")
        file.truncate(9 * 2**20)
    (top / "zeros").write_bytes(bytes(600_000))


def _links(top: Path) -> None:
    os.link(top / "small", top / "hard link")
    os.link(top / "large", top / "names \udce9" / "large too")
    os.symlink("no/where/\u00e9", top / "dangling")
    os.symlink("large", top / "link")
    os.symlink("..", top / "up")
    os.mkfifo(top / "fifo", 0o640)


def _attributes(top: Path) -> None:
    os.setxattr(top / "small", "user.one", b"\x00\xff binary")
    os.setxattr(top / "small", "user.empty", b"")
    os.setxattr(top / "empty folder", "user.folder", b"value")
    subprocess.run(["setfacl", "-m", "u:1234:r", top / "text"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "g:4321:rx", top / "empty folder"], check=True)
    (top / "same").chmod(0o000)
    (top / "zeros").chmod(0o6755)
    (top / "empty folder").chmod(0o1777 | stat.S_ISGID)


def _for_root(top: Path) -> None:
    os.mknod(top / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(top / "block", 0o640 | stat.S_IFBLK, os.makedev(259, 70_000))
    os.chown(top / "same", 12345, 54321)
    os.chown(top / "link", 12345, 54321, follow_symlinks=False)
    os.setxattr(top / "null", "trusted.device", b"x")


def _times(top: Path) -> None:
    os.utime(top / "empty", ns=(1, 1_234_567_891_123_456_789))
    os.utime(top / "small", ns=(0, -1_500_000_000))
    os.utime(top / "same", ns=(0, 4_102_444_800 * 10**9 + 1))
    os.utime(top / "dangling", ns=(0, 42), follow_symlinks=False)
    os.utime(top / "empty folder", ns=(0, DAY_NS + 7))
    os.utime(top, ns=(0, DAY_NS))
