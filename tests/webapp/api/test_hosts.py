"""Hosts through the API alone: added, confirmed, tested, backed up, restored to, deleted."""

from __future__ import annotations

from pathlib import Path

from core.jobs import jobs
from core.restores import restores
from tests.core.hosting import host_form
from tests.core.making import back_up, run
from tests.servers.sshd import Sshd
from tests.webapp.api.conftest import Call, Caller
from tests.webapp.world import World


def test_the_life_of_a_host(world: World, admin: Caller, caller: Call, sshd: Sshd, tmp_path: Path) -> None:
    form = host_form(sshd, "by-api")
    sent = {
        "name": form["name"], "address": form["address"], "port": int(form["port"]), "user": form["user"],
        "login": "given", "privateKey": form["private_key"],
    }  # fmt: skip
    made = admin.send("POST", "/hosts", sent, 201)
    assert made["state"] == "unconfirmed"
    assert made["authorizedLine"].startswith("restrict ssh-ed25519 ")
    assert form["private_key"].splitlines()[1] not in str(made)
    where = f"/hosts/{made['id']}"
    admin.send("POST", f"{where}/test", status=409)
    keys = admin.get(f"{where}/keys")["items"]
    admin.send("POST", f"{where}/confirm", {"fingerprint": "SHA256:wrong"}, 422)
    found = admin.send("POST", f"{where}/confirm", {"fingerprint": keys[0]["fingerprint"]})
    assert found["fingerprints"] == [keys[0]["fingerprint"]]
    tested = admin.send("POST", f"{where}/test")
    assert tested["ok"], tested
    assert admin.get(where)["state"] == "ready"
    assert caller("viewer").get(where)["address"] == ""
    changed = admin.send("PUT", where, {**admin.get(where), "parallelJobs": 3, "compression": "never"})
    assert (changed["parallelJobs"], changed["compression"], changed["state"]) == (3, "never", "ready")

    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.txt").write_text("a\n")
    source = {"paths": [str(tmp_path / "tree")], "hostId": made["id"]}
    config = admin.send("POST", "/configs", {"name": "By API", "schedule": "", "source": source}, 201)
    assert config["source"]["hostId"] == made["id"]
    with world.app.app_context():
        assert back_up(config["id"]).status == "completed"
    point = admin.get(f"/points?config={config['id']}")["items"][0]
    wanted = {"pointId": point["id"], "targetPath": str(tmp_path / "there"), "hostId": made["id"]}
    started = admin.send("POST", "/restores", wanted, 202)
    with world.app.app_context():
        job = run(restores.get(started["id"]).job)
        assert jobs.get(job.id).status == "completed", job.summary
        for queued in jobs.list_jobs(status="queued", config_id=config["id"]).items:
            jobs.request_cancel(queued.id)  # its clean-up
    assert Path(f"{tmp_path}/there{tmp_path}/tree/a.txt").read_text() == "a\n"
    refused = admin.send("DELETE", where, status=409)
    assert "By API" in refused["detail"]
    admin.send("DELETE", f"/configs/{config['id']}", status=204)
    admin.send("DELETE", where, status=204)
    admin.get(where, 404)
