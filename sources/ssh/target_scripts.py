"""What a restore runs on a host, as lines of POSIX shell. $1 is the place, $2 the folder to fill first.

Whoever owns the folder that the latter is made in may rename it and put a link there, at any time. So it is
made and entered from where it is to be, must be ours and empty then, and is known by its inode ever after.
"""

from __future__ import annotations

# Said on the standard error before anything else; what comes before is of the login.
READY = b"\nholdfast is ready\n"
_SAY_READY = b"printf '\\nholdfast is ready\\n' >&2\n"

# A shell that outlives tar: who restores says `keep` at the end. Without it, as after a cut or a kill,
# nothing is left. $3 is the folder above, where there is no folder to restore into.
_FILL = b"""
made=$(stat -c %d:%i .) && trap '' HUP PIPE || exit 5
echo "ready $made $above"
tar --extract --file=- --numeric-owner --preserve-permissions --xattrs '--xattrs-include=*' \\
    --delay-directory-restore --quoting-style=escape --warning=no-unknown-keyword \\
    --warning=no-timestamp
code=$?
echo "code $code"
read -r word
cd / && test "$word" = keep || rm -rf -- "$2"
"""

# In the folder where it is to be; what its owner could put there instead is not ours, elsewhere, or full.
MAKE = b"""
replaced() { echo "somebody replaced $1, which was made for this restore" >&2; }
given_away() {
    echo "somebody replaced $1, which was made for this restore, or its disk is on a network and gives what" \
        "root makes to another user (root_squash): then take sudo off, or restore to a disk of the host" >&2
}
undo() { # rmdir takes nothing that somebody has put there
    test "$(stat -c %d:%i ..)" = "$above" && cd -P .. && rmdir -- "./${1##*/}" 2>/dev/null
}
above=$(stat -c %d:%i .) && mkdir -m 700 -- "./${2##*/}" || exit 5
cd -P -- "./${2##*/}" || { rmdir -- "./${2##*/}"; exit 5; }
test -O . || { given_away "$2"; undo "$2"; exit 5; }
test "$(stat -c %d:%i ..)" = "$above" && test -z "$(ls -A .)" || { replaced "$2"; undo "$2"; exit 5; }
case $(stat -c %A .) in ?????-??-*) ;; *) replaced "$2"; undo "$2"; exit 5 ;; esac
"""

# The folder that was entered, where its whole path matters, and not just where it leads.
_AS_NAMED = b"""
as_named() {
    here=$(pwd -P && echo x) || return 1
    test "$HOLDFAST_PINNED" = no || test "${here%?x}" = "$1" || {
        echo "$1 leads elsewhere than when it was looked at" >&2; return 1; }
}
"""

START_NEW = (
    _AS_NAMED
    + b"""
umask 077
test -d "$3" || { echo "there is no folder $3" >&2; exit 3; }
cd -P -- "$3" && as_named "$3" || exit 3
"""
    + MAKE
    + b"""
if test -e "../${1##*/}" || test -L "../${1##*/}"; then
    rmdir -- "../${1##*/}" || { undo "$2"; exit 4; }
fi
"""
    + _FILL
)

START_INSIDE = (
    _AS_NAMED
    + b"""
umask 077
test -d "$1" || { echo "there is no folder $1" >&2; exit 3; }
cd -P -- "$1" && as_named "$1" || exit 3
"""
    + MAKE
    + _FILL
)

# Goes into what START has made, or nowhere.
ENTER = b"""
cd -P -- "$2" && test "$(stat -c %d:%i .) $(stat -c %d:%i ..)" = "$HOLDFAST_MADE" || {
    echo "somebody replaced $2, which was made for this restore" >&2; exit 1; }
"""

# Names to remove begin with -, those that get holes with +.
TIDY = (
    ENTER
    + b"""
like=$(mktemp) || exit 1
xargs -0 sh -c 'for f; do case $f in
    -*) f=${f#-}; touch -r "${f%/*}" "$0" && rm -f -- "$f"; touch -r "$0" "${f%/*}" ;;
    +*) f=${f#+}; touch -r "$f" "$0" && fallocate -d -- "$f"; touch -r "$0" "$f" ;;
    esac; done' "$like"
code=$?; rm -f -- "$like"; test "$code" = 0
"""
)

MEASURE = ENTER + rb'find . -type f -printf "%s %P\0"'

NAME = (
    ENTER
    + b"""
made=$(stat -c %d:%i .)
sync -f . && cd -P .. && mv -T -n -- "./${2##*/}" "./${1##*/}" && cd -P -- "./${1##*/}" || exit 1
test "$(stat -c %d:%i .)" = "$made" || { echo "something came to stand at $1 meanwhile" >&2; exit 1; }
sync -f .
"""
)

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
