"""What the words of a command name: a config by name or id, a point by number, snapshot id or as latest."""

from __future__ import annotations

from collections.abc import Collection

import click

from core.configs import configs
from core.errors import NotFound
from core.models import Config, Point
from core.points import points


def find_config(wanted: str) -> Config:
    """Return the config of this name or id, also a deleted one (its points stay). Raises UsageError."""
    every = [*configs.list_all(), *configs.list_all(deleted=True)]
    for config in every:
        if wanted in (config.id, config.name):
            return config
    names = ", ".join(config.name for config in configs.list_all()) or "none"
    raise click.UsageError(f"There is no config {wanted!r}. There are: {names}.")


def find_point(wanted: str, config_name: str | None, kinds: Collection[str] = ()) -> Point:
    """Return a point; of "latest", that of the config named, or of the only one, of these types, with any."""
    config = find_config(config_name) if config_name else None
    if wanted == "latest":
        return _latest(config, kinds)
    found = points.find(wanted)
    if config is not None and found.config_id != config.id:
        raise click.UsageError(f"Point {found.id} is not of the config {config.name}.")
    return found


def _latest(config: Config | None, kinds: Collection[str]) -> Point:
    of_kind = [each for each in configs.list_all() if not kinds or each.type in kinds]
    fitting = [config] if config else [each for each in of_kind if points.latest(each.id)]
    if len(fitting) > 1:
        names = ", ".join(each.name for each in fitting)
        raise click.UsageError(f"Several configs have points: {names}. Say which with --config.")
    found = points.latest(fitting[0].id) if fitting else None
    if found is None:
        raise NotFound("There is no good point to restore.", "Run a backup first.")
    return found
