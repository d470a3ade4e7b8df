"""One config, three storages: a disk, a bucket, an SFTP server. Real servers, and the real restic on each."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from core.alerting import alerts
from core.backups import copying
from core.configs import configs, states
from core.errors import Invalid, Refused, Unreachable
from core.jobs import jobs
from core.models import Config, Storage
from core.points import points
from core.restores import restores
from core.storages import (
    providers,
    storage_edit,
    storage_probe,
    storage_setup,
    storage_usage,
    storages,
    usage_by_day,
)
from storage_adapters.retry import RetryPolicy
from storage_adapters.s3 import S3Adapter, S3Settings
from tests.core import servers
from tests.core.backups.test_copying import change, copy_jobs, first, make_config
from tests.core.making import back_up, make_storage, run
from tests.servers.sshd import Sshd
from tests.servers.wire import SLOW_DOWN, Reply, Request, wire_to

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def bucket(tmp_path: Path, s3_settings: S3Settings) -> Storage:
    """Return a storage in a bucket, beside the first disk."""
    make_storage(tmp_path)
    return servers.create(servers.s3_form(s3_settings))


def test_one_config_on_a_disk_a_bucket_and_a_server(bucket: Storage, sshd: Sshd, tmp_path: Path) -> None:
    """Each holds the point, restic finds each clean, and the same tree is restored from each."""
    server = servers.create(servers.sftp_form(sshd, tmp_path / "remote"))
    places = [
        first(),
        *({"repository_id": one.repositories[0].id, "tier": "hot"} for one in (bucket, server)),
    ]
    config = make_config(tmp_path, places)
    config_id = config.id
    (tmp_path / "tree" / "big.bin").write_bytes(bytes(range(256)) * 40_000)
    assert back_up(config_id).status == "completed"
    for job in copy_jobs():
        assert run(job).status == "completed", job.summary
    change(tmp_path)
    assert back_up(config_id).status == "completed"
    for job in copy_jobs():
        assert run(job).status == "completed", job.summary
    assert [(gap.points, len(gap.missing)) for gap in copying.gaps(configs.get(config_id))] == [(2, 0)] * 3
    for storage in storages.list_all():
        servers.restic_on(storage, sshd, "check", "--read-data")
        target = tmp_path / f"restic-{storage.provider}"
        servers.restic_on(storage, sshd, "restore", "latest", "--target", str(target))
        same(tmp_path / "tree", target / str(tmp_path / "tree").lstrip("/"))
    restore_from_each(config_id, tmp_path)


def restore_from_each(config_id: str, tmp_path: Path) -> None:
    """Restore the newest point from each of its copies."""
    point = points.latest(config_id)
    assert point is not None
    for copy_id, provider in [(one.copy.id, one.storage.provider) for one in points.choices(point)]:
        given = {"point_id": point.id, "target_path": str(tmp_path / f"ours-{provider}"), "copy_id": copy_id}
        assert run(restores.create(restores.validate(given))).status == "completed"
        same(tmp_path / "tree", tmp_path / f"ours-{provider}" / str(tmp_path / "tree").lstrip("/"))


def same(one: Path, other: Path) -> None:
    """Hold two trees against each other."""
    subprocess.run(["diff", "-r", str(one), str(other)], check=True)


def test_a_wrong_key_a_missing_bucket_and_a_port_where_nobody_is_are_told(
    tmp_path: Path, s3_settings: S3Settings
) -> None:
    make_storage(tmp_path)
    for fields, kind, told in (
        ({"secret_key": "hush-hush-wrong"}, Unreachable, "secret"),
        ({"bucket": "no-such-bucket"}, Invalid, "bucket"),
        ({"endpoint": "http://127.0.0.1:9"}, Unreachable, "does not answer"),
    ):
        data = servers.parse(servers.s3_form(s3_settings, **fields))
        with pytest.raises(kind, match=told) as caught:
            storage_setup.look(data)
        assert "hush-hush" not in f"{caught.value} {caught.value!r} {data!r}"
        with pytest.raises((Refused, Invalid)):
            storage_setup.create(data)
    assert len(storages.list_all()) == 1


def test_a_probe_before_saving_leaves_nothing(tmp_path: Path, s3_settings: S3Settings) -> None:
    make_storage(tmp_path)
    data = servers.parse(servers.s3_form(s3_settings))
    assert "Wrote, read and deleted" in storage_setup.probe(data).text
    assert storage_setup.look(data).kind == "empty"


def test_an_unconfirmed_or_changed_host_key_is_a_matter_of_that_field(sshd: Sshd, tmp_path: Path) -> None:
    make_storage(tmp_path)
    keys = providers.host_keys("127.0.0.1", sshd.port)
    assert {key.line for key in keys} <= set(sshd.host_key_lines)
    for lines in ("", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DPMRD6OIh65tjxoNz9nyjbBS3zQjyaM"):
        form = servers.sftp_form(sshd, tmp_path / "remote", host_keys=lines)
        with pytest.raises(Invalid) as caught:
            storage_setup.look(servers.parse(form))
        assert list(caught.value.fields) == ["host_keys"]
        assert keys[0].fingerprint in str(caught.value)
    with pytest.raises(Invalid, match="not a host key"):
        servers.parse(servers.sftp_form(sshd, tmp_path / "remote", host_keys="nonsense"))


def test_look_tells_what_is_at_a_remote_place(
    bucket: Storage, s3_settings: S3Settings, sshd: Sshd, tmp_path: Path
) -> None:
    with pytest.raises(Invalid, match="overlaps the storage Bucket"):
        storage_setup.look(servers.parse(servers.s3_form(s3_settings, "Twin")))
    form = servers.sftp_form(sshd, tmp_path / "remote")
    assert storage_setup.look(servers.parse(form)).kind == "missing"
    (tmp_path / "remote").mkdir()
    assert storage_setup.look(servers.parse(form)).kind == "empty"
    (tmp_path / "remote" / "letter.txt").write_text("x")
    found = storage_setup.look(servers.parse(form))
    assert (found.kind, found.ok, "letter.txt" in found.text) == ("foreign", False, True)


def test_an_emptied_bucket_is_unreachable_and_stays_empty(bucket: Storage, s3_settings: S3Settings) -> None:
    record = bucket.repositories[0]
    adapter = S3Adapter(s3_settings)
    for found in list(adapter.list("")):
        adapter.delete(found.key)
    with pytest.raises(Unreachable, match=r"its marker \.holdfast-storage is missing") as caught:
        storages.open_repository(record)
    assert "mounted" not in str(caught.value)
    assert list(adapter.list("")) == []


def test_blank_credentials_keep_the_old_and_wrong_ones_are_refused(
    bucket: Storage, s3_settings: S3Settings
) -> None:
    form = providers.to_form(bucket)
    assert not set(form) & set(providers.SECRETS)
    assert providers.stored_secrets(bucket) == ["access_key", "secret_key"]
    sealed = bucket.credentials_sealed
    assert s3_settings.secret_key not in sealed
    storage_edit.update(bucket.id, providers.parse({**form, "name": "Renamed"}, bucket))
    assert "Wrote" in storage_probe.test(storages.get(bucket.id))
    with pytest.raises(Unreachable):
        storage_edit.update(
            bucket.id, providers.parse({**form, "secret_key": "another one"}, storages.get(bucket.id))
        )
    assert "Wrote" in storage_probe.test(storages.get(bucket.id))


def test_usage_of_a_bucket_by_config_and_day(bucket: Storage, tmp_path: Path) -> None:
    config = make_config(tmp_path, [first(), {"repository_id": bucket.repositories[0].id, "tier": "hot"}])
    back_up(config.id)
    assert run(copy_jobs()[0]).status == "completed"
    storage = storages.get(bucket.id)
    usage = storage_usage.of(storage)
    assert (usage.used_bytes or 0) > 0
    assert usage.full_at is None
    (by_config,) = storage_usage.by_config(storage)
    assert (by_config.config, by_config.copies) == (configs.get(config.id), 1)
    assert 0 < by_config.bytes_added < (usage.used_bytes or 0)
    days = usage_by_day.over_time(storage, 7)
    assert (days[-1].used_bytes, days[-1].added) == (usage.used_bytes, {config.id: by_config.bytes_added})
    assert days[0].added == {}


def test_a_bucket_out_of_reach_fails_over_and_back(
    bucket: Storage, s3_settings: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket is first here: its server goes away, a backup goes to the disk, the gap is filled later."""
    monkeypatch.setattr(storages, "RETRY", RetryPolicy(attempts=2, first_wait_s=0.05))
    config = make_config(tmp_path, [{"repository_id": bucket.repositories[0].id}, {**first(), "tier": "hot"}])
    assert back_up(config.id).status == "completed"
    _point(bucket, "http://127.0.0.1:9")
    job = back_up(config.id)
    assert (job.status, "It went to Local disk instead." in job.summary) == ("warning", True), job.summary
    assert "mounted" not in job.summary
    assert states.state(configs.get(config.id)).word == "Degraded"
    secret = s3_settings.secret_key
    told = [job.summary, job.detail, *(line.message for line in jobs.log_lines(job.id).items)]
    told += [f"{alert.what} {alert.detail} {alert.advice}" for alert in alerts.list_open()]
    assert not any(secret in text for text in told)
    _point(bucket, s3_settings.endpoint)
    storages.check_all()
    (gap, _) = copying.gaps(configs.get(config.id))
    assert run(copying.sync(gap.destination.id)).status == "completed"


def _point(storage: Storage, endpoint: str) -> None:
    """Let a storage's row name another address, as if its server had moved away."""
    from core.db import write

    with write() as session:
        row = session.get_one(Storage, storage.id)
        row.settings = {**row.settings, "endpoint": endpoint}


def test_two_jobs_write_to_one_repository_at_once(bucket: Storage, tmp_path: Path, sshd: Sshd) -> None:
    """A backup takes the bucket while a copy fills it: both hold shared locks, and restic finds it clean."""
    both = [first(), {"repository_id": bucket.repositories[0].id, "tier": "hot"}]
    config: Config = make_config(tmp_path, both)
    back_up(config.id)
    record = bucket.repositories[0]
    from repository.locks import lock_repository

    other = storages.open_repository(record)
    with lock_repository(other):
        assert run(copy_jobs()[0]).status == "completed"
    other.close()
    servers.restic_on(storages.get(bucket.id), sshd, "check")


def test_an_emptied_or_swapped_folder_of_a_server_is_unreachable_and_stays_as_it_is(
    tmp_path: Path, sshd: Sshd
) -> None:
    make_storage(tmp_path)
    server = servers.create(servers.sftp_form(sshd, tmp_path / "remote"))
    (tmp_path / "remote").rename(tmp_path / "full")
    with pytest.raises(Unreachable):
        storages.open_adapter(server)
    assert not (tmp_path / "remote").exists()
    (tmp_path / "remote").mkdir()
    with pytest.raises(Unreachable, match="is missing, so this is not"):
        storages.open_adapter(server)
    assert list((tmp_path / "remote").iterdir()) == []
    (tmp_path / "remote" / storages.MARKER).write_text('{"storage": "another"}')
    with pytest.raises(Unreachable, match="that of another storage"):
        storages.open_adapter(storages.get(server.id))
    assert [path.name for path in (tmp_path / "remote").iterdir()] == [storages.MARKER]


def test_a_restore_from_a_bucket_whose_line_is_cut_ends_on_a_server(
    tmp_path: Path, s3_settings: S3Settings, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wire answers 503 for good from the middle of the restore on; nothing is lost, no secret is told."""
    monkeypatch.setattr(storages, "RETRY", RetryPolicy(attempts=2, first_wait_s=0.05))
    make_storage(tmp_path)
    server = servers.create(servers.sftp_form(sshd, tmp_path / "remote"))
    with wire_to(s3_settings.endpoint) as wire:
        bucket = servers.create(servers.s3_form(replace(s3_settings, endpoint=wire.url)))
        places = [{"repository_id": one.repositories[0].id, "tier": "hot"} for one in (bucket, server)]
        config = make_config(tmp_path, places)
        (tmp_path / "tree" / "big.bin").write_bytes(os.urandom(20_000_000))
        assert back_up(config.id).status == "completed"
        assert run(copy_jobs()[0]).status == "completed"
        config_id = config.id
        packs: list[str] = []

        def plan(request: Request) -> Reply | None:
            if request.method == "GET" and "/data/" in request.path:
                packs.append(request.path)
            return Reply(503, SLOW_DOWN) if len(packs) > 1 else None

        wire.restart_counting(plan)
        point = points.latest(config_id)
        assert point is not None
        given = {"point_id": point.id, "target_path": str(tmp_path / "out"), "copy_id": ""}
        job = run(restores.create(restores.validate(given)))
        assert wire.faults
    assert (job.status, "Begun from Bucket" in job.summary) == ("completed", True), job.summary
    assert "finished from Server" in job.summary
    same(tmp_path / "tree", tmp_path / "out" / str(tmp_path / "tree").lstrip("/"))
    told = [job.summary, job.detail, *(line.message for line in jobs.log_lines(job.id).items)]
    assert not any(s3_settings.secret_key in text for text in told)
