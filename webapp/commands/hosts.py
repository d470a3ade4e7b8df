"""`flask backup host …`: other machines, over SSH. Secrets come from files or a prompt only."""

from __future__ import annotations

import getpass
import json
import sys
from dataclasses import asdict
from typing import Any, TextIO

import click

from core.errors import Refused
from core.hosts import host_confirm, host_doctor, host_inputs, host_login, host_test, hosts
from core.models import Host
from webapp.commands import host_gates
from webapp.commands import host_looks as command_host_looks
from webapp.commands.group import Group
from webapp.commands.output import table
from webapp.hosts.host_words import ms, where

host = Group("host", help="Add, confirm, test and list the machines that are reached over SSH.")
for each in command_host_looks.COMMANDS:
    host.add_command(each)
host.add_command(host_gates.gate)

_JSON = click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
_STATES = {
    "unconfirmed": "key not confirmed", "untested": "not tested", "failing": "cannot be used",
    "ready": "ready",
}  # fmt: skip


@host.command("add")
@click.argument("name")
@click.option("--address", required=True, metavar="NAME|IP", help="Where it is.")
@click.option("--port", default="22", show_default=True, metavar="N")
@click.option("--user", required=True, help="The login name there.")
@click.option("--sudo", is_flag=True, help="Become root there with sudo, which must ask for no password.")
@click.option("--jump", metavar="HOST", help="Go through this host, which is known already.")
@click.option("--parallel", default="", metavar="N", help="How many jobs may work there at a time.")
@click.option(
    "--compression",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Pack what it sends: where the link is slow, always or never.",
)
@click.option(
    "--key-file", type=click.File(), metavar="FILE", help="Log in with this private key; - is stdin."
)
@click.option("--passphrase-file", type=click.File(), metavar="FILE", help="Holds the key's passphrase.")
@click.option("--password-file", type=click.File(), metavar="FILE", help="Log in with the password in it.")
def add(
    name: str,
    address: str,
    port: str,
    user: str,
    sudo: bool,
    jump: str | None,
    parallel: str,
    compression: str,
    key_file: TextIO | None,
    passphrase_file: TextIO | None,
    password_file: TextIO | None,
) -> None:
    """Add a host; without --key-file a key is made for it, and its line printed."""
    if key_file and password_file:
        raise click.UsageError("Give either --key-file or --password-file.")
    given: dict[str, Any] = {
        "name": name, "address": address, "port": port, "user": user, "sudo": sudo,
        "jump_id": hosts.find(jump).id if jump else None, "parallel_jobs": parallel,
        "compression": compression,
        "login": "given" if key_file else "password" if password_file else "made",
        "private_key": key_file.read() if key_file else "",
        "passphrase": _line_of(passphrase_file), "password": _line_of(password_file),
    }  # fmt: skip
    added = hosts.create(host_inputs.parse(given))
    click.echo(f"Added {added.name}: {where(added)}.")
    if command := host_login.install_command(added):
        click.echo(f"\nOn {added.name}, logged in as {added.user}, run:\n\n{command}\n")
    click.echo(f"Then compare and confirm its key: flask backup host confirm {added.name!r}")


@host.command("confirm")
@click.argument("name")
@click.option("--fingerprint", metavar="SHA256:…", help="Confirm the key with this fingerprint, unasked.")
def confirm(name: str, fingerprint: str | None) -> None:
    """Show the host's fingerprints, and pin the key that you have compared on the host itself."""
    found = hosts.find(name)
    if fingerprint is None:
        fingerprint = _ask_for_fingerprint(found)
    pinned = host_confirm.confirm_fingerprint(found.id, fingerprint, f"{getpass.getuser()} (command line)")
    click.echo(f"Confirmed the key of {pinned.name}. Next: flask backup host test {pinned.name!r}")


@host.command("test")
@click.argument("name")
@_JSON
def test(name: str, as_json: bool) -> None:
    """Go the whole way that a backup goes, and print each step with its time; exit code 1 if one fails."""
    result = host_test.test(hosts.find(name).id)
    if as_json:
        click.echo(json.dumps({"ok": result.ok, **asdict(result)}, indent=2))
    else:
        _print_result(result)
    sys.exit(0 if result.ok else 1)


@host.command("doctor")
@click.argument("name")
def doctor(name: str) -> None:
    """Say what a backup of a host would miss and why, with lines that give it no more rights than needed."""
    report = host_doctor.examine(hosts.find(name).id)
    if not report.test.ok:
        _print_result(report.test)
    for finding in report.findings:
        mark = {"good": "ok", "warn": "note", "bad": "WRONG"}[finding.tone]
        click.echo(f"{mark:5}  {finding.title}: {finding.text}")
        if finding.command:
            click.echo(f"       as root there: {finding.command}")
    for set_up in report.set_ups:
        click.echo(f"\n# {set_up.title}, as root on {name}\n# Allows: {set_up.allows}")
        click.echo(f"# Forbids: {set_up.forbids}\n{set_up.lines}")
    sys.exit(0 if report.test.ok and all(each.tone != "bad" for each in report.findings) else 1)


@host.command("list")
@_JSON
def list_all(as_json: bool) -> None:
    """List the hosts, how each stands, and what backs it up."""
    found = hosts.list_all()
    if as_json:
        click.echo(json.dumps({"hosts": [_document(each) for each in found]}, indent=2))
    elif not found:
        click.echo("There are no hosts yet: flask backup host add NAME --address … --user …")
    else:
        rows = [
            (each.name, where(each), _STATES[hosts.state_of(each)], _used_by(each), each.trouble)
            for each in found
        ]
        table(("HOST", "WHERE", "STATE", "BACKED UP BY", "WHY"), rows)


def _ask_for_fingerprint(found: Host) -> str:
    shown = host_confirm.shown_by(found)
    click.echo(f"{found.name} ({where(found)}) shows:")
    for key in shown:
        click.echo(
            f"  {key.fingerprint}  {key.type}; on the host itself: {host_confirm.compare_command(key)}"
        )
    if not sys.stdin.isatty():
        raise Refused(
            "Nobody is here to compare, so nothing was confirmed.",
            "Compare on the host itself, then run this again with --fingerprint SHA256:…",
        )
    typed: str = click.prompt("Type or paste the fingerprint that the host itself prints")
    return typed


def _print_result(result: host_test.Result) -> None:
    for step in result.steps:
        mark = "not tried" if step.ok is None else "ok" if step.ok else "FAILED"
        click.echo(
            f"{mark:9}  {ms(step.ms) if step.ok is not None else '-':>7}  {step.name}: {step.text}".rstrip(
                ": "
            )
        )
    for limit in result.limits:
        click.echo(f"Not kept: {limit}.")
    if result.advice:
        click.echo(result.advice)


def _document(found: Host) -> dict[str, Any]:
    return {
        "id": found.id, "name": found.name, "address": found.address, "port": found.port,
        "user": found.user, "sudo": found.sudo, "jump": found.jump.name if found.jump else None,
        "parallel_jobs": found.parallel_jobs, "compression": found.compression,
        "state": hosts.state_of(found), "trouble": found.trouble,
        "fingerprints": [key.fingerprint for key in host_confirm.pinned(found)],
        "public_key": host_login.authorized_line(found),
    }  # fmt: skip


def _used_by(found: Host) -> str:
    return ", ".join(config.name for config in hosts.uses(found.id).configs) or "nothing"


def _line_of(file: TextIO | None) -> str:
    return file.readline().rstrip("\r\n") if file else ""
