"""A host in words: its state, its first line, where it is."""

from __future__ import annotations

from flask import Flask

from core.hosts import hosts
from core.models import Host
from webapp.hosts import host_form, host_pages
from webapp.wording import Look

_LOOKS = {
    "unconfirmed": Look("warn", "fingerprint-pattern", "Key not confirmed"),
    "untested": Look("info", "circle-dashed", "Not tested"),
    "failing": Look("bad", "unplug", "Cannot be used"),
    "ready": Look("good", "circle-check", "Ready"),
}
_SENTENCES = {
    "unconfirmed": "{name} is not set up yet: its host key is not confirmed",
    "untested": "{name} is not tested yet",
    "failing": "{name} cannot be used",
    "ready": "{name} is ready",
}


def look(card: host_pages.Card) -> Look:
    """Return how a host stands."""
    return _LOOKS[card.state]


def sentence(card: host_pages.Card) -> str:
    """Return the first line of a host's page."""
    return _SENTENCES[card.state].format(name=card.host.name)


def where(host: Host) -> str:
    """Say where a host is, as ssh calls it: user@address, with the port if it is not 22."""
    address = f"[{host.address}]" if ":" in host.address else host.address
    return f"{host.user}@{address}" + ("" if host.port == 22 else f":{host.port}")


def ms(count: int) -> str:
    """Say a short time: 12 ms, 1.4 s."""
    return f"{count} ms" if count < 1000 else f"{count / 1000:.1f} s"


def register(app: Flask) -> None:
    """Give the templates these words."""
    app.add_template_filter(look, "host_look")
    app.add_template_filter(sentence, "host_sentence")
    app.add_template_filter(where, "host_where")
    app.add_template_filter(ms, "ms")
    app.add_template_filter(hosts.name_of, "host_name")
    app.jinja_env.globals["host_machines"] = host_form.machines
    app.jinja_env.globals["host_ids"] = lambda: [host.id for host in hosts.list_all()]
