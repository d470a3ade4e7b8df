"""“Compact now” on a storage's page: a prune, and what it freed is shown there."""

from __future__ import annotations

import hashlib
import os

from core.jobs import attempts, job_kinds, jobs
from core.storages import storages
from tests.webapp.conftest import As
from tests.webapp.world import World


def leave_a_pack_behind(world: World) -> int:
    """Store what a killed backup leaves: a pack that no index names; return its size in bytes."""
    with world.app.app_context():
        storage = storages.get(world.storage_id)
        data = os.urandom(100_000)
        name = hashlib.sha256(data).hexdigest()
        adapter = storages.open_adapter(storage)
        adapter.put(f"{storage.repositories[0].prefix}data/{name[:2]}/{name}", data)
        adapter.close()
        return len(data)


def test_a_prune_over_the_web_says_what_it_freed(world: World, as_: As) -> None:
    page = f"/storages/{world.storage_id}"
    admin = as_("admin")
    assert "It was not pruned yet." in admin.get(page).text
    leave_a_pack_behind(world)
    answer = admin.post(f"{page}/compact", {})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/jobs/")
    job_id = int(answer.headers["Location"].rpartition("/")[2])
    with world.app.app_context():
        name = storages.get(world.storage_id).name
    assert f"Prune of {name} waits to begin" in admin.get(page).text
    with world.app.app_context():
        attempt = attempts.claim(job_id)
        assert attempt is not None
        job_kinds.perform(attempt)
        job = jobs.get(job_id)
        assert (job.status, job.counts["bytes_freed"]) == ("completed", 100_000), job.summary
    shown = admin.get(page).text
    assert f"Freed 97.7 KiB in 1 pack on {name}." in shown
    assert "Last pruned" in shown
    assert "Freed on the storage" in admin.get(f"/jobs/{job_id}").text
    assert f"Prune of {name}" in admin.get("/jobs?kind=prune").text


def test_only_an_admin_may(world: World, as_: As) -> None:
    assert as_("operator").post(f"/storages/{world.storage_id}/compact", {}).status_code == 403
