"""Jobs: one run of anything that takes time. The row is the truth; the queue only carries its id."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.models.columns import (
    Bytes,
    Created,
    Document,
    HexId,
    LongText,
    MaybeCount,
    Moment,
    Name,
    RowId,
    Word,
)
from core.models.config import Config

# A job that has one of these will change no more.
ENDED = ("completed", "warning", "failed", "cancelled", "interrupted")
PENDING = ("queued", "running")


class Job(Base):
    """`kind`: backup, copy, restore, retention, prune (more to come). `status`: one of PENDING or ENDED.

    `attempt` grows with each claim; every later write checks it. `node`, `boot_id`, `pid` and
    `pid_started` name the job process beyond doubt. `lock_id` is the repository lock file it holds.
    `phase` while queued is "waiting" with `waiting_reason`. `parameters` by kind: see core.jobs.job_kinds.
    `repository_id`: the row of the repository that a backup went to, a copy fills, or a prune frees; that may
    be gone. `host_id`: the row of the host that it works on since it got a place there: see
    core.hosts.host_limits.
    A copy counts points as files.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_status_kind", "status", "kind"),
        Index("ix_jobs_config_kind_ended", "config_id", "kind", "ended_at"),
        Index("ix_jobs_kind_ended", "kind", "ended_at", "status"),
    )

    id: Mapped[RowId]
    kind: Mapped[Word]
    status: Mapped[Word] = mapped_column(default="queued")
    trigger: Mapped[Word]  # schedule, retry, manual, command
    config_id: Mapped[str | None] = mapped_column(ForeignKey("configs.id"))
    repository_id: Mapped[str | None] = mapped_column(String(16), index=True)
    host_id: Mapped[str | None] = mapped_column(String(16), index=True)
    parameters: Mapped[Document]
    due_at: Mapped[Moment | None]
    created_at: Mapped[Created]
    enqueued_at: Mapped[Moment | None]
    not_before: Mapped[Moment | None]
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]

    attempt: Mapped[int] = mapped_column(default=0)
    node: Mapped[Name] = mapped_column(default="")
    boot_id: Mapped[Name] = mapped_column(default="")
    pid: Mapped[int | None]
    pid_started: Mapped[Name] = mapped_column(default="")
    heartbeat_at: Mapped[Moment | None]
    progressed_at: Mapped[Moment | None]  # when anything below last changed
    cancel_requested_at: Mapped[Moment | None]
    lock_id: Mapped[HexId] = mapped_column(default="")

    phase: Mapped[Word] = mapped_column(default="")
    waiting_reason: Mapped[LongText] = mapped_column(default="")
    files_done: Mapped[Bytes]
    files_total: Mapped[MaybeCount]
    bytes_done: Mapped[Bytes]
    bytes_total: Mapped[MaybeCount]
    bytes_added: Mapped[Bytes]
    bytes_rate: Mapped[MaybeCount]  # bytes done a second, just now
    current_path: Mapped[LongText] = mapped_column(default="")

    summary: Mapped[LongText] = mapped_column(default="")  # one sentence: what happened
    meaning: Mapped[LongText] = mapped_column(default="")  # what it means for the data
    advice: Mapped[LongText] = mapped_column(default="")  # what to do
    detail: Mapped[LongText] = mapped_column(default="")  # technical text, folded
    counts: Mapped[Document]  # the engine's counts, by name
    problems: Mapped[Bytes]  # how many things lost data or were changed while read
    hidden_at: Mapped[Moment | None]  # deleted from the list by a person

    config: Mapped[Config | None] = relationship()

    @property
    def ended(self) -> bool:
        """Tell whether it will change no more."""
        return self.status in ENDED


class JobLog(Base):
    """One line of a job's log. `path` is set for a line about one file, printable, lossy."""

    __tablename__ = "job_logs"

    id: Mapped[RowId]
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    at: Mapped[Created]
    level: Mapped[Word]  # info, warning, error
    message: Mapped[LongText]
    path: Mapped[LongText] = mapped_column(default="")
