"""Who may read /metrics: holders of a token, or machines by address. Nobody, until somebody says who."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets as random
from collections.abc import Sequence

from core import instance
from core.db import utc_now, write
from core.errors import Invalid

_TOKEN, _NETWORKS = "metrics_token", "metrics_networks"
MOST_NETWORKS = 50


def is_on() -> bool:
    """Tell whether anybody may read them."""
    return token_made_at() is not None or bool(networks())


def token_made_at() -> str | None:
    """Return when the token was made, in ISO form; None if there is none."""
    found = instance.get(_TOKEN)
    return None if found is None else str(found["made_at"])


def new_token() -> str:
    """Make a token, to be shown once; one that was there before is worth nothing from now on."""
    token = f"hfm_{random.token_urlsafe(32)}"
    instance.put(_TOKEN, {"sha256": _digest(token), "made_at": utc_now().isoformat()})
    return token


def revoke_token() -> None:
    """Let nobody in by token any more."""
    with write() as session:
        instance.set_in(session, _TOKEN, None)


def networks() -> list[str]:
    """Return from where they may be read without a token."""
    return list(instance.get(_NETWORKS) or [])


def set_networks(text: str) -> list[str]:
    """Let these addresses and networks in; empty: none. Raises Invalid (`networks`)."""
    found = [_network(part) for part in re.split(r"[\s,;]+", text) if part]
    if len(found) > MOST_NETWORKS:
        raise Invalid({"networks": f"At most {MOST_NETWORKS} can be listed: name larger networks."})
    with write() as session:
        instance.set_in(session, _NETWORKS, found or None)
    return found


def allows(token: str, address: str) -> bool:
    """Tell whether somebody with this token ("": none), from this address, may read them."""
    known = instance.get(_TOKEN)
    if token and known is not None and hmac.compare_digest(str(known["sha256"]), _digest(token)):
        return True
    return _is_within(address, networks())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise Invalid(
            {"networks": f"{text[:80]!r} is no address and no network such as 10.0.0.0/8."}
        ) from error


def _is_within(address: str, listed: Sequence[str]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False  # a socket of this machine has no address
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in ipaddress.ip_network(each) for each in listed)
