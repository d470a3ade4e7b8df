"""Looking into points, with and without JavaScript, and downloading from them."""

from __future__ import annotations

import io
import os
import re
import tarfile
import zipfile
from zoneinfo import ZoneInfo

from core.db import write
from core.models import Config
from core.points import points
from core.points.tokens import token_from_path
from tests.webapp.conftest import As
from tests.webapp.html import parse
from tests.webapp.world import NASTY, World


def token(world: World, name: bytes = b"") -> str:
    return token_from_path(os.fsencode(world.tree) + (b"/" + name if name else b""))


def test_a_point_opens_at_what_was_backed_up(world: World, as_: As) -> None:
    page = as_("viewer").get(f"/points/{world.point_id}").text
    assert "letters" in page
    assert "first.txt" not in page


def test_a_folder_opens_in_place_and_by_a_plain_link(world: World, as_: As) -> None:
    browser = as_("viewer")
    page = browser.get(f"/points/{world.point_id}").text
    here = token(world, b"letters")
    assert f'hx-get="/points/{world.point_id}/folder?path={here}"' in page
    assert f'href="/points/{world.point_id}?path={here}"' in page
    for url in (f"/points/{world.point_id}/folder?path={here}", f"/points/{world.point_id}?path={here}"):
        assert "big.bin" in browser.get(url).text
    assert "big.bin" not in page


def test_the_way_back_up_is_linked_to_the_root(world: World, as_: As) -> None:
    page = as_("viewer").get(f"/points/{world.point_id}?path={token(world, b'letters')}").text
    names = [link.text for link in parse(page).iter("a") if "?path=" in link.get("href", "")]
    assert names[0] == "/"
    assert "letters" in names


def test_a_path_that_is_none_is_not_found(world: World, as_: As) -> None:
    browser = as_("admin")
    for path in ("%21%21", "L2EvLi4vYg", token(world, b"not-there")):
        assert browser.get(f"/points/{world.point_id}?path={path}").status_code == 404
        assert browser.get(f"/points/{world.point_id}/file?path={path}").status_code == 404


def test_a_file_downloads_whole_under_its_name(world: World, as_: As) -> None:
    with as_("admin").get(
        f"/points/{world.point_id}/file?path={token(world, b'letters/big.bin')}"
    ) as response:
        data = response.get_data()
        assert data == (world.tree / "letters" / "big.bin").read_bytes()
        assert response.headers["Content-Length"] == str(len(data))
        assert response.headers["Content-Disposition"].startswith('attachment; filename="big.bin"')
        assert response.mimetype == "application/octet-stream"


def test_odd_names_survive_the_download_header(world: World, as_: As) -> None:
    browser = as_("admin")
    with browser.get(f"/points/{world.point_id}/file?path={token(world, NASTY.encode())}") as response:
        header = response.headers["Content-Disposition"]
        assert response.get_data() == b"nasty\n"
    assert "\n" not in header
    assert re.search(r"filename=\"[^\"]*\"; filename\*=UTF-8''[!-~]+$", header)
    latin = token(world, b"latin-\xe9.txt")
    with browser.get(f"/points/{world.point_id}/file?path={latin}") as response:
        assert response.get_data() == b"not UTF-8\n"


def test_a_folder_is_no_file(world: World, as_: As) -> None:
    assert (
        as_("admin").get(f"/points/{world.point_id}/file?path={token(world, b'letters')}").status_code == 404
    )


def test_a_folder_downloads_as_tar_and_as_zip(world: World, as_: As) -> None:
    browser, here = as_("admin"), token(world, b"letters")
    with browser.get(f"/points/{world.point_id}/archive?path={here}&form=tar") as response:
        with tarfile.open(fileobj=io.BytesIO(response.get_data())) as archive:
            files = {os.path.basename(member.name) for member in archive if member.isfile()}
        assert files == {"first.txt", "big.bin"}
    with browser.get(f"/points/{world.point_id}/archive?path={here}&form=zip") as response:
        archive = zipfile.ZipFile(io.BytesIO(response.get_data()))
    assert archive.testzip() is None
    assert {name.rpartition("/")[2] for name in archive.namelist()} - {""} == {"first.txt", "big.bin"}


def test_the_time_axis_links_each_point(world: World, as_: As) -> None:
    browser = as_("viewer")
    page = browser.get(f"/configs/{world.config_id}").text
    dots = re.findall(r'<a id="dot-(\d+)" href="/points/\1"', page)
    assert len(dots) == 2
    assert "Look inside" in browser.fragment(f"/points/{dots[0]}/card").text


def test_points_of_a_deleted_config_stay_in_sight(world: World, as_: As) -> None:
    browser = as_("viewer")
    assert browser.get("/configs").text.count("Deleted") >= 1
    assert browser.get(f"/points?config={world.config_id}").text.count('href="/points/') >= 2
    assert "Deleted (deleted)</option>" in browser.get("/points").text


def test_all_times_of_a_page_are_in_the_zone_of_its_config(world: World, as_: As) -> None:
    with world.app.app_context(), write() as session:
        session.get_one(Config, world.config_id).timezone = "Asia/Kolkata"
    browser, point = as_("viewer"), f"/points/{world.point_id}"
    for url in (f"/configs/{world.config_id}", point, f"{point}/card", f"/jobs/{world.job_id}"):
        page = browser.get(url).text
        assert set(re.findall(r"\d\d:\d\d:\d\d ([A-Z]+)", page)) == {"IST"}, url
    assert "Time (Asia/Kolkata)" in page
    browse = browser.get(point).text
    assert "Changed (Asia/Kolkata)" in browse
    with world.app.app_context():
        local = points.get(world.point_id).taken_at.astimezone(ZoneInfo("Asia/Kolkata"))
    assert local.strftime("%Y-%m-%d %H:%M:%S IST") in browse
    elsewhere = browser.get("/points").text
    assert set(re.findall(r"\d\d:\d\d:\d\d ([A-Z]+)", elsewhere)) <= {"CET", "CEST"}
    with world.app.app_context(), write() as session:
        session.get_one(Config, world.config_id).timezone = "Europe/Berlin"


def test_a_point_whose_storage_is_away_says_what_to_do_on_this_page(world: World, as_: As) -> None:
    backups, browser = world.folder / "backups", as_("viewer")
    backups.rename(world.folder / "away")
    try:
        response = browser.get(f"/points/{world.point_id}")
    finally:
        (world.folder / "away").rename(backups)
    assert response.status_code == 503
    assert "is unreachable" in response.text
    assert "open this page again" in response.text
    assert "job again" not in response.text
    main = response.text.partition("<main")[2]
    assert 'href="/points"' in main
    assert 'href="/storages"' in main
    assert browser.get(f"/points/{world.point_id}").status_code == 200
