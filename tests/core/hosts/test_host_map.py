"""The blind-spot map: what is found on a host, and which of it is in a backup."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core.configs import configs
from core.db import utc_now, write
from core.errors import Invalid, Unreachable
from core.hosts import here_map, host_login, host_map, hosts
from core.models import Config, Host
from sources.here import Here, Output
from sources.ssh import survey, survey_data
from sources.ssh.host import SshHost
from tests.core.hosting import make_host
from tests.core.making import make_storage
from tests.servers.sshd import Sshd, stop_sshd
from tests.sources.ssh.busybox import start_busybox

MB = 1000 * 1000

FOUND = [
    {"path": "/var/lib/postgresql", "kind": "database", "size_bytes": 900 * MB},
    {"path": "/etc", "kind": "config", "size_bytes": 3 * MB},
    {"path": "/home/ann", "kind": "home", "size_bytes": 50 * MB},
    {"path": "/home/ben", "kind": "home", "size_bytes": 70 * MB},
    {"path": "/srv", "kind": "folder", "size_bytes": 400 * MB},
    {"path": "/opt", "kind": "folder", "size_bytes": 4096},
    {"path": "/data", "kind": "disk", "size_bytes": None},
    {"path": "/data/deep", "kind": "disk", "size_bytes": 20 * MB},
]


@pytest.fixture
def host(context: Flask, tmp_path: Path, sshd: Sshd) -> Host:
    make_storage(tmp_path)
    made = make_host(sshd)
    with write() as session:
        row = session.get_one(Host, made.id)
        row.blind_spots, row.mapped_at = {"spots": FOUND}, utc_now()
    return hosts.get(made.id)


def protect(host: Host, *paths: str, **more: Any) -> None:
    source = {"paths": list(paths), "host_id": host.id, **more}
    configs.create(configs.ConfigInput(name=f"Of {paths[0]}", source=source))


def covers(host: Host) -> dict[str, str]:
    found = host_map.last(hosts.get(host.id))
    assert found is not None
    return {spot.path: spot.cover for spot in found.spots}


def test_nothing_is_known_before_somebody_looked(context: Flask, sshd: Sshd) -> None:
    assert host_map.last(make_host(sshd)) is None


def test_what_configs_back_up_is_told_from_what_they_do_not(host: Host) -> None:
    assert set(covers(host).values()) == {"none"}
    assert "/opt" not in covers(host), "next to nothing is in it"
    protect(host, "/home/ann", "/srv/www")
    protect(host, "/etc", "/data", exclude=["/data/deep"])
    assert covers(host) == {
        "/var/lib/postgresql": "none", "/etc": "whole", "/home/ann": "whole", "/home/ben": "none",
        "/srv": "partly", "/data": "whole", "/data/deep": "none",
    }  # fmt: skip
    found = host_map.last(hosts.get(host.id))
    assert found is not None
    assert [spot.path for spot in found.of("none")] == ["/var/lib/postgresql", "/home/ben", "/data/deep"]
    assert found.blind_bytes == 990 * MB


def test_a_paused_config_backs_nothing_up_and_is_named(host: Host) -> None:
    protect(host, "/srv", "/home/ann/mail")
    config = configs.get(hosts.uses(host.id).configs[0].id)
    assert (covers(host)["/srv"], covers(host)["/home/ann"]) == ("whole", "partly")
    configs.set_enabled(config.id, False)
    found = host_map.last(hosts.get(host.id))
    assert found is not None
    told = {spot.path: (spot.cover, spot.covered_by, spot.paused) for spot in found.spots}
    assert told["/srv"] == told["/home/ann"] == ("none", [], [config.name])
    assert told["/etc"] == ("none", [], [])


def test_a_config_of_one_file_system_stays_on_those_of_its_paths(host: Host) -> None:
    with write() as session:
        paths = {"/data": "disk", "/data/deep": "disk", "/data/ann": "home", "/data/db": "database"}
        spots = [{"path": path, "kind": kind, "size_bytes": 20 * MB} for path, kind in paths.items()]
        spots[-1]["mount"] = True  # of a kind that matters more than that it is a disk
        session.get_one(Host, host.id).blind_spots = {"spots": spots}
    protect(host, "/data", one_file_system=True)
    assert covers(host) == {
        "/data": "whole", "/data/ann": "whole", "/data/deep": "none", "/data/db": "none",
    }  # fmt: skip
    protect(host, "/data/deep/a", one_file_system=True)
    assert covers(host)["/data/deep"] == "partly"
    protect(host, "/", one_file_system=True)
    assert covers(host)["/data/deep"] == "partly"
    protect(host, "/data/db", one_file_system=True)
    assert covers(host)["/data/db"] == "partly", "its files change while they are copied"


@pytest.mark.parametrize(
    ("chosen", "cover"),
    [
        ({}, "whole"),
        ({"which": "chosen", "databases": ["shop"]}, "partly"),
        ({"which": "all", "exclude": ["shop"]}, "partly"),
    ],
)
def test_databases_that_were_chosen_are_a_part_of_all(chosen: dict[str, Any], cover: str) -> None:
    source = {"host_id": "1", "host": "", **chosen}
    config = Config(name="Shop", type="database", source=source, enabled=True)
    found = host_map.held_against(FOUND, [config], set())
    assert {spot.path: spot.cover for spot in found.spots}["/var/lib/postgresql"] == cover


def test_what_is_in_another_blind_spot_is_counted_once(host: Host) -> None:
    with write() as session:
        spots = [
            {"path": "/srv", "kind": "folder", "size_bytes": 400 * MB},
            {"path": "/srv/a", "kind": "disk", "size_bytes": 300 * MB},
        ]
        session.get_one(Host, host.id).blind_spots = {"spots": spots}
    found = host_map.last(hosts.get(host.id))
    assert found is not None
    assert found.blind_bytes == 400 * MB


def test_a_place_is_left_out_on_purpose_until_it_is_taken_back(host: Host) -> None:
    host_map.leave_out(host.id, ["/srv", "/not/known"])
    assert covers(host)["/srv"] == "left out"
    protect(host, "/srv")
    assert covers(host)["/srv"] == "whole", "a backup counts more"
    host_map.leave_out(host.id, ["/srv"], on_purpose=False)
    with pytest.raises(Invalid):
        host_map.leave_out(host.id, [])
    with pytest.raises(Invalid):
        host_map.leave_out(host.id, ["/not/known"])


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only some places be measured: the machine that tests may have very many files."""
    true_places = survey._places

    def places(*facts: Any) -> list[tuple[str, survey.PlaceKind]]:
        return [
            place for place in true_places(*facts) if place[0] in ("/etc", "/proc", "/usr", "/var/spool/cron")
        ]

    monkeypatch.setattr(survey, "_places", places)
    monkeypatch.setattr(survey.survey_data, "find", lambda machine: survey_data.Data({}))


@pytest.mark.usefixtures("few")
def test_a_real_host_is_looked_at(context: Flask, sshd: Sshd) -> None:
    host = make_host(sshd)
    found = host_map.look(host.id)
    by_path = {spot.path: spot for spot in found.spots}
    assert (by_path["/etc"].kind, by_path["/etc"].cover) == ("config", "none")
    assert (by_path["/etc"].size_bytes or 0) > 100_000
    assert not {"/proc", "/usr"} & set(by_path)
    host_map.leave_out(host.id, ["/etc"])
    again = host_map.look(host.id)
    assert [spot.path for spot in again.of("left out")] == ["/etc"], "that is remembered"


@pytest.mark.usefixtures("few")
def test_busybox_is_looked_at_too_and_what_took_too_long_is_not_measured(
    context: Flask, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = start_busybox(tmp_path_factory.mktemp("busybox"))
    try:
        host = SshHost(host_login.settings_of(make_host(server, "box")))
        measured = {each.path: each for each in survey.survey(host).found}
        unmeasured = {each.path: each for each in survey.survey(host, 0).found}
        host.close()
    finally:
        stop_sshd(server)
    assert (measured["/etc"].size_bytes or 0) > 100_000
    assert unmeasured["/etc"].size_bytes is None


@pytest.mark.usefixtures("few")
def test_this_machine_is_looked_at_in_the_same_way(context: Flask, tmp_path: Path, sshd: Sshd) -> None:
    make_storage(tmp_path)
    protect(make_host(sshd), "/etc")
    found = here_map.look()
    assert [(spot.path, spot.cover) for spot in found.spots] == [("/etc", "none")], "that one is of a host"
    configs.create(configs.ConfigInput(name="Here", source={"paths": ["/etc"]}))
    assert [(spot.path, spot.cover) for spot in here_map.look().spots] == [("/etc", "whole")]


def test_disks_homes_and_databases_are_known() -> None:
    mounts = (
        "/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n"
        "/dev/sdb1 /data\\040of\\040all xfs rw 0 0\nnas:/x /mnt/nas nfs4 rw 0 0\n"
        "/dev/sda2 /boot/efi vfat rw 0 0\n"
        "overlay /var/lib/docker/overlay2/x ext4 rw 0 0\n"
    )
    users = (
        "root:x:0:0::/root:/bin/sh\nbin:x:2:2::/bin:/sbin/nologin\nann:x:1000:1000::/data/ann:/bin/sh\nbroken\n"
        "nobody:x:65534:65534::/nonexistent:/sbin/nologin\n"
    )
    folders = [
        "/srv",
        "/usr",
        "/var",
        "/home/ben",
        "/var/lib/postgresql",
        "/var/lib/app",
        "/var/lib/dpkg",
        "/mnt/nas",
    ]
    found = dict(survey._places(mounts, users, folders))
    assert {path: kind for path, kind in found.items() if kind not in ("config", "volumes")} == {
        "/var/lib/postgresql": "database", "/root": "home", "/data/ann": "home", "/home/ben": "home",
        "/data of all": "disk", "/mnt/nas": "network", "/srv": "folder", "/var/lib/app": "folder",
    }  # fmt: skip


def test_a_login_without_programs_cannot_look_around(context: Flask, sshd: Sshd) -> None:
    host = make_host(sshd, private_key=sshd.sftp_only_key.read_text())
    with pytest.raises(Unreachable, match="runs no programs"):
        host_map.look(host.id)
    assert hosts.get(host.id).mapped_at is None


def make_data(folder: Path) -> tuple[Path, Path]:
    """Make volumes of containers with databases, and a folder with a database of SQLite."""
    for volume, file in (("shop", "PG_VERSION"), ("blog", "ibdata1"), ("other", "notes")):
        (folder / "volumes" / volume / "_data").mkdir(parents=True)
        (folder / "volumes" / volume / "_data" / file).write_text("15")
    app = folder / "srv" / "an app\n"
    (app / ".cache").mkdir(parents=True)
    for place in (app / "app.db", app / ".cache" / "cached.db"):
        with sqlite3.connect(place) as database:
            database.execute(
                "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                " LIMIT 3000) SELECT i, hex(randomblob(8)) FROM n"
            )
        database.close()
    (app / "no.db").write_bytes(b"x" * 20_000)
    return folder / "volumes", folder / "srv"


@pytest.mark.parametrize("shell", ["sh", "busybox"])
def test_data_of_databases_is_known_by_what_is_in_it(tmp_path: Path, shell: str) -> None:
    volumes, top = make_data(tmp_path)
    found = survey_data.find(_Machine(tmp_path, shell), [str(volumes), "/nowhere"], [str(top), "/nowhere"])
    assert not found.cut
    assert found.engines == {
        f"{volumes}/shop/_data": "PostgreSQL", f"{volumes}/blog/_data": "MySQL or MariaDB",
        f"{top}/an app\n/app.db": "SQLite",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "instead"),
    [(b"timeout 10 find", b"sh -c 'exit 124' find"), (b"command -v timeout", b"false"), (b"", b"")],
)
def test_a_search_that_was_cut_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: bytes, instead: bytes
) -> None:
    volumes, top = make_data(tmp_path)
    monkeypatch.setattr(survey_data, "_MOST", 2)
    monkeypatch.setattr(survey_data, "_SCRIPT", survey_data._SCRIPT.replace(words, instead))
    found = survey_data.find(_Machine(tmp_path, "sh"), [str(volumes), "/nowhere"], [str(top)])
    assert (len(found.engines), found.cut) == (2, True)


@pytest.mark.usefixtures("few")
def test_a_map_that_was_cut_stays_so(context: Flask, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host(sshd)
    assert not host_map.look(host.id).cut
    monkeypatch.setattr(survey.survey_data, "find", lambda machine: survey_data.Data({}, cut=True))
    assert host_map.look(host.id).cut
    assert (kept := host_map.last(hosts.get(host.id))) is not None
    assert kept.cut


class _Machine(Here):
    """This machine, with its own tools or those of BusyBox."""

    def __init__(self, folder: Path, shell: str) -> None:
        self._tools = str(folder / "tools") if shell == "busybox" else "/usr/bin:/bin"
        if shell == "busybox":
            (folder / "tools").mkdir()
            subprocess.run(["busybox", "--install", "-s", self._tools], check=True)

    def run(self, command: Sequence[bytes], stdin: bytes = b"") -> Output:
        return super().run([b"env", b"PATH=" + self._tools.encode(), *command], stdin)


@pytest.mark.parametrize(
    ("engine", "words", "dumped"),
    [
        ("MySQL or MariaDB", "change while they are copied: let MySQL or MariaDB dump it", False),
        ("PostgreSQL", "a config of type database dumps it", True),
    ],
)
def test_whose_data_it_is_and_what_helps_is_told(engine: str, words: str, dumped: bool) -> None:
    spot = {"path": "/var/lib/x", "kind": "database", "size_bytes": 5 * MB, "engine": engine}
    files = Config(name="Files", type="files", source={"paths": ["/var"]}, enabled=True)
    (found,) = host_map.held_against([spot], [files], set()).spots
    assert (found.cover, words in found.what, found.is_dumped_here) == ("partly", True, dumped)
    if dumped:
        assert host_map.chosen([spot], ["/var/lib/x"]) == ([], ["/var/lib/x"])
        return
    with pytest.raises(Invalid, match="Let MySQL or MariaDB dump"):
        host_map.chosen([spot], ["/var/lib/x"])


def test_a_server_here_is_not_taken_for_that_of_a_container() -> None:
    path = "/var/lib/docker/volumes/x/_data/postgresql"
    spot = {"path": path, "kind": "database", "size_bytes": 5 * MB, "engine": "PostgreSQL"}
    dumps = Config(name="Dumps", type="database", source={"host": "localhost"}, enabled=True)
    assert [each.cover for each in host_map.held_against([spot], [dumps], set()).spots] == ["none"]


def test_the_map_of_this_machine_is_kept(context: Flask, tmp_path: Path, few: None) -> None:
    make_storage(tmp_path)
    assert here_map.last() is None
    here_map.look()
    assert covers_here() == {"/etc": "none"}
    here_map.leave_out(["/etc"])
    here_map.look()
    assert covers_here() == {"/etc": "left out"}, "that is remembered"
    configs.create(configs.ConfigInput(name="Here", source={"paths": ["/etc"]}))
    assert covers_here() == {"/etc": "whole"}
    with pytest.raises(Invalid):
        here_map.leave_out(["/not/known"])
    assert here_map.to_protect(["/etc", "/not/known"]) == (["/etc"], [])


def covers_here() -> dict[str, str]:
    found = here_map.last()
    assert found is not None
    return {spot.path: spot.cover for spot in found.map.spots}
