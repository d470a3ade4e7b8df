"""All commands in one place: what stands below `flask backup` and `flask user`."""

from __future__ import annotations

from flask import Flask

from webapp.commands import (
    alerts,
    audit,
    catalog,
    channels,
    compare,
    configs,
    diff,
    downloads,
    host_edit,
    hosts,
    jobs,
    leftovers,
    pause,
    points,
    preview,
    removals,
    report,
    restore,
    rights,
    storages,
    transfer,
    trash,
)
from webapp.commands.backups import backup
from webapp.commands.users import user

_OTHERS = (
    *alerts.COMMANDS,
    audit.group,
    *catalog.COMMANDS,
    channels.group,
    compare.compare,
    compare.environment,
    configs.group,
    diff.diff,
    downloads.group,
    hosts.host,
    jobs.group,
    leftovers.leftovers,
    *points.COMMANDS,
    preview.group,
    *removals.COMMANDS,
    report.report,
    restore.restore,
    rights.restore_folders,
    storages.group,
    *transfer.COMMANDS,
)


def register(app: Flask) -> None:
    """Add all commands to `flask`."""
    for command in _OTHERS:
        backup.add_command(command)
    trash.register(backup)
    pause.register(backup)
    host_edit.register(hosts.host)
    app.cli.add_command(backup)
    app.cli.add_command(user)
