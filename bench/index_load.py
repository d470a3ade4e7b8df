"""Measure the index in memory: `python -m bench.index_load`.

Builds a repository whose index files list many blobs (their packs do not exist: nothing reads them), loads it
in fresh processes through `Repository.load_index`, and prints time, memory and the cost of each question.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from repository.ids import hash_bytes
from repository.index import Index
from repository.indexfile import encode_index
from repository.keyfile import KdfParams
from repository.packfile import PackedBlob
from repository.repository import Repository
from storage_adapters.local import LocalAdapter

_BLOBS_PER_FILE = 50_000
_PASSWORD = "bench"
_MB = 1_000_000


def build(folder: Path, blobs: int, blobs_per_pack: int) -> None:
    """Write index files for `blobs` blobs of 1 MiB or so, one pack in fifty of trees."""
    folder.mkdir()
    repo = Repository.init(LocalAdapter(str(folder)), _PASSWORD, kdf=KdfParams(1024, 8, 1))
    chance = random.Random(1)
    for start in range(0, blobs, _BLOBS_PER_FILE):
        count = min(_BLOBS_PER_FILE, blobs - start)
        packs = [_pack(chance, min(blobs_per_pack, count - at)) for at in range(0, count, blobs_per_pack)]
        repo.files.save("index", encode_index({chance.randbytes(32): each for each in packs}))
    repo.close()


def _pack(chance: random.Random, count: int) -> list[PackedBlob]:
    blobs, offset, kind = [], 0, "tree" if chance.random() < 0.02 else "data"
    for _ in range(count):
        length = chance.randrange(16 * _MB // count // 2, 16 * _MB // count)
        plain = chance.randrange(length, 2 * length) if chance.random() < 0.7 else None
        blobs.append(PackedBlob(kind, chance.randbytes(32), offset, length, plain))  # type: ignore[arg-type]
        offset += length
    return blobs


def measure(folder: Path) -> dict[str, float]:
    """Load the index in this process, which must be a fresh one; return seconds, MB and µs a question."""
    repo = Repository.open(LocalAdapter(str(folder)), _PASSWORD)
    before = _memory()
    Path("/proc/self/clear_refs").write_text("5")  # from here on VmHWM is the peak of the loading
    started, cpu = time.perf_counter(), time.process_time()
    repo.load_index()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    after = _memory()
    return {
        "load, s": seconds,
        "load, CPU s": cpu,
        "memory, PSS, MB": after["Pss"] - before["Pss"],
        "memory, RSS, MB": after["VmRSS"] - before["VmRSS"],
        "peak while loading, RSS, MB": after["VmHWM"] - before["VmRSS"],
        **_questions(repo.index),
    }


def _questions(index: Index) -> dict[str, float]:
    known = [(kind, blob) for kind, blob, _ in index.places()][::5]
    random.Random(2).shuffle(known)
    known = [(kind, bytes(bytearray(blob))) for kind, blob in known]  # their hashes are not yet known
    unknown = [("data", os.urandom(32)) for _ in known]
    started = time.perf_counter()
    totals = sum(1 for _ in index.pack_totals())
    middle = time.perf_counter()
    listed = sum(len(blobs) for _, blobs in index.blobs_by_pack())
    ended = time.perf_counter()
    return {
        "has, known, µs": _cost(index.has, known),
        "has, unknown, µs": _cost(index.has, [(kind, hash_bytes(blob)) for kind, blob in unknown]),
        "claim, known, µs": _cost(index.claim, known),
        "claim, unknown, µs": _cost(index.claim, unknown),
        "lookup, µs": _cost(index.lookup, known),
        "plain_length, µs": _cost(index.plain_length, known),
        f"pack_totals of {totals:,} packs, s": middle - started,
        f"blobs_by_pack of {listed:,} blobs, s": ended - middle,
    }


def _cost(ask: Callable[[Any, bytes], object], questions: Iterable[tuple[str, bytes]]) -> float:
    questions = list(questions)
    started = time.process_time()  # one thread that never waits
    for kind, blob in questions:
        ask(kind, blob)
    return (time.process_time() - started) / len(questions) * 1e6


def _memory() -> dict[str, float]:
    lines = Path("/proc/self/smaps_rollup").read_text() + Path("/proc/self/status").read_text()
    found = (line.split() for line in lines.splitlines() if line.endswith("kB"))
    return {name.rstrip(":"): int(value) * 1024 / _MB for name, value, _ in found}


def main() -> None:
    """Build, measure in as many fresh processes as asked for, print best and median."""
    parser = argparse.ArgumentParser(prog="python -m bench.index_load", description=__doc__)
    parser.add_argument("--blobs", type=int, default=1_000_000)
    parser.add_argument("--blobs-per-pack", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder, "repository"), options.blobs, options.blobs_per_pack)
        command = [sys.executable, "-m", "bench.index_load", "--measure", str(Path(folder, "repository"))]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(options.runs)]
    print(
        f"{options.blobs:,} blobs, {options.blobs_per_pack} a pack; {options.runs} runs: best, median, worst"
    )
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(f"{name:40} {min(values):8.3f} {statistics.median(values):8.3f} {max(values):8.3f}")


if __name__ == "__main__":
    main()
