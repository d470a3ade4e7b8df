"""A folder that stands on a host, as a Target: what is restored is put into it when all of it has arrived."""

from __future__ import annotations

import os
from collections.abc import Sequence

from repository.entries import Conflict, Entry, LeftOut, Problem, TargetError
from sources import tar_headers
from sources.ssh import move_scripts as moves
from sources.ssh import target_scripts as scripts
from sources.ssh.host import SshHostSettings
from sources.ssh.left_behind import judged, left_behind, own_complaints
from sources.ssh.standing import Standing
from sources.ssh.target import SshTarget, require_no_complaints, tree_name
from ssh.errors import SshError


class SshInPlaceTarget(SshTarget):
    """A folder that is there already, with what is in it. The host needs GNU's tar, find and mv.

    Everything goes into a private folder in it first; `flush` compares it with what was sent, and then moves
    each file over the old one, and each new folder to its place. Before that nothing is changed, and a name
    always shows the old file or the whole new one. No link below the root is followed. What cannot be put in
    its place, `flush` says: all else is, then.

    `rule` holds to the end: only `replace` moves a file over one that has come, or became newer, since the
    restore was planned; otherwise that file stays, and what should have gone there is `left_out`.
    """

    _start_script = scripts.START_INSIDE
    _advice = "Name a folder that is there, in which this user may write"

    def __init__(
        self, settings: SshHostSettings, root: str, rule: Conflict = "replace", *, pinned: bool = False
    ) -> None:
        super().__init__(settings, root, may_be_top=True, pinned=pinned)
        self.left_out: list[LeftOut] = []
        self._rule = rule
        self._standing = Standing(self._host, self._root)
        self._entered: dict[bytes, None] = {}  # folders that stood there before
        self._described: list[tuple[bytes, Entry]] = []

    def _staging_name(self, name: bytes) -> bytes:
        return self._root.rstrip(b"/") + b"/" + name

    def existing(self, path: bytes) -> Entry | None:
        """Return what stands at `path` now, None if nothing. Raises TargetError."""
        return self._standing.find(path)

    def has_content(self, path: bytes, entry: Entry, chunks: Sequence[tuple[int, bytes]]) -> bool:
        """Tell whether the file at `path` is just this one: chunks are lengths and SHA-256 hashes.

        One whose metadata differs is not: it is written anew.
        """
        return self._standing.is_same(path, entry, chunks)

    def start_dir(self, path: bytes) -> None:
        """Make sure of a directory. Raises TargetError, TargetFull."""
        there = self.existing(path)
        if there is not None:
            self._standing.require_enterable(path, there)
            self._entered[path] = None
        super().start_dir(path)

    def finish_dir(self, path: bytes, entry: Entry) -> list[Problem]:
        """Send a directory's metadata; it is set when all is in its place."""
        if path not in self._entered:
            return super().finish_dir(path, entry)
        self._described.append((path, entry))
        return self._owner_lost(path, entry)

    def write_file(self, path: bytes, entry: Entry, chunks: object) -> list[Problem]:
        """Send a file. Raises TargetError, TargetFull."""
        self._require_free(path)
        return super().write_file(path, entry, chunks)  # type: ignore[arg-type]

    def make_link(self, path: bytes, first: bytes) -> None:
        """Make `path` a hard link to `first`, which was written before."""
        self._require_free(path)
        super().make_link(path, first)

    def make_special(self, path: bytes, entry: Entry) -> list[Problem]:
        """Make a symlink, fifo or device."""
        self._require_free(path)
        return super().make_special(path, entry)

    def _require_free(self, path: bytes) -> None:
        there = self.existing(path)
        if there is not None and there.kind == "dir":
            raise TargetError(
                f"cannot restore {os.fsdecode(path)}: a folder stands where a file must go; move it away, or "
                "restore elsewhere"
            )

    def _finish(self) -> None:
        self._require_all()
        deepest_first = sorted(self._entered, key=lambda path: path.count(b"/"), reverse=True)
        names = b"".join(tree_name(path) + b"\0" for path in deepest_first if path != b"/")
        more = self._rule.encode(), moves.MOVE_EACH, moves.MOVE_OLDER
        try:
            left = left_behind(self._run(moves.MOVE, names + b".\0", "mv", *more), self._entered)
        finally:
            self._describe_folders()
        tops = list(left)
        if tops:
            names = b"".join(tree_name(path) + b"\0" for path in tops)
            there = self._run(moves.STANDING, names, "test").split()
            self.left_out = [
                judged(path, left[path], kind, self._rule) for path, kind in zip(tops, there, strict=True)
            ]

    def _describe_folders(self) -> None:
        """Set the metadata of folders that stood there, the deepest first: what is in them is in place."""
        parts = []
        for path, entry in self._described:
            name, archive = tree_name(path), tar_headers.header(b".", entry) + tar_headers.END
            parts.append(b"%d %d\n%s%s" % (len(name), len(archive), name, archive))
        if parts:
            self._run(moves.DESCRIBE, b"".join(parts), "tar")

    def _run(self, script: bytes, stdin: bytes, program: str, *more: bytes) -> bytes:
        try:
            output = self._host.run(self._command(script, *more), stdin)
        except SshError as error:
            raise TargetError(
                f"{error}. Each file is the old one or the whole new one, but not all new ones may be in "
                "their place: restore once more"
            ) from error
        said = own_complaints(scripts.own(output.stderr))
        require_no_complaints(said, output.code, self._host.name, program)
        return output.stdout
