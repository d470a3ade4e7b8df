"""Files and the document of their environment, together as one Source."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence

from repository.entries import Listing, Problem, Source
from sources.combined import CombinedSource
from sources.config_bundle.environment import Document, EnvironmentOptions, encode, gather
from sources.config_bundle.secret_values import SECRET_FILES
from sources.made_file import MadeFile, made_entry
from sources.rules import Rules

DOCUMENT = b"/holdfast/environment.json"
_FOLDER, _, _NAME = DOCUMENT.rpartition(b"/")


class EnvironmentSource:
    """The file `/holdfast/environment.json`, written anew at each `check`.

    What could not be read is reported as a problem that makes a warning, secrets left out as one that is
    none. `look` asks the machine; without, it is this one.
    """

    def __init__(
        self,
        options: EnvironmentOptions,
        *,
        hostname: str | None = None,
        now_ns: int | None = None,
        look: Callable[[], Document] | None = None,
    ) -> None:
        self._options = options
        self._hostname = hostname or socket.gethostname()
        self._now_ns = time.time_ns() if now_ns is None else now_ns
        self._look = look or (lambda: gather(self._options, self._hostname))
        self._document: Document | None = None

    @property
    def paths(self) -> Sequence[str]:
        """The path of the document."""
        return [DOCUMENT.decode()]

    @property
    def hostname(self) -> str:
        """The machine it tells of."""
        return self._hostname

    @property
    def document(self) -> Document:
        """What the file holds, secrets treated as the options say."""
        if self._document is None:
            self._document = self._look()
        return self._document

    def check(self) -> None:
        """Look at the machine anew."""
        self._document = None

    def list_dir(self, path: bytes) -> Listing:
        """List the root, or the folder of the document. Raises FileNotFoundError for others."""
        if path == b"/":
            return Listing([made_entry(_FOLDER[1:], self._now_ns, is_dir=True)])
        if path.rstrip(b"/") != _FOLDER:
            raise FileNotFoundError(f"the environment has no folder {path!r}")
        size = len(encode(self.document))
        return Listing([made_entry(_NAME, self._now_ns, size=size)], list(self._problems()))

    def open_files(self, paths: Sequence[bytes]) -> Iterator[MadeFile | Problem]:
        """Hand out the document."""
        for path in paths:
            if path == DOCUMENT:
                content = encode(self.document)
                yield MadeFile(path, made_entry(_NAME, self._now_ns, size=len(content)), content)
            else:
                yield Problem(path, "vanished", "the environment has no such file")

    def _problems(self) -> Iterator[Problem]:
        if self.document["missing"]:
            text = "could not be read, and is not in it: " + "; ".join(self.document["missing"])
            yield Problem(DOCUMENT, "incomplete", text)
        if self._options.secrets != "keep":
            how = "masked" if self._options.secrets == "mask" else "left out"
            names = ", ".join(self.document["secrets_not_kept"]) or "none was found"
            yield Problem(DOCUMENT, "unsupported", f"values that look like secrets are {how}: {names}")
        if self._options.secrets == "leave_out":
            text = f"files that hold secrets by their names are left out: {', '.join(SECRET_FILES)}"
            yield Problem(DOCUMENT, "unsupported", text)


def config_source(files: Source | None, environment: EnvironmentSource) -> Source:
    """Return the whole bundle. `files` comes with `file_rules` applied; None is the environment alone."""
    return CombinedSource([files, environment]) if files is not None else environment


def file_rules(rules: Rules, options: EnvironmentOptions) -> Rules:
    """Return the rules for the bundle's files: with the patterns of secret files, if those are left out."""
    if options.secrets != "leave_out":
        return rules
    return Rules(
        rules.exclude + SECRET_FILES,
        rules.iexclude,
        rules.exclude_caches,
        rules.exclude_if_present,
        rules.exclude_larger_than,
        rules.one_file_system,
    )
