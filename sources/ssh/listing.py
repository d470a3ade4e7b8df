"""List a host's trees: by one `find`, with the attributes beside it by one `getfattr`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from repository.entries import Problem, SourceUnavailable
from sources.globs import is_literal
from sources.patterns import PatternList
from sources.rules import Rules
from sources.ssh.dialects import Dialect
from sources.ssh.host import SshHost
from sources.ssh.probe import Probe
from sources.ssh.rows import FIELDS, Malformed, Owners, Row
from sources.ssh.tree import HostTree
from sources.ssh.worker import Workers
from ssh.process import Process

Xattrs = tuple[tuple[bytes, bytes], ...]

_READ_BYTES = 1024 * 1024
_ENGLISH = [b"env", b"LC_ALL=C", b"TZ=UTC0"]
_COMPLAINT = re.compile(rb"(?:find: |stat: can't stat )('?)(.*)\1: ([^':]+)\Z", re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


@dataclass(slots=True)
class HostListing:
    """All that was listed. `complaints`: why a path could not be looked at; `general` ones name no path."""

    tree: HostTree
    ways: dict[bytes, Row] = field(default_factory=dict)
    owners: Owners = field(default_factory=Owners)
    owners_text: bytes = b""
    xattrs: dict[bytes, Xattrs] = field(default_factory=dict)
    devices: dict[bytes, int] = field(default_factory=dict)
    complaints: dict[bytes, str] = field(default_factory=dict)
    general: list[str] = field(default_factory=list)
    tag_problems: dict[bytes, list[Problem]] = field(default_factory=dict)
    _by_folder: dict[bytes, list[bytes]] = field(default_factory=dict)

    def complain(self, path: bytes, reason: str) -> None:
        """Note why a path could not be looked at."""
        self.complaints[path] = reason
        self._by_folder.setdefault(path.rpartition(b"/")[0], []).append(path)

    def complaints_in(self, folder: bytes) -> list[bytes]:
        """Return the paths in a directory that could not be looked at."""
        return self._by_folder.get(folder, [])


def list_host(
    host: SshHost, workers: Workers, probe: Probe, tops: Sequence[bytes], rules: Rules, never: Iterable[bytes]
) -> HostListing:
    """List everything at and below these places; `never` are places to leave out.

    Raises Unreachable; SourceUnavailable if what comes is no listing.
    """
    where = _where(tops, rules, never)
    listing = HostListing(HostTree(tops, rules))
    with ThreadPoolExecutor(1, "attributes") as beside:
        attributes = beside.submit(_attributes, host, probe, where)
        _find(host, workers.dialect, where, listing)
        listing.xattrs = attributes.result()
    listing.ways = status_of(workers, [way for top in tops for way in _ways_to(top)], follow=True)
    listing.owners_text, listing.owners = _owners(host)
    listing.devices = _device_numbers(host, listing.tree.devices)
    return listing


def status_of(workers: Workers, paths: Sequence[bytes], *, follow: bool = False) -> dict[bytes, Row]:
    """Return what stands at each of these paths now; one that is gone is missing. Raises Unreachable."""
    if not paths:
        return {}
    names = b"\0".join(dict.fromkeys(paths)) + b"\0"
    text = workers.run("follow" if follow else "status", names).stdout
    fields = workers.dialect.translate(text.split(workers.dialect.separator)[:-1])
    rows = {}
    for at in range(0, len(fields), FIELDS):
        facts, path, target = fields[at : at + FIELDS]
        rows[path] = Row(path.rpartition(b"/")[2], facts, target)
    return rows


def _where(tops: Sequence[bytes], rules: Rules, never: Iterable[bytes]) -> list[bytes]:
    """Return the arguments of `find` that say where to look."""
    words = [*tops]
    if rules.one_file_system:
        words.append(b"-xdev")
    pruned = [_glob_escaped(path) for path in (*never, *_whole_paths(rules))]
    if pruned:
        tests = [word for path in pruned for word in (b"-o", b"-path", path)]
        words += [b"(", *tests[1:], b")", b"-prune", b"-o"]
    return words


def _whole_paths(rules: Rules) -> list[bytes]:
    """Return the paths that the rules leave out by name, so that the host need not even look there."""
    patterns = PatternList(rules.exclude).patterns
    if any(pattern.negated for pattern in patterns):
        return []
    plain = [each for each in patterns if each.anchored and each.parts and all(map(is_literal, each.parts))]
    return [b"/" + b"/".join(each.parts) for each in plain]


def _glob_escaped(path: bytes) -> bytes:
    return re.sub(rb"([\\*?\[\]])", rb"\\\1", path)


def _find(host: SshHost, dialect: Dialect, where: Sequence[bytes], listing: HostListing) -> None:
    before, after = dialect.find
    process = host.start([*_ENGLISH, *before, *where, *after])
    try:
        _take_all(process, dialect, listing.tree)
        output = process.output()
    except Malformed as error:
        raise SourceUnavailable(f"{host.name} sends no proper listing: {error}") from error
    finally:
        process.close()
    _take_complaints(output.stderr, listing)
    if output.code and not listing.complaints and not listing.general:
        listing.general.append(f"find on {host.name} ended with code {output.code} and gave no reason")


def _take_all(process: Process, dialect: Dialect, tree: HostTree) -> None:
    rest = b""
    while data := process.read(_READ_BYTES):
        fields = (rest + data).split(dialect.separator)
        whole = (len(fields) - 1) // FIELDS * FIELDS
        tree.take(dialect.translate(fields[:whole]))
        rest = dialect.separator.join(fields[whole:])
    if rest.strip(b"\n"):
        raise Malformed("it ends in the middle of a line")
    tree.finish()


def _take_complaints(stderr: bytes, listing: HostListing) -> None:
    """Sort what `find` complains of by path; in the C locale it escapes newlines, so each has one line."""
    for line in stderr.splitlines():
        found = _COMPLAINT.match(line)
        if found:
            listing.complain(unescaped(found[2]), found[3].decode("ascii", "replace"))
        else:
            listing.general.append(os.fsdecode(line))


def unescaped(text: bytes) -> bytes:
    """Return the name that a GNU program shows with C's escapes."""
    return _ESCAPE.sub(_meant, text) if b"\\" in text else text


def _meant(found: re.Match[bytes]) -> bytes:
    escape = found[1]
    if len(escape) == 3:
        return bytes([int(escape, 8) & 0xFF])
    return _LETTERS.get(escape, escape)


def _attributes(host: SshHost, probe: Probe, where: Sequence[bytes]) -> dict[bytes, Xattrs]:
    """Return the extended attributes, ACLs among them, of everything but links. Raises Unreachable."""
    if "getfattr" not in probe.tools:
        return {}
    show = [b"getfattr", b"-h", b"-d", b"-m", b"-", b"-e", b"hex", b"--absolute-names", b"--"]
    command = [*_ENGLISH, b"find", *where, b"!", b"-type", b"l", b"-exec", *show, b"{}", b"+"]
    return parse_attributes(host.run(command).stdout)


def parse_attributes(text: bytes) -> dict[bytes, Xattrs]:
    """Return what `getfattr -e hex` shows, by path."""
    found: dict[bytes, Xattrs] = {}
    same: dict[Xattrs, Xattrs] = {}  # whole trees often have the same label
    for block in text.split(b"\n\n"):
        lines = block.strip(b"\n").split(b"\n")
        if not lines[0].startswith(b"# file: "):
            continue
        pairs = (line.partition(b"=0x") for line in lines[1:])
        xattrs = tuple((name, bytes.fromhex(value.decode("ascii"))) for name, _, value in pairs)
        found[unescaped(lines[0][8:])] = same.setdefault(xattrs, xattrs)
    return found


def _ways_to(top: bytes) -> list[bytes]:
    """Return the folders above a place, without the root."""
    names = top.split(b"/")[1:-1]
    return [b"/" + b"/".join(names[: count + 1]) for count in range(len(names))]


def _owners(host: SshHost) -> tuple[bytes, Owners]:
    """Ask for all names of users and groups, also of those from a directory service."""
    script = b"getent passwd || cat /etc/passwd; echo; echo ::; getent group || cat /etc/group"
    text = host.run([*_ENGLISH, b"sh", b"-c", script], plain=True).stdout
    users, _, groups = text.partition(b"\n::\n")
    return text, Owners(users, groups)


def _device_numbers(host: SshHost, paths: Sequence[bytes]) -> dict[bytes, int]:
    if not paths:
        return {}
    command = [*_ENGLISH, b"xargs", b"-0", b"stat", b"-c", b"%t %T", b"--"]
    text = host.run(command, b"\0".join(paths) + b"\0").stdout
    numbers = [line.split(b" ") for line in text.splitlines()]
    if len(numbers) != len(paths):  # one of them has gone meanwhile
        alone = [_device_numbers(host, [path]) for path in paths] if len(paths) > 1 else []
        return {path: number for found in alone for path, number in found.items()}
    return {
        path: os.makedev(int(major, 16), int(minor, 16))
        for path, (major, minor) in zip(paths, numbers, strict=True)
    }
