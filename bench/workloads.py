"""The data that is backed up: a real mixed tree, a disk image, the image changed, and many small files."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

MIB = 1 << 20
MIXED_SOURCES = ("/usr/share", "/usr/include", sys.base_prefix, "/usr/lib")
IMAGE_SEED = 20240101
CHANGES = 64


def mixed_tree(folder: Path, files: int) -> Path:
    """Copy real trees of this machine into `folder` until it holds at least `files` regular files."""
    target = folder / f"mixed-{files}"
    if target.exists():
        return target
    partial = folder / "mixed.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    count = 0
    for number, source in enumerate(MIXED_SOURCES):
        if count < files:
            count += _copy_until(Path(source), partial / f"{number}", files - count)
    if count < files:
        raise SystemExit(f"this machine has only {count} files for the mixed tree, {files} are needed")
    partial.rename(target)
    return target


def _copy_until(source: Path, target: Path, wanted: int) -> int:
    """Copy whole top folders of `source` until `wanted` files are there; return how many came."""
    target.mkdir()
    count = 0
    for part in sorted(source.iterdir()):
        if count >= wanted or part.is_symlink():
            continue
        subprocess.run(["cp", "-a", "-x", str(part), str(target)], check=False, stderr=subprocess.DEVNULL)
        count += sum(len(names) for _, _, names in os.walk(target / part.name)) or int(part.is_file())
    return count


def disk_image(folder: Path, mib: int) -> Path:
    """Write an image of `mib` MiB: a quarter each of random, text, zeros, and repeats of earlier runs."""
    target = folder / f"image-{mib}" / "disk.img"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(IMAGE_SEED)
    partial = target.with_suffix(".partial")
    with partial.open("wb") as file:
        for number in range(mib // 16):
            file.write(_run_of_image(rng, number))
    partial.rename(target)
    return target


def _run_of_image(rng: random.Random, number: int) -> bytes:
    kind = number % 4
    if kind == 0:
        return rng.randbytes(16 * MIB)
    if kind == 1:
        words = [f"{rng.getrandbits(20):x}" for _ in range(4000)]
        line = " ".join(rng.choices(words, k=200_000)).encode()
        return (line * (16 * MIB // len(line) + 1))[: 16 * MIB]
    if kind == 2:
        return bytes(16 * MIB)
    return random.Random(IMAGE_SEED + number // 16).randbytes(16 * MIB)


def change_image(image: Path, seed: int) -> None:
    """Overwrite 4 KiB at each of 64 places; each seed changes others."""
    size, rng = image.stat().st_size, random.Random(seed)
    with image.open("r+b") as file:
        for _ in range(CHANGES):
            file.seek(rng.randrange(size - 4096))
            file.write(rng.randbytes(4096))


def small_files(folder: Path, files: int) -> Path:
    """Make `files` files of 100 to 2,000 bytes, 200 a folder."""
    target = folder / f"small-{files}"
    if target.exists():
        return target
    partial = folder / "small.partial"
    shutil.rmtree(partial, ignore_errors=True)
    rng = random.Random(files)
    for first in range(0, files, 200):
        part = partial / f"{first // 20_000:04}" / f"{first // 200:06}"
        part.mkdir(parents=True)
        for number in range(first, min(first + 200, files)):
            (part / f"file-{number}").write_bytes(rng.randbytes(rng.randrange(50, 1000)).hex().encode())
    partial.rename(target)
    return target
