"""What is most likely a secret: values by their name or look, files by their name."""

from __future__ import annotations

import re

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
    r"|(?:^|_)(?:key|pass|auth)(?:$|_)",
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
