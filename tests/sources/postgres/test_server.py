"""Connections: URLs are taken apart without a secret in any message; TLS; a pooler in between."""

from __future__ import annotations

import datetime
import ipaddress
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sources.postgres.errors import BadConnection, ServerUnavailable
from sources.postgres.server import Server, Way, parse_url
from tests.ports import free_port
from tests.servers.postgres import PASSWORD, Cluster, as_server_user, own, running
from tests.sources.postgres.making import back_up
from tests.waiting import wait_for


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("postgresql://u:p@db.example:6543/app", Server("db.example", 6543, "u", "p", "app")),
        ("postgres://u@h", Server("h", user="u")),
        ("postgresql://u:a%40b%2Fc@h/x%20y", Server("h", user="u", password="a@b/c", database="x y")),
        ("postgresql://u:a@b/c:d?e#f@h:1/x", Server("h", 1, "u", "a@b/c:d?e#f", "x")),
        ("postgresql://[::1]:5433/x", Server("::1", 5433, database="x")),
        ("postgresql:///x?host=/run/postgresql&user=me", Server("/run/postgresql", user="me", database="x")),
        (
            "postgresql://u:p@h/x?sslmode=require&pgbouncer=true",
            Server("h", user="u", password="p", database="x", ssl_mode="require"),
        ),
        (
            "postgresql://u:p@h/x?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=5",
            Server(
                "h",
                user="u",
                password="p",
                database="x",
                ssl_mode="verify-full",
                ssl_root_cert="/ca.pem",
                connect_timeout_s=5,
            ),
        ),
    ],
)
def test_a_url_is_taken_apart(url: str, server: Server) -> None:
    assert parse_url(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:s3cret@h/x",
        "s3cret",
        "postgresql://u:s3cret@h:s3cret/x",
        "postgresql://u:s3cret@h:99999/x",
        "postgresql://u:s3cret@h,i/x",
        "postgresql://u:s3cret@h/x?s3cret=1",
        "postgresql://u:s3cret@h/x?sslmode=s3cret",
        "postgresql://u:s3cret@h/x?sslmode=verify-full",
        "postgresql://u:s3cret%00@h/x",
        "postgresql://u:[YOUR-PASSWORD]s3cret@h/x",
    ],
)
def test_a_url_that_cannot_be_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadConnection) as caught:
        parse_url(url)
    assert "s3cret" not in str(caught.value)


def test_no_secret_is_in_repr_conninfo_or_scrubbed_text() -> None:
    server = Server("h", password="a b/c")
    assert "a b/c" not in repr(server) + server.conninfo()
    assert server.scrub("x  a b/c y a%20b%2Fc z a%20b/c") == "x *** y *** z ***"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Path]]:
    """A server that takes nothing but TLS over TCP, and the certificate to verify it with."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder)
    with running() as cluster:
        for name in ("server.crt", "server.key"):
            place = cluster.data / name
            place.write_bytes((folder / name).read_bytes())
            place.chmod(0o600)
            own(place)
        (cluster.data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 md5\n")
        cluster.run("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
        wait_for(lambda: cluster.ask("SHOW ssl") == [("on",)])
        yield cluster, folder / "server.crt"


def make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("db.example")]
            ),
            False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def test_tls_verifies_the_server_as_asked(tls: tuple[Cluster, Path], tmp_path: Path) -> None:
    cluster, root = tls
    cluster.create("one")
    make_certificate(tmp_path)  # of somebody else

    def server(mode: str, root_cert: Path | str = "") -> Server:
        return Server(
            "127.0.0.1", cluster.port, password=PASSWORD, ssl_mode=mode, ssl_root_cert=str(root_cert)
        )

    for good in (server("require"), server("verify-full", root), server("prefer")):
        assert back_up(good, ["one"]).problems == []
    for bad in (server("disable"), server("verify-full", tmp_path / "server.crt")):
        with pytest.raises(ServerUnavailable):
            back_up(bad, ["one"])


def test_tls_verifies_the_servers_own_name_at_the_end_of_a_way(tls: tuple[Cluster, Path]) -> None:
    cluster, root = tls
    way = Way("web1", loopback_port=cluster.port)

    def server(name: str) -> Server:
        return Server(name, 5432, password=PASSWORD, ssl_mode="verify-full", ssl_root_cert=str(root), way=way)

    with server("db.example").reading() as session:
        assert session.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchall() == [
            (True,)
        ]
    with pytest.raises(ServerUnavailable, match=r"elsewhere\.example:5432 by way of web1"):
        server("elsewhere.example").connect()


@pytest.fixture
def pooler(postgres: Cluster, tmp_path: Path) -> Iterator[Server]:
    """PgBouncer before the server, lending sessions for one transaction at a time."""
    program = next(
        (path for path in ("/usr/sbin/pgbouncer", "/usr/bin/pgbouncer") if os.path.exists(path)), None
    )
    if program is None:
        pytest.skip("pgbouncer is not installed (see tests/prepare.sh)")
    port = free_port()
    folder = postgres.folder / f"bouncer-{port}"
    folder.mkdir()
    own(folder)
    (folder / "users").write_text(f'"postgres" "{PASSWORD}"\n')
    settings = (
        f"[databases]\n* = host={postgres.folder} port={postgres.port}",
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =",
        f"auth_type = plain\nauth_file = {folder}/users\npool_mode = transaction",
        "ignore_startup_parameters = extra_float_digits\n",
    )
    (folder / "ini").write_text("\n".join(settings))
    process = subprocess.Popen(
        [*as_server_user(), program, "-q", str(folder / "ini")], stderr=subprocess.DEVNULL, cwd="/"
    )
    server = Server("127.0.0.1", port, password=PASSWORD)
    end = time.monotonic() + 60
    while True:
        try:
            server.connect().close()
            break
        except ServerUnavailable:
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.05)
    yield server
    process.terminate()
    process.wait(120)


def test_a_dump_through_a_pooler_is_whole(postgres: Cluster, database: str, pooler: Server) -> None:
    postgres.run("CREATE TABLE t AS SELECT g FROM generate_series(1, 5000) g", database=database)
    direct = back_up(postgres.tcp, [database]).manifest.find(database)
    through = back_up(pooler, [database]).manifest.find(database)
    assert direct is not None
    assert through is not None
    assert [(table.name, table.rows) for table in through.tables] == [("t", 5000)]
    assert abs(through.dump_bytes - direct.dump_bytes) < 50
