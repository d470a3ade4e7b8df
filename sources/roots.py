"""How targets given to a backup become the upper part of a snapshot's tree, as restic 0.14 does it.

An absolute `/a/b` stands there as `a`, then `b`. A relative `x/y` as `x`, then `y`. One that has only `.` or
`..` is replaced by what it holds. Equal first names from different places get `-1`, `-2`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from sources.patterns import clean


@dataclass(slots=True)
class Branch:
    """One node of the upper tree: a target (`is_target`), a way to targets, or both. `real` is absolute."""

    real: bytes
    base: bytes = b""
    is_target: bool = False
    children: dict[bytes, Branch] = field(default_factory=dict)

    def find(self, path: bytes) -> tuple[Branch, list[bytes]]:
        """Return the lowest node on a tree path, and the names below it. Raises FileNotFoundError.

        Names remain only below a target that leads to no other target.
        """
        at = self
        names = [name for name in path.split(b"/") if name]
        for count, name in enumerate(names):
            if at.is_target and not at.children:
                return at, names[count:]
            at = at.child(name)
        return at, []

    def targets(self, path: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the tree path and the real place of each target."""
        if self.is_target:
            yield path or b"/", self.real
        for name, child in self.children.items():
            yield from child.targets(path + b"/" + name)

    def child(self, name: bytes) -> Branch:
        """Return the node of this name; below a target every name is a target. Raises FileNotFoundError."""
        child = self.children.get(name)
        if child is None and not self.is_target:
            raise FileNotFoundError(errno.ENOENT, "no target of this backup holds it", name)
        if child is None:
            return Branch(os.path.join(self.real, name), is_target=True)
        return replace(child, is_target=True) if self.is_target else child


def build(targets: Sequence[bytes], cwd: bytes) -> Branch:
    """Return the root of the upper tree. Lists directories given as `.`, `..` or `/`. Raises OSError."""
    root = Branch(b"/")
    for target in dict.fromkeys(_resolve(targets, cwd)):
        _add(root, target, cwd)
    return root


def _resolve(targets: Sequence[bytes], cwd: bytes) -> list[bytes]:
    """Replace each target without a name of its own by its entries."""
    found = []
    for target in map(clean, targets):
        if clean(b"/" + target) != b"/":
            found.append(target)
        else:
            names = sorted(os.listdir(os.path.join(cwd, target)))
            found += [clean(os.path.join(target, name)) for name in names]
    return found


def _add(root: Branch, target: bytes, cwd: bytes) -> None:
    base = _base_of(target)
    names = clean(b"/" + target).split(b"/")[1:]
    at = _first(root, names[0], base, cwd)
    for name in names[1:]:
        at = at.children.setdefault(name, Branch(os.path.join(at.real, name)))
    at.is_target = True


def _base_of(target: bytes) -> bytes:
    """Return the place that the first name is looked up in: `/`, `.`, `..`, `../..` and so on."""
    if target.startswith(b"/"):
        return b"/"
    ups = [part for part in target.split(b"/") if part == b".."]
    return b"/".join(ups) or b"."


def _first(root: Branch, name: bytes, base: bytes, cwd: bytes) -> Branch:
    taken, count = name, 0
    while taken in root.children and root.children[taken].base != base:
        count += 1
        taken = b"%s-%d" % (name, count)
    real = clean(os.path.join(cwd, base, name))
    return root.children.setdefault(taken, Branch(real, base))
