"""Build the workloads, run every contender on them in alternating order, print and keep the ratios."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from bench import contenders, report, s3_server, workloads
from bench.contenders import PROJECT
from bench.steps import Bench

PARTS = ("tree", "image", "scale", "s3")
ROUNDS = {"tree": 3, "image": 3, "scale": 2, "s3": 1}
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
    if not options.quick and not contenders.borg():
        found.append("borg is not installed and left out (`sh bench/install_borg.sh`).")
    if "s3" in options.only and not s3_server.rclone():
        found.append("rclone is not installed: the steps with S3 are left out (requirements-dev.txt has it).")
    return found


def _run(bench: Bench, options: argparse.Namespace) -> None:
    data, part = options.folder / "data", options.smaller
    rounds = {name: options.rounds or ROUNDS[name] for name in PARTS}
    data.mkdir(parents=True, exist_ok=True)
    if {"tree", "s3"} & {*options.only}:
        tree = workloads.mixed_tree(data, 150_000 // part)
    if {"image", "s3"} & {*options.only}:
        image = workloads.disk_image(data, max(64, 4096 // part // 64 * 64))
    if "scale" in options.only:
        small = [workloads.small_files(data, count // part) for count in (100_000, 1_000_000)]
        bench.scale(small, rounds["scale"])  # first: the restores of the others leave many files
    if "tree" in options.only:
        bench.tree(tree, rounds["tree"])
    if "image" in options.only:
        bench.image(image, rounds["image"])
    if "s3" in options.only and s3_server.rclone():
        bench.s3(tree, image, rounds["s3"])


def main() -> None:
    """Run what was asked for."""
    options, began = _arguments(), time.monotonic()
    remarks = _remarks(options)
    print("\n".join(remarks), flush=True)
    bench = Bench(options.folder, with_borg=not options.quick)
    bench.remove_restored()
    try:
        _run(bench, options)
    finally:
        bench.remove_restored()
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    text = report.text(bench.results, command, (time.monotonic() - began) / 60, remarks)
    print(text)
    if options.keep:
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
