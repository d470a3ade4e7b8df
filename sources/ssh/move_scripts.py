"""How what has arrived on a host gets into folders that are in use there: shell, as in target_scripts.

$1 is the place, $2 the private folder that holds what arrived, $4 the conflict rule; $5 and $6 are scripts.
"""

from __future__ import annotations

from sources.ssh.target_scripts import ENTER

# Takes folders that stood there before, the deepest first. Says, in records that end with NUL, what is left:
# a folder behind an additional /, then kind, size and name of each thing that did not get its place below it.
# What arrived is reached by this shell's own folder: its name may lead elsewhere at any time.
MOVE = (
    ENTER
    + b"""
sync -f . && top=$(cd -P .. && pwd -P && echo x) || exit 1
xargs -0 sh -c "$5" "${top%?x}" "/proc/$$/cwd/." "$4" "$6"
code=$?
printf '/\\0'
find . -mindepth 1 -printf '%y %s %P\\0'
rm -rf -- "$2" && sync -f "$1" && exit $code
"""
)

# The folder that START was in, or none: the name may lead elsewhere by now.
_TOP = b"""
cd -P -- "$1" && test "$(stat -c %d:%i .)" = "${HOLDFAST_MADE#* }" || {
    echo "somebody replaced $1" >&2; exit 1; }
"""

# Each folder is entered and must be where it should be: what is moved into it then is moved there, whatever
# becomes of its name meanwhile. For another file system it is copied into a folder of our own there first,
# and gets its place from within that: nobody else can move it elsewhere, so its .. is what was looked at.
MOVE_EACH = b"""
top=$0; test "$top" = / && top=
from=$1; rule=$2; older=$3; shift 3; bad=0

# Puts what is in the folder $1 into $2. mv -n may or may not say what it leaves: what is left tells.
put() {
    if test "$rule" = replace; then
        find "$1" -mindepth 1 -maxdepth 1 -exec mv -f -t "$2" -- {} +
        return
    fi
    find "$1" -mindepth 1 -maxdepth 1 -exec mv -n -t "$2" -- {} +
    test "$rule" != replace-if-older ||
        find "$1" -mindepth 1 -maxdepth 1 ! -type d -exec sh -c "$older" "$2" {} +
}

by_copy() {
    own=.holdfast-moving-$$
    was=$(stat -c %d:%i .) && mkdir -m 700 -- "$own" && cd -P -- "$own" || return 1
    test -O . && test "$(stat -c %d:%i ..)" = "$was" && test -z "$(ls -A .)" || {
        echo "$own is not what was made" >&2
        test "$(stat -c %d:%i ..)" != "$was" || { cd -P .. && rmdir -- "$own" 2>/dev/null; }
        return 1; }
    if find "$1" -mindepth 1 -maxdepth 1 -exec mv -f -t . -- {} +; then
        put . .. ; code=$?
        printf "/%s\\0" "$folder"
        find . -mindepth 1 -printf "%y %s %P\\0"
    else
        code=1
    fi
    find . -mindepth 1 -delete
    cd .. && rmdir -- "$own" && return "$code"
}

for folder; do
    folder=${folder#.}
    printf "\\0" # something is heard: this may take long
    test "$folder" = "" || ! rmdir -- "$from$folder" 2>/dev/null || continue # nothing is to be put there
    cd -P -- "$top$folder/" || { bad=1; continue; }
    here=$(pwd -P && echo x); here=${here%?x}
    test "$here" = "${top:-}$folder" || test "$here" = "${top:-/}$folder" || {
        echo "a link stands where the folder $folder was" >&2; bad=1; continue; }
    if test "$(stat -c %d .)" = "$(stat -c %d "$from")"; then
        put "$from$folder" . || test "$rule" != replace || bad=1
    else
        by_copy "$from$folder" || test "$rule" != replace || bad=1
    fi
    test "$folder" = "" || rmdir -- "$from$folder" 2>/dev/null
done
exit $bad
"""

# Moves files over older ones in the folder $0. No link is followed for its time, so find compares those.
MOVE_OLDER = b"""
for new; do
    shift
    old=$0/${new##*/}
    if test ! -L "$old" && test ! -e "$old"; then :
    elif test ! -L "$old" && test -d "$old"; then continue
    elif test -L "$new" || test -L "$old"; then
        test -n "$(find "$new" -maxdepth 0 -newer "$old")" || continue
    else
        test "$new" -nt "$old" || continue
    fi
    set -- "$@" "$new"
done
test $# = 0 || mv -f -t "$0" -- "$@"
"""

# Says of each name what stands there: a link, a folder, something else, nothing.
STANDING = (
    _TOP
    + b"""
xargs -0 sh -c 'for f; do
    if test -L "$f"; then echo l; elif test -d "$f"; then echo d; elif test -e "$f"; then echo f
    else echo -; fi
done' sh
"""
)

# For each folder: how long its name is and how long its archive, which describes `.`; then both. Only a
# folder that is where it should be is described: a link in its place would lead elsewhere.
DESCRIBE = (
    _TOP
    + b"""
top=$(pwd -P && echo x) || exit 1
top=${top%?x}; test "$top" = / && top=
bad=0
while read -r name_bytes archive_bytes; do
    echo # something is heard: this may take long
    folder=$(head -c "$name_bytes" && echo x); folder=${folder%?}
    folder=${folder#.}
    cd -P -- "$top$folder/" && here=$(pwd -P && echo x) && here=${here%?x} || here=
    if test "$here" = "${top:-}$folder" || test "$here" = "${top:-/}$folder"; then
        head -c "$archive_bytes" | tar --extract --file=- --numeric-owner --preserve-permissions --xattrs \\
            '--xattrs-include=*' --delay-directory-restore --quoting-style=escape --no-recursion \\
            --warning=no-unknown-keyword --warning=no-timestamp || bad=1
    else
        head -c "$archive_bytes" >/dev/null
        echo "a link stands where the folder $folder was" >&2; bad=1
    fi
done
exit $bad
"""
)
