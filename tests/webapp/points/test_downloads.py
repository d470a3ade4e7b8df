"""A damaged pack cuts the connection of a download under way: a client sees that it has not got it all."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Error as PlaywrightError

from core.access import sessions, users
from core.points.tokens import token_from_path
from tests.conftest import need_program
from tests.e2e import walk
from tests.ports import free_port
from tests.webapp.conftest import As
from tests.webapp.world import World, environ
from webapp.access import access

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="module")
def damaged(world: World) -> World:
    """Flip one byte far behind the first chunk of the big file."""
    packs = [
        path for path in (world.folder / "backups").rglob("*") if path.is_file() and "data" in path.parts
    ]
    pack = max(packs, key=lambda path: path.stat().st_size)
    pack.chmod(0o600)
    with open(pack, "r+b") as file:
        file.seek(int(pack.stat().st_size * 0.7))  # a chunk has at most 8 of the 12 MB
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    return world


@pytest.fixture(scope="module")
def server(damaged: World) -> Iterator[int]:
    """Run the app in gunicorn, as `make run` does, and return its port."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "-c",
               "python:jobs.gunicorn_conf", "--threads", "4", "--log-level", "critical"]  # fmt: skip
    environment = {**os.environ, **environ(damaged.folder)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(120)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, "gunicorn did not start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("gunicorn did not answer in 120 s")


def fetch(world: World, port: int, url: str) -> bytes:
    """Download as admin; raises IncompleteRead if the connection is cut."""
    with world.app.app_context():
        token = sessions.start(users.find("anna"), "127.0.0.1")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=240)
    try:
        connection.request("GET", url, headers={"Cookie": f"{access.COOKIE}={token}"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return response.read()
    finally:
        connection.close()


def path_of(world: World, name: str) -> str:
    return token_from_path(os.fsencode(world.tree / name))


def test_a_sound_file_beside_the_damage_comes_whole(damaged: World, server: int) -> None:
    url = f"/points/{damaged.point_id}/file?path={path_of(damaged, 'letters/old/first.txt')}"
    assert fetch(damaged, server, url) == b"the first letter\n"


def test_a_damaged_file_is_cut_not_short(damaged: World, server: int) -> None:
    url = f"/points/{damaged.point_id}/file?path={path_of(damaged, 'letters/big.bin')}"
    with pytest.raises(http.client.IncompleteRead) as caught:
        fetch(damaged, server, url)
    assert 0 < len(caught.value.partial) < 12_000_000


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_an_archive_with_a_damaged_file_is_cut_not_short(form: str, damaged: World, server: int) -> None:
    url = f"/points/{damaged.point_id}/archive?path={path_of(damaged, 'letters')}&form={form}"
    with pytest.raises(http.client.IncompleteRead):
        fetch(damaged, server, url)


def admin_cookie(world: World) -> str:
    with world.app.app_context():
        return sessions.start(users.find("anna"), "127.0.0.1")


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_curl_says_that_an_archive_was_cut(form: str, damaged: World, server: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server}/points/{damaged.point_id}/archive?form={form}"
    cookie = f"{access.COOKIE}={admin_cookie(damaged)}"
    command = [need_program("curl"), "-sS", "--fail", "-b", cookie, "-o", str(tmp_path / "got"), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (18, 56), done.stderr  # only a part of it; the connection broke


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_a_browser_says_that_an_archive_was_cut(damaged: World, server: int) -> None:
    here = f"http://127.0.0.1:{server}"
    with walk.chromium(need_program("chromium")) as browser:
        context = browser.new_context()
        context.add_cookies([{"name": access.COOKIE, "value": admin_cookie(damaged), "url": here}])
        page, failed = context.new_page(), {}
        for name in ("letters/old", "letters"):  # the damage is in a file beside the first
            url = f"{here}/points/{damaged.point_id}/archive?path={path_of(damaged, name)}&form=zip"
            with page.expect_download(timeout=walk.PATIENCE_MS) as begun, suppress(PlaywrightError):
                page.goto(url)  # it leads to no page
            failed[name] = begun.value.failure() is not None
    assert failed == {"letters/old": False, "letters": True}


def drain(client: socket.socket) -> None:
    while client.recv(1 << 16):
        pass


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_over_http_1_0_too_a_cut_archive_cannot_pass_for_a_whole_one(
    form: str, damaged: World, server: int
) -> None:
    """There, the end of the connection is the end of the file: only a reset tells them apart."""
    with damaged.app.app_context():
        token = sessions.start(users.find("anna"), "127.0.0.1")
    url = f"/points/{damaged.point_id}/archive?path={path_of(damaged, 'letters')}&form={form}"
    with socket.create_connection(("127.0.0.1", server), timeout=240) as client:
        client.sendall(f"GET {url} HTTP/1.0\r\nHost: x\r\nCookie: {access.COOKIE}={token}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            drain(client)


def test_silent_clients_do_not_stop_the_pages(damaged: World, server: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", server)) for _ in range(8)]
    try:
        for client in silent:
            client.sendall(b"GET /login HTTP/1.1\r\nHost: x\r\n")
        time.sleep(0.5)
        connection = http.client.HTTPConnection("127.0.0.1", server, timeout=240)
        connection.request("GET", "/login")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        for client in silent:
            client.close()


def test_damage_at_the_start_is_a_page_that_says_so(world: World, as_: As) -> None:
    for pack in (world.folder / "backups" / "repository" / "data").rglob("*"):
        if pack.is_file() and pack.stat().st_size > 1_000_000:
            pack.chmod(0o600)
            pack.write_bytes(b"\0" * pack.stat().st_size)
    response = as_("admin").get(f"/points/{world.point_id}/file?path={path_of(world, 'letters/big.bin')}")
    assert response.status_code == 503
    assert "damaged" in response.text
