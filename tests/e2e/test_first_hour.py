"""The main job, whole: from a fresh copy to restored files, through `make run` and a real Chromium."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ssh import host_keys
from tests.conftest import need_program
from tests.core.receivers import http_receiver
from tests.e2e import walk, walk_alerts, walk_database, walk_host, walk_retention, walk_without_js
from tests.e2e.installed import Installed, copy_project
from tests.servers.postgres import Cluster
from tests.servers.sshd import start_sshd, stop_sshd
from tests.waiting import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1500)]

REAL_TREE = "/usr/share"
LICENCE = ("usr", "share", "common-licenses")
COMPARE = ["rsync", "-aHAXn", "--delete", "--checksum", "--modify-window=-1", "--itemize-changes"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def holdfast(home: Path) -> Iterator[Installed]:
    installed = Installed(copy_project(home / "holdfast"))
    installed.start()
    yield installed
    installed.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with walk.chromium(need_program("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def own_tree(home: Path) -> Path:
    """A small tree beside the real one, with what /usr/share may lack."""
    tree = home / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "über straße.txt").write_text("grüße\n")
    os.link(tree / "deep/er/über straße.txt", tree / "hard link")
    with (tree / "sparse").open("wb") as file:
        file.write(os.urandom(4096))
        file.truncate(32 << 20)
        file.seek(40 << 20)
        file.write(b"end")
    os.mkfifo(tree / "fifo")
    os.utime(tree / "hard link", ns=(1, 1_600_000_000_123_456_789))
    return tree


def differences(source: str, restored: Path) -> str:
    done = subprocess.run(
        [*COMPARE, f"{source}/", f"{restored}/"], capture_output=True, text=True, check=True
    )
    return done.stdout


def blocks(tree: Path) -> int:
    return sum(
        (Path(folder) / name).lstat().st_blocks for folder, _, names in os.walk(tree) for name in names
    )


def restic(repository: Path, key: str, *arguments: str) -> str:
    command = [need_program("restic"), "--no-cache", "-r", str(repository), *arguments]
    done = subprocess.run(
        command, env={**os.environ, "RESTIC_PASSWORD": key}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_a_fresh_copy_to_restored_files(
    holdfast: Installed, page: Page, home: Path, own_tree: Path
) -> None:
    storage = home / "backups"
    key = walk.set_up(page, holdfast.setup_link(), storage)
    walk.first_config(page, "Shared files", [REAL_TREE, str(own_tree)])
    seen = walk.watch_job(page)
    moving = [share for share in seen if 0 < share < 100]
    assert moving == sorted(moving), "the bar never goes back"
    assert len(moving) >= 2, f"progress was seen moving: {seen}"
    expect(page.locator("[id$=-progress]").first).to_contain_text("Completed")

    page.goto(f"{holdfast.url}/points")
    page.locator("a[href^='/points/']").first.click()
    download_a_licence(page)
    restored = restore_everything(page, home / "restored")
    for source in (REAL_TREE, str(own_tree)):
        assert differences(source, Path(f"{restored}{source}")) == ""
    assert blocks(Path(f"{restored}{own_tree}")) <= 1.1 * blocks(own_tree)

    agrees_with_restic(storage / "repository", key, home, own_tree)


def download_a_licence(page: Page) -> None:
    walk.open_folder(page, *LICENCE)
    with page.expect_download() as download:
        page.get_by_title("Download Apache-2.0").click()
    assert Path(download.value.path()).read_bytes() == Path("/", *LICENCE, "Apache-2.0").read_bytes()


def restore_everything(page: Page, target: Path) -> Path:
    page.get_by_role("link", name="Restore all of it").click()
    page.get_by_role("link", name="Next: where to").click()
    page.get_by_label("Folder on this machine").fill(str(target))
    page.get_by_role("link", name="Next: check").click()
    expect(page.locator("#restore-check")).to_contain_text("It can go there")
    page.get_by_role("button", name="Restore", exact=False).click()
    walk.watch_job(page)
    expect(page.locator("[id$=-progress]").first).to_contain_text("Completed")
    return target


def agrees_with_restic(repository: Path, key: str, home: Path, own_tree: Path) -> None:
    assert "no errors were found" in restic(repository, key, "check", "--read-data")
    restic(repository, key, "restore", "latest", "--target", str(home / "by-restic"))
    assert differences(REAL_TREE, Path(f"{home}/by-restic{REAL_TREE}")) == ""
    on_top = restic(repository, key, "backup", REAL_TREE, str(own_tree))
    assert "Files:           0 new,     0 changed" in on_top


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of all processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended while we looked
    return found


def test_ctrl_c_stops_all_and_a_new_start_asks_nothing(holdfast: Installed, page: Page, home: Path) -> None:
    assert holdfast.stop() in (0, 2, 130, -signal.SIGINT), "what make says after an interrupt"
    wait_for(lambda: processes_in(holdfast.folder) == [])
    assert list((home / "backups/repository/locks").glob("*")) == []
    holdfast.start()
    assert not [line for line in holdfast.lines if "/setup?token=" in line]
    page.goto(holdfast.url)
    expect(page.get_by_role("heading", level=1)).to_contain_text("protected")
    status = holdfast.flask("backup", "status")
    assert status.returncode == 0, status.stdout + status.stderr
    assert "Shared files" in status.stdout


def test_the_words_beside_a_form_never_stay_behind(holdfast: Installed, page: Page) -> None:
    """A field is changed at the very moment when the words are renewed for the change before."""
    page.goto(f"{holdfast.url}/configs/new")
    page.evaluate(
        """() => document.body.addEventListener("htmx:beforeSwap", (event) => {
            if (event.detail.target.id !== "config-summary") return;
            const paths = document.querySelector("[name=paths]");
            paths.value = "/srv/changed-late";
            paths.dispatchEvent(new Event("change", {bubbles: true}));
        }, {once: true})"""
    )
    page.get_by_label("Folders and files").fill("/srv/changed-early")
    expect(page.locator("#config-summary")).to_contain_text("/srv/changed-late")


def test_a_second_copy_on_another_disk(holdfast: Installed, page: Page, home: Path, own_tree: Path) -> None:
    walk.add_disk(page, holdfast.url, "Second disk", home / "second")
    page.goto(f"{holdfast.url}/configs/new")
    walk.first_config(page, "Notes", [str(own_tree)])
    walk.watch_job(page)
    walk.copy_to(page, "Second disk")
    walk.sync(page)
    page.get_by_role("link", name="Look inside").click()
    page.get_by_label("Read from").select_option(label="Second disk")
    page.get_by_role("button", name="Read this copy").click()
    expect(page.get_by_role("main")).to_contain_text("the copy on Second disk")
    expect(page.get_by_role("main")).to_contain_text("sparse")


def test_all_of_it_works_without_javascript(
    holdfast: Installed, browser: Browser, page: Page, home: Path
) -> None:
    """Log in, make a config, back up, look into the point, download, restore: with forms and links alone."""
    diary = home / "papers" / "diary"
    diary.mkdir(parents=True)
    (diary / "monday.txt").write_text("Rain.\n")
    with browser.new_context(java_script_enabled=False, accept_downloads=True) as context:
        got = walk_without_js.walk(context.new_page(), holdfast.url, home / "papers", home / "papers again")
    assert got == b"Rain.\n"
    assert Path(f"{home}/papers again{diary}/monday.txt").read_bytes() == got


def test_a_database_comes_back_with_its_rows_proven(
    holdfast: Installed, page: Page, postgres: Cluster
) -> None:
    shop = postgres.create("Läden & <1>", "CREATE TABLE articles AS SELECT generate_series(1, 1234) AS id")
    walk_database.make_config(page, holdfast.url, "Web shop", postgres.tcp, shop)
    walk.watch_job(page)
    expect(page.locator("[id$=-progress]").first).to_contain_text("Completed")
    walk_database.restore_newest(page, to=f"{shop} again")
    walk.watch_job(page)
    expect(page.locator("[id$=-progress]").first).to_contain_text("Completed")
    assert walk_database.rows_of(page, "public.articles") == ["public.articles", "1,234", "1,234", "equal"]
    assert postgres.ask("SELECT count(*), sum(id) FROM articles", f"{shop} again") == [(1234, 761995)]


def test_a_host_is_added_backed_up_and_gets_a_file_back(
    holdfast: Installed, page: Page, home: Path, own_tree: Path
) -> None:
    (home / "sshd").mkdir()
    sshd = start_sshd(home / "sshd")
    try:
        line = walk_host.add_host(page, holdfast.url, "web1", sshd.server())
        with (home / "sshd" / "authorized_keys").open("a") as file:
            file.write(f"{line}\n")
        walk_host.confirm_key(page, host_keys.parse(sshd.host_key_lines[0]).fingerprint)
        walk_host.back_up_folder(page, own_tree)
        walk.watch_job(page)
        expect(page.locator("[id$=-progress]").first).to_contain_text("Completed")
        page.get_by_role("link", name="Look inside").first.click()
        walk_host.restore_file(page, "hard link", home / "back on the host")
        walk.watch_job(page)
        expect(page.locator("[id$=-progress]").first).to_contain_text("Completed")
    finally:
        stop_sshd(sshd)
    back = Path(f"{home}/back on the host{own_tree}/hard link")
    assert back.read_text() == (own_tree / "hard link").read_text()
    assert back.stat().st_mtime_ns == (own_tree / "hard link").stat().st_mtime_ns


def test_alerts_reach_a_channel_and_are_acknowledged(holdfast: Installed, page: Page, home: Path) -> None:
    """A real failure is told within seconds, seen by a person, and over once its cause is gone."""
    post, away = home / "post", home / "away"
    post.mkdir()
    for name in ("Anna", "Bert"):
        (post / name).write_text(f"Dear {name}\n")
    page.goto(f"{holdfast.url}/configs/new")
    walk.first_config(page, "Post", [str(post)])
    walk.watch_job(page)
    with http_receiver() as receiver:
        walk_alerts.add_webhook(page, holdfast.url, "Chat", receiver.url)
        post.rename(away)
        walk_alerts.back_up_again(page, holdfast.url, "Post", "does not exist")
        receiver.wait_for("alert.opened")
        walk_alerts.acknowledge(page, holdfast.url, "The backup of Post failed")
        away.rename(post)
        walk_alerts.back_up_again(page, holdfast.url, "Post", "Completed")
        receiver.wait_for("alert.resolved")
    assert receiver.events == ["test", "alert.opened", "alert.resolved"]


def test_points_are_pinned_thrown_away_and_had_back(holdfast: Installed, page: Page, home: Path) -> None:
    """A rule is changed with its preview in sight; what it removes comes back; then all is paused."""
    diary = home / "diary"
    diary.mkdir()
    for name in ("Monday", "Tuesday"):
        (diary / name).write_text(f"Dear diary, it is {name}\n")
    page.goto(f"{holdfast.url}/configs/new")
    walk.first_config(page, "Diary", [str(diary)])
    walk.watch_job(page)
    for _ in range(2):
        walk_alerts.back_up_again(page, holdfast.url, "Diary", "Completed")
    walk_retention.wait_for_clean_up(page, holdfast.url, "Diary")
    walk_retention.keep_only(page, holdfast.url, "Diary", 1, "2 points of 3 would go to the trash")
    expect(page.locator("#removal")).to_contain_text("The brake holds")
    walk_retention.pin_oldest(page, "before the move")
    walk_retention.open_config(page, holdfast.url, "Diary")
    expect(page.locator("#points-table")).to_contain_text("pinned by anna: before the move")
    walk_retention.move_to_trash(page)
    walk_retention.take_out(page, holdfast.url)
    walk_retention.open_config(page, holdfast.url, "Diary")
    expect(page.locator("#points-table")).to_contain_text("pinned by anna: taken out of the trash")
    walk_retention.pause_and_resume(page, holdfast.url, "a new disk")


def test_a_taken_port_is_named(holdfast: Installed) -> None:
    done = subprocess.run(
        ["make", "run"], cwd=holdfast.folder, text=True, capture_output=True, check=False,
        env={**os.environ, "PORT": str(holdfast.port), "HOLDFAST_DATA_DIR": str(holdfast.folder / "other")},
    )  # fmt: skip
    assert done.returncode != 0
    assert str(holdfast.port) in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
