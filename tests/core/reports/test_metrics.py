"""Metrics say the same as the pages; and who may read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from core import instance
from core.access import metrics_access
from core.alerting import alerts
from core.configs import states
from core.errors import Invalid
from core.jobs import nodes
from core.reports import metrics
from tests.core.making import back_up, make_config, make_storage, make_tree


def values() -> dict[str, dict[tuple[str, ...], float]]:
    """Return all metrics by name and labels."""
    return {each.name: dict(each.rows) for each in metrics.collect()}


def test_an_empty_install_has_metrics(context: Flask) -> None:
    found = values()
    assert found["jobs"] == {}
    assert found["queue_jobs"] == {("queued",): 0, ("running",): 0}
    assert found["alerts_unacknowledged"] == {(): 0}


def test_they_say_what_the_pages_say(context: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"), "Wiki", cron="0 3 * * *")
    config_id = config.id
    back_up(config_id)
    back_up(make_config(tmp_path / "gone", "Gone").id)
    nodes.beat("worker")
    found, facts = values(), states.facts(config)
    names = ("Wiki", config_id, "files")
    ((labels, used),) = found["storage_used_bytes"].items()
    assert found["config_state"][(*names, states.state(config).word)] == 1
    assert found["config_good_points"][names] == facts.good_points == 1
    assert facts.last_good is not None
    assert found["config_last_good_timestamp_seconds"][names] == facts.last_good.taken_at.timestamp()
    assert 0 <= found["config_last_good_age_seconds"][names] < 60
    assert (found["config_rpo_objective_seconds"][names], found["config_rpo_met"][names]) == (25 * 3600, 1)
    assert found["retention_compliant"][("Wiki", config_id, labels[0])] == 1
    assert found["retention_compliance_ratio"] == {(): 1}
    assert found["retention_looked_age_seconds"] == {(): 0}
    assert found["config_stored_bytes"][names] == facts.stored_bytes > 0
    assert found["backup_success_ratio"][("7",)] == 0.5
    assert found["jobs"][("backup", "failed")] == 1
    assert used > 0
    assert found["storage_reachable"][labels] == 1
    assert found["stored_bytes"][(*labels, "files")] == facts.stored_bytes
    assert sum(found["alerts_open"].values()) == len(alerts.list_open()) == 1
    assert [value for (_, role), value in found["process_up"].items() if role == "worker"] == [1]


def test_nobody_may_read_them_until_somebody_says_who(context: Flask) -> None:
    assert not metrics_access.is_on()
    assert not metrics_access.allows("", "127.0.0.1")
    token = metrics_access.new_token()
    assert metrics_access.is_on()
    assert metrics_access.allows(token, "203.0.113.9")
    assert not metrics_access.allows(token[:-1], "203.0.113.9")
    assert not metrics_access.allows("", "127.0.0.1")
    assert token not in str(instance.get("metrics_token"))
    other = metrics_access.new_token()
    assert not metrics_access.allows(token, "203.0.113.9")
    metrics_access.revoke_token()
    assert not metrics_access.allows(other, "203.0.113.9")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.1.2.3", False), ("2001:db8::7", True), ("", False),
     ("fe80::1%eth0", False), ("not an address", False)],
)  # fmt: skip
def test_addresses_that_may_read_them(context: Flask, address: str, allowed: bool) -> None:
    assert metrics_access.set_networks("10.0.0.0/8, 2001:db8::/32") == ["10.0.0.0/8", "2001:db8::/32"]
    assert metrics_access.allows("", address) is allowed
    metrics_access.set_networks("")
    assert not metrics_access.is_on()


def test_what_is_no_network_is_refused(context: Flask) -> None:
    with pytest.raises(Invalid) as caught:
        metrics_access.set_networks("10.0.0.0/8 everybody")
    assert "networks" in caught.value.fields
    assert not metrics_access.is_on()
