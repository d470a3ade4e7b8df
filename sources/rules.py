"""What a backup leaves out: restic's exclude options as one value, and the files that patterns come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from repository.entries import SourceUnavailable
from sources.patterns import PatternError, PatternList

CACHE_TAG = "CACHEDIR.TAG:Signature: 8a477f597d28d172789f06886806bc55"

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"([+-]?[0-9]+)([bkmgt]?)\Z", re.IGNORECASE | re.ASCII)
_LONGEST_LINE = 64 * 1024
# What Go's unicode.IsSpace takes for white space; str.strip() alone would take \x1c-\x1f, too.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000".replace(
    "\u2000-\u200a", "".join(map(chr, range(0x2000, 0x200B)))
)
_VARIABLE = re.compile(r"\$(?:\{([*#$@!?\-0-9])\}|\{([^}]+)\}|(\{\}?)|([*#$@!?\-0-9])|([A-Za-z0-9_]+))")


@dataclass(frozen=True, slots=True)
class Rules:
    """The exclude options of restic's `backup`. Patterns may be text or bytes; sizes are in bytes.

    `exclude_if_present` holds `NAME` or `NAME:header`. Raises ValueError (a PatternError is one) for what
    restic refuses, too.
    """

    exclude: tuple[str | bytes, ...] = ()
    iexclude: tuple[str | bytes, ...] = ()
    exclude_caches: bool = False
    exclude_if_present: tuple[str, ...] = ()
    exclude_larger_than: int | None = None
    one_file_system: bool = False

    def __post_init__(self) -> None:
        PatternList(self.exclude)
        PatternList(self.iexclude, ignore_case=True)
        if any(tag.partition(":")[0] == "" for tag in self.exclude_if_present):
            raise ValueError("exclude-if-present needs the name of a file, as NAME or NAME:header")

    def with_files(
        self, files: Iterable[str] = (), ifiles: Iterable[str] = (), *, environ: Mapping[str, str]
    ) -> Rules:
        """Return these rules and the patterns of `--exclude-file`s and `--iexclude-file`s after them."""
        more = tuple(pattern for file in files for pattern in read_exclude_file(file, environ))
        imore = tuple(pattern for file in ifiles for pattern in read_exclude_file(file, environ))
        return replace(self, exclude=self.exclude + more, iexclude=self.iexclude + imore)

    @property
    def tags(self) -> tuple[tuple[bytes, bytes], ...]:
        """The tag files to look for in each directory, as (name, header)."""
        given = self.exclude_if_present + ((CACHE_TAG,) if self.exclude_caches else ())
        split = (tag.encode("utf-8", "surrogateescape").partition(b":") for tag in given)
        return tuple((name, header) for name, _, header in split)


def parse_size(text: str) -> int:
    """Return the bytes meant by `100`, `100k`, `5M`, `2g`, `1T`. Raises ValueError."""
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not a size; write a number, then k, M, G or T, such as 500M")
    return int(found[1]) * _UNITS[found[2].lower()]


def read_exclude_file(path: str, environ: Mapping[str, str]) -> list[bytes]:
    """Return the patterns in a file: one a line, `#` starts a comment line, `$NAME` is taken from `environ`.

    As restic does, an unset variable becomes nothing, and `$$` a dollar sign. Raises SourceUnavailable.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as err:
        raise SourceUnavailable(
            f"cannot read the exclude file {path}: {err.strerror}. Correct its path."
        ) from err
    try:
        return parse_exclude_lines(data, environ)
    except ValueError as err:
        raise PatternError(f"exclude file {path}: {err}") from err


def parse_exclude_lines(data: bytes, environ: Mapping[str, str]) -> list[bytes]:
    """Return the patterns in the content of an exclude file (UTF-8, or UTF-16 with a byte order mark)."""
    if data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        text = data.decode("utf-16", "replace")
    else:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    patterns = []
    for line in text.split("\n"):
        if len(line) >= _LONGEST_LINE:
            raise ValueError("a line is longer than 64 KiB; this seems to be no list of patterns")
        stripped = line.strip(_SPACE)
        if stripped and not stripped.startswith("#"):
            patterns.append(_expand(stripped, environ).encode("utf-8", "surrogateescape"))
    return patterns


def _expand(line: str, environ: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2] or found[4] or found[5]
        return "$" if name == "$" else environ.get(name, "") if name else ""

    return _VARIABLE.sub(value, line)
