"""The commands that write out one thing: dump and cat."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from repository.archive import stream_tar, stream_zip
from repository.cli_commands import find_snapshot
from repository.cli_session import Session, UsageError
from repository.config import RepositoryConfig
from repository.crypto import unseal
from repository.errors import BlobNotFound, RepositoryError
from repository.files import FileKind, list_files, list_packs, pack_key
from repository.ids import is_hex_id
from repository.lookup import find_node, read_file
from repository.packfile import BlobType
from repository.repository import Repository
from repository.snapshot import Snapshot

_KINDS: dict[str, FileKind] = {"index": "index", "snapshot": "snapshots", "lock": "locks", "key": "keys"}


def dump_command(session: Session, args: argparse.Namespace) -> int:
    """Write a file, or a folder as an archive, to stdout."""
    repo = session.open()
    with session.locked(repo):
        _, snapshot = find_snapshot(repo, args.snapshot, args)
        repo.load_index()
        for part in _content(repo, snapshot, os.fsencode(args.file), args.archive):
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    return 0


def _content(repo: Repository, snapshot: Snapshot, path: bytes, archive: str) -> Iterator[bytes]:
    node = find_node(repo, snapshot, path)
    if node.type == "dir":
        return stream_zip(repo, snapshot, path) if archive == "zip" else stream_tar(repo, snapshot, path)
    return read_file(repo, node)


def cat_command(session: Session, args: argparse.Namespace) -> int:
    """Write one object of the repository as it is: JSON indented, blobs and packs byte for byte."""
    wanted = 0 if args.object in ("config", "masterkey") else 1
    if len(args.ids) != wanted:
        raise UsageError(f"cat {args.object} takes {'no id' if not wanted else 'one id'}")
    repo = session.open()
    with session.locked(repo):
        content = _object(repo, args.object, *args.ids)
    if isinstance(content, bytes):
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        session.output.result(json.dumps(content, indent=2, ensure_ascii=False))
    return 0


def _object(repo: Repository, what: str, wanted: str = "") -> Any:
    if what == "config":
        return json.loads(RepositoryConfig.decode(unseal(repo.key, repo.storage.get("config"))).encode())
    if what == "masterkey":
        return json.loads(repo.key.to_json())
    if what == "pack":
        return repo.storage.get(pack_key(_whole_id(list_packs(repo.storage), wanted, what)))
    if what == "blob":
        return _blob(repo, wanted)
    if what == "snapshot":
        return json.loads(repo.load_snapshot(repo.find_snapshot(wanted)[0]).encode())
    kind = _KINDS[what]
    found = _whole_id([file.id for file in list_files(repo.storage, kind)], wanted, what)
    if kind == "keys":
        return json.loads(repo.storage.get(f"keys/{found.hex()}"))
    return json.loads(repo.files.load(kind, found))


def _blob(repo: Repository, wanted: str) -> bytes:
    """Return a blob of either type, by its whole id. Raises BlobNotFound, Damaged."""
    repo.load_index()
    kinds: tuple[BlobType, ...] = ("data", "tree")
    for kind in kinds:
        if is_hex_id(wanted) and repo.index.has(kind, bytes.fromhex(wanted)):
            return repo.load_blob(kind, bytes.fromhex(wanted))
    raise BlobNotFound(f"no blob has the id {wanted!r}; write all 64 hex digits of it")


def _whole_id(ids: Iterable[bytes], wanted: str, what: str) -> bytes:
    fitting: list[bytes] = [each for each in ids if each.hex().startswith(wanted)]
    if len(fitting) != 1:
        many = f"several {what} ids begin" if fitting else f"no {what} id begins"
        raise RepositoryError(f"{many} with {wanted!r}; write more of it, or another")
    return fitting[0]
