"""Read many small files of a host into memory, in one tar stream.

What was read must be what was listed: the archive tells each file's ctime as it was when it was opened, and
tar complains of one that changed while it was read. Where the archive tells no ctime, and of each file in
doubt, the host is asked for the status afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sources.ssh.dialects import Dialect
from sources.ssh.listing import status_of
from sources.ssh.patience import persist
from sources.ssh.quoting import unescaped
from sources.ssh.rows import Row
from sources.ssh.worker import Workers
from sources.tar_member import Member, TarError
from sources.tar_stream import TarStream
from ssh.process import Output

LARGE_BYTES = 4 * 1024 * 1024  # from there on, a file is handed out as it comes
BATCH_BYTES = 8 * 1024 * 1024
BATCH_FILES = 1024
_ROOM_BYTES = 64 * 1024 * 1024  # for files of a batch that have grown since they were listed

_TAR_LINE = re.compile(rb"tar: (.*): ((?:Cannot|Read error|Warning|File|Unknown)[^\n]*|file [^\n]*)\Z")
_NEWER = (b"file changed as we read it", b"File shrank", b"File removed before we read it")


@dataclass(slots=True)
class Wanted:
    """A file to read: what it was, what came of it, what it is now (None: gone), why it cannot be read.

    `sure`: it was just as listed, from when it was opened to when it was read.
    """

    path: bytes
    row: Row
    data: bytes | bytearray | None = field(default=None, repr=False)
    now: Row | None = None
    error: str = ""
    sure: bool = False

    def begin(self) -> None:
        """Forget what came of it before."""
        self.data, self.now, self.error, self.sure = None, None, "", False


def batches(wanted: Sequence[Wanted], most_name_bytes: int) -> Iterator[list[Wanted]]:
    """Yield files in batches that fit in memory, and in one question."""
    batch: list[Wanted] = []
    size = names = 0
    for each in wanted:
        size += each.row.size
        names += len(each.path) + 1
        if batch and (size > BATCH_BYTES or names > most_name_bytes or len(batch) >= BATCH_FILES):
            yield batch
            batch, size, names = [], each.row.size, len(each.path) + 1
        batch.append(each)
    if batch:
        yield batch


def fetch(host: str, workers: Workers, batch: list[Wanted]) -> list[Wanted]:
    """Read a batch into memory, again if the connection breaks. Raises Unreachable."""
    persist(lambda: _fetch_once(host, workers, batch))
    return batch


def _fetch_once(host: str, workers: Workers, batch: list[Wanted]) -> None:
    by_path = {each.path: each for each in batch}
    for each in batch:
        each.begin()
    stray = _read_stream(host, workers, by_path)
    if stray and len(batch) > 1:  # a complaint that cannot be told from whom
        _fetch_once(host, workers, batch[: len(batch) // 2])
        _fetch_once(host, workers, batch[len(batch) // 2 :])
        return
    if stray:
        batch[0].error, batch[0].sure = stray, False
    doubtful = [each for each in batch if not each.sure]
    now = status_of(workers, [each.path for each in doubtful])
    for each in doubtful:
        each.now = now.get(each.path)


def _read_stream(host: str, workers: Workers, by_path: dict[bytes, Wanted]) -> str:
    """Read all of these files from one tar; return a complaint that belongs to none of them, or ""."""
    size = sum(each.row.size for each in by_path.values())
    packer = workers.file_packer(size)
    with workers.lend() as worker:
        worker.ask("tar", b"".join(path + b"\0" for path in by_path), size, packer)
        stream, room = TarStream(worker.read), 2 * size + _ROOM_BYTES
        try:
            for member in stream:
                room -= member.size
                if room < 0:
                    return TOO_LARGE
                _take(stream, member, by_path)
            output = worker.finish()
        except TarError as error:
            return f"tar on {host} does not send what it should: {error}"
    return blame(output, workers.dialect, by_path)


def _take(stream: TarStream, member: Member, by_path: Mapping[bytes, Wanted]) -> None:
    """Keep a member's content. Raises TarError for one that nobody asked for, or asked for once."""
    each = by_path.get(path_of(member))
    if each is None or each.data is not None:
        raise TarError(f"{member.name[:200]!r} was not asked for")
    if member.kind == "0":
        if not too_large(member, each.row):
            each.data = stream.content()
            each.sure = is_as_listed(member, each.row)
        else:
            each.error = TOO_LARGE
    elif member.kind == "1":
        first = by_path.get(b"/" + member.linkname.lstrip(b"/"))
        if first is not None and first.data is not None:
            each.data = first.data  # what BusyBox says of a hard link to a file before it


TOO_LARGE = "it is far larger than it was when listed; the next backup tries again"


def too_large(member: Member, row: Row) -> bool:
    """Tell whether a file has become so large that nobody is ready for it."""
    return member.size > 2 * row.size + LARGE_BYTES


def is_as_listed(member: Member, row: Row) -> bool:
    """Tell whether an archive says that a file, when it was opened, was just as listed."""
    return member.size == row.size and member.ctime_ns == row.ctime_ns


def path_of(member: Member) -> bytes:
    """Return a member's absolute path: some programs leave out the first slash."""
    return b"/" + member.name.lstrip(b"/")


def blame(output: Output, dialect: Dialect, by_path: Mapping[bytes, Wanted]) -> str:
    """Note tar's complaints at the files that they name; return what belongs to none of them, or ""."""
    stray = ""
    for line in output.stderr.splitlines():
        found = _TAR_LINE.match(line)
        each = by_path.get(unescaped(found[1])) if found else None
        if found and each is not None:
            each.sure = False
            if not found[2].startswith(_NEWER):  # the status afterwards tells of those
                each.error = found[2].decode("ascii", "replace")
        elif not line.startswith(dialect.harmless):
            stray = line.decode("utf-8", "replace")
    if output.code >= dialect.code_of_failure and not stray and not any(e.error for e in by_path.values()):
        stray = f"tar ended with code {output.code} and gave no reason"
    return stray
