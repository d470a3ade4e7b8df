"""Build the workloads, run every contender on them in alternating order, print and keep the ratios."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench import report, workloads
from bench.contenders import PROJECT, Contender, contenders
from bench.measure import run


class Bench:
    """One run of the whole comparison, in `folder`, which needs about five times the workloads' size."""

    def __init__(self, folder: Path, *, with_borg: bool, rounds: int) -> None:
        self.folder, self.rounds = folder, rounds
        self.data, self.results = folder / "data", report.Results()
        self.contenders = contenders(folder, with_borg=with_borg)

    def tree(self, path: Path) -> None:
        """First backup, unchanged backup, restore and check of the mixed tree."""
        _warm(path)
        for who in self._turns():
            self._step("tree: first backup", who, who.backup(path))
            self.results.add_size("tree", who.name, _size(who.repository.parent))
            if who.name != "plain":
                self._step("tree: unchanged", who, who.backup(path))
            self._restore("tree: restore", who, path)
            self._step("tree: check --read-data", who, who.check())

    def image(self, path: Path) -> None:
        """First backup, backup with 64 places changed, and restore of the disk image."""
        pristine, path = path, self.folder / "image" / path.name
        path.parent.mkdir(exist_ok=True)
        for who in self._turns():
            shutil.copyfile(pristine, path)  # everybody meets the same image; it is warm then
            self._step("image: first backup", who, who.backup(path.parent))
            self.results.add_size("image", who.name, _size(who.repository.parent))
            workloads.change_image(path)
            if who.name != "plain":
                self._step("image: 64 places changed", who, who.backup(path.parent))
            self._restore("image: restore", who, path.parent)

    def scale(self, counts: Sequence[int]) -> None:
        """First backup of many small files: time per file and memory must not grow with their number."""
        for count in counts:
            path = workloads.small_files(self.data, count)
            _warm(path)
            for who in self.contenders[:2]:
                who.init()
                self._step(f"{count:,} small files", who, who.backup(path))

    def _turns(self) -> list[Contender]:
        """Return everybody once a round, each round in the other direction; each starts from nothing."""
        return [who for number in range(self.rounds) for who in self.contenders[:: 1 - 2 * (number % 2)]]

    def _step(self, step: str, who: Contender, command: Sequence[str] | None) -> None:
        if command is None:
            return
        if "first" in step:
            who.init()
        measured = run(command, env=who.env(), cwd=str(PROJECT), log=str(self.folder / "last.log"))
        self.results.add(step, who.name, measured)
        print(f"{step:28} {who.name:20} {measured.seconds:8.2f} s {measured.peak_mib:7.0f} MiB", flush=True)

    def _restore(self, step: str, who: Contender, path: Path) -> None:
        target = self.folder / "restored"
        self._step(step, who, who.restore(path, target))
        shutil.rmtree(target, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(
        file.lstat().st_size for file in folder.rglob("*") if file.is_file() and "cache" not in file.parts
    )


def _warm(path: Path) -> None:
    """Read everything once, so that nobody pays for the disk."""
    for file in path.rglob("*"):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as opened:
                while opened.read(1 << 20):
                    pass


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, no borg, a tenth of the size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=PROJECT / ".cache" / "bench")
    parser.add_argument("--only", choices=["tree", "image", "scale"], action="append")
    parser.add_argument("--keep", action="store_true", help="write the table to bench/RESULTS.md")
    return parser.parse_args()


def main() -> None:
    """Run what was asked for."""
    options = _arguments()
    part = 10 if options.quick else 1
    bench = Bench(options.folder, with_borg=not options.quick, rounds=1 if options.quick else options.rounds)
    bench.data.mkdir(parents=True, exist_ok=True)
    wanted = options.only or ["tree", "image", "scale"]
    if "tree" in wanted:
        bench.tree(workloads.mixed_tree(bench.data, 150_000 // part))
    if "image" in wanted:
        bench.image(workloads.disk_image(bench.data, 4096 // part // 64 * 64))
    if "scale" in wanted:
        bench.scale([100_000 // part, 1_000_000 // part])
    text = f"{report.machine()}\n\n{report.table(bench.results)}"
    print(text)
    if options.keep:
        (PROJECT / "bench" / "RESULTS.md").write_text(f"# Measured by `python -m bench`\n\n{text}")


if __name__ == "__main__":
    main()
