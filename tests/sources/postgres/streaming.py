"""A process that dumps a database into a repository and restores it, and tells how much memory that took."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from sources.postgres.restore import restore_to_new
from sources.postgres.server import parse_url
from tests.repository.engine import new_local_repo
from tests.sources.postgres.making import back_up


def main(url: str, database: str, folder: str) -> None:
    server = parse_url(url)
    point = back_up(server, [database], repo=new_local_repo(Path(folder)))
    dumped = peak_bytes()
    result = restore_to_new(server, point.dump(database), f"{database}_new")
    record = point.manifest.find(database)
    assert record is not None
    told = {
        "peak": peak_bytes(),
        "peak_dumped": dumped,
        "complete": result.complete,
        "bytes": record.dump_bytes,
    }
    print(json.dumps(told))


def peak_bytes() -> int:
    """Return the peak of this process plus that of the largest of its children, as if both came at once."""
    status = Path("/proc/self/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return 1024 * (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


if __name__ == "__main__":
    main(*sys.argv[1:])
