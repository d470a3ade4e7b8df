"""Tar headers for what a restore writes: pax, with times, owners and attributes whole. No I/O."""

from __future__ import annotations

import os
import tarfile

from repository.entries import Entry

_BLOCK = 512
END = bytes(2 * _BLOCK)

_TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "dev": tarfile.BLKTYPE,
    "chardev": tarfile.CHRTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def header(name: bytes, entry: Entry) -> bytes:
    """Return the header of an entry under this name; `entry.size` bytes and `padding` follow for a file.

    Raises KeyError for a kind that no archive holds.
    """
    info = _info(name, _TYPES[entry.kind])
    info.mode = entry.mode
    info.uid, info.gid = entry.uid, entry.gid
    info.size = entry.size if entry.kind == "file" else 0
    info.linkname = os.fsdecode(entry.linktarget)
    if entry.kind in ("dev", "chardev"):
        info.devmajor, info.devminor = os.major(entry.device), os.minor(entry.device)
    info.mtime = max(0, entry.mtime_ns // 10**9)
    records = {"mtime": _seconds(entry.mtime_ns)}
    for key, value in entry.xattrs:
        records[f"SCHILY.xattr.{os.fsdecode(key)}"] = value.decode("utf-8", "surrogateescape")
    info.pax_headers = records
    return _packed(info)


def link(name: bytes, first: bytes) -> bytes:
    """Return the header of a hard link to a member before it."""
    info = _info(name, tarfile.LNKTYPE)
    info.linkname = os.fsdecode(first)
    return _packed(info)


def folder(name: bytes) -> bytes:
    """Return the header of a directory that only its owner may enter; its metadata comes later."""
    info = _info(name, tarfile.DIRTYPE)
    info.mode = 0o700
    return _packed(info)


def padding(size: int) -> bytes:
    """Return what fills up the last block of a file's content."""
    return bytes(-size % _BLOCK)


def _info(name: bytes, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(os.fsdecode(name))
    info.type = kind
    return info


def _packed(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _seconds(time_ns: int) -> str:
    whole, below = divmod(abs(time_ns), 10**9)
    return f"{'-' if time_ns < 0 else ''}{whole}.{below:09}"
