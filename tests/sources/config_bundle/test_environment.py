"""The document of the environment, on this machine and on one made of a few files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from sources.config_bundle.environment import (
    MASK,
    EnvironmentOptions,
    encode,
    gather,
    parse_packages,
    without_secrets,
)
from sources.config_bundle.machine import ThisMachine
from sources.config_bundle.offers import find_offers
from sources.config_bundle.secret_values import is_secret
from sources.config_bundle.units import enabled_services, read_unit
from tests.conftest import need_program

NO_LISTS = {"packages": False, "services": False}


def write(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_variables_and_etc_environment_are_in_it(tmp_path: Path) -> None:
    write(tmp_path, "etc/environment", '# c\nPATH="/bin:/x"\nexport LANG=de\nNOTHING\nEMPTY=\n')
    options = EnvironmentOptions({"B": "2", "A": "ü\udcff", "GONE": None}, **NO_LISTS)
    document = gather(options, "host", ThisMachine(str(tmp_path)))
    assert document["variables"] == {"A": "ü\udcff", "B": "2"}
    assert document["etc_environment"] == {"PATH": "/bin:/x", "LANG": "de", "EMPTY": ""}
    assert document["absent"] == ["/etc/os-release", "variable GONE"]
    assert document["missing"] == []
    assert json.loads(encode(document)) == document


def test_the_same_environment_gives_the_same_bytes(tmp_path: Path) -> None:
    left = gather(EnvironmentOptions({"A": "1", "B": "2"}), "host")
    right = gather(EnvironmentOptions({"B": "2", "A": "1"}), "host")
    assert encode(left) == encode(right)


def test_the_packages_are_those_that_the_package_manager_lists() -> None:
    need_program("dpkg-query")
    packages = gather(EnvironmentOptions(), "host")["packages"]
    told = subprocess.check_output(["dpkg-query", "-W", "-f", "${Version}", "dpkg"], text=True)
    assert packages["manager"] == "dpkg-query"
    assert [row[1] for row in packages["installed"] if row[0] == "dpkg"] == [told]
    assert packages["installed"] == sorted(packages["installed"])


def test_other_package_managers_lists_are_understood() -> None:
    """As rpm 4.18 and apk 2.14 write them; they are not installed here."""
    rpm = ["zlib\t0:1.2.11-40.el9\tx86_64\tinstalled", "bash\t0:5.1.8-9.el9\tx86_64\tinstalled"]
    assert parse_packages("rpm", rpm)[0] == ["bash", "0:5.1.8-9.el9", "x86_64"]
    apk = ["busybox-binsh-1.36.1-r15 x86_64 {busybox} (GPL-2.0-only) [installed]"]
    assert parse_packages("apk", apk) == [["busybox-binsh", "1.36.1-r15", "x86_64"]]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "etc" / "environment").mkdir(parents=True)
    document = gather(EnvironmentOptions(**NO_LISTS), "host", ThisMachine(str(tmp_path)))
    assert document["etc_environment"] is None
    assert [text.partition(": ")[2] for text in document["missing"]] == ["Is a directory"]


def test_services_are_listed_without_a_running_systemd() -> None:
    need_program("systemctl")
    services = gather(EnvironmentOptions(packages=False), "host")["services_enabled"]
    assert services == sorted(services)
    assert all("." in name for name in services)


def test_units_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    write(
        tmp_path,
        "usr/lib/systemd/system/app@.service",
        "[Unit]\nEnvironment=NOT=here\n[Service]\nEnvironment=A=1 \"B=two words\" 'C=x=y' \\\n  D=4\n"
        "EnvironmentFile=-/etc/default/app\nExecStart=/bin/true\n",
    )
    write(tmp_path, "usr/lib/systemd/system/app@.service.d/10.conf", "[Service]\nEnvironment=A=hidden\n")
    write(
        tmp_path,
        "etc/systemd/system/app@.service.d/10.conf",
        "[Service]\nEnvironment=A=2\n; Environment=Z=1\n",
    )
    write(tmp_path, "etc/systemd/system/app@one.service.d/20.conf", "[Service]\nEnvironment=E=5\n")
    unit = read_unit("app@one.service", ThisMachine(str(tmp_path)))
    assert unit is not None
    assert unit.environment == {"A": "2", "B": "two words", "C": "x=y", "D": "4", "E": "5"}
    assert unit.environment_files == ["-/etc/default/app"]
    assert unit.files == [
        "/usr/lib/systemd/system/app@.service",
        "/etc/systemd/system/app@.service.d/10.conf",
        "/etc/systemd/system/app@one.service.d/20.conf",
    ]
    write(
        tmp_path, "etc/systemd/system/app@one.service.d/30.conf", "[Service]\nEnvironment=\nEnvironment=F=6\n"
    )
    again = read_unit("app@one.service", ThisMachine(str(tmp_path)))
    assert again is not None
    assert again.environment == {"F": "6"}


def test_a_unit_that_is_missing_or_masked_is_said(tmp_path: Path) -> None:
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    os.symlink("/dev/null", tmp_path / "etc/systemd/system/off.service")
    write(tmp_path, "lib/systemd/system/off.service", "[Service]\nEnvironment=A=1\n")
    document = gather(
        EnvironmentOptions(units=["off.service", "no.service"], **NO_LISTS),
        "host",
        ThisMachine(str(tmp_path)),
    )
    assert document["units"] == {}
    assert [text.partition(":")[0] for text in document["missing"]] == ["unit off.service", "unit no.service"]


def test_enabled_services_are_found_by_their_links(tmp_path: Path) -> None:
    for path in (
        "multi-user.target.wants/b.service",
        "timers.target.wants/a.timer",
        "x.target.requires/b.service",
    ):
        link = tmp_path / "etc/systemd/system" / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("/lib/systemd/system/x")
    assert enabled_services(ThisMachine(str(tmp_path))) == ["a.timer", "b.service"]


@pytest.mark.parametrize("secrets", ["mask", "leave_out"])
def test_secrets_are_not_kept_and_it_says_which(tmp_path: Path, secrets: str) -> None:
    write(tmp_path, "etc/environment", "API_TOKEN=s3cret-1\nLANG=de\n")
    write(
        tmp_path,
        "etc/systemd/system/a.service",
        "[Service]\nEnvironment=URL=postgresql://u:s3cret-2@h/x PLAIN=1\n",
    )
    options = EnvironmentOptions(
        {"DB_PASSWORD": "s3cret-3", "HOME": "/root"}, ["a.service"], secrets=secrets, **NO_LISTS
    )
    document = gather(options, "host", ThisMachine(str(tmp_path)))
    assert b"s3cret" not in encode(document)
    assert document["secrets_not_kept"] == [
        "etc_environment.API_TOKEN",
        "units.a.service.URL",
        "variables.DB_PASSWORD",
    ]
    shown = {"DB_PASSWORD": MASK, "HOME": "/root"} if secrets == "mask" else {"HOME": "/root"}
    assert document["variables"] == shown
    assert document["units"]["a.service"]["environment"]["PLAIN"] == "1"


def test_masking_for_a_page_leaves_the_document_as_it_is() -> None:
    document = gather(EnvironmentOptions({"KEY": "s3cret"}, **NO_LISTS), "host")
    assert without_secrets(document, "mask")["variables"] == {"KEY": MASK}
    assert document["variables"] == {"KEY": "s3cret"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PGPASSWORD", "x", True),
        ("BACKUP_ENCRYPTION_KEY", "x", True),
        ("AWS_SECRET_ACCESS_KEY", "x", True),
        ("DSN", "x", True),
        ("ANYTHING", "https://u:p@h/", True),
        ("GH", "ghp_abcdefgh1234", True),
        ("PASSWORD", "", False),
        ("KEYBOARD", "de", False),
        ("AUTHOR", "me", False),
        ("URL", "https://h:80/a@b", False),
        ("PATH", "/usr/bin", False),
    ],
)
def test_what_counts_as_a_secret(name: str, value: str, expected: bool) -> None:
    assert is_secret(name, value) is expected


def test_offers_are_the_places_that_exist(tmp_path: Path) -> None:
    write(tmp_path, "etc/hosts", "")
    write(tmp_path, "opt/shop/compose.yaml", "")
    write(tmp_path, "opt/shop/.env", "")
    write(tmp_path, "opt/shop/readme", "")
    write(tmp_path, "opt/shop/node_modules/x/.env", "")
    write(tmp_path, "home/me/.config/systemd/user/job.timer", "")
    write(tmp_path, "home/me/.cache/docker-compose.yml", "")
    found = {os.path.relpath(offer.path, tmp_path) for offer in find_offers(str(tmp_path))}
    assert found == {
        "etc",
        "opt/shop/compose.yaml",
        "opt/shop/.env",
        "home/me/.config/systemd/user/job.timer",
    }
