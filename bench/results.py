"""What was measured, and what it should be."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from bench.measure import Measurement

MEASURE_OF_ALL = "restic"
MEASURE_OVER_SSH = "rsync"


def measure_of(step: str) -> str:
    """Return who is the measure of a step."""
    return MEASURE_OVER_SSH if step.startswith("SSH") else MEASURE_OF_ALL


@dataclass(slots=True)
class Results:
    """All runs by step and contender; repository sizes in bytes by the same keys."""

    runs: dict[str, dict[str, list[Measurement]]] = field(default_factory=dict)
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    _each_size: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, step: str, who: str, measurement: Measurement) -> None:
        """Add one run."""
        self.runs.setdefault(step, {}).setdefault(who, []).append(measurement)

    def add_size(self, step: str, who: str, size_bytes: int) -> None:
        """Note the size of a repository; of several, the median counts: their cuts are random."""
        known = self._each_size.setdefault((step, who), [])
        known.append(size_bytes)
        self.sizes.setdefault(step, {})[who] = statistics.median_low(known)

    def last_size(self, step: str, who: str) -> int:
        """Return the size noted last, which later steps went on from."""
        return self._each_size[step, who][-1]

    def seconds(self, step: str, who: str) -> float | None:
        """Return the median of the wall times, None if it did not run."""
        runs = self.runs.get(step, {}).get(who)
        return statistics.median(run.seconds for run in runs) if runs else None

    def cpu_s(self, step: str, who: str) -> float | None:
        """Return the median of the CPU seconds."""
        runs = self.runs.get(step, {}).get(who)
        return statistics.median(run.cpu_s for run in runs) if runs else None

    def server_s(self, step: str, who: str) -> float | None:
        """Return the median of the CPU seconds of the server, a part of `cpu_s`."""
        runs = self.runs.get(step, {}).get(who)
        return statistics.median(run.server_s for run in runs) if runs else None

    def peak_mib(self, step: str, who: str) -> float | None:
        """Return the median of the peaks of memory."""
        runs = self.runs.get(step, {}).get(who)
        return statistics.median(run.peak_mib for run in runs) if runs else None


@dataclass(frozen=True, slots=True)
class Target:
    """At most `limit` times what `than` needs for the same step."""

    limit: float
    than: str = MEASURE_OF_ALL


SPEED: dict[tuple[str, str], tuple[Target, ...]] = {
    ("tree: first backup", "holdfast"): (Target(0.60),),
    ("tree: first backup", "holdfast unchecked"): (Target(0.50),),
    ("tree: unchanged", "holdfast"): (Target(0.25),),
    ("tree: restore", "holdfast"): (Target(1.0), Target(1.15, "plain")),
    ("tree: check --read-data", "holdfast"): (Target(0.80),),
    ("image: first backup", "holdfast"): (Target(0.70),),
    ("image: first backup", "holdfast unchecked"): (Target(0.60),),
    ("image: 64 places changed", "holdfast"): (Target(0.60),),
    ("image: restore", "holdfast"): (Target(0.60),),
    ("SSH, tree: first copy", "holdfast"): (Target(0.60, MEASURE_OVER_SSH),),
    ("SSH at 100 Mbit/s, a part of the tree: first copy", "holdfast"): (Target(0.60, MEASURE_OVER_SSH),),
    ("SSH, tree: unchanged", "holdfast"): (Target(1.50, MEASURE_OVER_SSH),),
    ("S3, tree: first backup", "holdfast"): (Target(0.60),),
    ("S3, tree: restore", "holdfast"): (Target(1.0),),
    ("S3, image: restore", "holdfast"): (Target(0.80),),
    ("pgbench: first dump", "holdfast"): (Target(1.00),),
}
MEMORY = Target(2.0)  # of every step
SIZE, SIZE_OF_DUMPS = Target(1.02), Target(1.00)
ADDED = 0.10  # of the first dump, by 1 % of its rows changed beside each other and 1 % appended
GROWTH_SECONDS_PER_FILE, GROWTH_MEMORY = 1.3, 1.5  # ten times as many small files


def verdicts(results: Results, step: str, who: str) -> list[tuple[str, bool]]:
    """Return the targets of a step in words, each with whether it was met."""
    if not who.startswith("holdfast"):
        return []
    found = []
    for target in SPEED.get((step, who), ()):
        other = "" if target.than == measure_of(step) else f" {target.than}"
        if (base := results.seconds(step, target.than)) is not None:
            ratio = (results.seconds(step, who) or 0) / base
            found.append((f"time ≤ {target.limit:.2f}{other}", ratio <= target.limit))
    if base := results.peak_mib(step, MEMORY.than):
        ratio = (results.peak_mib(step, who) or 0) / base
        found.append((f"memory ≤ {MEMORY.limit:.0f}", ratio <= MEMORY.limit))
    return found
