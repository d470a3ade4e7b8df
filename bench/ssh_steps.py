"""The steps over SSH: rsync and this project copy the same trees over the same link."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench import wire
from bench.contenders import PASSWORD, Contender, Holdfast
from bench.results import Results
from bench.ssh_server import SshServer

Run = Callable[[str, Contender, Sequence[str] | None], None]
SLOW_BYTES_A_SECOND = 12_500_000  # 100 Mbit/s

SLOW_STEP = "SSH at 100 Mbit/s, a part of the tree: first copy"


class Rsync(Contender):
    """A plain copy that keeps everything. `options` are more of them.

    Removing many files makes ext4 slow for minutes: each copy has a folder that never was there before.
    """

    options: Sequence[str] = ()

    def init(self) -> None:
        """Make room for the copy."""
        self.home.mkdir(parents=True)

    def over(self, server: SshServer, path: Path) -> Sequence[str]:
        """Return the command that makes the copy like `path` on the server."""
        way = ["-aHAX", *self.options, "--delete", "-e", server.ssh_command()]
        return ["rsync", *way, f"{server.login}:{path}/", f"{self.repository}/"]


class HoldfastOverSsh(Holdfast):
    """The engine, on a folder of a host."""

    def over(self, server: SshServer, path: Path) -> Sequence[str]:
        """Return the command that backs up `path` on the server."""
        where = [self.repository, str(self.home / "cache"), f"{server.folder}:{server.port}", str(path)]
        return [sys.executable, "-m", "bench.ssh_backup", *where]


def steps(
    run: Run, results: Results, folder: Path, server: SshServer, tree: Path, small: Path, rounds: int
) -> None:
    """First copy and unchanged copy of the tree; then one changed file among many, its bytes counted."""
    for number in range(rounds):
        for who in _both(folder, number)[:: 1 - 2 * (number % 2)]:
            run("SSH, tree: first copy", who, who.over(server, tree))
            run("SSH, tree: unchanged", who, who.over(server, tree))
    count = f"{int(small.name.partition('-')[2]):,}"
    for who in _both(folder, rounds):
        run(f"SSH, {count} files: first copy", who, who.over(server, small))
        # Through the same port, which is part of what a cache is of.
        with wire.counting(server.port) as counted:
            through = replace(server, port=counted.port)
            run(f"SSH, {count} files: unchanged, new way", who, who.over(through, small))
            run(f"SSH, {count} files: unchanged", who, who.over(through, small))
            _change_one(small)
            before = counted.count
            run(f"SSH, {count} files: one changed", who, who.over(through, small))
            results.add_size("SSH, one changed file, on the wire", who.name, counted.count - before)


def slow_steps(run: Run, results: Results, folder: Path, server: SshServer, part: Path) -> None:
    """First copy of a part of the tree over a link of 100 Mbit/s, the bytes that pass counted."""
    rsync, holdfast = _both(folder, 100)
    packing = Rsync("rsync -z", folder / "ssh-rsync" / f"{os.getpid()}-z")
    packing.options = ["-z"]
    for who in (rsync, packing, holdfast):
        with wire.counting(server.port, SLOW_BYTES_A_SECOND) as counted:
            run(SLOW_STEP, who, who.over(replace(server, port=counted.port), part))
            results.add_size(f"{SLOW_STEP}, on the wire", who.name, counted.count)


def _both(folder: Path, number: int) -> tuple[Rsync, HoldfastOverSsh]:
    rsync = Rsync("rsync", folder / "ssh-rsync" / f"{os.getpid()}-{number}")
    return rsync, HoldfastOverSsh("holdfast", folder / "ssh-holdfast", {"RESTIC_PASSWORD": PASSWORD})


def _change_one(small: Path) -> None:
    file = next(path for path in sorted(small.rglob("*")) if path.is_file())
    file.write_bytes(os.urandom(1000))
