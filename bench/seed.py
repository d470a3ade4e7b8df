"""Make an install as it is after years, to look at its pages: `python -m bench.seed FOLDER`.

It then says how to start Holdfast on it, and who to log in as. Points can be listed and searched, but not
opened, but for those of the config Real: what they hold was never stored. The first job that goes there
notices, and marks them as lost.
"""

from __future__ import annotations

import argparse
import os
import secrets
from pathlib import Path

from bench import busy_install
from core.db import db
from core.settings import load
from webapp import create_app


def main() -> None:
    """Make the install in a folder that is empty, or not there yet."""
    parser = argparse.ArgumentParser(prog="python -m bench.seed", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--configs", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=1_000_000, help="catalogued files")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty.")
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"HOLDFAST_DATA_DIR": str(folder / "data"), "BACKUP_DIR": str(folder / "backups")}
    app, password = create_app(load({**os.environ, **settings})), secrets.token_hex(8)
    with app.app_context():
        busy_install.fill(folder, options.configs, options.jobs, options.files, password)
        db.engine.dispose()
    given = " ".join(f"{name}={value}" for name, value in settings.items())
    print(f"Start it with: {given} make run\nLog in as admin, with the password {password}")


if __name__ == "__main__":
    main()
