"""How the pages are served, as far as it is decided when the server begins."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import PROJECT


def test_what_start_up_made_is_no_part_of_later_collections_of_garbage() -> None:
    look = (
        "import gc, jobs.gunicorn_conf as conf; before = gc.get_freeze_count(); conf.post_worker_init(None);"
        "print(before, gc.get_freeze_count() > 1000, len(gc.get_objects()) < 1000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], check=True, capture_output=True, text=True, cwd=PROJECT
    )
    assert done.stdout.split() == ["0", "True", "True"]
