"""What is most likely a secret: values by their name or look, files by their name."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence

MASK = "********"

# Patterns of files, for Rules.exclude; a secret in a file of another name cannot be known.
SECRET_FILES = (
    ".env",
    ".env.*",
    "*.env",
    "*.key",
    "*.pem",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.keytab",
    "*.kdbx",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "ssh_host_*_key",
    ".pgpass",
    ".netrc",
    ".my.cnf",
    ".htpasswd",
    "credentials",
    "credentials.*",
    "secrets",
    "secrets.*",
    "/etc/shadow*",
    "/etc/gshadow*",
    "/etc/ssl/private",
    "/etc/wireguard",
    "/etc/NetworkManager/system-connections",
)
_NAME = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|private|api_?key|access_?key|signing|salt|cookie|dsn"
    r"|(?:^|_)(?:key|pass|auth)(?:$|_)|pass$",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"  # a URL with a password
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(?:gh[pousr]_|glpat-|xox[abpr]-|sk_live_|rk_live_|AKIA)[A-Za-z0-9_-]{8}"
)


def is_secret(name: str, value: str) -> bool:
    """Tell whether a variable most likely holds a secret. Rather once too often: it is said which were."""
    return bool(value) and bool(_NAME.search(name) or _VALUE.search(value))


_ASSIGNMENT = re.compile(
    r"(?P<head>\s*(?P<mark>[<#;/*-]+\s*)?(?:(?:export|set|ENV)\s+)?[\"']?(?P<name>[A-Za-z_][\w.-]*)[\"']?"
    r"(?P<sign>\s*(?:=>|:=|[=:> \t])\s*))(?P<value>\S.*)",
)
# What switches something on or off is no secret, though its name may sound like one.
_HARMLESS = re.compile(r"[\"']?(?:yes|no|on|off|true|false|none|null)[\"']?[,;]?\s*\Z", re.I)
_BEGIN_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")
_END_KEY = re.compile(r"-----END [A-Z ]*PRIVATE KEY")
_KEY_MARK = re.compile(r"\s*-----(?:BEGIN|END) [A-Z ]*PRIVATE KEY-----\s*")


def is_secret_file(path: str) -> bool:
    """Tell whether a file most likely holds secrets, by its name: one that SECRET_FILES fits."""
    name = path.rpartition("/")[2]
    return any(
        fnmatch.fnmatchcase(path, pattern) or path.startswith(f"{pattern}/")
        if pattern.startswith("/")
        else fnmatch.fnmatchcase(name, pattern)
        for pattern in SECRET_FILES
    )


def masked(path: str, lines: Sequence[str]) -> list[str]:
    """Return a text file's lines for a page: what looks like a secret is `MASK`; names and comments stay.

    In a file that holds secrets by its name every value is one.
    """
    return list(_masked(lines, whole=is_secret_file(path)))


def _masked(lines: Sequence[str], *, whole: bool) -> Iterator[str]:
    in_key = False
    for line in lines:
        begins, ends = _BEGIN_KEY.search(line) is not None, _END_KEY.search(line) is not None
        within = in_key and not begins and not ends
        in_key = (in_key or begins) and not ends
        yield MASK if within else _masked_line(line, whole=whole)


def _masked_line(line: str, *, whole: bool) -> str:
    if not line.strip() or _KEY_MARK.fullmatch(line):
        return line
    whole = whole and not line.lstrip().startswith("#")  # a comment may hold one, too, but need not
    found = _ASSIGNMENT.match(line)
    if found is not None and found["mark"] and not found["sign"].strip():
        found = None  # words of a comment
    if found is None:
        return MASK if whole or _VALUE.search(line) else line
    if _HARMLESS.match(found["value"]):
        return line
    return found["head"] + MASK if whole or is_secret(found["name"], found["value"]) else line
