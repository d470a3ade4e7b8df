"""Turn measurements into tables of ratios to restic, with the targets and whether they were met."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench import contenders, postgres_server, results, s3_server
from bench.results import MEASURE_OF_ALL, Results, measure_of

# Written by hand: for each target that is missed, where the time goes and what was tried.
MISSED = Path(__file__).with_name("MISSED.md")
_HEAD = """# Side by side

Written by `python -m bench --keep`, each part by itself: `--only PART` renews it and leaves the others.
"""
_SECTION = re.compile(r"^## (\S+)\n(.*?)(?=^## |\Z)", re.M | re.S)


def text(found: Results, command: str, minutes: float, remarks: list[str]) -> str:
    """Return the report of one part as Markdown, without its heading."""
    parts = [
        f"Measured by `{command}` in {minutes:.1f} minutes. Seconds, CPU seconds, and memory (PSS of all "
        "processes, sampled) are medians; ratios are to restic, over SSH to rsync. CPU seconds hold those of "
        "a server of this machine, which stand beside.",
        machine(),
        *remarks,
        _table(found),
    ]
    parts += [_scale(found), _dumps(found) if _is_of_dumps(found) else _sizes(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def renewed(kept: str, part: str, report: str, order: Sequence[str]) -> str:
    """Return the page `kept` with the report of one part put in, or in the place of its last one."""
    found = dict(_SECTION.findall(kept)) | {part: report}
    known = [name for name in order if name in found]
    sections = [f"## {name}\n\n{found[name].strip()}\n" for name in known]
    return "\n".join([_HEAD, *sections, MISSED.read_text()])


def machine() -> str:
    """Describe where and with what this ran."""
    tools = [["restic", "version"], [contenders.borg(), "--version"], ["zstd", "--version"]]
    tools += [[postgres_server.program("postgres"), "--version"]]
    tools += [
        [s3_server.rclone(), "version"],
        ["git", "-C", str(contenders.PROJECT), "rev-parse", "--short", "HEAD"],
    ]
    versions = "; ".join(filter(None, map(_first_line, tools)))
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    where = f"{os.cpu_count()} cores, {_processor()}, {_memory_gib():.0f} GiB; {platform.platform()}"
    return f"{now}; {where}; Python {platform.python_version()}; {versions} (this project)"


def _table(found: Results) -> str:
    lines = [
        "| step | who | seconds | of each run | ratio | CPU s | ratio | server | peak MiB | ratio "
        "| target | met |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for step, runs in found.runs.items():
        lines += [_row(found, step, who) for who in runs]
    return "\n".join(lines)


def _row(found: Results, step: str, who: str) -> str:
    seconds, peak = found.seconds(step, who) or 0, found.peak_mib(step, who) or 0
    cpu, server = found.cpu_s(step, who) or 0, found.server_s(step, who)
    each = " ".join(f"{run.seconds:.1f}" for run in found.runs[step][who])
    targets = results.verdicts(found, step, who)
    wanted = ", ".join(words for words, _ in targets)
    numbers = (
        f"{seconds:.2f} | {each} | {_ratio(seconds, found.seconds(step, measure_of(step)))} | {cpu:.2f} | "
        f"{_ratio(cpu, found.cpu_s(step, measure_of(step)))} | {f'{server:.2f}' if server else ''} | "
        f"{peak:.0f} | {_ratio(peak, found.peak_mib(step, measure_of(step)))}"
    )
    return f"| {step} | {who} | {numbers} | {wanted} | {_met(targets)} |"


def _met(targets: list[tuple[str, bool]]) -> str:
    missed = [words for words, met in targets if not met]
    return f"**no: {', '.join(missed)}**" if missed else "yes" if targets else ""


def _scale(found: Results) -> str:
    """Return the table of time per file, with how it grows with ten times as many."""
    steps = [step for step in found.runs if "small files" in step]
    if len(steps) < 2:
        return ""
    lines = [
        "| small files | who | µs a file | growth | peak MiB | growth | target | met |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for who in found.runs[steps[0]]:
        first = found.seconds(steps[0], who) or 0, found.peak_mib(steps[0], who) or 0
        for step in steps:
            lines.append(_scale_row(found, step, who, _count(step) / _count(steps[0]), first))
    return "\n".join(lines)


def _scale_row(found: Results, step: str, who: str, times: float, first: tuple[float, float]) -> str:
    seconds, peak = found.seconds(step, who) or 0, found.peak_mib(step, who) or 0
    slower, larger = seconds / first[0] / times, peak / first[1] if first[1] else 0
    wanted, met = "", ""
    if who == "holdfast" and times > 1:
        limits = results.GROWTH_SECONDS_PER_FILE, results.GROWTH_MEMORY
        wanted = f"time ≤ {limits[0]}, memory ≤ {limits[1]}"
        met = _met([("time", slower <= limits[0]), ("memory", larger <= limits[1])])
    a_file = f"{_count(step):,} | {who} | {seconds / _count(step) * 1e6:.1f}"
    return f"| {a_file} | {slower:.2f} | {peak:.0f} | {larger:.2f} | {wanted} | {met} |"


def _count(step: str) -> int:
    return int(step.split()[0].replace(",", ""))


def _sizes(found: Results) -> str:
    lines = [
        "| repository after, or what passed | who | MiB | ratio | target | met |",
        "|---|---|---|---|---|---|",
    ]
    for step, sizes in found.sizes.items():
        base = sizes.get(measure_of(step))
        for who, size in sizes.items():
            wanted, met = "", ""
            if who.startswith("holdfast") and base and MEASURE_OF_ALL in sizes:
                wanted, met = f"≤ {results.SIZE.limit}", _met([("size", size / base <= results.SIZE.limit)])
            lines.append(f"| {step} | {who} | {size / 2**20:.1f} | {_ratio(size, base)} | {wanted} | {met} |")
    return "\n".join(lines) if found.sizes else ""


def _is_of_dumps(found: Results) -> bool:
    return any("dump" in step for step in found.sizes)


def _dumps(found: Results) -> str:
    """Return the table of what each dump added to its repository, held against the first."""
    lines = [
        "| dump | who | repository, MiB | ratio | added, MiB | of the first | target | met |",
        "|---|---|---|---|---|---|---|---|",
    ]
    before: dict[str, int] = {}
    firsts: dict[str, int] = {}
    for number, (step, sizes) in enumerate(found.sizes.items()):
        for who, size in sizes.items():
            last = found.last_size(step, who)
            firsts.setdefault(who, last)
            added = last - before.get(who, 0)
            base = sizes.get(measure_of(step))
            share = added / firsts[who]
            wanted, met = _judge_dump(number, share, size / base) if base and who == "holdfast" else ("", "")
            numbers = f"{size / 2**20:.1f} | {_ratio(size, base)} | {added / 2**20:.1f} | {share:.1%}"
            lines.append(f"| {step} | {who} | {numbers} | {wanted} | {met} |")
            before[who] = last
    return "\n".join(lines)


def _judge_dump(number: int, share: float, ratio: float) -> tuple[str, str]:
    """Return the target of a dump and whether it is met: the first's size, the second's share; then none."""
    if number == 0:
        return f"size ≤ {results.SIZE_OF_DUMPS.limit:.2f}", _met(
            [("size", ratio <= results.SIZE_OF_DUMPS.limit)]
        )
    if number == 1:
        return f"adds ≤ {results.ADDED:.0%}", _met([("added", share <= results.ADDED)])
    return "", ""


def _ratio(value: float, base: float | None) -> str:
    return f"{value / base:.2f}" if base else "–"


def _first_line(command: list[str]) -> str:
    if not command[0]:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.split("\n")[0].strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
