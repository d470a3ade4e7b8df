"""Stream a folder or a file of a snapshot as a tar or zip archive that is made while it is sent."""

from __future__ import annotations

import os
import stat
import struct
import tarfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from repository.archive_notes import Made
from repository.errors import Damaged, PathNotFound
from repository.gotext import parse_time
from repository.lookup import content, find_node, is_safe_name, list_dir, walk
from repository.prefetch import Prefetch
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import Node, linktarget, posix_mode
from repository.zip_names import ZipNames

Member = tuple[bytes, Node]  # name in the archive, node

_NANO = 1_000_000_000
_TAR_TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "fifo": tarfile.FIFOTYPE,
    "dev": tarfile.BLKTYPE,
    "chardev": tarfile.CHRTYPE,
}
_ACLS = {
    "system.posix_acl_access": "SCHILY.acl.access",
    "system.posix_acl_default": "SCHILY.acl.default",
}
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_TAGS = {1: "user", 2: "user", 4: "group", 8: "group", 16: "mask", 32: "other"}
_ACL_NAMED = (2, 8)
_ZIP_TYPES = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "symlink": stat.S_IFLNK}
_ZIP_EARLIEST = (1980, 1, 1, 0, 0, 0)
_ZIP_LATEST = (2107, 12, 31, 23, 59, 58)
NOTES_IN_ZIP = "Left out of this zip.txt"


def stream_tar(
    repo: Repository, snapshot: Snapshot, *paths: bytes, made: Made | None = None
) -> Iterator[bytes]:
    """Yield a tar archive (POSIX pax) of what stands at a tree path, or at several; of all without one.

    What is in it is named from the folder on that holds all of these paths.

    Owners, modes, times to the nanosecond, links, devices and extended attributes are in it. Raises
    PathNotFound, and, also in the middle, Damaged or BlobNotFound: the archive is cut off then.
    """
    made = made or Made()
    links: dict[tuple[int, int], tuple[str, list[bytes]]] = {}
    with closing(_read_ahead(repo, snapshot, paths)) as members:
        for name, node in members:
            made.meet(name, node)
            if node.type not in _TAR_TYPES:
                made.note(name, f"a {node.type}, which no archive holds")
                continue
            info = _tar_info(os.fsdecode(name), node)
            first = _first_link(links, info.name, node)
            if first is not None:
                info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
            yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
            if info.isreg():
                for chunk in content(members, node):
                    made.size += len(chunk)
                    yield chunk
                yield bytes(-node.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def stream_zip(
    repo: Repository, snapshot: Snapshot, *paths: bytes, made: Made | None = None
) -> Iterator[bytes]:
    """Yield a zip archive of what stands at these tree paths, as stream_tar; for people without tar.

    Only files, folders and symlinks, without owners. Names that are not UTF-8, that another system would read
    as a way out, or that differ from another by capitals only, are changed. With `made`, a last member says
    what was changed or left out, if anything was. Raises as stream_tar: the archive is cut off, without its
    directory, then.
    """
    told, made = made is not None, made or Made()
    sink = _Sink()
    archive = zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED)
    names = ZipNames()
    try:
        with closing(_read_ahead(repo, snapshot, paths)) as members:
            for name, node in members:
                made.meet(name, node)
                if (text := _zip_name(names, name, node, made)) is not None:
                    yield from _zip_member(archive, sink, _zip_info(text, node), node, members, made)
        if told and made.noted:
            archive.writestr(zipfile.ZipInfo(names.of(NOTES_IN_ZIP.encode())), made.text())
    finally:
        # Also after an error, or it would be tried when the object is collected; what it writes is not sent.
        archive.close()
    yield sink.drain()


def _zip_member(
    archive: zipfile.ZipFile,
    sink: _Sink,
    info: zipfile.ZipInfo,
    node: Node,
    members: Prefetch[Member],
    made: Made,
) -> Iterator[bytes]:
    if node.type == "dir":
        archive.writestr(info, b"")
    elif node.type == "symlink":
        archive.writestr(info, linktarget(node))
    else:
        with archive.open(info, "w") as member:
            for chunk in content(members, node):
                member.write(chunk)
                made.size += len(chunk)
                yield sink.drain()
    yield sink.drain()


def _read_ahead(repo: Repository, snapshot: Snapshot, paths: Sequence[bytes]) -> Prefetch[Member]:
    found = members(repo, snapshot, paths)
    return Prefetch(repo, ((member, member[1].content or ()) for member in found))


def members(repo: Repository, snapshot: Snapshot, paths: Sequence[bytes]) -> Iterator[Member]:
    """Yield (name in the archive, node). Raises Damaged for a name that would lead out of the archive."""
    for top, node in _chosen(repo, snapshot, outermost(paths)):
        if top:
            yield _checked(top, node), node
        if node.type == "dir":
            for below, child in walk(repo, node, b"/"):
                _checked(child.name, child)
                yield (top + below if top else below[1:]), child


def _chosen(repo: Repository, snapshot: Snapshot, paths: Sequence[bytes]) -> list[Member]:
    """Return the nodes at some paths, each folder of theirs read once; all of the snapshot for no path."""
    if not paths:
        return [(b"", find_node(repo, snapshot, b"/"))]
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    listed: dict[bytes, dict[bytes, Node]] = {}
    found: list[Member] = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in listed:
            listed[folder] = {node.name: node for node in list_dir(repo, snapshot, folder)}
        if name not in listed[folder]:
            raise PathNotFound(f"there is no {path!r} in this snapshot: {name!r} is missing")
        found.append((os.path.relpath(path, common), listed[folder][name]))
    return found


def outermost(paths: Iterable[bytes]) -> list[bytes]:
    """Return the paths without those that lie in another of them; none if all of the snapshot is meant."""
    chosen: list[bytes] = []
    for path in sorted({os.path.normpath(b"/" + path.lstrip(b"/")) for path in paths}, key=_parts):
        if path == b"/":
            return []
        if not chosen or _parts(path)[: len(_parts(chosen[-1]))] != _parts(chosen[-1]):
            chosen.append(path)
    return chosen


def _parts(path: bytes) -> list[bytes]:
    return path.split(b"/")


def _checked(name: bytes, node: Node) -> bytes:
    if not is_safe_name(node.name):
        raise Damaged(f"the snapshot holds the name {node.name!r}, which no file can have")
    return name


def _tar_info(name: str, node: Node) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = _TAR_TYPES[node.type]
    info.mode = posix_mode(node.mode)
    info.uid, info.gid, info.uname, info.gname = node.uid, node.gid, node.user, node.group
    info.size = node.size if node.type == "file" else 0
    info.linkname = os.fsdecode(linktarget(node)) if node.type == "symlink" else ""
    info.devmajor, info.devminor = os.major(node.device), os.minor(node.device)
    mtime = parse_time(node.mtime)
    info.mtime = mtime // _NANO
    info.pax_headers = dict(_pax_xattr(*xattr) for xattr in node.xattrs or ())
    if mtime % _NANO:
        seconds, nanos = divmod(abs(mtime), _NANO)
        info.pax_headers["mtime"] = f"{'-' if mtime < 0 else ''}{seconds}.{nanos:09}"
    return info


def _pax_xattr(name: str, value: bytes) -> tuple[str, str]:
    """Return the pax header of an extended attribute: tar reads it with --xattrs, an ACL with --acls."""
    if name in _ACLS and (text := acl_text(value)):
        return _ACLS[name], text
    return f"SCHILY.xattr.{name}", os.fsdecode(value)


def acl_text(value: bytes) -> str:
    """Return a POSIX ACL, given as the kernel keeps it, in words; "" if it is not of that form.

    Linux's posix_acl_xattr.h: version 2, then (tag, permissions, id) of 2, 2 and 4 bytes, little-endian.
    """
    if len(value) % _ACL_ENTRY.size != 4 or value[:4] != b"\x02\0\0\0":
        return ""
    entries = []
    for tag, permissions, owner in _ACL_ENTRY.iter_unpack(value[4:]):
        if tag not in _ACL_TAGS:
            return ""
        who = owner if tag in _ACL_NAMED else ""
        letters = "".join(
            letter if permissions & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1))
        )
        entries.append(f"{_ACL_TAGS[tag]}:{who}:{letters}")
    return ",".join(entries)


def _first_link(links: dict[tuple[int, int], tuple[str, list[bytes]]], name: str, node: Node) -> str | None:
    """Return the archive name of an earlier hard link to the same file, if there is one."""
    if node.type != "file" or node.links < 2 or node.content is None:
        return None
    first, content = links.setdefault((node.device_id, node.inode), (name, node.content))
    return first if first != name and content == node.content else None


def _zip_info(name: str, node: Node) -> zipfile.ZipInfo:
    moment = time.gmtime(min(max(parse_time(node.mtime) // _NANO, 0), 2**32))[:6]
    info = zipfile.ZipInfo(
        name + "/" if node.type == "dir" else name, min(max(moment, _ZIP_EARLIEST), _ZIP_LATEST)
    )
    info.compress_type = zipfile.ZIP_DEFLATED
    info.file_size = node.size
    info.create_system = 3  # Unix: the modes below are to be read as such
    info.external_attr = (_ZIP_TYPES[node.type] | posix_mode(node.mode)) << 16
    if node.type == "dir":
        info.external_attr |= 0x10  # the folder bit of MS-DOS
    return info


def _zip_name(names: ZipNames, path: bytes, node: Node, made: Made) -> str | None:
    """Return what a path is called in the zip; None for what no zip holds. What is not as it was is noted."""
    if node.type not in _ZIP_TYPES:
        made.note(path, f"a {node.type}, which a zip cannot hold")
        return None
    text = names.of(path, is_dir=node.type == "dir")
    leaf = text.rpartition("/")[2]
    if leaf.encode() != node.name:
        made.note(path, f"it is called {leaf!r} here")
    return text


class _Sink:
    """What an archive writes, until it is sent on."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There is nothing to release."""

    def drain(self) -> bytes:
        """Return what was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
