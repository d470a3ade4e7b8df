"""An install with a month behind it, made in a minute: for pictures of every page with something in it.

The clock of this process is moved, so that each backup is a real one of its day.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine
from flask import Flask

from core import setup
from core.access import api_tokens, users
from core.access.api_tokens import TokenInput
from core.alerting import alerts, mutes
from core.backups import copying
from core.configs import configs
from core.configs.destinations import DestinationInput
from core.db import db, write
from core.hosts import host_inputs, hosts
from core.jobs import jobs, nodes
from core.messaging import channels
from core.messaging.channel_inputs import ChannelInput, WebhookTarget
from core.models import Config, Job, Storage
from core.points import points
from core.restores import restores
from core.retention import pins
from core.storages import recovery, storage_setup, storage_usage, storages
from repository.keyfile import KdfParams
from tests.core.making import back_up, run
from tests.webapp.world import PASSWORD, World, make_app

DAYS = 30
_WORDS = (
    "harbour",
    "letter",
    "minutes",
    "budget",
    "offer",
    "plan",
    "photograph",
    "sketch",
    "invoice",
    "note",
)
_KINDS = (".md", ".pdf", ".odt", ".jpeg", ".csv")


def make(folder: Path, *, trouble: bool = True) -> World:
    """Return an install as a team has it after a month; `trouble`: last night's backup of one failed."""
    storages.KDF = KdfParams(n=1024, r=8, p=1)  # each opening would take a second
    world = World(make_app(folder), folder, folder)
    dice = random.Random(7)  # noqa: S311 -- the same pictures each time
    with world.app.app_context():
        with time_machine.travel(_day(DAYS + 1), tick=True):
            _set_up(world)
            made = _make_configs(world, dice)
        for back in range(DAYS, -1, -1):
            with time_machine.travel(_day(back), tick=True):
                _one_day(world, made, back, dice, {0, 9, 10} if trouble else {9, 10})
        if trouble:
            _make_the_rest(world, made)
        nodes.beat("worker")
    return world


def _day(back: int) -> datetime:
    """Return half past two at night, so many days ago; never a time to come."""
    night = datetime.now(UTC).replace(hour=2, minute=30, second=0, microsecond=0) - timedelta(days=back)
    return min(night, datetime.now(UTC) - timedelta(minutes=10))


def _set_up(world: World) -> None:
    admin = setup.create_admin(setup.setup_token() or "", "anna", PASSWORD)
    world.user_ids = {"admin": admin.id, "operator": users.create("otto", PASSWORD, "operator").id}
    world.user_ids["viewer"] = users.create("vera", PASSWORD, "viewer").id
    world.user_ids["spare"] = users.create("emil", PASSWORD, "viewer").id
    world.token_id = api_tokens.create(TokenInput(name="Deploy script"), admin)[0].id
    world.storage_id = setup.create_first_storage(str(world.folder / "backup-disk")).id
    key = (recovery.stored() or "").split("-")
    setup.confirm_recovery_key([key[place - 1] for place in setup.recovery_challenge()])
    storage_setup.create_local("Disk in the safe", str(world.folder / "safe"), recovery.stored() or "")
    with write() as session:
        for storage in session.query(Storage):
            storage.quota_bytes, storage.site = 2 << 30, "office"
            if storage.id == world.storage_id:
                storage.name, storage.quota_bytes = "Backup disk", 20 << 20


def _make_configs(world: World, dice: random.Random) -> dict[str, Config]:
    given = {
        "Wiki": ("0 2 * * *", 30),
        "Team documents": ("0 3 * * *", 14),
        "Photographs": ("30 1 * * *", 90),
    }
    made = {}
    for name, (cron, days) in given.items():
        tree = world.tree / name.lower().replace(" ", "-")
        _write(tree, dice, 40)
        made[name] = _config(name, tree, cron, days, copied=name == "Wiki")
    made["Server settings"] = configs.create(
        configs.ConfigInput(
            name="Server settings", type="config", source={"paths": ["/etc/apt"]}, cron="0 4 * * 0"
        )
    )
    return made


def _config(name: str, tree: Path, cron: str, days: int, *, copied: bool) -> Config:
    places = sorted(storages.list_repositories(), key=lambda one: one.storage.name)
    chosen = places if copied else places[:1]
    return configs.create(
        configs.ConfigInput(
            name=name,
            source={"paths": [str(tree)]},
            cron=cron,
            timezone="Europe/Berlin",
            destinations=[DestinationInput(repository_id=one.id, retention={"days": days}) for one in chosen],
        )
    )


def _write(tree: Path, dice: random.Random, files: int) -> None:
    for _ in range(files):
        folder = tree / dice.choice(_WORDS) / str(dice.randrange(2024, 2027))
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{dice.choice(_WORDS)}-{dice.randrange(100)}{dice.choice(_KINDS)}"
        (folder / name).write_bytes(os.urandom(dice.randrange(2_000, 40_000)))


def _write_letters(tree: Path, back: int) -> None:
    """Write what is there each day, so that there are versions, and something to compare."""
    (tree / "letters").mkdir(exist_ok=True)
    (tree / "letters" / "big.bin").write_bytes(os.urandom(30_000))
    lines = [f"Day {day}: the tide was {'high' if day % 3 else 'low'}." for day in range(DAYS - back + 1)]
    (tree / "letters" / "log.txt").write_text("\n".join(lines) + "\n")


def _one_day(
    world: World, made: dict[str, Config], back: int, dice: random.Random, bad_days: Collection[int]
) -> None:
    for name, config in made.items():
        if name == "Server settings" and back % 7:
            continue
        tree = world.tree / name.lower().replace(" ", "-")
        away = tree.with_name("away")
        fails = name == "Team documents" and back in bad_days
        if fails:
            tree.rename(away)
        elif name != "Server settings":
            _write(tree, dice, dice.randrange(1, 12))
            _write_letters(tree, back)
        job = back_up(config.id)
        if fails:
            away.rename(tree)
        if name == "Photographs" and back in (4, 17):
            _let_it_warn(job.id)
    if copied := [gap for gap in copying.gaps(made["Wiki"]) if gap.missing]:
        run(copied[0].job or copying.sync(copied[0].destination.id))
    storage_usage.measure_all()


def _let_it_warn(job_id: int) -> None:
    """Let a backup look as if two files could not be read: root, who makes the pictures, can read all."""
    with write() as session:
        job = session.get_one(Job, job_id)
        job.status, job.problems = "warning", 2
        job.summary = job.summary.replace("Stored", "Stored all but 2 files:", 1)


def _make_the_rest(world: World, made: dict[str, Config]) -> None:
    wiki = made["Wiki"]
    world.config_id, world.destination_id = wiki.id, wiki.destinations[0].id
    world.newer_point_id, world.point_id = (each.id for each in points.list_for(wiki.id)[:2])
    world.tree = world.tree / "wiki"
    world.job_id = jobs.list_jobs(config_id=wiki.id, kind="backup").items[0].id
    pins.pin(points.list_for(wiki.id)[6].id, "before the migration to version 5", "anna")
    target = {"point_id": world.point_id, "target_path": str(world.folder / "restored")}
    world.restore_job_id = run(restores.create(restores.validate(target))).id
    world.failed_job_id = jobs.list_jobs(config_id=made["Team documents"].id, status="failed").items[0].id
    world.alert_id = alerts.list_open()[0].id
    chat = WebhookTarget(url="https://chat.example.org/hooks/s3cr3t")
    world.channel_id = channels.create(ChannelInput(name="Team chat", kind="webhook"), chat).id
    world.mute_id = mutes.mute(24, "anna", kind="quota").id
    world.spare_config_id = made["Photographs"].id
    world.queued_job_id = jobs.create_backup(world.spare_config_id, "manual").id
    host = {"name": "web1", "address": "web1.example.org", "port": "22", "user": "backup"}
    world.host_id = hosts.create(host_inputs.parse(host)).id
    db.session.commit()


def empty(folder: Path) -> Flask:
    """Return an install right after set-up, with nothing in it."""
    app = make_app(folder)
    with app.app_context():
        setup.create_admin(setup.setup_token() or "", "anna", PASSWORD)
        setup.create_first_storage(str(folder / "backup-disk"))
        key = (recovery.stored() or "").split("-")
        setup.confirm_recovery_key([key[place - 1] for place in setup.recovery_challenge()])
    return app


def looks() -> Iterator[tuple[str, dict[str, int], str]]:
    """Yield how each page is looked at: a name, the size of the window, light or dark."""
    for scheme in ("light", "dark"):
        yield f"desktop-{scheme}", {"width": 1280, "height": 800}, scheme
        yield f"phone-{scheme}", {"width": 390, "height": 844}, scheme
