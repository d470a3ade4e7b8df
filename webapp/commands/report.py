"""`flask backup report`: the report of a day, today's so far, or what compliance asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import click
from flask.cli import with_appcontext

from core import words
from core.db import utc_now
from core.reports import compliance_report, reports
from core.reports.compliance_report import ComplianceReport


@click.command("report")
@click.option(
    "--day", metavar="DAY", default="today", help="A day (UTC): YYYY-MM-DD, yesterday, or today so far."
)
@click.option("--compliance", is_flag=True, help="Encryption, retention, copies and access instead.")
@click.option("as_json", "--json", is_flag=True, help="Print the JSON document that is put on the storage.")
@with_appcontext
def report(day: str, compliance: bool, as_json: bool) -> None:
    """Print the report of a day: what ran, how things stand."""
    if compliance:
        if as_json:
            raise click.UsageError("The compliance report is for people: leave --json out.")
        _print_compliance(compliance_report.make())
        return
    document = _document(day)
    if as_json:
        click.echo(reports.as_json(document), nl=False)
    else:
        _print(document)


def _document(day: str) -> dict[str, Any]:
    if day == "today":
        return reports.preview()
    if day == "yesterday":
        return reports.get(utc_now().date() - timedelta(days=1)).document
    try:
        return reports.get(date.fromisoformat(day)).document
    except ValueError:
        raise click.UsageError(f"{day!r} is no day: write it as 2026-11-23, today or yesterday.") from None


def _print(document: Mapping[str, Any]) -> None:
    runs = document["runs"]
    click.echo(f"Report of {document['day']} (UTC)")
    click.echo(document["verdict"]["sentence"])
    for reason in document["verdict"]["reasons"]:
        click.echo(f"  - {reason}")
    click.echo(
        f"Backups: {runs['completed']} completed, {runs['warning']} with warnings, "
        f"{runs['failed'] + runs['interrupted']} failed, {runs['missed']} missed; "
        f"{words.size(runs['bytes_added'])} added."
    )
    for each in document["success"]:
        if each["rate"] is not None:
            click.echo(f"  Success over {each['days']} days: {each['rate']:.1%}")
    for config in document["configs"]:
        click.echo(f"{config['name']}: {config['state']}. {config['reason']}")
    for storage in document["storages"]:
        used = "unknown" if storage["used_bytes"] is None else words.size(storage["used_bytes"])
        click.echo(f"{storage['name']}: {used} used{'' if storage['reachable'] else ', unreachable'}")


def _print_compliance(report: ComplianceReport) -> None:
    click.echo(f"Compliance, as things stand at {report.made_at:%Y-%m-%d %H:%M} UTC")
    at = report.retention_at
    click.echo(
        f"Whether retention complies: {f'as of {at:%Y-%m-%d %H:%M} UTC' if at else 'not looked at yet'}"
    )
    for part in report.parts:
        sure = "encrypted" if part.encrypted else "NOT encrypted everywhere"
        click.echo(f"{part.config.name}: {part.state.word}; {sure}; in {words.count(part.sites, 'place')}")
        for place in part.places:
            name = place.destination.repository.storage.name
            complies = {True: "complies", False: "does NOT comply", None: "not known whether it complies"}
            click.echo(
                f"  {name}: {words.count(place.points, 'point')}; keeps {place.keeps or 'everything'};"
                f" {complies[place.complies]}"
            )
    click.echo(f"{words.count(len(report.people), 'user')} known.")
    for text in report.open_points:
        click.echo(f"  - {text}")
