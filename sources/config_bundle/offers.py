"""What a configuration backup offers to take: the places where this machine keeps its configuration."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from dataclasses import dataclass

_FIXED = (
    ("etc", "the system's configuration"),
    ("var/spool/cron", "crontabs of users"),
    ("usr/local/etc", "configuration of programs installed by hand"),
    ("usr/local/lib/systemd", "systemd units installed by hand"),
    ("var/lib/systemd/linger", "users whose services start at boot"),
)
_SEARCHED = ("opt", "srv", "root", "home", "var/www", "docker", "data", "usr/local/bin")
_NAMES = (
    (("compose.y*ml", "compose.*.y*ml", "docker-compose*.y*ml"), "a compose file"),
    ((".env", ".env.*", "*.env"), "variables of a program"),
    (("*.service", "*.timer"), "a systemd unit"),
)
_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__", "vendor", "lost+found"})
_ENTERED_HIDDEN = frozenset({".config", ".docker"})
_DEPTH = 5
_MOST_LOOKED_AT = 50_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A path of this machine, and what it is."""

    path: str
    reason: str


def find_offers(root: str = "/") -> list[Offer]:
    """Return the places that exist here, by path. Looks at 50,000 names; skips what it may not read."""
    offers = [Offer(os.path.join(root, path), reason) for path, reason in _FIXED]
    offers = [offer for offer in offers if os.path.isdir(offer.path)]
    left = _MOST_LOOKED_AT
    for folder in _SEARCHED:
        for entry in _walk(os.path.join(root, folder), _DEPTH):
            left -= 1
            if left < 0:
                return sorted(offers, key=lambda offer: offer.path)
            if (reason := _reason(entry.name)) and entry.is_file(follow_symlinks=False):
                offers.append(Offer(entry.path, reason))
    return sorted(offers, key=lambda offer: offer.path)


def _reason(name: str) -> str:
    for patterns, reason in _NAMES:
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            return reason
    return ""


def _walk(folder: str, depth: int) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder and, a few levels deep, below it; links are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return  # it is only an offer: what cannot be seen cannot be offered
    for entry in entries:
        yield entry
        hidden = entry.name.startswith(".") and entry.name not in _ENTERED_HIDDEN
        if depth > 1 and not hidden and entry.name not in _SKIPPED and entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, depth - 1)
