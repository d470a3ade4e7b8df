"""Channels: where alerts are sent to, what was sent, and what is muted."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base
from core.models.columns import Created, Document, LongText, Moment, Name, RowId, Word


class Channel(Base):
    """One way to tell people. What `target_sealed` holds goes by kind: core.messaging.channel_inputs.

    `place` says where it leads without a secret. `only`: {"configs": [ids]}, or {} for all. Alerts that were
    news before `since` are not told. `busy_until`: a process is sending; `failures`: tries in a row that
    failed; `retry_at`: when to try again.
    """

    __tablename__ = "channels"

    id: Mapped[RowId]
    name: Mapped[Name] = mapped_column(unique=True)
    kind: Mapped[Word]  # webhook, email, apprise
    place: Mapped[Name] = mapped_column(default="")
    target_sealed: Mapped[LongText] = mapped_column(default="")
    severity: Mapped[Word] = mapped_column(default="warning")  # from this one on
    only: Mapped[Document]
    repeat_hours: Mapped[int | None]
    tell_resolved: Mapped[bool] = mapped_column(default=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    since: Mapped[Moment]
    busy_until: Mapped[Moment | None]
    failures: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[Moment | None]
    failing_since: Mapped[Moment | None]
    last_error: Mapped[LongText] = mapped_column(default="")
    last_sent_at: Mapped[Moment | None]
    tested_at: Mapped[Moment | None]
    test_ok: Mapped[bool] = mapped_column(default=False)
    test_result: Mapped[LongText] = mapped_column(default="")
    created_at: Mapped[Created]

    @property
    def config_ids(self) -> list[str]:
        """The configs it is for; empty: all."""
        return list(self.only.get("configs", []))


class Delivery(Base):
    """One piece of news for one channel. Made once (see the unique parts), then sent, or given up.

    `news`: that of the alert. `number` counts repeats. Those that went in one message have one `sent_at`.
    """

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("channel_id", "alert_id", "news", "event", "number"),)

    id: Mapped[RowId]
    channel_id: Mapped[int] = mapped_column(ForeignKey("channels.id", ondelete="CASCADE"), index=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"), index=True)
    news: Mapped[int]
    event: Mapped[Word]  # opened, repeated, resolved
    number: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[Created]
    due_at: Mapped[Moment]
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[LongText] = mapped_column(default="")
    sent_at: Mapped[Moment | None]
    given_up_at: Mapped[Moment | None]


class Mute(Base):
    """Channels say nothing of alerts that fit. `config_id` None: of any config; `kind` "": of any kind."""

    __tablename__ = "mutes"

    id: Mapped[RowId]
    config_id: Mapped[str | None] = mapped_column(ForeignKey("configs.id"))
    kind: Mapped[Word] = mapped_column(default="")
    until: Mapped[Moment]
    muted_by: Mapped[Name] = mapped_column(default="")
    created_at: Mapped[Created]
