"""Several sources as one tree: laid over each other, or put below a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from repository.entries import Entry, Listing, OpenFile, Problem, Source, SourceUnavailable, TargetedSource
from sources.made_file import made_entry


class CombinedSource:
    """The trees of several sources in one: folders of one name are merged, with the first one's metadata.

    Put the largest first: where the files of the others stand is remembered. Two things of the same name that
    are not both folders are refused, with SourceUnavailable.
    """

    def __init__(self, members: Sequence[Source]) -> None:
        if not members:
            raise SourceUnavailable("no part was given to back up")
        self._members = list(members)
        self._owners: dict[bytes, int] = {}  # of files that are not the first member's

    @property
    def paths(self) -> Sequence[str]:
        """The paths of all, one after the other."""
        return [path for member in self._members for path in member.paths]

    @property
    def hostname(self) -> str:
        """The machine that the first one is on."""
        return self._members[0].hostname

    @property
    def tree_paths(self) -> Mapping[bytes, bytes]:
        """Where the places asked for stand in the tree, as far as the members know. Raises OSError."""
        known = [member.tree_paths for member in self._members if isinstance(member, TargetedSource)]
        return {path: place for paths in known for path, place in paths.items()}

    @property
    def limits(self) -> list[str]:
        """What cannot be kept of what the members read, a sentence each."""
        return [each for member in self._members for each in getattr(member, "limits", ())]

    def close(self) -> None:
        """Let go of what the members hold."""
        for member in self._members:
            close = getattr(member, "close", None)
            if close is not None:
                close()

    def check(self) -> None:
        """Raise SourceUnavailable if any of them cannot be read."""
        for member in self._members:
            member.check()

    def list_dir(self, path: bytes) -> Listing:
        """List a folder of all that have it. Raises OSError, SourceUnavailable."""
        found: list[tuple[int, Listing]] = []
        for number, member in enumerate(self._members):
            try:
                found.append((number, member.list_dir(path)))
            except FileNotFoundError:
                continue  # another one's folder
        if not found:
            raise FileNotFoundError(f"no part of this backup has a folder {path!r}")
        for number, listing in found:
            self._remember(number, path, listing)
        return found[0][1] if len(found) == 1 else _merged(path, [listing for _, listing in found])

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:
        """Open each of these files once, one member after the other."""
        for number, member in enumerate(self._members):
            mine = [path for path in paths if self._owners.get(path, 0) == number]
            if mine:
                yield from member.open_files(mine)

    def _remember(self, number: int, path: bytes, listing: Listing) -> None:
        if number:
            for entry in listing.entries:
                if entry.kind == "file":
                    self._owners[_join(path, entry.name)] = number


def _merged(path: bytes, listings: Sequence[Listing]) -> Listing:
    entries: dict[bytes, Entry] = {}
    merged = Listing([])
    for listing in listings:
        for entry in listing.entries:
            there = entries.setdefault(entry.name, entry)
            if there is not entry and not there.kind == entry.kind == "dir":
                name = _join(path, entry.name).decode("utf-8", "backslashreplace")
                raise SourceUnavailable(f"two parts of this backup hold {name}; leave it out of one of them")
        merged.problems += listing.problems
        merged.excluded += listing.excluded
    merged.entries = [entries[name] for name in sorted(entries)]
    return merged


@dataclass(slots=True)
class Placed:
    """A source whose whole tree stands below the folder `at`, such as `b"/holdfast/database"`."""

    source: Source
    at: bytes
    now_ns: int

    @property
    def paths(self) -> Sequence[str]:
        """The source's paths, below the folder."""
        return [self.at.decode("utf-8", "surrogateescape") + path for path in self.source.paths]

    @property
    def hostname(self) -> str:
        """The machine that the source is on."""
        return self.source.hostname

    def check(self) -> None:
        """Raise SourceUnavailable if the source cannot be read."""
        self.source.check()

    def list_dir(self, path: bytes) -> Listing:
        """List a folder of the source, or one on the way to it. Raises OSError."""
        inside = path.rstrip(b"/") + b"/"
        if (self.at + b"/").startswith(inside) and path != self.at:
            name = self.at[len(inside) :].partition(b"/")[0]
            return Listing([made_entry(name, self.now_ns, is_dir=True)])
        listing = self.source.list_dir(self._below(path))
        listing.problems = [replace(each, path=self._placed(each.path)) for each in listing.problems]
        return listing

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:
        """Open these files of the source."""
        for file in self.source.open_files([self._below(path) for path in paths]):
            if isinstance(file, Problem):
                yield replace(file, path=self._placed(file.path))
            else:
                yield _PlacedFile(self._placed(file.path), file.entry, file)

    def _placed(self, path: bytes) -> bytes:
        return self.at if path == b"/" else self.at + path

    def _below(self, path: bytes) -> bytes:
        if path != self.at and not path.startswith(self.at + b"/"):
            raise FileNotFoundError(f"nothing of this source is at {path!r}")
        return path[len(self.at) :] or b"/"


@dataclass(slots=True)
class _PlacedFile:
    """An open file under its path in the whole tree."""

    path: bytes
    entry: Entry
    file: OpenFile

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the file. Raises OSError, SourceUnavailable."""
        return self.file.readinto(buffer)

    def entry_now(self) -> Entry:
        """Return the metadata as it is now. Raises OSError."""
        now = self.file.entry_now()
        return self.entry if now is self.file.entry else now

    def close(self) -> None:
        """Release the file."""
        self.file.close()


def _join(path: bytes, name: bytes) -> bytes:
    return path.rstrip(b"/") + b"/" + name
