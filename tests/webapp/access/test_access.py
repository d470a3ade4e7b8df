"""Every route, for everybody: strangers are asked to log in, roles get what is theirs, nothing more."""

from __future__ import annotations

import pytest

from core.access import metrics_access
from core.points import built_downloads
from tests.webapp.conftest import As
from tests.webapp.world import ROLES, Browser, World

# endpoint -> (least role, address). "anyone": also without login. In the order in which they can be tried.
ROUTES: dict[str, tuple[str, str]] = {
    "static": ("anyone", "/static/css/base.css"),
    "sessions.login": ("anyone", "/login"),
    "sessions.enter": ("anyone", "/login"),
    "sessions.theme": ("anyone", "/theme"),
    "setup.admin": ("anyone", "/setup"),
    "setup.create_admin": ("anyone", "/setup"),
    "components.index": ("admin", "/components"),
    "overview.index": ("viewer", "/"),
    "overview.board": ("viewer", "/overview/board"),
    "overview.rail": ("viewer", "/overview/rail?at=jobs"),
    "configs.index": ("viewer", "/configs"),
    "configs.show": ("viewer", "/configs/{config_id}"),
    "configs.head": ("viewer", "/configs/{config_id}/head"),
    "configs.facts": ("viewer", "/configs/{config_id}/facts"),
    "configs.points": ("viewer", "/configs/{config_id}/points"),
    "configs.new": ("admin", "/configs/new"),
    "configs.create": ("admin", "/configs"),
    "configs.edit": ("admin", "/configs/{config_id}/edit"),
    "configs.update": ("admin", "/configs/{config_id}"),
    "configs.summary": ("admin", "/configs/summary"),
    "configs.preview": ("admin", "/configs/preview"),
    "configs.folders": ("admin", "/configs/folders"),
    "configs.back_up": ("operator", "/configs/{config_id}/back-up"),
    "configs.clean_up": ("admin", "/configs/{config_id}/clean-up"),
    "configs.pause": ("admin", "/configs/{config_id}/pause"),
    "configs.resume": ("admin", "/configs/{config_id}/resume"),
    "jobs.index": ("viewer", "/jobs"),
    "jobs.show": ("viewer", "/jobs/{job_id}"),
    "jobs.head": ("viewer", "/jobs/{job_id}/head"),
    "jobs.detail": ("viewer", "/jobs/{job_id}/detail"),
    "jobs.progress": ("viewer", "/jobs/{job_id}/progress"),
    "job_many.change": ("operator", "/jobs/many"),
    "job_many.ask": ("admin", "/jobs/many/ask"),
    "job_many.delete": ("admin", "/jobs/many/delete"),
    "jobs.cancel": ("operator", "/jobs/{queued_job_id}/cancel"),
    "configs.confirm_delete": ("admin", "/configs/{spare_config_id}/delete"),
    "configs.delete": ("admin", "/configs/{spare_config_id}/delete"),
    "points.index": ("viewer", "/points"),
    "points.show": ("viewer", "/points/{point_id}"),
    "points.folder": ("viewer", "/points/{point_id}/folder"),
    "points.card": ("viewer", "/points/{point_id}/card"),
    "points.file": ("admin", "/points/{point_id}/file?path={file_token}"),
    "points.selection": ("admin", "/points/{point_id}/selection"),
    "search.index": ("viewer", "/search?q=letters"),
    "search.fill": ("operator", "/search/catalog/fill"),
    "search.rebuild": ("admin", "/search/catalog/rebuild"),
    "downloads.index": ("admin", "/downloads"),
    "downloads.new": ("admin", "/downloads/new?point_id={point_id}"),
    "downloads.create": ("admin", "/downloads"),
    "downloads.show": ("admin", "/downloads/{download_id}"),
    "downloads.card": ("admin", "/downloads/{download_id}/card"),
    "downloads.of_job": ("admin", "/downloads/of-job/{download_job_id}"),
    "downloads.file": ("admin", "/downloads/{download_id}/file"),
    "downloads.rules": ("admin", "/downloads/rules"),
    "downloads.remove": ("admin", "/downloads/{download_id}/remove"),
    "search.versions": ("viewer", "/search/versions?config={config_id}&path={file_token}"),
    "diffs.choose": ("viewer", "/diffs?point={point_id}&other={newer_point_id}"),
    "diffs.show": ("viewer", "/diffs/{point_id}/{newer_point_id}"),
    "diffs.file": ("admin", "/diffs/{point_id}/{newer_point_id}/file?path={file_token}"),
    "diffs.reveal": ("admin", "/diffs/{point_id}/{newer_point_id}/file?path={file_token}"),
    "points.archive": ("admin", "/points/{point_id}/archive"),
    "removals.new": ("admin", "/points/removal?point={point_id}"),
    "removals.create": ("admin", "/points/removal/confirm"),
    "pins.pin": ("operator", "/points/{point_id}/pin"),
    "pins.unpin": ("admin", "/points/{point_id}/unpin"),
    "trash.index": ("viewer", "/trash?config={config_id}"),
    "trash.take_out": ("operator", "/trash/take-out"),
    "host_gates.make": ("admin", "/hosts/{host_id}/gate-keys"),
    "host_gates.test": ("admin", "/hosts/{host_id}/gate-keys/test"),
    "host_gates.delete": ("admin", "/hosts/{host_id}/gate-keys/none/delete"),
    "here_map.show": ("admin", "/hosts/this-machine"),
    "here_map.look": ("admin", "/hosts/this-machine/map"),
    "here_map.blind_spots": ("admin", "/hosts/this-machine/blind-spots"),
    "restores.index": ("viewer", "/restores"),
    "restores.new": ("operator", "/restores/new?point_id={point_id}"),
    "restores.create": ("operator", "/restores"),
    "restores.check": ("operator", "/restores/check"),
    "restores.summary": ("operator", "/restores/summary"),
    "restores.create_database": ("admin", "/restores/database"),
    "compare.show": ("admin", "/compare/{point_id}"),
    "compare.put_back": ("admin", "/compare/{point_id}"),
    "compare.diff": ("admin", "/compare/{point_id}/diff?path={file_token}"),
    "compare.reveal_diff": ("admin", "/compare/{point_id}/diff?path={file_token}"),
    "compare.environment": ("operator", "/compare/{point_id}/environment"),
    "compare.reveal_environment": ("admin", "/compare/{point_id}/environment"),
    "compare.since": ("operator", "/compare/{point_id}/since"),
    "leftovers.index": ("admin", "/leftovers/{config_id}"),
    "leftovers.put_in_place": ("admin", "/leftovers/{config_id}/put-in-place"),
    "leftovers.drop": ("admin", "/leftovers/{config_id}/drop"),
    "alerts.index": ("viewer", "/alerts"),
    "alerts.acknowledge": ("operator", "/alerts/{alert_id}/acknowledge"),
    "alerts.mute": ("operator", "/alerts/{alert_id}/mute"),
    "alerts.end_mute": ("operator", "/alerts/mutes/{mute_id}/end"),
    "alerts.resolve": ("operator", "/alerts/{alert_id}/resolve"),
    "configs.destinations": ("viewer", "/configs/{config_id}/destinations"),
    "configs.destinations_form": ("admin", "/configs/destinations"),
    "configs.sync": ("operator", "/configs/{config_id}/sync/{destination_id}"),
    "storages.index": ("viewer", "/storages"),
    "storages.new": ("admin", "/storages/new?provider=s3"),
    "storages.create": ("admin", "/storages"),
    "storages.look": ("admin", "/storages/look"),
    "storages.show": ("admin", "/storages/{storage_id}"),
    "storages.edit": ("admin", "/storages/{storage_id}/edit"),
    "storages.update": ("admin", "/storages/{storage_id}"),
    "storages.confirm_delete": ("admin", "/storages/{storage_id}/delete"),
    "storages.delete": ("admin", "/storages/{storage_id}/delete"),
    "storages.confirm_replace": ("admin", "/storages/{storage_id}/replace"),
    "storages.replace": ("admin", "/storages/{storage_id}/replace"),
    "storages.test": ("operator", "/storages/{storage_id}/test"),
    "storages.compact": ("admin", "/storages/{storage_id}/compact"),
    "audit.index": ("admin", "/audit?verify=1"),
    "audit.export": ("admin", "/audit/export"),
    "second_factor.index": ("viewer", "/second-factor"),
    "second_factor.begin": ("viewer", "/second-factor"),
    "second_factor.confirm": ("viewer", "/second-factor/confirm"),
    "second_factor.turn_off": ("viewer", "/second-factor/off"),
    "second_factor.ask": ("anyone", "/login/code"),
    "second_factor.enter": ("anyone", "/login/code"),
    "settings.reset_totp": ("admin", "/settings/users/{spare_id}/reset-totp"),
    "logins.index": ("viewer", "/logins"),
    "logins.end": ("viewer", "/logins/999999/end"),
    "logins.end_others": ("viewer", "/logins/end-others"),
    "tokens.index": ("viewer", "/tokens"),
    "tokens.create": ("viewer", "/tokens"),
    "tokens.revoke": ("viewer", "/tokens/{token_id}/revoke"),
    "transfer.index": ("admin", "/settings/transfer"),
    "transfer.export": ("admin", "/settings/transfer/export"),
    "transfer.look": ("admin", "/settings/transfer/look"),
    "transfer.create": ("admin", "/settings/transfer"),
    "transfer.drop": ("admin", "/settings/transfer/{awaited_id}/drop"),
    "hosts.index": ("viewer", "/hosts"),
    "hosts.new": ("admin", "/hosts/new"),
    "hosts.create": ("admin", "/hosts"),
    "hosts.show": ("admin", "/hosts/{host_id}"),
    "hosts.keys": ("admin", "/hosts/{host_id}/keys"),
    "hosts.confirm": ("admin", "/hosts/{host_id}/confirm"),
    "hosts.test": ("operator", "/hosts/{host_id}/test"),
    "host_rights.update": ("admin", "/hosts/{host_id}/restore-folders"),
    "hosts.examine": ("admin", "/hosts/{host_id}/examine"),
    "host_looks.self_test": ("admin", "/hosts/{host_id}/self-test"),
    "host_looks.look": ("admin", "/hosts/{host_id}/map"),
    "host_looks.blind_spots": ("admin", "/hosts/{host_id}/blind-spots"),
    "hosts.edit": ("admin", "/hosts/{host_id}/edit"),
    "hosts.update": ("admin", "/hosts/{host_id}"),
    "hosts.confirm_delete": ("admin", "/hosts/{host_id}/delete"),
    "upkeep.index": ("viewer", "/upkeep"),
    "upkeep.pause_all": ("admin", "/upkeep/pause"),
    "upkeep.resume": ("admin", "/upkeep/resume"),
    "upkeep.set_limits": ("admin", "/upkeep/limits"),
    "upkeep.set_ages": ("admin", "/upkeep/ages"),
    "settings.index": ("viewer", "/settings"),
    "settings.restore_folders": ("admin", "/settings/restore-folders"),
    "settings.password": ("viewer", "/settings/password"),
    "settings.add_user": ("admin", "/settings/users"),
    "settings.user": ("admin", "/settings/users/{spare_id}"),
    "settings.set_role": ("admin", "/settings/users/{spare_id}/role"),
    "settings.set_password": ("admin", "/settings/users/{spare_id}/password"),
    "settings.disable": ("admin", "/settings/users/{spare_id}/disable"),
    "settings.enable": ("admin", "/settings/users/{spare_id}/enable"),
    "pings.show": ("admin", "/configs/{config_id}/pings"),
    "pings.update": ("admin", "/configs/{config_id}/pings"),
    "pings.test": ("admin", "/configs/{config_id}/pings/test"),
    "pings.set_heartbeat": ("admin", "/channels/heartbeat"),
    "reports.index": ("viewer", "/reports"),
    "reports.show": ("viewer", "/reports/today"),
    "reports.document": ("viewer", "/reports/today.json"),
    "reports.compliance": ("admin", "/reports/compliance"),
    "reports.jobs_csv": ("viewer", "/reports/jobs.csv"),
    "metrics.settings": ("admin", "/settings/metrics"),
    "metrics.new_token": ("admin", "/settings/metrics/token"),
    "metrics.show": ("anyone", "/metrics"),
    "metrics.revoke": ("admin", "/settings/metrics/revoke"),
    "metrics.set_networks": ("admin", "/settings/metrics/networks"),
    "channels.index": ("admin", "/channels"),
    "channels.new": ("admin", "/channels/new?kind=email"),
    "channels.create": ("admin", "/channels"),
    "channels.edit": ("admin", "/channels/{channel_id}"),
    "channels.update": ("admin", "/channels/{channel_id}"),
    "channels.test": ("admin", "/channels/{channel_id}/test"),
    "channels.switch": ("admin", "/channels/{channel_id}/switch"),
    "channels.delete": ("admin", "/channels/{channel_id}/delete"),
    "hosts.delete": ("admin", "/hosts/{host_id}/delete"),
    "setup.storage": ("admin", "/setup/storage"),
    "setup.create_storage": ("admin", "/setup/storage"),
    "setup.recovery_key": ("admin", "/setup/recovery"),
    "setup.recovery_file": ("admin", "/setup/recovery/file"),
    "setup.confirm": ("admin", "/setup/recovery/confirm"),
    "setup.confirm_parts": ("admin", "/setup/recovery/confirm"),
    "setup.config": ("admin", "/setup/config"),
    "setup.create_config": ("admin", "/setup/config"),
    "sessions.logout": ("anyone", "/logout"),
}
RANKS = {"anyone": 0, "stranger": 0, "viewer": 1, "operator": 2, "admin": 3}
PASSED = (200, 302, 303, 409, 422)
# A token of somebody else is none; no key for a gate is there.
OF_NONE = ("tokens.revoke", "host_gates.delete")
# Forms whose empty input would do something to the person who sends it.
FORMS = {
    "job_many.change": {"do": "pin"},
    "downloads.create": {"point_id": "1"},
    "restores.create": {"point_id": "1"},
    "restores.check": {"point_id": "1"},
    "restores.summary": {"point_id": "1"},
    "restores.create_database": {"point_id": "1", "database": "x"},
    "settings.set_role": {"role": "viewer"},
    "settings.set_password": {"password": "another good password"},
}


@pytest.fixture(autouse=True)
def open_metrics(world: World) -> None:
    """Let this machine read the metrics: to others they are closed."""
    with world.app.app_context():
        metrics_access.set_networks("127.0.0.1")


def address(world: World, endpoint: str) -> str:
    from core.points.tokens import token_from_path

    token = token_from_path(str(world.tree).encode() + b"/letters/big.bin")
    if "{download_" in ROUTES[endpoint][1]:
        row_id, job_id = download(world)
        return ROUTES[endpoint][1].format(download_id=row_id, download_job_id=job_id)
    values = {**vars(world), "spare_id": world.user_ids["spare"], "file_token": token}
    return ROUTES[endpoint][1].format(**values)


def download(world: World) -> tuple[int, int]:
    """Return a download that waits to be built, and its job."""
    with world.app.app_context():
        given = built_downloads.validate({"point_id": world.point_id, "form": "tar"})
        row = built_downloads.create(given, "manual", "anna")
        return row.id, row.job_id


def methods(world: World, endpoint: str) -> list[str]:
    rules = [rule for rule in world.app.url_map.iter_rules() if rule.endpoint == endpoint]
    return sorted({method for rule in rules for method in rule.methods or ()} - {"HEAD", "OPTIONS"})


def ask(browser: Browser, world: World, endpoint: str, method: str) -> int:
    url = address(world, endpoint)
    if method == "GET":
        response = browser.get(url)
        response.get_data()
    else:
        response = browser.post(url, FORMS.get(endpoint, {}))
    response.close()
    return response.status_code


def test_the_table_names_every_route(world: World) -> None:
    every = {rule.endpoint for rule in world.app.url_map.iter_rules()}
    assert {name for name in every if not name.startswith("api.")} == set(ROUTES)  # those: tests/webapp/api


@pytest.mark.parametrize("role", ["stranger", *ROLES])
def test_each_role_gets_what_is_its_own(role: str, world: World, as_: As) -> None:
    wrong = []
    for endpoint, (least, _) in ROUTES.items():
        for method in methods(world, endpoint):
            status = ask(as_(role), world, endpoint, method)
            if RANKS[role] >= RANKS[least]:
                fine = status in PASSED or (status == 404 and endpoint in OF_NONE)
            else:
                fine = status == (303 if role == "stranger" else 403)
            if not fine:
                wrong.append((method, endpoint, status))
    assert wrong == []


def test_a_form_without_a_token_changes_nothing(world: World, as_: As) -> None:
    browser = as_("admin")
    for endpoint in ROUTES:
        if "POST" in methods(world, endpoint):
            assert browser.client.post(address(world, endpoint)).status_code == 400, endpoint


def test_a_stranger_comes_back_to_the_page_asked_for(world: World, as_: As) -> None:
    response = as_("stranger").get("/jobs?kind=backup")
    assert response.headers["Location"] == "/login?next=/jobs?kind%3Dbackup"


def test_a_fragment_without_login_sends_the_whole_page_to_the_login(world: World, as_: As) -> None:
    response = as_("stranger").fragment(
        "/overview/board", **{"HX-Current-URL": "http://localhost/jobs?page=2"}
    )
    assert (response.status_code, response.text) == (401, "")
    assert response.headers["HX-Redirect"] == "/login?next=/jobs?page%3D2"


def test_an_operator_cancels_no_restore(world: World, as_: As) -> None:
    assert as_("operator").post(f"/jobs/{world.restore_job_id}/cancel").status_code == 403


def test_a_viewer_sees_no_link_to_contents(world: World, as_: As) -> None:
    page = as_("viewer").get(f"/points/{world.point_id}").text
    assert "letters" in page
    assert "/file?" not in page
    assert "/archive?" not in page
    assert "/restores/new" not in page
