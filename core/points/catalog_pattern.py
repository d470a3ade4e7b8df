"""What somebody searches for: part of a name, a pattern of one, with or without folders before it."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

from core.errors import Invalid
from core.points.catalog_rows import fold, fold_text

LONGEST = 400
_WILD = re.compile(r"[*?]")


@dataclass(frozen=True, slots=True)
class Pattern:
    """`piece`: letters that stand in each name that fits, and after which SQLite looks; `name` and `path` are
    held against folded names and paths. `whole`: what a name that fits best is; `path` None: any."""

    piece: str
    name: re.Pattern[str]
    path: re.Pattern[str] | None
    whole: str

    @property
    def glob(self) -> str:
        """The piece as SQLite's GLOB takes it, anywhere in a name."""
        return f"*{_escaped(self.piece)}*"


def parse(text: str) -> Pattern:
    """Return what a text asks for. Raises Invalid.

    Without a wildcard any part of a name fits; with `*` or `?` the whole name must. With a slash the folders
    before it must fit, too, from the root on if it begins with one.
    """
    wanted = fold_text(text.strip())
    if len(wanted) > LONGEST:
        raise Invalid({"q": f"That is too long: {LONGEST} letters at most."})
    folder, slash, name = wanted.rstrip("/").rpartition("/")
    piece = max(re.split(r"[*?]", name), key=len)
    if not piece:
        raise Invalid({"q": "Write at least one letter of the name, such as *.conf or nginx."})
    shown = name if _WILD.search(name) else f"{name}*" if slash else f"*{name}*"
    start = "" if wanted.startswith("/") else "*/"
    path = _compiled(f"{start}{folder}/{shown}") if slash else None
    return Pattern(piece, _compiled(shown), path, name)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(_escaped(pattern)))


def _escaped(text: str) -> str:
    """Return a pattern in which brackets are only that: names hold them more often than classes are meant."""
    return text.replace("[", "[[]")


def folded_path(path: bytes) -> str:
    """Return a path as it is held against a pattern."""
    return "/".join(fold(name) for name in path.split(b"/"))
