"""How a command answers that started jobs: follow them, print what came of them, exit with the worst code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from core.jobs import jobs, nodes
from core.models import Job
from core.retention import pruning
from jobs import tasks
from webapp.commands import alerts as command_alerts
from webapp.commands import output
from webapp.commands.follow import follow, worst
from webapp.commands.users import user as user


def answer(job_ids: Iterable[int], max_wait: int, as_json: bool, *, refused: bool = False) -> None:
    """Follow the jobs to their end, print what came of them, and exit with the worst code."""
    works = nodes.worker_lives()
    if works and isinstance(job_ids, Sequence):
        tasks.enqueue(job_ids)
    ended: list[Job] = []
    for job_id in job_ids:
        if works:
            tasks.enqueue([job_id])
        ended.append(follow(job_id, max_wait, quiet=as_json))
        if not as_json:
            output.ended(ended[-1])
    if as_json:
        output.ended_as_json([jobs.get(job.id) for job in ended])
    for job_id in [] if works else pruning.queued_ids():
        follow(job_id, 0, quiet=True)
    if not works:
        command_alerts.tell()
    sys.exit(1 if refused else worst(job.status for job in ended))
