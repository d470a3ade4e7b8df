"""The commands that list and read files, for hosts with GNU's tools and for those with BusyBox's or alike."""

from __future__ import annotations

import calendar
import re
import secrets
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sources.ssh.rows import FIELDS, FORMAT, Malformed

# Stands between the fields of POSIX rows, where NUL cannot. Each listing has one of its own in its place: who
# knew it could put rows into a listing, by a file's name or by where a link leads.
_MARK = b"\x01d0bf2a6c\x01"
_POSIX_FORMAT = b"%f %u %g %s %y|%z|%i %h %d %b" + _MARK + b"%n" + _MARK + b"%N" + _MARK
# A pipe has the code of its last program alone. 255, which ends all, if either was killed: what came until
# then is whole rows.
_FIND = b"""
format=$1; shift; failed=0
{ codes=$({
    { find "$@" -print0; test $? -le 1 || echo 255 >&3; } | xargs -0 stat -c "$format" >&4
    echo $? >&3
} 3>&1); } 4>&1
for code in $codes; do case $code in 0) ;; 123) failed=1 ;; *) exit 255 ;; esac; done
exit $failed
"""
_KINDS = {
    stat.S_IFREG: b"f",
    stat.S_IFDIR: b"d",
    stat.S_IFLNK: b"l",
    stat.S_IFBLK: b"b",
    stat.S_IFCHR: b"c",
    stat.S_IFIFO: b"p",
    stat.S_IFSOCK: b"s",
}
_TIME = re.compile(rb"(-?\d+)-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? \+0000\Z")
_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of host is spoken to.

    `find` are the words before and after the places to look at. `status`, `follow` and `tar` are lines of
    shell that take names, each ended by NUL, from their input; `$2` is `format`, `$number` how many blocks a
    record of the archive has. `separator` ends each of the
    three fields of a row; `translate` makes rows.FORMAT of them. From `code_of_failure` on, tar has failed.
    """

    name: str
    find: tuple[tuple[bytes, ...], tuple[bytes, ...]]
    status: bytes
    follow: bytes
    tar: bytes
    format: bytes
    separator: bytes
    translate: Callable[[Sequence[bytes]], Sequence[bytes]]
    code_of_failure: int
    most_name_bytes: int  # of one question for files
    harmless: tuple[bytes, ...]

    def marked(self) -> Dialect:
        """Return the same, with a separator that nobody knows where it is not NUL."""
        if self.separator != _MARK:
            return self
        mark = b"\x01%s\x01" % secrets.token_hex(16).encode()
        before, after = (tuple(word.replace(_MARK, mark) for word in words) for words in self.find)
        return replace(self, find=(before, after), format=self.format.replace(_MARK, mark), separator=mark)


def _translate_posix(fields: Sequence[bytes]) -> list[bytes]:
    found = []
    for at in range(0, len(fields), FIELDS):
        facts, path, shown = fields[at : at + FIELDS]
        words = _facts(facts.lstrip(b"\n"))
        if not words.startswith(b"l"):
            found += [words, path, b""]
        elif shown:  # else it vanished, and stat complains
            found += [words, path, _target(path, shown)]
    return found


def _facts(text: bytes) -> bytes:
    """Return the facts of a row in the order of rows.FORMAT."""
    try:
        front, changed, back = text.split(b"|")
        mode, uid, gid, size, modified = front.split(b" ", 4)
        inode, links, device, blocks = back.split(b" ")
        bits = int(mode, 16)
        words = [_KINDS[stat.S_IFMT(bits)], b"%o" % stat.S_IMODE(bits), uid, gid, size]
    except (ValueError, KeyError) as error:
        raise Malformed(f"the host's listing has an odd line: {text[:80]!r}") from error
    words += [_seconds(modified), _seconds(changed), inode, links, device, blocks]
    return b" ".join(words)


def _seconds(text: bytes) -> bytes:
    """Return the time that stat writes for people, in UTC, as `%T@` has it."""
    found = _TIME.match(text)
    if found is None:
        raise Malformed(f"the host's listing has an odd time: {text[:40]!r}")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    # timegm knows years from 1 on, in whole cycles of 400 years the calendar repeats itself.
    cycles = 0 if year > 0 else 1 - year // 400
    whole = (
        calendar.timegm((year + 400 * cycles, month, day, hour, minute, second)) - cycles * 146_097 * _DAY_S
    )
    return b"%d.%s" % (whole, found[7] or b"0")


def _target(path: bytes, shown: bytes) -> bytes:
    """Return where a link leads, from `'PATH' -> 'TARGET'`, or, by GNU's stat, the same without quotes."""
    for before, after in ((b"'" + path + b"' -> '", b"'"), (path + b" -> ", b"")):
        if shown.startswith(before) and shown.endswith(after):
            return shown[len(before) : len(shown) - len(after)]
    raise Malformed(f"the host does not tell where the link {path[:80]!r} leads: {shown[:80]!r}")


GNU = Dialect(
    name="gnu",
    find=((b"find",), (b"-printf", FORMAT)),
    status=b"""xargs -0 sh -c 'exec find "$@" -maxdepth 0 -printf "$0"' "$2" """,
    follow=b"""xargs -0 sh -c 'exec find -L "$@" -maxdepth 0 -printf "$0"' "$2" """,
    # Of the formats only pax tells each file's ctime.
    tar=b"tar --create --file=- --format=posix --pax-option=delete=atime --numeric-owner --sparse "
    b"--absolute-names --hard-dereference --no-recursion $noatime --quoting-style=escape "
    b'--blocking-factor="$number" --null --verbatim-files-from --files-from=-',
    format=FORMAT,
    separator=b"\0",
    translate=lambda fields: fields,
    code_of_failure=2,  # 1: some files changed, which their status tells afterwards
    most_name_bytes=1 << 20,
    harmless=(b"tar: Exiting with failure status",),
)

POSIX = Dialect(
    name="posix",
    find=(
        (
            b"sh",
            b"-c",
            _FIND,
            b"sh",
            _POSIX_FORMAT,
        ),
        (),
    ),
    status=b'xargs -0 stat -c "$2"',
    follow=b'xargs -0 stat -L -c "$2"',
    # With names as arguments no name is odd; -x: all of them in one tar, or none.
    tar=b"xargs -0 -s 60000 -x tar -c -f -",
    format=_POSIX_FORMAT,
    separator=_MARK,
    translate=_translate_posix,
    code_of_failure=1,
    most_name_bytes=20_000,
    harmless=(b"tar: removing leading '/'", b"tar: Removing leading `/'"),
)

DIALECTS = {each.name: each for each in (GNU, POSIX)}
