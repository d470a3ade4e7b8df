"""The options that several commands have."""

from __future__ import annotations

import click

JSON = click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
ALLOW_EMPTY = click.option("--allow-empty", is_flag=True, help="A source that is empty is meant to be.")
MAX_WAIT = click.option(
    "--max-wait", type=click.IntRange(0), default=60, show_default=True, metavar="SECONDS",
    help="How long to wait for somebody else's lock.",
)  # fmt: skip
CONFIG = click.option("config_name", "--config", metavar="NAME", help="Only this config (name or id).")
WAIT = click.option("--wait", is_flag=True, help="Wait until it has ended; works without a worker, too.")
