"""The environment of a host: what its files and programs say, asked for by a POSIX shell there."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from repository.entries import SourceUnavailable
from sources.config_bundle.environment import Document, EnvironmentOptions, gather
from sources.config_bundle.machine import PATH, Kind, Output
from sources.config_bundle.source import EnvironmentSource
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.probe import probe
from ssh.errors import SshError
from ssh.process import quoted

_ABSENT, _NO_FILE, _UNREADABLE = 43, 44, 45
_TEXT = b"""
if test -f "$1"; then cat -- "$1" || exit 45
elif test -e "$1" || test -L "$1"; then exit 44
else exit 43; fi
"""
_NAMES = rb"""
test -d "$1" || exit 0
test -r "$1" || exit 45
for each in "$1"/* "$1"/.[!.]*; do
    if test -e "$each" || test -L "$each"; then printf '%s\0' "${each##*/}"; fi
done
"""
_FIND = b'command -v "$1"'
# In the login shell, whatever that is; its own output ends at the first null byte.
_VARIABLES = rb"""
command -v printenv >/dev/null || { echo "it has no printenv" >&2; exit 46; }
for name; do
    printenv "$name" >/dev/null 2>&1 || continue
    printf '\0%s\0' "$name"
    printenv "$name"
done
printf '\0'
"""
_IN_LOGIN_SHELL = b'exec "${SHELL:-/bin/sh}" -l -c "$1"'
_PROGRAM = b"HOLDFAST_ASKS"


class HostMachine:
    """A host as a Machine. What was asked once is remembered. Raises SshError where the host is lost."""

    def __init__(self, host: SshHost) -> None:
        self._host = host
        self._texts = dict[str, Output]()
        self._folders = dict[str, list[str]]()

    @property
    def root(self) -> str:
        """Where its files begin."""
        return "/"

    @property
    def kernel(self) -> str:
        """The release of its kernel; "" if it does not say."""
        return _words(self._host.run([b"uname", b"-r"], plain=True).stdout).strip()

    def kind(self, path: str) -> Kind:
        """Tell what stands at a path."""
        folder, _, name = path.rpartition("/")
        if name not in self.names(folder):
            return "none"
        return "other" if self._read(path).code == _NO_FILE else "file"

    def text(self, path: str) -> str:
        """Return a file's text."""
        found = self._read(path)
        if found.code == _ABSENT:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if found.code == _NO_FILE:
            raise OSError(errno.EINVAL, "it is no file", path)
        if found.code:
            raise OSError(errno.EACCES, _words(found.stderr).strip() or os.strerror(errno.EACCES), path)
        return _words(found.stdout)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder."""
        if path not in self._folders:
            found = self._shell(_NAMES, path)
            if found.code:
                text = _words(found.stderr).strip() or os.strerror(errno.EACCES)
                raise OSError(errno.EACCES, text, path)
            self._folders[path] = [os.fsdecode(name) for name in found.stdout.split(b"\0")[:-1]]
        return self._folders[path]

    def find(self, program: str) -> str | None:
        """Return the path of a program of the system."""
        found = _words(self._shell(_FIND, program, plain=True).stdout).strip()
        return found if found.startswith("/") else None

    def run(self, command: Sequence[str]) -> Output:
        """Run a program of the system; what it says must not need root."""
        words = [b"env", f"PATH={PATH}".encode(), b"LC_ALL=C.UTF-8", *map(os.fsencode, command)]
        done = self._host.run(words, plain=True)
        return Output(done.code, done.stdout, done.stderr)

    def variables(self, names: Sequence[str]) -> Mapping[str, str | None]:
        """Return these variables of the login shell of the user who logs in; None for one that is not set.

        Raises OSError for a shell that does not tell.
        """
        asked = b'exec sh -c "$%s" sh %s' % (_PROGRAM, b" ".join(quoted(os.fsencode(name)) for name in names))
        program = b"%s=%s" % (_PROGRAM, _VARIABLES)
        command = [b"env", program, b"sh", b"-c", _IN_LOGIN_SHELL, b"sh", asked]
        done = self._host.run(command, plain=True)
        parts = done.stdout.split(b"\0")
        if done.code or len(parts) < 2 or len(parts) % 2:
            said = _words(done.stderr).strip().splitlines()
            raise OSError(errno.EIO, f"it does not tell: {said[-1] if said else 'no reason given'}")
        found = {
            os.fsdecode(name): _words(value).removesuffix("\n")
            for name, value in zip(parts[1:-1:2], parts[2:-1:2], strict=True)
        }
        return {name: found.get(name) for name in names}

    def _read(self, path: str) -> Output:
        if path not in self._texts:
            self._texts[path] = self._shell(_TEXT, path)
        return self._texts[path]

    def _shell(self, script: bytes, argument: str, *, plain: bool = False) -> Output:
        path = f"PATH={PATH}:/usr/local/bin".encode() if plain else b"LC_ALL=C"
        command = [b"env", path, b"sh", b"-c", script, b"sh", os.fsencode(argument)]
        done = self._host.run(command, plain=plain)
        return Output(done.code, done.stdout, done.stderr)


class HostEnvironment(EnvironmentSource):
    """The file `/holdfast/environment.json` of a host; `variables` are asked of its login shell.

    The host is asked at each `check`, before any of its files is read: SourceUnavailable where it cannot be.
    """

    def __init__(
        self, settings: SshHostSettings, variables: Sequence[str], options: EnvironmentOptions
    ) -> None:
        super().__init__(options, hostname=settings.server.host, look=self._ask)
        self._settings = settings
        self._names = variables

    def check(self) -> None:
        """Ask the host anew. Raises SourceUnavailable."""
        super().check()
        _ = self.document

    def _ask(self) -> Document:
        host = SshHost(self._settings)
        try:
            return _document(host, self._names, self._options)
        except SshError as error:
            raise SourceUnavailable(str(error)) from error
        finally:
            host.close()


def _document(host: SshHost, names: Sequence[str], options: EnvironmentOptions) -> Document:
    known = probe(host)
    if not known.shell:
        raise SourceUnavailable(
            f"{host.name} runs no programs for {host.settings.server.user}, so it cannot be asked for its "
            "environment. Let that user run programs, or back its files up with a config of type files"
        )
    machine, missing = HostMachine(host), list[str]()
    values: Mapping[str, str | None] = {}
    try:
        values = machine.variables(names) if names else {}
    except OSError as error:
        missing.append(f"variables of the login shell: {error.strerror}")
    return gather(replace(options, variables=values), known.hostname, machine, missing)


def _words(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
