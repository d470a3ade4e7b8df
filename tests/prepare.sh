#!/bin/sh
# Install the real programs that the tests talk to (Debian, as root); elsewhere name what is missing.
set -eu

missing=""
need() { # program, Debian package
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need restic restic
need rsync rsync
need chromium chromium
need setfacl acl
need setfattr attr
need strace strace
need ssh openssh-client
[ -x /usr/sbin/sshd ] || missing="$missing openssh-server"
need busybox busybox
need zstd zstd
need sudo sudo
need ip iproute2
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"  # with contrib and client
[ -x /usr/sbin/pgbouncer ] || missing="$missing pgbouncer"

if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing for the tests:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null
    # shellcheck disable=SC2086  # a list of words
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
    exit 0
fi
echo "The tests need these Debian packages:$missing" >&2
echo "Install them (sudo apt-get install$missing), or run make test as root on Debian." >&2
[ -z "${CI:-}" ] || exit 1
echo "Going on without them: the tests that need them will be skipped, with their reason." >&2
