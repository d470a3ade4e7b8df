"""Build the workloads, run every contender on them in alternating order, print and keep the ratios."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import time
from pathlib import Path

from bench import contenders, postgres_server, report, s3_server, ssh_server, workloads
from bench.contenders import PROJECT
from bench.results import Results
from bench.steps import Bench

# Scale first: restores of the others leave many files.
PARTS = ("scale", "tree", "image", "s3", "sftp", "ssh", "postgres")
ROUNDS = {"tree": 3, "image": 3, "scale": 2, "s3": 3, "sftp": 1, "ssh": 2, "postgres": 3}
PGBENCH_SCALE = 70  # 1 GB on the server
RESULTS = PROJECT / "bench" / "RESULTS.md"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, no borg, a tenth of the size")
    parser.add_argument("--smaller", type=int, default=1, metavar="N", help="an N-th of the size")
    parser.add_argument("--rounds", type=int, help="of every part, instead of " + str(ROUNDS))
    parser.add_argument("--folder", type=Path, default=PROJECT / ".cache" / "bench")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given several times")
    parser.add_argument("--keep", action="store_true", help="write the tables to bench/RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.smaller, options.rounds = options.smaller * 10, options.rounds or 1
    options.only = options.only or list(PARTS)
    return options


def _remarks(options: argparse.Namespace) -> list[str]:
    """Say what is missing, and why."""
    found = []
    if options.smaller > 1:
        found.append(
            f"The workloads have 1/{options.smaller} of their size: the targets are meant for the whole."
        )
    if not options.quick and not contenders.borg() and {"tree", "image"} & {*options.only}:
        found.append("borg is not installed and left out (`sh bench/install_borg.sh`).")
    return found


def _lacking() -> dict[str, str]:
    """Return the parts that cannot be run here, and why."""
    found = {}
    if not s3_server.rclone():
        found["s3"] = "rclone is not installed (requirements-dev.txt has it)"
    if not ssh_server.sshd():
        found["sftp"] = "sshd is not installed (tests/prepare.sh has it)"
    if not (ssh_server.sshd() and shutil.which("rsync")):
        found["ssh"] = "sshd or rsync is not installed (tests/prepare.sh has them)"
    if not postgres_server.program("pgbench"):
        found["postgres"] = "PostgreSQL is not installed (Debian: postgresql)"
    return found


def _run(name: str, bench: Bench, options: argparse.Namespace) -> None:
    """Build the data of one part, if it is not there yet, and measure."""
    data, part = options.folder / "data", options.smaller
    rounds = options.rounds or ROUNDS[name]
    data.mkdir(parents=True, exist_ok=True)
    match name:
        case "scale":
            counts = (100_000, 1_000_000)
            bench.scale([workloads.small_files(data, count // part) for count in counts], rounds)
        case "tree":
            bench.tree(_tree(data, part), rounds)
        case "image":
            bench.image(_image(data, part), rounds)
        case "s3":
            bench.s3(_tree(data, part), _image(data, part), rounds)
        case "sftp":
            bench.sftp(_tree(data, part), rounds)
        case "ssh":
            bench.ssh(_tree(data, part), workloads.small_files(data, 100_000 // part), rounds)
        case "postgres":
            bench.postgres(max(1, PGBENCH_SCALE // part), rounds)


def _tree(data: Path, part: int) -> Path:
    return workloads.mixed_tree(data, 150_000 // part)


def _image(data: Path, part: int) -> Path:
    return workloads.disk_image(data, max(64, 4096 // part // 64 * 64))


def _measure(name: str, bench: Bench, options: argparse.Namespace, remarks: list[str]) -> None:
    """Run one part, print its report, and keep it if asked."""
    began, bench.results = time.monotonic(), Results()
    load = os.getloadavg()[0]  # before we are a part of it
    _run(name, bench, options)
    if load > 1:
        remarks = [
            *remarks,
            f"Other work kept the machine busy (load {load:.0f} at the start): go by CPU seconds.",
        ]
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    text = report.text(bench.results, command, (time.monotonic() - began) / 60, remarks)
    print(f"\n## {name}\n\n{text}", flush=True)
    if options.keep:
        kept = RESULTS.read_text() if RESULTS.exists() else ""
        RESULTS.write_text(report.renewed(kept, name, text, PARTS))


def main() -> None:
    """Run the parts that were asked for, each by itself."""
    options = _arguments()
    remarks, lacking = _remarks(options), _lacking()
    left_out = {name: why for name, why in lacking.items() if name in options.only}
    print(
        "\n".join([*remarks, *(f"{name} is left out: {why}." for name, why in left_out.items())]), flush=True
    )
    bench = Bench(options.folder, with_borg=not options.quick)
    bench.remove_restored()
    try:
        for name in PARTS:
            if name in options.only and name not in lacking:
                _measure(name, bench, options, remarks)
    finally:
        bench.remove_restored()


if __name__ == "__main__":
    main()
