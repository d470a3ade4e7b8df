"""The Unix socket of a PostgreSQL server on a host: who opens it there, and by what.

Where no password is given, PostgreSQL most often goes by the name of the user who opens the socket (`peer`).
SSH opens it as the user who logs in. For another one a small program there does, which that user runs.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from core.hosts import host_login
from core.models import Host
from sources.postgres.errors import ServerUnavailable
from sources.postgres.server import Server

if TYPE_CHECKING:
    from ssh.connection import Connection
    from ssh.ways import Way

_FOLDER = re.compile(r"/[A-Za-z0-9_.+/-]{0,90}\Z")
_LOGIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\Z")
PYTHON = rb"""
import os, socket, sys, threading
end = socket.socket(socket.AF_UNIX)
try:
    end.connect(sys.argv[1])
except OSError as error:
    sys.exit(f"cannot open {sys.argv[1]}: {error.strerror}")
def send():
    while data := os.read(0, 65536):
        end.sendall(data)
    end.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := end.recv(65536):
    while data:
        data = data[os.write(1, data):]
os._exit(0)
"""
PERL = rb"""
use Socket;
socket(my $end, AF_UNIX, SOCK_STREAM, 0);
connect($end, pack_sockaddr_un($ARGV[0])) or do { print STDERR "cannot open $ARGV[0]: $!\n"; exit 1 };
sub pass {
    my ($from, $to) = @_;
    while (sysread($from, my $data, 65536)) {
        for (my $at = 0; $at < length $data;) {
            $at += syswrite($to, $data, length($data) - $at, $at) || return;
        }
    }
}
my $child = fork();
if (!$child) { pass(*STDIN, $end); shutdown($end, 1); exit 0 }
pass($end, *STDOUT);
kill "TERM", $child;
"""
# Its arguments: the socket, and a program for each interpreter.
RELAY = rb"""
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then exec python3 -c "$2" "$1"
elif command -v perl >/dev/null; then exec perl -e "$3" "$1"
else echo "python3 or perl is needed there to open the socket as another user" >&2; exit 1; fi
"""


def is_folder(text: str) -> bool:
    """Tell whether a socket's folder may be asked for on a host."""
    return _FOLDER.match(text) is not None and ".." not in text.split("/")


def path_of(server: Server) -> str:
    """Return the path of a server's socket."""
    return os.path.join(server.host, f".s.PGSQL.{server.port}")


def way_to(connection: Connection, host: Host, server: Server) -> Way:
    """Return the way to a server's socket. Raises ServerUnavailable for a user that no machine has."""
    from ssh.process import quoted
    from ssh.ways import ByProgram, ToSocket  # slow to import: paramiko

    user = user_of(host, server)
    if user == host.user:
        return ToSocket(connection, path_of(server))
    if not _LOGIN_NAME.match(user):
        raise ServerUnavailable(f"{user!r} is no name of a user on {host.name}, who could open the socket")
    relay = [b"sh", b"-c", RELAY, b"sh", path_of(server).encode(), PYTHON, PERL]
    # By way of root: what sudo was set up for may be root alone.
    before = [b"sudo", b"-n", b"--"] if host.sudo else []
    line = b" ".join(map(quoted, relay))
    return ByProgram(connection, [*before, b"su", b"-s", b"/bin/sh", b"-c", line, user.encode()])


def user_of(host: Host, server: Server) -> str:
    """Return who opens the socket there: PostgreSQL's user, if none but him is asked for a password and the
    host lets us be him; else the user who logs in."""
    other = not server.password and server.user != host.user and (host.sudo or host.user == "root")
    return server.user if other else host.user


def words_for(trouble: Exception, host: Host, server: Server) -> str:
    """Say what is wrong with the way to a socket, and what to do."""
    from ssh.errors import NobodyThere

    path, user = path_of(server), user_of(host, server)
    if isinstance(trouble, NobodyThere):
        begins = ",".join(host_login.key_options([(server.host, server.port)]))
        return (
            f"{host.name} does not lead on to the socket {path}. See that PostgreSQL runs there with its "
            f"socket in this folder (unix_socket_directories) and that {host.user} may open it; that the "
            f"line of the key in its authorized_keys begins with {begins} (the host’s page has the whole "
            "line); and that its sshd_config does not say AllowStreamLocalForwarding no"
        )
    how = "by sudo and su" if host.sudo else "by su"
    return (
        f"{host.name} does not open the socket {path} as {user}, {how} ({trouble}). See that PostgreSQL runs "
        f"there with its socket in this folder (unix_socket_directories), and that {host.user} may become "
        f"{user} without a password; or give PostgreSQL’s user a password here"
    )
