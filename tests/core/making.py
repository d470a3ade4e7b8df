"""A small install to back up and restore with: a storage, configs, jobs run in this process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from core import setup
from core.configs import configs
from core.jobs import attempts, job_kinds, jobs
from core.models import Config, Job
from core.storages import recovery


def make_storage(tmp_path: Path) -> Path:
    """Set the first storage up; return the folder of its repository."""
    setup.create_first_storage(str(tmp_path / "backups"))
    return tmp_path / "backups" / "repository"


def make_tree(folder: Path, files: int = 3) -> Path:
    """Write some small files and return the folder."""
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    for number in range(files):
        (folder / "sub" / f"{number}.txt").write_text(f"content {number}\n" * 100)
    return folder


def make_config(folder: Path, name: str = "Files", **more: Any) -> Config:
    """Make a config that backs `folder` up by hand only."""
    source = {"paths": [str(folder)], **more.pop("source", {})}
    return configs.create(configs.ConfigInput(name=name, source=source, **more))


def run(job: Job) -> Job:
    """Claim a queued job for this process and perform it; return its row."""
    job_id = job.id
    attempt = attempts.claim(job_id)
    assert attempt is not None, f"job {job_id} cannot be claimed"
    job_kinds.perform(attempt)
    return jobs.get(job_id)


def back_up(config_id: str) -> Job:
    """Run a backup of a config in this process."""
    return run(jobs.create_backup(config_id, "manual"))


def restic(repository: Path, *arguments: str) -> str:
    """Run the real restic on a repository and return what it prints; it must succeed."""
    command = ["restic", "--no-cache", "-r", str(repository), *arguments]
    environment = {**os.environ, "RESTIC_PASSWORD": recovery.stored() or ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
