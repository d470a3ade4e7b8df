#!/bin/sh
# Install the real programs that the tests talk to (Debian, as root); elsewhere name what is missing.
set -eu

missing=""
need() { # program, Debian package
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

look() {
    missing=""
    need restic restic
    need rsync rsync
    need chromium chromium
    need setfacl acl
    need setfattr attr
    need strace strace
    need curl curl
    need ssh openssh-client
    [ -x /usr/sbin/sshd ] || missing="$missing openssh-server"
    need busybox busybox
    need zstd zstd
    need sudo sudo
    need ip iproute2
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"  # with contrib and client
    [ -x /usr/sbin/pgbouncer ] || missing="$missing pgbouncer"
}

failed() {
    echo "The tests need these Debian packages, and apt-get could not install them (see above):$missing" >&2
    echo "See whether \`apt-get update && apt-get install$missing\` works, then run make test again." >&2
    exit 1
}

look
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing for the tests:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # A mirror may be slow or fail for a moment, and on a new machine its own updates may hold the lock.
    patient="-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300"
    # shellcheck disable=SC2086  # lists of words
    apt-get $patient update -qq >/dev/null || echo "apt-get update failed; going on with the lists that are there." >&2
    # shellcheck disable=SC2086
    apt-get $patient install -y -qq --no-install-recommends $missing >/dev/null || failed
    look
    [ -z "$missing" ] || failed
    exit 0
fi
echo "The tests need these Debian packages:$missing" >&2
echo "Install them (sudo apt-get install$missing), or run make test as root on Debian." >&2
[ -z "${CI:-}" ] || exit 1
echo "Going on without them: the tests that need them will be skipped, with their reason." >&2
