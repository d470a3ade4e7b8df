"""Turn measurements into a table of ratios to restic."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass, field

from bench.measure import Measurement

MEASURE_OF_ALL = "restic"


@dataclass(slots=True)
class Results:
    """All runs by step and contender; repository sizes in bytes by the same keys."""

    runs: dict[str, dict[str, list[Measurement]]] = field(default_factory=dict)
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, step: str, who: str, measurement: Measurement) -> None:
        """Add one run."""
        self.runs.setdefault(step, {}).setdefault(who, []).append(measurement)

    def add_size(self, step: str, who: str, size_bytes: int) -> None:
        """Note the size of a repository."""
        self.sizes.setdefault(step, {})[who] = size_bytes


def table(results: Results) -> str:
    """Return the Markdown: seconds and peak memory as medians, and their ratios to restic."""
    lines = [
        "| step | who | seconds (median) | of each run | ratio | peak MiB | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for step, runs in results.runs.items():
        lines += [_row(step, who, found, runs.get(MEASURE_OF_ALL)) for who, found in runs.items()]
    lines += ["", "| repository after | who | MiB | ratio |", "|---|---|---|---|"]
    for step, sizes in results.sizes.items():
        base = sizes.get(MEASURE_OF_ALL)
        lines += [
            f"| {step} | {who} | {size / 2**20:.1f} | {_ratio(size, base)} |" for who, size in sizes.items()
        ]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Describe where and with what this ran."""
    tools = [["restic", "version"], ["borg", "--version"], ["zstd", "--version"]]
    versions = "; ".join(filter(None, map(_first_line, tools)))
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    where = f"{os.cpu_count()} cores; {platform.platform()}; Python {platform.python_version()}"
    return f"{now}; {where}; {versions}"


def _row(step: str, who: str, found: list[Measurement], base: list[Measurement] | None) -> str:
    seconds, peak = _median(found)
    base_seconds, base_peak = _median(base) if base else (None, None)
    each = " ".join(f"{run.seconds:.1f}" for run in found)
    return (
        f"| {step} | {who} | {seconds:.2f} | {each} | {_ratio(seconds, base_seconds)} "
        f"| {peak:.0f} | {_ratio(peak, base_peak)} |"
    )


def _median(runs: list[Measurement]) -> tuple[float, float]:
    return statistics.median(run.seconds for run in runs), statistics.median(run.peak_mib for run in runs)


def _ratio(value: float, base: float | None) -> str:
    return f"{value / base:.2f}" if base else "–"


def _first_line(command: list[str]) -> str:
    try:
        return (
            subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")[0].strip()
        )
    except OSError:
        return ""
