"""A new folder on a host, as a Target: one tar stream into a private folder beside it, renamed at the end."""

from __future__ import annotations

import os
import posixpath
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from repository.entries import Entry, Problem, SourceUnavailable, TargetError, TargetFull
from sources import tar_headers
from sources.patterns import clean
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.probe import probe
from ssh.errors import SshError, Unreachable
from ssh.process import Process

# The last is what tar says of a block of which only a part fitted.
_FULL = (b"No space left on device", b"Disk quota exceeded", b"File too large", b"Wrote only")
_HOLE_BYTES = 64 * 1024
_ZEROS = bytes(_HOLE_BYTES)

_START = b"""
umask 077
test -d "$1" || { echo "there is no folder $1" >&2; exit 3; }
if test -e "$2" || test -L "$2"; then rmdir -- "$2" || exit 4; fi
mkdir -- "$3" && cd -- "$3" || exit 5
echo ready
exec tar --extract --file=- --numeric-owner --preserve-permissions --xattrs '--xattrs-include=*' \
    --delay-directory-restore --quoting-style=escape --warning=no-unknown-keyword \
    --warning=no-timestamp
"""
_TIDY = b"""
cd -- "$2" && like=$(mktemp) || exit 1
xargs -0 sh -c 'for f; do case $f in
    -*) rm -f -- "${f#-}" ;;
    +*) f=${f#+}; touch -r "$f" "$0" && fallocate -d -- "$f"; touch -r "$0" "$f" ;;
    esac; done' "$like"
code=$?; rm -f -- "$like"; test "$code" = 0
"""
_MEASURE = rb'find "$2" -type f -printf "%s %P\0"'
_NAME = b"""
sync -f "$2" && mv -T -n -- "$2" "$1" && test ! -e "$2" && sync -f "$1"
"""


class SshTarget:
    """A folder that does not exist on the host yet, or is empty; the folder above it must be there.

    Everything goes into a folder of its own beside it, which only this user may enter, so nothing that
    somebody else put there is followed or replaced; `flush` gives it its name. What the host refuses it says
    late: those errors come from later calls, or from `flush`. Close it, also after an error: nothing is left.
    """

    def __init__(self, settings: SshHostSettings, root: str) -> None:
        self._root = clean(os.fsencode(root))
        if not self._root.startswith(b"/") or self._root == b"/":
            raise TargetError("name a new folder on the host by its absolute path, such as /srv/restored")
        self._staging = self._root + b".holdfast-" + secrets.token_hex(8).encode()
        self._host = SshHost(settings)
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._sent = _Census()
        self._last: tuple[bytes, int] | None = None
        self._linked: dict[bytes, int] = {}  # sizes of files that have several names
        self._afterwards: list[bytes] = []  # names to remove (-) or to give holes (+)
        self._started = self._done = False

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
        self._send(tar_headers.folder(_name(path)))

    def finish_dir(self, path: bytes, entry: Entry) -> list[Problem]:
        """Send a directory's metadata, which tar sets when all is there."""
        self._send(tar_headers.header(_name(path), entry))
        return []

    def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        """Send a file. One that does not come whole is removed at the end. Raises TargetError, TargetFull."""
        name = _name(path)
        with self._lock:
            content = _Content(entry.size)
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
        return []

    def make_link(self, path: bytes, first: bytes) -> None:
        """Make `path` a hard link to `first`, which was written before."""
        self._sent.add(path[1:], self._linked[first])
        self._send(tar_headers.link(_name(path), _name(first)))

    def make_special(self, path: bytes, entry: Entry) -> list[Problem]:
        """Make a symlink, fifo or device."""
        try:
            self._send(tar_headers.header(_name(path), entry))
        except KeyError:
            return [Problem(path, "unsupported", f"a {entry.kind} cannot be restored over SSH")]
        return []

    def flush(self) -> None:
        """Wait until all is on the host's disk, and name the folder. Raises TargetError, TargetFull."""
        with self._lock:
            process = self._running()
            try:
                process.send(tar_headers.END)
                while process.read(64 * 1024):
                    continue
                output = process.output()
            except Unreachable as error:
                raise TargetError(f"{error}; nothing was restored") from error
            _require_no_complaints(output.stderr, output.code, self._host.name)
            self._finish()
            self._done = True

    def close(self) -> None:
        """End the connection; without a `flush` before, remove what was written. Raises TargetError."""
        if self._process:
            self._process.close()
        try:
            if self._started and not self._done:
                self._host.run([b"rm", b"-rf", b"--", self._staging])
        except (SshError, SourceUnavailable) as error:
            shown = f"{self._host.name}:{os.fsdecode(self._staging)}"
            raise TargetError(f"{shown} is left over and could not be removed: {error}") from error
        finally:
            self._host.close()

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
        try:
            process.write(data)
            said = process.complaints()
        except Unreachable as error:
            raise TargetFull(f"{error}; the restore ends here, and nothing of it is left") from error
        if any(full in said for full in _FULL):
            raise TargetFull(f"no space left for {self._shown}")
        if process.ended:
            raise TargetFull(f"tar on {self._host.name} ended too soon: {_last_line(said)}")

    def _running(self) -> Process:
        if self._process is None:
            self._process = self._start()
        return self._process

    def _start(self) -> Process:
        try:
            if not probe(self._host).gnu_tar:
                raise TargetError(
                    f"a restore to {self._host.name} needs GNU tar there: install the package tar"
                )
            above = posixpath.dirname(self._root)
            command = [
                b"env",
                b"LC_ALL=C",
                b"sh",
                b"-c",
                _START,
                b"holdfast",
                above,
                self._root,
                self._staging,
            ]
            process = self._host.start(command)
            if process.read(64) != b"ready\n":
                output = process.output()
                raise TargetError(
                    f"{self._shown} cannot be written: {_last_line(output.stderr)}. "
                    "Name a folder that does not exist yet, in one where this user may write"
                )
        except (SshError, SourceUnavailable) as error:
            raise TargetError(str(error)) from error
        self._started = True
        return process

    def _fill(self, count: int) -> None:
        while count > 0:
            self._send_locked(_ZEROS[: min(count, _HOLE_BYTES)])
            count -= _HOLE_BYTES

    def _finish(self) -> None:
        self._step(_TIDY, b"".join(each + b"\0" for each in self._afterwards))
        found = _Census()
        for record in self._step(_MEASURE).split(b"\0")[:-1]:
            size, _, name = record.partition(b" ")
            found.add(name, int(size))
        if found != self._sent:
            raise TargetError(
                f"of {self._sent.count} files sent, {found.count} are there, or their sizes differ; "
                f"{self._shown} was not made"
            )
        self._step(_NAME)

    def _step(self, script: bytes, stdin: bytes = b"") -> bytes:
        command = [b"env", b"LC_ALL=C", b"sh", b"-c", script, b"holdfast", self._root, self._staging]
        try:
            output = self._host.run(command, stdin)
        except SshError as error:
            raise TargetError(f"{error}; look on the host whether {self._shown} is there") from error
        if output.code:
            raise TargetError(f"{self._shown} could not be finished: {_last_line(output.stderr)}")
        return output.stdout


@dataclass(slots=True)
class _Census:
    """Names and sizes of any number of files, in any order, in little space."""

    count: int = 0
    sum: int = 0

    def add(self, name: bytes, size: int) -> None:
        """Count a file."""
        self.count += 1
        digest = blake2b(b"%d %s" % (size, name), digest_size=16).digest()
        self.sum = (self.sum + int.from_bytes(digest, "big")) % (1 << 128)


@dataclass(slots=True)
class _Content:
    """What came of a file so far: `left` bytes are missing; `zeros`: a run is long enough for a hole."""

    left: int
    zeros: bool = False
    too_long: bool = False

    def take(self, chunk: bytes) -> bytes:
        """Return what of a chunk still fits."""
        self.too_long |= len(chunk) > self.left
        fitting = chunk[: self.left]
        self.left -= len(fitting)
        self.zeros |= _ZEROS in fitting
        return fitting


def _may_have_holes(entry: Entry) -> bool:
    """Tell whether making holes takes nothing away: the kernel drops these rights when a file is changed."""
    return not entry.mode & 0o6000 and not any(name == b"security.capability" for name, _ in entry.xattrs)


def _name(path: bytes) -> bytes:
    """Return the member's name for a tree path. Raises TargetError for one that leads elsewhere."""
    names = path.split(b"/")[1:]
    if path == b"/":
        return b"."
    if not path.startswith(b"/") or any(name in (b"", b".", b"..") or b"\0" in name for name in names):
        raise TargetError(f"{os.fsdecode(path)} is no path that may be restored")
    return b"." + path


def _require_no_complaints(stderr: bytes, code: int, host: str) -> None:
    """Raise TargetError, TargetFull unless tar says that all went well."""
    if any(full in stderr for full in _FULL):
        raise TargetFull(f"no space left on {host}")
    lines = [line.decode("utf-8", "replace") for line in stderr.splitlines() if b"Exiting with" not in line]
    if code or lines:
        more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise TargetError(f"tar on {host} could not write all: {'; '.join(lines[:3])}{more}")


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "no reason given"
