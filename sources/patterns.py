"""restic's include and exclude patterns: which paths a list of them matches.

Semantics of restic 0.14 (internal/filter). A pattern is split at `/`; `**` stands for any number of
components, `*`, `?`, `[…]` and `\\` work within one. One that starts with `/` is anchored at the root, any
other may start at each component. It matches a path if it matches the path or a parent of it. `!` in front
takes back what earlier patterns matched: the last pattern that matches decides.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sources.globs import PatternError, is_literal, to_regex

__all__ = ["Pattern", "PatternError", "PatternList", "clean", "fold", "parse"]

_ANY_DEPTH = b"**"
_MOST_DIRS_REMEMBERED = 10_000

NameTest = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One parsed pattern. `parts` are components, without the leading root of an `anchored` one."""

    text: bytes
    parts: tuple[bytes, ...]
    anchored: bool
    negated: bool

    @property
    def wanders(self) -> bool:
        """Tell whether it has so many `**` that restic does not try every way of filling them."""
        return self.parts.count(_ANY_DEPTH) > (1 if self.anchored else 2)

    @property
    def literals(self) -> frozenset[bytes]:
        """The components that must stand in a path for it to match."""
        return frozenset(part for part in self.parts if is_literal(part))


def parse(pattern: str | bytes) -> Pattern:
    """Parse one non-empty pattern. Raises PatternError where restic refuses it."""
    text = os.fsencode(pattern)
    negated = text.startswith(b"!")
    cleaned = clean(text[1:] if negated else text)
    anchored = cleaned.startswith(b"/")
    parts = cleaned.split(b"/")[1:] if anchored else cleaned.split(b"/")
    # As restic splits it, the path "/" has one empty component after its root, and that reads as **.
    parts = [part or _ANY_DEPTH for part in parts]
    try:
        for part in parts:
            _compile_part(part)
    except PatternError as err:
        raise PatternError(f"the pattern {os.fsdecode(text)!r} is not valid: {err}") from err
    return Pattern(text, tuple(parts), anchored, negated)


def clean(path: bytes) -> bytes:
    """Return the shortest name of a path without looking at the disk, as Go's `filepath.Clean` does."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith(b"//") else cleaned


def fold(name: bytes) -> bytes:
    """Return `name` in lower case as Go does it: each character alone, a byte that is not UTF-8 as U+FFFD."""
    if name.isascii():
        return name.lower()
    text = name.decode("utf-8", "surrogateescape")
    return "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c.lower()[0] for c in text).encode()


@lru_cache(maxsize=4096)
def _compile_part(part: bytes) -> NameTest:
    if is_literal(part):
        return part.__eq__  # of equal types, hence never NotImplemented
    return re.compile(to_regex(part), re.DOTALL).match


class PatternList:
    """An ordered list of patterns; empty ones count for nothing. Raises PatternError when made."""

    def __init__(self, patterns: Sequence[str | bytes], *, ignore_case: bool = False) -> None:
        given = [os.fsencode(pattern) for pattern in patterns if pattern]
        for pattern in given:
            parse(pattern)  # in its own case, so that a message shows it as it was written
        self._fold: Callable[[bytes], bytes] | None = fold if ignore_case else None
        self.texts = given
        self.patterns = [parse(fold(pattern) if ignore_case else pattern) for pattern in given]
        self._states: dict[_StateKey, _State] = {}
        self._dirs: dict[bytes, _State] = {}
        self._wandering = [(i, p.literals) for i, p in enumerate(self.patterns) if p.wanders]

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def match(self, path: bytes) -> bytes | None:
        """Return the pattern by which the absolute `path` is matched, None if it is not."""
        parent, _, name = path.rpartition(b"/")
        return self.in_dir(parent or b"/")(name)

    def in_dir(self, path: bytes) -> Callable[[bytes], bytes | None]:
        """Return the match for the names in one directory, absolute: fast for one after the other."""
        state = self._state_of(self._fold(path) if self._fold else path)
        above = self._components(path) if self._wandering else ()
        return lambda name: self._decide(state, above, name)

    def select(self, path: bytes) -> tuple[bool, bool]:
        """Tell, as for restic's `--include`, whether `path` is matched, and whether one below it might be."""
        components = self._components(path)
        matched = below = False
        for pattern in self.patterns:
            hit = _matches(pattern, components)
            if pattern.negated:
                matched, below = matched and not hit, below and not hit
            else:
                matched, below = matched or hit, below or _may_match_below(pattern, components)
        return matched, below

    def _components(self, path: bytes) -> tuple[bytes, ...]:
        folded = self._fold(path) if self._fold else path
        return tuple(part for part in folded.split(b"/") if part)

    def _decide(self, state: _State, above: tuple[bytes, ...], name: bytes) -> bytes | None:
        folded = self._fold(name) if self._fold else name
        best = state.last_match(folded)
        for index, needed in self._wandering:
            if index > best and needed.issubset((*above, folded)):
                best = index if _matches(self.patterns[index], (*above, folded)) else best
        return None if best < 0 or self.patterns[best].negated else self.texts[best]

    def _state_of(self, path: bytes) -> _State:
        """Walk down to a directory from the deepest one above it that is remembered."""
        todo: list[bytes] = []
        at = path
        while at not in self._dirs and at != b"/":
            parent, _, name = at.rpartition(b"/")
            todo.append(name)
            at = parent or b"/"
        state = self._dirs.get(at) or self._intern(_first_state(self.patterns))
        for name in reversed(todo):
            state = self._intern(state.enter(name))
        if len(self._dirs) >= _MOST_DIRS_REMEMBERED:
            self._dirs.clear()
        self._dirs[path] = state
        return state

    def _intern(self, key: _StateKey) -> _State:
        if key not in self._states:
            self._states[key] = _State(self.patterns, key)
        return self._states[key]


# Which parts may match next, as (pattern, part) pairs; and the last pattern that matched already, or -1.
_StateKey = tuple[frozenset[tuple[int, int]], int]


def _first_state(patterns: Sequence[Pattern]) -> _StateKey:
    return _close(patterns, ((i, 0) for i, p in enumerate(patterns) if not p.wanders), -1)


def _close(patterns: Sequence[Pattern], positions: Iterable[tuple[int, int]], best: int) -> _StateKey:
    """Add what `**` as nothing leads to; a position past the end is a match."""
    live: set[tuple[int, int]] = set()
    for index, start in positions:
        parts = patterns[index].parts
        for part in range(start, len(parts)):
            live.add((index, part))
            if parts[part] != _ANY_DEPTH:
                break
        else:
            best = max(best, index)
    # What cannot change the verdict any more is dropped, so that there are few states.
    return frozenset(position for position in live if position[0] > best), best


class _State:
    """What the way down to a directory leaves open for the names in it."""

    def __init__(self, patterns: Sequence[Pattern], key: _StateKey) -> None:
        self._patterns = patterns
        self._live, self._best = key
        self._literals: dict[bytes, int] = {}
        self._suffixes: dict[bytes, int] = {}
        self._globs: list[int] = []
        self._glob_match = self._compile(self._last_parts())
        self._endings = tuple(self._suffixes)

    def last_match(self, name: bytes) -> int:
        """Return the index of the last pattern that matches `name` here or a parent of it; -1 for none."""
        best = max(self._best, self._literals.get(name, -1))
        if self._endings and name.endswith(self._endings):
            best = max(best, *(i for ending, i in self._suffixes.items() if name.endswith(ending)))
        if self._glob_match is not None:
            found = self._glob_match(name)
            if found is not None and found.lastindex is not None:
                best = max(best, self._globs[found.lastindex - 1])
        return best

    def enter(self, name: bytes) -> _StateKey:
        """Return the key of the state one directory further down."""
        after = {(i, 0) for i, p in enumerate(self._patterns) if not p.anchored and not p.wanders}
        for index, part in self._live:
            text = self._patterns[index].parts[part]
            if text == _ANY_DEPTH:
                after.add((index, part))
            elif _compile_part(text)(name):
                after.add((index, part + 1))
        return _close(self._patterns, after, self._best)

    def _last_parts(self) -> list[tuple[int, bytes]]:
        """Return the parts whose match completes a pattern, the last pattern first."""
        found = []
        for index, part in sorted(self._live, reverse=True):
            text, *rest = self._patterns[index].parts[part:]
            if text != _ANY_DEPTH and all(other == _ANY_DEPTH for other in rest):
                found.append((index, text))
        return found

    def _compile(self, parts: list[tuple[int, bytes]]) -> Callable[[bytes], re.Match[bytes] | None] | None:
        options = []
        for index, text in parts:
            if is_literal(text):
                self._literals.setdefault(text, index)
            elif text.startswith(b"*") and text[1:] and is_literal(text[1:]):
                self._suffixes.setdefault(text[1:], index)  # "*.tmp": most patterns are such
            else:
                self._globs.append(index)
                options.append(b"(" + to_regex(text) + b")")
        return re.compile(b"|".join(options), re.DOTALL).match if options else None


def _matches(pattern: Pattern, components: Sequence[bytes]) -> bool:
    """Tell whether a pattern matches a path or a parent of it, exactly in restic's order of trying.

    restic replaces the first `**` by 0, 1, 2 … stars, but never by more than leave every *other* `**` one
    component; so `/a/**/b/**/c` does not match `/a/x/b/c`. The root counts as one component there.
    """
    parts = pattern.parts
    if _ANY_DEPTH in parts:
        at = parts.index(_ANY_DEPTH)
        most = len(components) - len(parts) + (1 if pattern.anchored else 2)
        return any(
            _matches(replace(pattern, parts=parts[:at] + (b"*",) * count + parts[at + 1 :]), components)
            for count in range(most + 1)
        )
    if not parts:
        return pattern.anchored
    last = 0 if pattern.anchored else len(components) - len(parts)
    return len(parts) <= len(components) and any(
        all(_compile_part(part)(components[offset + i]) for i, part in enumerate(parts))
        for offset in range(last + 1)
    )


def _may_match_below(pattern: Pattern, components: Sequence[bytes]) -> bool:
    if not pattern.anchored:
        return True
    fixed = pattern.parts.index(_ANY_DEPTH) if _ANY_DEPTH in pattern.parts else len(pattern.parts)
    length = min(fixed, len(components))
    return all(_compile_part(pattern.parts[i])(components[i]) for i in range(length))
