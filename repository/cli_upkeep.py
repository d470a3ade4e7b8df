"""The commands `copy`, `key` and `tag`."""

from __future__ import annotations

import argparse
import getpass
import sys

from repository.cli_output import size_text
from repository.cli_select import select
from repository.cli_session import Session, UsageError, decode_password
from repository.copy import CopyResult, copy
from repository.errors import RepositoryError
from repository.key_commands import KeyInfo, add_key, change_password, list_keys, remove_key
from repository.locks import lock_repository
from repository.repository import Repository
from repository.tag import TagChange, tag


def copy_command(session: Session, args: argparse.Namespace) -> int:
    """Copy snapshots to this repository from another."""
    place = args.from_repo or session.environ.get("RESTIC_FROM_REPOSITORY", "")
    if not place:
        raise UsageError(
            "name the repository to copy from with --from-repo PLACE, or in RESTIC_FROM_REPOSITORY"
        )
    out = session.output
    with Session(args, out, _FromPassword(session), session.zone, session.environ, place) as other:
        source, destination = other.open(), session.open()
        with lock_repository(source) as source_lock, lock_repository(destination) as lock:
            wanted = [snapshot_id for snapshot_id, _ in select(source, args)]
            result = copy(source, destination, wanted, (source_lock, lock), out.progress)
    _tell_copy(session, result)
    return 0


class _FromPassword:
    """Get the password of the repository to copy from."""

    def __init__(self, session: Session) -> None:
        self._environ = session.environ

    def __call__(self, args: argparse.Namespace, *, confirm: bool = False) -> str:
        file = args.from_password_file or self._environ.get("RESTIC_FROM_PASSWORD_FILE")
        if file:
            return _read_password(file)
        given = self._environ.get("RESTIC_FROM_PASSWORD")
        if given is not None:
            return given
        return _ask("password of the repository to copy from: ", "--from-password-file FILE")


def _tell_copy(session: Session, result: CopyResult) -> None:
    out = session.output
    for old, new in result.skipped:
        out.text(f"snapshot {old.hex()[:8]} is there already, as {new.hex()[:8]}")
    for old, new in result.copied:
        out.text(f"snapshot {old.hex()[:8]} copied as {new.hex()[:8]}")
    out.text(f"{result.blobs_added} blobs added, {size_text(result.bytes_added)} stored")
    out.data(
        {
            "message_type": "summary",
            "copied": [{"from": old.hex(), "to": new.hex()} for old, new in result.copied],
            "skipped": [{"from": old.hex(), "to": new.hex()} for old, new in result.skipped],
            "blobs_added": result.blobs_added,
            "bytes_added": result.bytes_added,
        }
    )


def key_command(session: Session, args: argparse.Namespace) -> int:
    """List, add, remove or replace a password."""
    if (args.action == "remove") != (len(args.ids) == 1):
        raise UsageError("key remove needs one ID, as key list shows it; the others take none")
    password = _new_password(args) if args.action in ("add", "passwd") else ""
    repo = session.open()
    with lock_repository(repo, exclusive=args.action in ("remove", "passwd")) as lock:
        if args.action == "add":
            _tell_key(session, "saved", add_key(repo, password))
        elif args.action == "passwd":
            _tell_key(session, "saved, and the old one removed", change_password(repo, password, lock))
        elif args.action == "remove":
            key_id = _find_key(repo, args.ids[0])
            remove_key(repo, key_id, lock)
            _tell_key(session, "removed", key_id)
        else:
            _list_keys(session, repo)
    return 0


def _list_keys(session: Session, repo: Repository) -> None:
    found = list_keys(repo)
    for key in found if not session.output.json else ():
        mark = "*" if key.id == repo.key_id else " "
        words = key.damaged or f"{key.username}@{key.hostname}  {key.created[:19].replace('T', ' ')}"
        session.output.result(f"{mark}{key.id.hex()[:8]}  {words}")
    session.output.data([_key_json(key, repo) for key in found])


def _key_json(key: KeyInfo, repo: Repository) -> dict[str, object]:
    shown: dict[str, object] = {"current": key.id == repo.key_id, "id": key.id.hex()}
    shown |= {"userName": key.username, "hostName": key.hostname, "created": key.created}
    return shown | ({"damaged": key.damaged} if key.damaged else {})


def _find_key(repo: Repository, wanted: str) -> bytes:
    ids = [key.id for key in list_keys(repo) if key.id.hex().startswith(wanted)]
    if len(ids) != 1:
        many = "several keys have ids that begin" if ids else "no key has an id that begins"
        raise RepositoryError(f"{many} with {wanted!r}; key list shows them all")
    return ids[0]


def _tell_key(session: Session, done: str, key_id: bytes) -> None:
    session.output.text(f"key {key_id.hex()[:8]} {done}")
    session.output.data({"message_type": "summary", "id": key_id.hex()})


def tag_command(session: Session, args: argparse.Namespace) -> int:
    """Change tags."""
    change = TagChange(
        replace=None if args.set is None else _tags(args.set), add=_tags(args.add), remove=_tags(args.remove)
    )
    if args.set is None and not (change.add or change.remove):
        raise UsageError("say what to change with --set, --add or --remove")
    if args.set is not None and (change.add or change.remove):
        raise UsageError("--set cannot be used with --add or --remove")
    repo = session.open()
    with lock_repository(repo, exclusive=True) as lock:
        result = tag(repo, [snapshot_id for snapshot_id, _ in select(repo, args)], change, lock)
    for old, new in result.changed:
        session.output.text(f"snapshot {old.hex()[:8]} is now {new.hex()[:8]}")
    session.output.text(f"{len(result.changed)} snapshots changed")
    changed = [{"old": old.hex(), "new": new.hex()} for old, new in result.changed]
    session.output.data({"message_type": "summary", "changed": changed})
    return 0


def _tags(given: list[str]) -> list[str]:
    return [tag.strip() for each in given for tag in each.split(",")]


def _new_password(args: argparse.Namespace) -> str:
    if args.new_password_file:
        password = _read_password(args.new_password_file)
    else:
        password = _ask("new password: ", "--new-password-file FILE")
        if getpass.getpass("the same again: ") != password:
            raise UsageError("the two passwords are not the same")
    if not password:
        raise UsageError("the new password is empty: with it everybody could read the repository")
    return password


def _read_password(file: str) -> str:
    with open(file, "rb") as opened:
        return decode_password(opened.read())


def _ask(prompt: str, option: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError(f"give the password with {option}")
    return getpass.getpass(prompt)
