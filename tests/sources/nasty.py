"""A tree that has whatever a Linux file system can hold."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from tests.sources.trees import IS_ROOT

_YEAR = 365 * 24 * 3600 * 10**9


def make_nasty_tree(root: Path) -> Path:
    """Make and return `root`; devices and other owners only as root."""
    root.mkdir()
    _odd_names(root / "names")
    _times(root / "times")
    _kinds(root / "kinds")
    _sizes(root / "sizes")
    _attributes(root / "attributes")
    if IS_ROOT:
        _only_root(root / "root")
    deep = root / "deep"
    for _ in range(6):
        deep = deep / ("d" * 20)
    deep.mkdir(parents=True)
    (deep / "f").write_text("down here")
    os.utime(root, ns=(1, 1))
    return root


def _odd_names(folder: Path) -> None:
    folder.mkdir()
    base = os.fsencode(folder)
    names = [bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    names += [b"n" * 255, b"\xff" * 255, "ä" * 127, "-rf", " ", "a\nb", "..a", "...", "~", ".holdfast-x"]
    for name in names:
        with open(os.path.join(base, os.fsencode(name)), "wb") as file:
            file.write(name if isinstance(name, bytes) else name.encode())


def _times(folder: Path) -> None:
    folder.mkdir()
    for year in (-69, -1, 0, 30, 68, 69, 100, 400):
        path = folder / f"year {1970 + year}"
        path.write_text("x")
        os.utime(path, ns=(0, year * _YEAR + 123_456_789))
    os.utime(folder, ns=(0, -1))


def _kinds(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "fifo", 0o640)
    for mode in (0o444, 0o644, 0o1755, 0o2755, 0o4755, 0o6711, 0o7777, *((0, 0o111) if IS_ROOT else ())):
        (folder / f"mode {mode:o}").write_text("m")
        (folder / f"mode {mode:o}").chmod(mode)
        if mode & 0o700 == 0o700:
            (folder / f"dir {mode:o}").mkdir()
            (folder / f"dir {mode:o}").chmod(mode)
    for count, target in enumerate((b"fifo", b"nowhere", b"/", b"..", b"\xff\xfe", b"t" * 4000)):
        link = os.path.join(os.fsencode(folder), b"link%d" % count)
        os.symlink(target, link)
        os.utime(link, ns=(0, 10**18 + count), follow_symlinks=False)
    descriptor = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{descriptor}/socket")  # the path that is bound may have 107 bytes
    os.close(descriptor)


def _sizes(folder: Path) -> None:
    folder.mkdir()
    for size in (0, 1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1):
        (folder / f"random {size}").write_bytes(os.urandom(size))
        (folder / f"zeros {size}").write_bytes(bytes(size))
    with (folder / "sparse").open("wb") as file:
        for place in (0, 5 << 20, (8 << 20) + 777):
            file.seek(place)
            file.write(b"here")
        file.truncate(12 << 20)


def _attributes(folder: Path) -> None:
    folder.mkdir()
    for name in ("file", "folder"):
        path = folder / name
        path.write_text("a") if name == "file" else path.mkdir()
        os.setxattr(path, "user.zebra", b"\0\xff binary")
        os.setxattr(path, "user.ant", b"")
        os.setxattr(path, "user.b\u00e4r", b"v" * 1000)
    acls = ["-m", "u:1234:rwx,g:4321:r,m::rx"]
    subprocess.run(["setfacl", *acls, folder / "file", folder / "folder"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx", folder / "folder"], check=True)
    (folder / "folder" / "heir").write_text("has the ACL of its folder")


def _only_root(folder: Path) -> None:
    folder.mkdir()
    os.mknod(folder / "char", 0o20644, os.makedev(1, 3))
    os.mknod(folder / "block", 0o60660, os.makedev(259, 70000))
    os.symlink("x", folder / "link of others")
    os.lchown(folder / "link of others", 77777, 88888)
    for name in ("file", "suid"):
        (folder / name).write_text("x")
        os.chown(folder / name, 12345, 54321)
    (folder / "suid").chmod(0o6755)
    os.setxattr(folder / "file", "trusted.secret", b"only root sees it")
    os.setxattr(folder / "file", "security.capability", bytes.fromhex("0100000200200000" + "00" * 12))
    os.chown(folder, 4000000000, 4000000000)
