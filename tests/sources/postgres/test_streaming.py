"""A large dump goes through in a stream: little memory, and no file on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.servers.postgres import Cluster


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_gigabytes_stream_through_half_a_gigabyte_of_memory(
    postgres: Cluster, database: str, tmp_path: Path
) -> None:
    """Rows that PostgreSQL keeps compressed make a dump far larger than the database.

    A limit on the size of any file that our processes write, a few packs, stands for a disk without room.
    """
    rows, row_bytes = 5000, 1 << 20
    postgres.run(
        f"""CREATE TABLE t AS SELECT g, repeat(md5(g::text), {row_bytes // 32}) x
        FROM generate_series(1, {rows}) g""",
        database=database,
    )
    program = [sys.executable, "-m", "tests.sources.postgres.streaming"]
    url = f"postgresql:///postgres?host={postgres.folder}&port={postgres.port}"
    try:
        done = subprocess.run(
            ["prlimit", "--fsize=67108864", *program, url, database, str(tmp_path / "repo")],
            cwd=PROJECT,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": "/nonexistent"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        print(told)
        assert told["bytes"] > rows * row_bytes
        assert told["complete"]
        assert told["peak"] <= 512 << 20
    finally:
        postgres.drop(f"{database}_new")
