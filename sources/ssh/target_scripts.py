"""What a restore runs on a host, as lines of POSIX shell. $1 is the place, $2 the folder to fill first."""

from __future__ import annotations

# Said on the standard error before anything else; what comes before is of the login.
READY = b"\nholdfast is ready\n"
_SAY_READY = b"printf '\\nholdfast is ready\\n' >&2\n"

# A shell that outlives tar: who restores says `keep` at the end. Without it, as after a cut or a kill,
# nothing is left. $3 is the folder above, where there is no folder to restore into.
_FILL = b"""
trap '' HUP PIPE
echo ready
tar --extract --file=- --numeric-owner --preserve-permissions --xattrs '--xattrs-include=*' \\
    --delay-directory-restore --quoting-style=escape --warning=no-unknown-keyword \\
    --warning=no-timestamp
code=$?
echo "code $code"
read -r word
cd / && test "$word" = keep || rm -rf -- "$2"
"""

START_NEW = (
    b"""
umask 077
test -d "$3" || { echo "there is no folder $3" >&2; exit 3; }
if test -e "$1" || test -L "$1"; then rmdir -- "$1" || exit 4; fi
mkdir -- "$2" && cd -- "$2" || exit 5
"""
    + _FILL
)

START_INSIDE = (
    b"""
umask 077
test -d "$1" || { echo "there is no folder $1" >&2; exit 3; }
mkdir -- "$2" && cd -- "$2" || exit 5
"""
    + _FILL
)

# Names to remove begin with -, those that get holes with +.
TIDY = b"""
cd -- "$2" && like=$(mktemp) || exit 1
xargs -0 sh -c 'for f; do case $f in
    -*) f=${f#-}; touch -r "${f%/*}" "$0" && rm -f -- "$f"; touch -r "$0" "${f%/*}" ;;
    +*) f=${f#+}; touch -r "$f" "$0" && fallocate -d -- "$f"; touch -r "$0" "$f" ;;
    esac; done' "$like"
code=$?; rm -f -- "$like"; test "$code" = 0
"""

MEASURE = rb'find "$2" -type f -printf "%s %P\0"'

NAME = b"""
sync -f "$2" && mv -T -n -- "$2" "$1" && test ! -e "$2" && sync -f "$1"
"""

# Lengths of chunks follow the file.
CHUNK_HASHES = b"""
exec <"$1" || exit 1
shift
for length; do head -c "$length" | sha256sum; done
"""

HASHES = b"""
cd -- "$1" && find . -mindepth 1 -maxdepth 1 -type f -links 1 -exec sha256sum -z -- {} +
"""


def script(lines: bytes) -> bytes:
    """Return a whole script."""
    return _SAY_READY + lines


def own(stderr: bytes) -> bytes:
    """Return what a script, or what it ran, complained of."""
    return stderr.rpartition(READY)[2]
