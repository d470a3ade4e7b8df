"""Hosts as people keep them: added, changed, taken out; what uses them, and how they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.db import db, utc_now, write
from core.errors import Invalid, NotFound, Refused
from core.hosts import host_inputs, host_login
from core.hosts.host_inputs import HostInput
from core.models import Config, GateKey, Host, Job, Restore
from core.models.job import PENDING

State = Literal["unconfirmed", "untested", "failing", "ready"]
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Uses:
    """What depends on a host."""

    configs: Sequence[Config]
    behind: Sequence[Host]  # that are reached through it
    jobs: Sequence[Job]  # that are queued or running


def list_all() -> Sequence[Host]:
    """Return all hosts by name."""
    return db.session.scalars(select(Host).order_by(func.lower(Host.name))).all()


def get(host_id: str) -> Host:
    """Return a host. Raises NotFound."""
    return _get(db.session(), host_id)


def find(wanted: str) -> Host:
    """Return the host of this name or id. Raises NotFound, which names those that there are."""
    every = list_all()
    for host in every:
        if wanted in (host.id, host.name):
            return host
    names = ", ".join(host.name for host in every) or "none"
    raise NotFound(f"There is no host {wanted!r}.", f"There are: {names}.")


def require(host_id: str) -> None:
    """Raise Invalid (`host_id`) for a host that is gone."""
    try:
        get(host_id)
    except NotFound as error:
        raise Invalid({"host_id": str(error)}) from error


def is_known(host_id: str) -> bool:
    """Tell whether there is a host of this id."""
    return db.session.get(Host, host_id) is not None


def name_of(host_id: str) -> str:
    """Return a host's name, also of one that is gone."""
    host = db.session.get(Host, host_id)
    return host.name if host is not None else "a host that was deleted"


def create(data: HostInput) -> Host:
    """Add a host, with a key of its own if one is to be made. Nothing is sent to it yet. Raises Invalid."""
    if data.login == "keep":
        raise Invalid({"login": "Say how to log in: with a key or a password."})
    with write() as session:
        _check(session, data, None)
        host = Host()
        host_inputs.fill(host, data)
        session.add(host)
        session.flush()
        host_login.set_login(host, data)
        return host


def update(host_id: str, data: HostInput) -> Host:
    """Change a host. The confirmed key stays: another machine at a new address is refused. Raises Invalid."""
    with write() as session:
        host = _get(session, host_id)
        _check(session, data, host)
        before = _reached(host)
        host_inputs.fill(host, data)
        host_login.set_login(host, data)
        if data.login != "keep" or _reached(host) != before:
            host.tested_at, host.test_result = None, {}
            _clear_trouble(host)
        return host


def why_not_delete(host_id: str) -> list[str]:
    """Return what keeps a host from being deleted, in sentences; empty if nothing does."""
    found, reasons = uses(host_id), []
    if found.configs:
        reasons.append(f"It is backed up by {_names([config.name for config in found.configs])}.")
    if found.behind:
        reasons.append(f"The way to {_names([host.name for host in found.behind])} leads through it.")
    if found.jobs:
        job = found.jobs[0]
        reasons.append(f"Job {job.id}, which is {job.status}, works on it.")
    return reasons


def delete(host_id: str) -> None:
    """Forget a host. Its points stay, and so does everything on it. Raises NotFound; Refused while used."""
    with write() as session:
        host = _get(session, host_id)
        reasons = why_not_delete(host_id)
        if reasons:
            raise Refused(
                f"{host.name} cannot be deleted. {' '.join(reasons)}",
                "Delete or change these configs first, or wait for the job.",
            )
        session.execute(delete_rows(GateKey).where(GateKey.host_id == host_id))
        session.delete(host)


def uses(host_id: str) -> Uses:
    """Return what depends on a host. Raises NotFound."""
    get(host_id)
    using = _configs_of(host_id)
    behind = db.session.scalars(select(Host).where(Host.jump_id == host_id).order_by(Host.name)).all()
    to_it = Job.id.in_(select(Restore.job_id).where(Restore.host_id == host_id))
    of_it = Job.config_id.in_([config.id for config in using]) & (Job.kind == "backup")
    working = (to_it | of_it | (Job.host_id == host_id)) & Job.status.in_(PENDING)
    return Uses(using, behind, db.session.scalars(select(Job).where(working).order_by(Job.id)).all())


def state_of(host: Host) -> State:
    """Say how a host stands: its key confirmed, tested, and in order the last time somebody tried."""
    if not host.pinned:
        return "unconfirmed"
    if host.trouble:
        return "failing"
    return "ready" if host.tested_at else "untested"


def note_trouble(host_id: str, text: str, advice: str) -> None:
    """Note on the row why the host cannot be used; one that is gone meanwhile needs no note."""
    with write() as session:
        host = session.get(Host, host_id)
        if host is not None:
            host.trouble, host.trouble_advice = text, advice
            host.trouble_since = host.trouble_since or utc_now()


def note_success(host_id: str) -> None:
    """Note that the host could be used."""
    host = db.session.get(Host, host_id)
    if host is None or not host.trouble:
        return
    with write() as session:
        _clear_trouble(_get(session, host_id))


def _get(session: Session, host_id: str) -> Host:
    host = session.get(Host, host_id)
    if host is None:
        raise NotFound(f"There is no host {host_id!r}.", "It may have been deleted.")
    return host


def _configs_of(host_id: str) -> Sequence[Config]:
    of_host = Config.deleted_at.is_(None) & (Config.source["host_id"].as_string() == host_id)
    return db.session.scalars(select(Config).where(of_host).order_by(func.lower(Config.name))).all()


def _check(session: Session, data: HostInput, own: Host | None) -> None:
    """Raise Invalid for a taken name, or a jump host that is missing or leads back here."""
    same = session.scalar(select(Host).where(func.lower(Host.name) == data.name.lower()))
    if same is not None and same is not own:
        raise Invalid({"name": f"There is already a host {same.name!r}."})
    if data.jump_id is None:
        return
    jump = session.get(Host, data.jump_id)
    if jump is None:
        raise Invalid({"jump_id": "This host is gone: choose another one, or none."})
    if own is not None and any(host.id == own.id for host in _way(jump)):
        raise Invalid({"jump_id": f"The way to {jump.name} leads through {own.name} itself."})


def _way(host: Host | None) -> Iterator[Host]:
    while host is not None:
        yield host
        host = host.jump


def _reached(host: Host) -> tuple[object, ...]:
    return host.address, host.port, host.user, host.sudo, host.jump_id


def _clear_trouble(host: Host) -> None:
    host.trouble, host.trouble_advice, host.trouble_since = "", "", None


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
