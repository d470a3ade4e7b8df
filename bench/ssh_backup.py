"""Back up a folder of an SSH host: `python -m bench.ssh_backup REPOSITORY CACHE SERVER PATH`.

SERVER is the folder of bench/ssh_server.py with its port after a colon. The password is in RESTIC_PASSWORD.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from repository.backup import BackupOptions, backup
from repository.keys import KeySearch
from repository.locks import lock_repository
from repository.repository import Repository
from repository.spare_workers import SpareWorkers
from repository.tree_cache import TreeCache
from repository.worker import affordable
from sources.ssh.host import SshHostSettings
from sources.ssh.source import SshSource
from ssh.server import Server
from storage_adapters.local import LocalAdapter


def main(repository: str, cache: str, server: str, path: str) -> None:
    """Make one snapshot; fails if anything is left out."""
    storage = LocalAdapter(repository)
    search = KeySearch(storage, os.environ["RESTIC_PASSWORD"])
    folder, _, port = server.rpartition(":")
    source = SshSource(SshHostSettings(_server(Path(folder), int(port))), [path])
    with (
        TreeCache(os.path.join(cache, "unchanged"), source) as known,
        SpareWorkers(affordable() if known.meets_new_source else 0) as spares,
    ):
        repo = Repository.open(storage, search, cache_folder=cache)
        with lock_repository(repo) as lock:
            result = backup(repo, source, BackupOptions(), lock, cache=known, spares=spares)
    source.close()
    repo.close()
    if result.problems_lost:
        raise SystemExit(f"{result.problems_lost} files could not be read")


def _server(folder: Path, port: int) -> Server:
    key = (folder / "known_hosts").read_text().partition(" ")[2].strip()
    private = (folder / "key").read_text()
    return Server("127.0.0.1", getpass.getuser(), port, private_key=private, known_host_keys=(key,))


if __name__ == "__main__":
    main(*sys.argv[1:])
