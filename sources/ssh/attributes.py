"""Extended attributes of a host's files, ACLs among them: of all at once, or folder by folder.

They cannot change without the ctime that a listing tells. So a run that finds most folders as they were asks
only for those that it looks into.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from sources.ssh.patience import persist
from sources.ssh.quoting import unescaped
from sources.ssh.rows import Malformed
from sources.ssh.unpacked import Packer
from sources.ssh.worker import XARGS_FAILED, Workers

Xattrs = tuple[tuple[bytes, bytes], ...]
ByName = dict[bytes, Xattrs]

_SHOW = [b"getfattr", b"-h", b"-d", b"-m", b"-", b"-e", b"hex", b"--absolute-names", b"--"]
# find's own code is the same as for a file that vanished.
_KILLED = re.compile(rb"^find: \W?getfattr\W? terminated by signal ", re.MULTILINE)
_FEW = 8  # folders; for more, all at once is faster
_NONE: ByName = {}


class Attributes:
    """Attributes of everything but links. `where` are find's words for the whole; None: the host has none.

    Whatever asks raises Unreachable, and Malformed for what is not whole.
    """

    def __init__(self, workers: Workers, where: Sequence[bytes] | None, *, all_at_once: bool) -> None:
        """Begin to ask, in a thread, if it is to be for all at once."""
        self._workers = workers
        self._where = where
        self._all: Future[dict[bytes, ByName]] | None = None
        self._folders: dict[bytes, ByName] = {}
        if all_at_once and where is not None:
            self._begin()

    def in_folder(self, folder: bytes) -> ByName:
        """Return those of what is in a directory (the root: b""), by name. Raises Unreachable."""
        if self._where is None:
            return _NONE
        if self._all is not None:
            return self._all.result().get(folder, _NONE)
        if folder not in self._folders:
            if len(self._folders) >= _FEW:
                return self._begin().result().get(folder, _NONE)
            self._folders[folder] = self.ask_folder(folder)
        return self._folders[folder]

    def ask_folder(self, folder: bytes) -> ByName:
        """Ask for those of what is in a directory, whatever was asked before. Raises Unreachable."""
        below = [folder or b"/", b"-mindepth", b"1", b"-maxdepth", b"1"]
        return self._ask(below).get(folder, _NONE)

    def of(self, paths: Sequence[bytes]) -> dict[bytes, Xattrs]:
        """Return those of single paths. Raises Unreachable."""
        if self._where is None or not paths:
            return {}
        found = self._ask([*paths, b"-maxdepth", b"0"])
        return {folder + b"/" + name: xattrs for folder, by in found.items() for name, xattrs in by.items()}

    def _begin(self) -> Future[dict[bytes, ByName]]:
        pool = ThreadPoolExecutor(1, "attributes")
        self._all = pool.submit(self._ask, self._where or (), self._workers.text_packer)
        pool.shutdown(wait=False)
        return self._all

    def _ask(self, where: Sequence[bytes], packer: Packer = "") -> dict[bytes, ByName]:
        command = [b"find", *where, b"!", b"-type", b"l", b"-exec", *_SHOW, b"{}", b"+"]
        output = persist(lambda: self._workers.run(command, packer))
        if output.code not in (0, XARGS_FAILED) or _KILLED.search(output.stderr):
            raise Malformed(f"getfattr, or find that starts it, ended before its time (code {output.code})")
        try:
            return parse(output.stdout)
        except ValueError as error:
            raise Malformed("what getfattr tells is not whole") from error


def parse(text: bytes) -> dict[bytes, ByName]:
    """Return what `getfattr -e hex` shows, by folder and name."""
    found: dict[bytes, ByName] = {}
    same: dict[Xattrs, Xattrs] = {}  # whole trees often have the same label
    for block in text.split(b"\n\n"):
        lines = block.strip(b"\n").split(b"\n")
        if not lines[0].startswith(b"# file: "):
            continue
        pairs = (line.partition(b"=0x") for line in lines[1:])
        xattrs = tuple((name, bytes.fromhex(value.decode("ascii"))) for name, _, value in pairs)
        folder, _, name = unescaped(lines[0][8:]).rpartition(b"/")
        found.setdefault(folder, {})[name] = same.setdefault(xattrs, xattrs)
    return found
