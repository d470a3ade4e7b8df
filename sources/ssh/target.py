"""A new folder on a host, as a Target: one tar stream into a private folder beside it, renamed at the end."""

from __future__ import annotations

import os
import posixpath
import secrets
import threading
from collections.abc import Iterable

from repository.entries import Entry, Problem, SourceUnavailable, TargetError, TargetFull
from sources import tar_headers
from sources.patterns import clean
from sources.ssh import target_scripts as scripts
from sources.ssh.answers import last_line, line_of
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.probe import probe
from sources.ssh.target_census import HOLE_BYTES, ZEROS, Census, Content
from ssh.errors import SshError, Unreachable
from ssh.process import Process

# The last is what tar says of a block of which only a part fitted.
_FULL = (b"No space left on device", b"Disk quota exceeded", b"File too large", b"Wrote only")
_RECORD_BYTES = 10_240  # tar reads whole records, and waits for them


class SshTarget:
    """A folder that does not exist on the host yet, or is empty; the folder above it must be there.

    Everything goes into a folder of its own beside it, which only this user may enter, so nothing that
    somebody else put there is followed or replaced; `flush` gives it its name. What the host refuses it says
    late: those errors come from later calls, or from `flush`. Close it, also after an error: nothing is left.
    Nor is after a cut, or if this process is killed: the host clears up by itself. `pinned`: the path has no
    links, and nothing is written if one has come into it.
    """

    _start_script = scripts.START_NEW
    _advice = "Name a folder that does not exist yet, in one where this user may write"

    def __init__(
        self, settings: SshHostSettings, root: str, *, may_be_top: bool = False, pinned: bool = False
    ) -> None:
        self._root = clean(os.fsencode(root))
        if not self._root.startswith(b"/") or (self._root == b"/" and not may_be_top):
            raise TargetError("name a folder on the host by its absolute path, such as /srv/restored")
        self._staging = self._staging_name(b".holdfast-" + secrets.token_hex(8).encode())
        self._host = SshHost(settings)
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._sent = Census()
        self._last: tuple[bytes, int] | None = None
        self._linked: dict[bytes, int] = {}  # sizes of files that have several names
        self._afterwards: list[bytes] = []  # names to remove (-) or to give holes (+)
        self._sent_bytes = 0
        self._own_uid: int | None = None  # of who may not give files to others
        self._pinned = b"yes" if pinned else b"no"
        self._made = b""  # device and inode of the folder that is filled, and of the one that it is in
        self._started = self._done = False

    def _staging_name(self, name: bytes) -> bytes:
        """Return where everything is put first, on the same file system: beside the new folder."""
        return self._root + name

    @property
    def _shown(self) -> str:
        return f"{self._host.name}:{os.fsdecode(self._root)}"

    def existing(self, path: bytes) -> Entry | None:
        """Return None: the folder is new."""
        return None

    def size(self, path: bytes) -> int | None:
        """Return what was sent of the file sent last; `flush` asks the host for the sizes of all."""
        return self._last[1] if self._last and self._last[0] == path else None

    def start_dir(self, path: bytes) -> None:
        """Make a directory. Raises TargetError, TargetFull."""
        self._send(tar_headers.folder(tree_name(path)))

    def finish_dir(self, path: bytes, entry: Entry) -> list[Problem]:
        """Send a directory's metadata, which tar sets when all is there."""
        self._send(tar_headers.header(tree_name(path), entry))
        return self._owner_lost(path, entry)

    def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        """Send a file. One that does not come whole is removed at the end. Raises TargetError, TargetFull."""
        name = tree_name(path)
        with self._lock:
            content = Content(entry.size)
            self._send_locked(tar_headers.header(name, entry))
            try:
                for chunk in chunks:
                    self._send_locked(content.take(chunk))
            finally:
                if content.left or content.too_long:
                    self._afterwards.append(b"-" + name)
                    self._fill(content.left)
                self._send_locked(tar_headers.padding(entry.size))
        if content.left or content.too_long:
            raise TargetError(
                f"{os.fsdecode(path)}: its content is not as long as it should be; not restored"
            )
        self._count(path, entry)
        if content.zeros and _may_have_holes(entry):
            self._afterwards.append(b"+" + name)
        return self._owner_lost(path, entry)

    def make_link(self, path: bytes, first: bytes) -> None:
        """Make `path` a hard link to `first`, which was written before."""
        self._sent.add(path[1:], self._linked[first])
        self._send(tar_headers.link(tree_name(path), tree_name(first)))

    def make_special(self, path: bytes, entry: Entry) -> list[Problem]:
        """Make a symlink, fifo or device."""
        try:
            self._send(tar_headers.header(tree_name(path), entry))
        except KeyError:
            return [Problem(path, "unsupported", f"a {entry.kind} cannot be restored over SSH")]
        return self._owner_lost(path, entry)

    def flush(self) -> None:
        """Wait until all is on the host's disk, and name the folder. Raises TargetError, TargetFull."""
        with self._lock:
            process = self._running()
            end = tar_headers.END
            try:
                process.write(end + bytes(-(self._sent_bytes + len(end)) % _RECORD_BYTES))
                code = self._code_of_tar(process)
                said = scripts.own(process.complaints())
            except Unreachable as error:
                raise TargetError(f"{error}; nothing was restored") from error
            require_no_complaints(said, code, self._host.name)
            self._finish()
            self._done = True
            self._keep(process)

    def _keep(self, process: Process) -> None:
        """Let the shell there end without clearing up."""
        process.send(b"keep\n")

    def _code_of_tar(self, process: Process) -> int:
        """Wait for the end of tar; return its code. Raises Unreachable, TargetError."""
        line = line_of(process)
        if not line.endswith(b"\n"):
            output = process.output()
            raise TargetError(f"tar on {self._host.name} ended too soon: {last_line(output.stderr)}")
        return int(line.split()[-1])

    def close(self) -> None:
        """End the connection; without a `flush` before, remove what was written. Raises TargetError."""
        if self._process:
            self._process.close()
        started, self._started = self._started, False
        try:
            if started and not self._done:
                self._host.run([b"rm", b"-rf", b"--", self._staging])
        except (SshError, SourceUnavailable) as error:
            shown = f"{self._host.name}:{os.fsdecode(self._staging)}"
            raise TargetError(
                f"{shown} could not be removed ({error}); the host does so itself when it notices"
            ) from error
        finally:
            self._host.close()

    def _owner_lost(self, path: bytes, entry: Entry) -> list[Problem]:
        """Return that the owner is not set, if it is not: tar says nothing of that."""
        if self._own_uid in (None, entry.uid):
            return []
        user = self._host.settings.server.user
        text = f"the owner is not restored: {user} is not root there, so what was others' is now {user}'s"
        return [Problem(path, "incomplete", text, once="owner")]

    def _count(self, path: bytes, entry: Entry) -> None:
        self._sent.add(path[1:], entry.size)
        self._last = path, entry.size
        if entry.links > 1:
            self._linked[path] = entry.size

    def _send(self, data: bytes) -> None:
        with self._lock:
            self._send_locked(data)

    def _send_locked(self, data: bytes) -> None:
        process = self._running()
        self._sent_bytes += len(data)
        try:
            process.write(data)
            said = scripts.own(process.complaints())
        except Unreachable as error:
            raise TargetFull(f"{error}; the restore ends here, and nothing of it is left") from error
        if process.ended or process.has_said_something:
            said = self._last_words(process)
        if any(full in said for full in _FULL):
            raise TargetFull(f"no space left for {self._shown}")
        if process.ended:
            raise TargetFull(f"tar on {self._host.name} ended too soon: {last_line(said)}")

    def _last_words(self, process: Process) -> bytes:
        """Return all that tar, which has ended before its time, complained of."""
        try:
            process.send(b"")
            return scripts.own(process.output().stderr)
        except Unreachable as error:
            raise TargetFull(f"{error}; the restore ends here, and nothing of it is left") from error

    def _running(self) -> Process:
        if self._process is None:
            self._process = self._start()
        return self._process

    def _start(self) -> Process:
        try:
            known = probe(self._host)
            if not known.gnu_tar:
                raise TargetError(
                    f"a restore to {self._host.name} needs GNU tar there: install the package tar"
                )
            may_give = known.uid == 0 or self._host.settings.sudo
            self._own_uid = None if may_give else known.uid
            process = self._host.start(self._command(self._start_script))
            ready, _, self._made = line_of(process).strip().partition(b" ")
            if ready != b"ready":
                output = process.output()
                raise TargetError(
                    f"{self._shown} cannot be written: {last_line(output.stderr)}. {self._advice}"
                )
        except (SshError, SourceUnavailable) as error:
            raise TargetError(str(error)) from error
        self._started = True
        return process

    def _command(self, script: bytes, *more: bytes) -> list[bytes]:
        places = [self._root, self._staging, posixpath.dirname(self._root)]
        variables = [b"LC_ALL=C", b"HOLDFAST_MADE=" + self._made, b"HOLDFAST_PINNED=" + self._pinned]
        return [b"env", *variables, b"sh", b"-c", scripts.script(script), b"holdfast", *places, *more]

    def _fill(self, count: int) -> None:
        while count > 0:
            self._send_locked(ZEROS[: min(count, HOLE_BYTES)])
            count -= HOLE_BYTES

    def _finish(self) -> None:
        self._require_all()
        self._step(scripts.NAME)

    def _require_all(self) -> None:
        """Tidy up what arrived, and compare it with what was sent. Raises TargetError."""
        self._step(scripts.TIDY, b"".join(each + b"\0" for each in self._afterwards))
        found = Census()
        for record in self._step(scripts.MEASURE).split(b"\0")[:-1]:
            size, _, name = record.partition(b" ")
            found.add(name, int(size))
        if found != self._sent:
            raise TargetError(
                f"of {self._sent.count} files sent, {found.count} arrived, or their sizes differ; "
                f"nothing was put into {self._shown}"
            )

    def _step(self, script: bytes, stdin: bytes = b"") -> bytes:
        try:
            output = self._host.run(self._command(script), stdin)
        except SshError as error:
            raise TargetError(f"{error}; look on the host whether {self._shown} is there") from error
        if output.code:
            raise TargetError(f"{self._shown} could not be finished: {last_line(output.stderr)}")
        return output.stdout


def _may_have_holes(entry: Entry) -> bool:
    """Tell whether making holes takes nothing away: the kernel drops these rights when a file is changed."""
    return not entry.mode & 0o6000 and not any(name == b"security.capability" for name, _ in entry.xattrs)


def tree_name(path: bytes) -> bytes:
    """Return the member's name for a tree path. Raises TargetError for one that leads elsewhere."""
    names = path.split(b"/")[1:]
    if path == b"/":
        return b"."
    if not path.startswith(b"/") or any(name in (b"", b".", b"..") or b"\0" in name for name in names):
        raise TargetError(f"{os.fsdecode(path)} is no path that may be restored")
    return b"." + path


def require_no_complaints(stderr: bytes, code: int, host: str, program: str = "tar") -> None:
    """Raise TargetError, TargetFull unless the program says that all went well."""
    if any(full in stderr for full in _FULL):
        raise TargetFull(f"no space left on {host}")
    lines = [line.decode("utf-8", "replace") for line in stderr.splitlines() if b"Exiting with" not in line]
    if code or lines:
        more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise TargetError(f"{program} on {host} could not write all: {'; '.join(lines[:3])}{more}")
