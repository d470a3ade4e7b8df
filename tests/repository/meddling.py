"""Sources that meddle, in whatever process they read in: a pickled copy of them does the same."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from repository import sealing
from repository.entries import Entry, Listing, OpenFile, Problem, ScannedDir
from repository.shared_buffer import SharedBuffer
from sources.local import LocalSource


class Meddling(LocalSource):
    """Does something to the file named `name` just after it was opened, at most `times` times a process."""

    def __init__(self, top: Path, name: str, times: int = 1) -> None:
        super().__init__([os.fsencode(top)])
        self.top = top
        self.name = name
        self.times = times

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.top, self.name, self.times)

    @property
    def splittable(self) -> bool:
        return True

    def read_dir(
        self, path: bytes, most_bytes: int, most_files: int, take: Callable[[Entry, bytes], None]
    ) -> Listing:
        return self.list_dir(path)  # nothing is read at once, so that all is opened by open_files

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:  # type: ignore[override]
        for opened in super().open_files(paths):
            if opened.path.endswith(os.fsencode(self.name)) and self.times:
                self.times -= 1
                self.meddle(os.fsdecode(opened.path))
            yield opened

    def meddle(self, path: str) -> None:
        raise NotImplementedError


class Appending(Meddling):
    """Writes more to the file."""

    def meddle(self, path: str) -> None:
        with open(path, "ab") as file:
            file.write(b"!")


class Cutting(Meddling):
    """Cuts the file's last byte off."""

    def meddle(self, path: str) -> None:
        os.truncate(path, os.path.getsize(path) - 1)


class Raising(Meddling):
    """Has a fault of its own."""

    def meddle(self, path: str) -> None:
        raise ZeroDivisionError("an error nobody thought of")


class BadMemory(Meddling):
    """Makes the process seal something else than it was given from then on."""

    def meddle(self, path: str) -> None:
        seal = sealing.seal
        sealing.seal = lambda key, data: seal(key, bytes([data[0] ^ 1]) + data[1:])  # type: ignore[assignment]


class BadBuffer(Meddling):
    """Makes the process flip a bit of what lies in a pack already, once: twice would put it right."""

    def meddle(self, path: str) -> None:
        append = SharedBuffer.append

        def flip(buffer: SharedBuffer, data: bytes) -> None:
            SharedBuffer.append = append  # type: ignore[method-assign]  # once: a second flip would undo it
            append(buffer, data)
            buffer._map[20] ^= 1

        SharedBuffer.append = flip  # type: ignore[method-assign, assignment]


class Hanging(Meddling):
    """Cannot be scanned in any time."""

    def scan(self) -> Iterator[ScannedDir]:
        while True:
            time.sleep(60)

    def meddle(self, path: str) -> None:
        raise AssertionError("it was not to be read")


class Withholding(Meddling):
    """Does not deliver the file."""

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:  # type: ignore[override]
        return super().open_files([path for path in paths if not path.endswith(os.fsencode(self.name))])

    def meddle(self, path: str) -> None:
        raise AssertionError("it was not to be opened")
