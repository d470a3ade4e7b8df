"""Hosts: other machines that are backed up, and restored to, over SSH."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.models.columns import Created, Document, LongText, Moment, Name, RandomId


class Host(Base):
    """How to reach a machine and log in there. `jump_id`: the host to go through.

    `host_keys` is `{"lines": ["type base64", …]}`: those that a person has confirmed; without any, nothing is
    ever sent to it. `public_key` belongs into `authorized_keys` there; what logs in is sealed, see
    core.hosts.host_login. `parallel_jobs`: how many may work there at a time. `compression`: whether
    what it sends is packed, see sources.ssh.packing.

    `test_result` is what core.hosts.host_test found last, `trouble` why it could not be used the last time
    somebody tried, a job or a person; empty once it answers again. `self_test` is what
    core.hosts.host_self_test found last, `blind_spots` what core.hosts.host_map did.
    """

    __tablename__ = "hosts"

    id: Mapped[RandomId]
    name: Mapped[Name] = mapped_column(unique=True)
    address: Mapped[Name]
    port: Mapped[int] = mapped_column(default=22)
    user: Mapped[Name]
    sudo: Mapped[bool] = mapped_column(default=False)
    jump_id: Mapped[str | None] = mapped_column(ForeignKey("hosts.id"))
    parallel_jobs: Mapped[int] = mapped_column(default=2)
    compression: Mapped[Name] = mapped_column(default="auto")
    public_key: Mapped[LongText] = mapped_column(default="")
    credentials_sealed: Mapped[LongText] = mapped_column(default="")
    host_keys: Mapped[Document]
    confirmed_at: Mapped[Moment | None]
    confirmed_by: Mapped[Name] = mapped_column(default="")
    tested_at: Mapped[Moment | None]
    test_result: Mapped[Document]
    self_test: Mapped[Document]
    self_tested_at: Mapped[Moment | None]
    blind_spots: Mapped[Document]
    mapped_at: Mapped[Moment | None]
    trouble: Mapped[LongText] = mapped_column(default="")
    trouble_advice: Mapped[LongText] = mapped_column(default="")
    trouble_since: Mapped[Moment | None]
    created_at: Mapped[Created]

    jump: Mapped[Host | None] = relationship(remote_side="Host.id")

    @property
    def pinned(self) -> tuple[str, ...]:
        """The confirmed key lines."""
        return tuple(self.host_keys.get("lines", ()))
