"""List a host's trees: by one `find`, with the attributes beside it by one `getfattr`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from repository.entries import Problem, SourceUnavailable
from sources.globs import is_literal
from sources.patterns import PatternList
from sources.rules import Rules
from sources.ssh.attributes import Attributes, ByName, Xattrs
from sources.ssh.dialects import Dialect
from sources.ssh.probe import OWNERS_MARK, Probe
from sources.ssh.quoting import unescaped
from sources.ssh.rows import FIELDS, Malformed, Owners, Row
from sources.ssh.tree import HostTree
from sources.ssh.worker import XARGS_FAILED, Workers
from ssh.process import Output

_DEVICES_A_QUESTION = 200
_MOST_PRUNED = 200  # it only saves the host work, and a command line has an end
_LONGEST_ROW = 1024 * 1024
_COMPLAINT = re.compile(rb"(?:find: |stat: can't stat )('?)(.*)\1: ([^':]+)\Z", re.DOTALL)


@dataclass(slots=True)
class HostListing:
    """All that was listed. `complaints`: why a path could not be looked at; `general` ones name no path."""

    tree: HostTree
    ways: dict[bytes, Row] = field(default_factory=dict)
    owners: Owners = field(default_factory=Owners)
    owners_text: bytes = b""
    attributes: Attributes | None = None
    single_attributes: dict[bytes, Xattrs] = field(default_factory=dict)  # of places asked for, and above
    devices: dict[bytes, int] = field(default_factory=dict)
    complaints: dict[bytes, str] = field(default_factory=dict)
    general: list[str] = field(default_factory=list)
    tag_problems: dict[bytes, list[Problem]] = field(default_factory=dict)
    _by_folder: dict[bytes, list[bytes]] = field(default_factory=dict)

    def xattrs(self, folder: bytes, name: bytes) -> Xattrs:
        """Return the extended attributes of what is in a directory (the root: b""). Raises Unreachable."""
        single = self.single_attributes.get(folder + b"/" + name)
        if single is not None or self.attributes is None:
            return single or ()
        return self.attributes.in_folder(folder).get(name, ())

    def xattrs_in(self, folder: bytes) -> ByName:
        """Return those of all that is in a directory, by name. Raises Unreachable."""
        return self.attributes.in_folder(folder) if self.attributes else {}

    def devices_in(self, folder: bytes) -> dict[bytes, int]:
        """Return the numbers of the device nodes in a directory, by name."""
        if not self.devices:
            return {}
        split = ((path.rpartition(b"/"), number) for path, number in self.devices.items())
        return {name: number for (parent, _, name), number in split if parent == folder}

    def complain(self, path: bytes, reason: str) -> None:
        """Note why a path could not be looked at."""
        self.complaints[path] = reason
        self._by_folder.setdefault(path.rpartition(b"/")[0], []).append(path)

    def complaints_in(self, folder: bytes) -> list[bytes]:
        """Return the paths in a directory that could not be looked at."""
        return self._by_folder.get(folder, [])


def list_host(
    host: str,
    workers: Workers,
    probe: Probe,
    tops: Sequence[bytes],
    rules: Rules,
    never: Iterable[bytes],
    *,
    all_attributes: bool,
) -> HostListing:
    """List everything at and below these places; `never` are places to leave out.

    `all_attributes`: most folders will be looked into. Raises Unreachable; SourceUnavailable if what comes is
    no listing.
    """
    where = _where(tops, rules, never)
    listing = HostListing(HostTree(tops, rules))
    shown = where if "getfattr" in probe.tools else None
    listing.attributes = Attributes(workers, shown, all_at_once=all_attributes)
    listing.owners_text, listing.owners = probe.owners_text, _owners(probe)
    with ThreadPoolExecutor(1, "listing") as beside:
        above = beside.submit(_take_places, workers, tops, listing)
        _find(host, workers, where, listing)
        above.result()
    listing.devices = _device_numbers(workers, listing.tree.devices)
    return listing


def _take_places(workers: Workers, tops: Sequence[bytes], listing: HostListing) -> None:
    """Take what holds for the places asked for, and for the folders above them."""
    ways = sorted({way for top in tops for way in _ways_to(top)})
    listing.ways = status_of(workers, ways, follow=True)
    assert listing.attributes
    listing.single_attributes = listing.attributes.of([*tops, *ways])


def status_of(workers: Workers, paths: Sequence[bytes], *, follow: bool = False) -> dict[bytes, Row]:
    """Return what stands at each of these paths now; one that is gone is missing. Raises Unreachable."""
    if not paths:
        return {}
    names = b"\0".join(dict.fromkeys(paths)) + b"\0"
    text = workers.ask("follow" if follow else "status", names).stdout
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
    return [b"/" + b"/".join(each.parts) for each in plain[:_MOST_PRUNED]]


def _glob_escaped(path: bytes) -> bytes:
    return re.sub(rb"([\\*?\[\]])", rb"\\\1", path)


def _find(host: str, workers: Workers, where: Sequence[bytes], listing: HostListing) -> None:
    before, after = workers.dialect.find
    with workers.lend() as worker:
        words = b"".join(word + b"\0" for word in (*before, *where, *after))
        worker.ask("run", words, packer=workers.text_packer)
        try:
            _take_all(worker.read, workers.dialect, listing.tree)
            output = worker.finish()
            _require_end(output)
        except Malformed as error:
            raise SourceUnavailable(f"{host} sends no proper listing: {error}") from error
    _take_complaints(output.stderr, listing)
    if output.code and not listing.complaints and not listing.general:
        listing.general.append(f"find on {host} ended with code {output.code} and gave no reason")


def _require_end(output: Output) -> None:
    """Raise Malformed if `find`, or what it needs, was killed: whole rows came, but not all."""
    if output.code not in (0, XARGS_FAILED):
        said = output.stderr.decode("utf-8", "replace").splitlines()[-1:]
        raise Malformed(f"find ended before its time ({'; '.join([f'code {output.code}', *said])})")


def _take_all(read: Callable[[], bytes], dialect: Dialect, tree: HostTree) -> None:
    """Take all rows. Raises Malformed."""
    rest = b""
    while data := read():
        fields = (rest + data).split(dialect.separator)
        whole = (len(fields) - 1) // FIELDS * FIELDS
        tree.take(dialect.translate(fields[:whole]))
        rest = dialect.separator.join(fields[whole:])
        if len(rest) > _LONGEST_ROW:
            raise Malformed("it has a line without an end")
    tree.finish()
    if rest.strip(b"\n"):
        raise Malformed("it ends in the middle of a line")


def _take_complaints(stderr: bytes, listing: HostListing) -> None:
    """Sort what `find` complains of by path; in the C locale it escapes newlines, so each has one line."""
    for line in stderr.splitlines():
        found = _COMPLAINT.match(line)
        if found:
            listing.complain(unescaped(found[2]), found[3].decode("ascii", "replace"))
        else:
            listing.general.append(os.fsdecode(line))


def _ways_to(top: bytes) -> list[bytes]:
    """Return the folders above a place, without the root."""
    names = top.split(b"/")[1:-1]
    return [b"/" + b"/".join(names[: count + 1]) for count in range(len(names))]


def _device_numbers(workers: Workers, paths: Sequence[bytes]) -> dict[bytes, int]:
    found = {}
    for start in range(0, len(paths), _DEVICES_A_QUESTION):
        found.update(_some_device_numbers(workers, paths[start : start + _DEVICES_A_QUESTION]))
    return found


def _some_device_numbers(workers: Workers, paths: Sequence[bytes]) -> dict[bytes, int]:
    text = workers.run([b"stat", b"-c", b"%t %T", b"--", *paths]).stdout
    numbers = [line.split(b" ") for line in text.splitlines()]
    if len(numbers) != len(paths):  # one of them has gone meanwhile
        alone = [_some_device_numbers(workers, [path]) for path in paths] if len(paths) > 1 else []
        return {path: number for found in alone for path, number in found.items()}
    return {
        path: os.makedev(int(major, 16), int(minor, 16))
        for path, (major, minor) in zip(paths, numbers, strict=True)
    }


def _owners(probe: Probe) -> Owners:
    users, _, groups = probe.owners_text.partition(OWNERS_MARK)
    return Owners(users, groups)
