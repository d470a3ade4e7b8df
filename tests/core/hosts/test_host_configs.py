"""Configs of type config on a host: its files, the document of its environment, and both held against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core.configs import config_compare, config_documents, configs
from core.db import write
from core.errors import Invalid, Refused, Unreachable
from core.hosts import host_source, hosts
from core.jobs import jobs
from core.models import Config, Host
from core.points import browse, points
from core.restores import config_restores, restores
from tests.core.hosting import make_host
from tests.core.hosts.test_host_backups import away, ended, newest, restores_token
from tests.core.making import back_up, make_storage, make_tree, run
from tests.ports import free_port
from tests.servers.sshd import Sshd

DOCUMENT = "/holdfast/environment.json"


@pytest.fixture
def host(context: Flask, tmp_path: Path, sshd: Sshd) -> Host:
    make_storage(tmp_path)
    return make_host(sshd)


def make_config(host: Host, folder: Path, **source: Any) -> Config:
    given = {"paths": [str(folder)], "host_id": host.id, "packages": False, **source}
    return configs.create(configs.parse({"name": "Machine", "type": "config", "source": given}))


def test_files_and_environment_of_a_host_are_one_point(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONLY_HERE", "of the worker")
    tree = make_tree(tmp_path / "etc")
    config = make_config(host, tree, variables="HOME\nONLY_HERE", services=False)
    job = ended(back_up(config.id))
    assert f"{tree} of web1 and {DOCUMENT}" in jobs.log_lines(job.id).items[0].message
    document = config_documents.document_of(newest(config))
    assert document["variables"].keys() == {"HOME"}, "the login shell's, not those of the worker"
    assert "variable ONLY_HERE" in document["absent"]
    assert document["packages"] is None
    (tree / "sub" / "new.txt").write_text("new")
    second = ended(back_up(config.id))
    assert second.counts["files_unmodified"] == 3, "only what changed is read again"
    assert [each.id for each in hosts.uses(host.id).configs] == [config.id]


def test_a_point_is_held_against_the_host_as_it_is_now(host: Host, sshd: Sshd, tmp_path: Path) -> None:
    config = make_config(host, make_tree(tmp_path / "etc"), packages=True)
    ended(back_up(config.id))
    point = newest(config)
    assert config_documents.is_comparable(point)
    assert config_documents.machine_of(point) == "web1"
    assert config_documents.changed_since(point).nothing
    with pytest.raises(Refused, match="not of files of this machine"):
        config_compare.compare(point)
    assert not config_restores.is_offered(point)
    away(host, free_port())
    with pytest.raises(Unreachable, match="cannot be asked now: no connection") as refused:
        config_documents.changed_since(point)
    assert "test it on its page" in refused.value.advice


def test_chosen_files_are_put_back_on_the_host_but_never_what_we_wrote(host: Host, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "etc")
    config = make_config(host, tree, services=False)
    ended(back_up(config.id))
    file = tree / "sub" / "1.txt"
    file.write_text("broken")
    given = {"point_id": newest(config).id, "host_id": host.id, "put_back": "yes", "conflict": "replace"}
    for wrong in (DOCUMENT, "/holdfast"):
        with pytest.raises(Invalid) as refused:
            restores.create(restores.validate({**given, "include": [restores_token(Path(wrong))]}))
        assert list(refused.value.fields) == ["put_back"], wrong
    queued = restores.create(restores.validate({**given, "include": [restores_token(file)]}))
    ended(run(jobs.get(restores.safety_job_of(queued) or 0)))
    ended(run(jobs.get(queued.id)))
    assert file.read_text() == "content 1\n" * 100


def test_a_login_without_programs_is_refused_in_the_preview_and_by_the_job(
    host: Host, sshd: Sshd, tmp_path: Path
) -> None:
    poor = make_host(sshd, "poor", private_key=sshd.sftp_only_key.read_text())
    config = make_config(poor, make_tree(tmp_path / "etc"))
    with pytest.raises(Invalid, match="runs no programs") as refused:
        configs.preview(configs.to_input(config))
    assert list(refused.value.fields) == ["host_id"]
    job = ended(back_up(config.id), "failed")
    assert "runs no programs" in job.summary
    assert points.latest(config.id) is None


def test_the_preview_counts_on_the_host_and_a_host_that_is_gone_is_refused(
    host: Host, tmp_path: Path
) -> None:
    source = {"paths": [str(make_tree(tmp_path / "etc"))], "host_id": host.id}
    data = configs.parse({"name": "x", "type": "config", "source": source})
    found = configs.preview(data)
    assert isinstance(found, host_source.HostPreview)
    assert found.counted is not None
    assert found.counted.files == 3
    with write() as session:
        session.delete(session.get_one(Host, host.id))
    with pytest.raises(Invalid) as refused:
        configs.create(data)
    assert list(refused.value.fields) == ["host_id"]


def test_the_document_can_be_read_in_the_point(host: Host, tmp_path: Path) -> None:
    config = make_config(host, make_tree(tmp_path / "etc"), services=False)
    ended(back_up(config.id))
    _, content = browse.read_file(newest(config), DOCUMENT.encode())
    assert b'"hostname"' in b"".join(content)
