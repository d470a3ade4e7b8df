"""The steps of the comparison: which commands run on which data, in which order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench import contenders, measure, postgres_server, s3_server, ssh_server, ssh_steps, workloads
from bench.contenders import PROJECT, Contender
from bench.postgres_server import PostgresServer
from bench.results import Results

IMAGE_ROUNDS_FAR = 1  # its targets are met by far, those of the tree are not


class Bench:
    """One run of the whole comparison, in `folder`, which needs about eight times the workloads' size."""

    def __init__(self, folder: Path, *, with_borg: bool) -> None:
        self.folder, self.results = folder, Results()
        self._server: int | None = None
        self.contenders = contenders.on_disk(folder, with_borg=with_borg)
        self._restored = folder / "restored"
        self._restores = 0

    def tree(self, path: Path, rounds: int) -> None:
        """First backup, unchanged backup, restore and check of the mixed tree."""
        _warm(path)
        for who in _turns(self.contenders, rounds):
            self._step("tree: first backup", who, who.backup(path))
            self.results.add_size("tree", who.name, who.size_bytes())
            if who.name != "plain":
                self._step("tree: unchanged", who, who.backup(path))
            self._restore("tree: restore", who, path)
            self._step("tree: check --read-data", who, who.check())

    def image(self, path: Path, rounds: int) -> None:
        """First backup, backup with 64 places changed, and restore of the disk image."""
        pristine, path = path, self.folder / "image" / path.name
        path.parent.mkdir(exist_ok=True)
        for number, who in enumerate(_turns(self.contenders, rounds)):
            shutil.copyfile(pristine, path)  # everybody meets the same image; it is warm then
            self._step("image: first backup", who, who.backup(path.parent))
            self.results.add_size("image", who.name, who.size_bytes())
            workloads.change_image(path, number)
            if who.name != "plain":
                self._step("image: 64 places changed", who, who.backup(path.parent))
            self._restore("image: restore", who, path.parent)

    def scale(self, paths: Sequence[Path], rounds: int) -> None:
        """First backup of many small files: time per file and memory must not grow with their number."""
        for path in paths:
            _warm(path)
            count = path.name.partition("-")[2]
            for who in _turns(self.contenders[:2], rounds):
                self._step(f"{int(count):,} small files: first backup", who, who.backup(path))

    def postgres(self, scale: int, rounds: int) -> None:
        """First dump of a pgbench database; then dumps after changes in a row, and here and there."""
        everybody = contenders.of_databases(self.folder)
        with postgres_server.serving(scale) as server:
            self._server = server.pid
            for who in _turns(everybody, rounds):
                self._dump("first dump", who, server)
            postgres_server.change_in_a_row(server, scale)
            for who in everybody[:-1]:
                self._dump("1 % changed, 1 % more", who, server)
            postgres_server.change_here_and_there(server, scale)
            for who in everybody[:-1]:
                self._dump("every hundredth row changed", who, server)
            self._server = None

    def _dump(self, what: str, who: Contender, server: PostgresServer) -> None:
        self._step(f"pgbench: {what}", who, who.dump(server.url))
        if who.name != "plain":
            self.results.add_size(f"pgbench: {what}", who.name, who.size_bytes())

    def s3(self, tree: Path, image: Path, rounds: int) -> None:
        """The mixed tree and the image again, to the same S3 server on loopback."""
        _warm(tree)
        for number in range(rounds):
            with s3_server.serving(self.folder / f"s3-{number}") as (url, keys, self._server):
                for who in contenders.on_s3(self.folder, url, keys)[:: _direction(number)]:
                    self._far("S3", who, tree)
                    if number < IMAGE_ROUNDS_FAR:
                        self._step("S3, image: backup", who, who.backup(image.parent))
                        self._restore("S3, image: restore", who, image.parent)
        self._server = None

    def sftp(self, tree: Path, rounds: int) -> None:
        """The mixed tree to the same SFTP server on loopback."""
        _warm(tree)
        for number in range(rounds):
            with ssh_server.serving(self.folder / f"ssh-sftp-{number}") as server:
                self._server = server.pid
                for who in contenders.on_sftp(self.folder, server)[:: _direction(number)]:
                    self._far("SFTP", who, tree)
        self._server = None

    def _far(self, where: str, who: Contender, tree: Path) -> None:
        self._step(f"{where}, tree: first backup", who, who.backup(tree))
        self._step(f"{where}, tree: unchanged", who, who.backup(tree))
        self._restore(f"{where}, tree: restore", who, tree)

    def ssh(self, tree: Path, small: Path, rounds: int) -> None:
        """The mixed tree and many small files over SSH on loopback, beside rsync."""
        _warm(tree)
        _warm(small)
        with ssh_server.serving(self.folder / "ssh-server") as server:
            self._server = server.pid
            ssh_steps.steps(self._step, self.results, self.folder, server, tree, small, rounds)
            ssh_steps.slow_steps(self._step, self.results, self.folder, server, tree / "0")
            self._server = None

    def remove_restored(self) -> None:
        """Remove what was restored, when nothing is measured any more."""
        shutil.rmtree(self._restored, ignore_errors=True)
        for each in (*self.folder.glob("s3-[0-9]*"), *self.folder.glob("ssh-*")):
            shutil.rmtree(each) if each.is_dir() else each.unlink()

    def _step(self, step: str, who: Contender, command: Sequence[str] | None) -> None:
        if command is None:
            return
        if "first" in step:
            who.init()
        os.sync()  # nobody waits for what another has left to be written
        log = str(self.folder / "last.log")
        measured = measure.run(command, env=who.env(), cwd=str(PROJECT), log=log, server=self._server)
        self.results.add(step, who.name, measured)
        print(
            f"{step:36} {who.name:20} {measured.seconds:8.2f} s {measured.cpu_s:8.2f} CPU s "
            f"(server {measured.server_s:.2f}) {measured.peak_mib:7.0f} MiB",
            flush=True,
        )

    def _restore(self, step: str, who: Contender, path: Path) -> None:
        """Restore into a folder that never was there before.

        ext4 makes new files slowly for minutes after many were removed: it looks for inodes around those that
        were freed. So what was restored is only emptied for its space, and removed at the end.
        """
        self._restores += 1
        target = self._restored / f"{self._restores}"
        target.mkdir(parents=True)
        self._step(step, who, who.restore(path, target))
        _empty_files(target)


def _turns(who: Sequence[Contender], rounds: int) -> list[Contender]:
    """Return everybody once a round, each round in the other direction; some take part in fewer rounds."""
    return [each for number in range(rounds) for each in _in_round(who, number)[:: _direction(number)]]


def _in_round(who: Sequence[Contender], number: int) -> list[Contender]:
    return [each for each in who if number < each.rounds]


def _direction(number: int) -> int:
    return 1 - 2 * (number % 2)


def _empty_files(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path) and os.path.isfile(path):
                os.truncate(path, 0)


def _warm(path: Path) -> None:
    """Read everything once, so that nobody pays for the disk."""
    for parent, _, names in os.walk(path):
        for name in names:
            file = os.path.join(parent, name)
            if os.path.isfile(file) and not os.path.islink(file):
                with open(file, "rb", buffering=0) as opened:
                    while opened.read(1 << 20):
                        pass
