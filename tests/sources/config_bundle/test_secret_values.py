"""Which lines of a file are shown, and what of them."""

from __future__ import annotations

import pytest

from sources.config_bundle.secret_values import MASK, is_secret_file, masked


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("DB_PASSWORD=hunter2", f"DB_PASSWORD={MASK}"),
        ("  export API_KEY = 'x y'", f"  export API_KEY = {MASK}"),
        ("      - POSTGRES_PASSWORD=hunter2", f"      - POSTGRES_PASSWORD={MASK}"),
        ("db_pass: hunter2  # prod", f"db_pass: {MASK}"),
        ('  "apiKey": "abc",', f'  "apiKey": {MASK}'),
        ("#old_password = hunter1", f"#old_password = {MASK}"),
        ("requirepass hunter2", f"requirepass {MASK}"),
        ("<password>hunter2</password>", f"<password>{MASK}"),
        ("url = postgres://shop:hunter2@db/shop", f"url = {MASK}"),
        ("connect postgres://shop:hunter2@db/shop now", f"connect {MASK}"),
        ("PasswordAuthentication no", "PasswordAuthentication no"),
        ("listen 80;", "listen 80;"),
        ("root:x:0:0:root:/root:/bin/bash", "root:x:0:0:root:/root:/bin/bash"),
        ("", ""),
        ("# passwords are kept elsewhere", "# passwords are kept elsewhere"),
    ],
)
def test_a_line_shows_no_secret(line: str, shown: str) -> None:
    assert masked("/etc/app.conf", [line]) == [shown]


def test_a_private_key_is_hidden_wherever_it_stands() -> None:
    lines = [
        "tls:",
        "  -----BEGIN RSA PRIVATE KEY-----",
        "  MIIEabc",
        "  def==",
        "  -----END RSA PRIVATE KEY-----",
        "x: 1",
    ]
    assert masked("/etc/app.yml", lines) == [lines[0], lines[1], MASK, MASK, lines[4], "x: 1"]


def test_a_key_that_ends_on_its_line_hides_nothing_after_it() -> None:
    lines = ["k: -----BEGIN PRIVATE KEY-----MII-----END PRIVATE KEY-----", "port: 80"]
    assert masked("/etc/app.yml", lines) == [f"k: {MASK}", "port: 80"]


def test_in_a_secret_file_every_value_is_one() -> None:
    lines = ["# the shop", "HOST=db.example.org", "DEBUG=true", "just-a-token", "#TOKEN=old"]
    assert masked("/srv/shop/.env", lines) == [
        "# the shop",
        f"HOST={MASK}",
        "DEBUG=true",
        MASK,
        f"#TOKEN={MASK}",
    ]


@pytest.mark.parametrize(
    "path", ["/srv/.env", "/x/prod.env", "/root/.ssh/id_rsa", "/etc/shadow-", "/etc/ssl/private/a"]
)
def test_a_secret_file_is_known_by_its_name(path: str) -> None:
    assert is_secret_file(path)


@pytest.mark.parametrize(
    "path", ["/etc/hosts", "/etc/ssl/certs/a.crt", "/srv/environment", "/srv/etc/shadow"]
)
def test_others_are_not(path: str) -> None:
    assert not is_secret_file(path)
