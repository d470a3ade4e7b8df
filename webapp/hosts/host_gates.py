"""Keys for one thing each on a host, restores into a folder or dumps of a database: a part of its page."""

from __future__ import annotations

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from core.errors import Invalid
from core.hosts import gate_keys, hosts
from core.models import GateKey, Host
from webapp import answers, forms
from webapp.access import access

blueprint = Blueprint("host_gates", __name__, url_prefix="/hosts")


@blueprint.post("/<host_id>/gate-keys")
@access.allow("admin")
def make(host_id: str) -> ResponseReturnValue:
    """Make a key for restores into one folder, or for dumps of one database."""
    form = forms.sent()
    try:
        key = gate_keys.make(host_id, form.value("mode"), form.value("place"), form.value("port"))
    except Invalid as error:
        return _back(host_id, " ".join(error.fields.values()), "bad")
    return _back(host_id, f"The key for {title(key)} is made. Its lines are to be pasted on the host now.")


@blueprint.post("/<host_id>/gate-keys/test")
@access.allow("admin")
def test(host_id: str) -> ResponseReturnValue:
    """Try the gate of each key."""
    gate_keys.test_all(host_id)
    bad = sum(bool(key.trouble) for key in gate_keys.of_host(host_id))
    return _back(host_id, "" if bad else "Every gate answers as it should.")


@blueprint.post("/<host_id>/gate-keys/<key_id>/delete")
@access.allow("admin")
def delete(host_id: str, key_id: str) -> ResponseReturnValue:
    """Forget a key."""
    key = gate_keys.get(host_id, key_id)
    text, remove = title(key), gate_keys.way(key).remove
    gate_keys.delete(host_id, key_id)
    return _back(host_id, f"The key for {text} is forgotten here. As root on the host: {remove}")


@blueprint.app_template_global("host_gates")
def gates(host: Host) -> list[tuple[GateKey, str, gate_keys.Way]]:
    """Return the keys of a host, what each is for, and how it is let in."""
    return [(key, title(key), gate_keys.way(key)) for key in gate_keys.of_host(host.id)]


def title(key: GateKey) -> str:
    """Say what a key is for."""
    name, _, port = key.place.rpartition(":")
    if key.mode == "restore":
        return f"restores into {key.place}"
    return f"dumps of {name}" + ("" if port == "5432" else f", port {port}")


def _back(host_id: str, text: str, tone: str = "good") -> ResponseReturnValue:
    hosts.get(host_id)
    return answers.see_other(url_for("hosts.show", host_id=host_id, _anchor="gates"), text, tone)
