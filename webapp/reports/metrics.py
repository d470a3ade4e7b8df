"""/metrics for Prometheus: closed until an admin says who may read it."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from werkzeug.exceptions import NotFound

from core.access import metrics_access
from core.errors import HoldfastError
from core.reports import metrics
from webapp import answers, forms
from webapp.access import access

blueprint = Blueprint("metrics", __name__)

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@blueprint.get("/metrics")
@access.allow("anyone")
def show() -> ResponseReturnValue:
    """Return all metrics, to who has the token or comes from a listed address."""
    if not metrics_access.is_on():
        raise NotFound
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not metrics_access.allows(
        token.strip() if scheme.lower() == "bearer" else "", request.remote_addr or ""
    ):
        return Response(
            "The token of metrics is needed.\n", 401, {"WWW-Authenticate": 'Bearer realm="metrics"'}, _TYPE
        )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now())
    return Response(generate_latest(registry), content_type=_TYPE)


@blueprint.get("/settings/metrics")
@access.allow("admin")
def settings() -> ResponseReturnValue:
    """Show who may read the metrics."""
    return _page(forms.Form({"networks": ", ".join(metrics_access.networks())}))


@blueprint.post("/settings/metrics/token")
@access.allow("admin")
def new_token() -> ResponseReturnValue:
    """Make a token and show it, once."""
    return _page(
        forms.Form({"networks": ", ".join(metrics_access.networks())}), token=metrics_access.new_token()
    )


@blueprint.post("/settings/metrics/revoke")
@access.allow("admin")
def revoke() -> ResponseReturnValue:
    """Let nobody in by token any more."""
    metrics_access.revoke_token()
    return answers.see_other(url_for("metrics.settings"), "The token is worth nothing any more.")


@blueprint.post("/settings/metrics/networks")
@access.allow("admin")
def set_networks() -> ResponseReturnValue:
    """Say from where they may be read without a token."""
    form = forms.sent()
    try:
        found = metrics_access.set_networks(form.value("networks"))
    except HoldfastError as error:
        return _page(form.refuse(error), status=422)
    message = f"Metrics may be read from {', '.join(found)}." if found else "No address may read them now."
    return answers.see_other(url_for("metrics.settings"), message)


class _Now(Collector):
    """The numbers as they are when asked."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield each metric."""
        for metric in metrics.collect():
            family = GaugeMetricFamily(metrics.PREFIX + metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.rows:
                family.add_metric(labels, value)
            yield family


def _page(form: forms.Form, token: str = "", status: int = 200) -> ResponseReturnValue:
    page = render_template(
        "settings/metrics.html",
        at="settings",
        form=form,
        token=token,
        made_at=metrics_access.token_made_at(),
        networks=metrics_access.networks(),
        url=url_for("metrics.show", _external=True),
    )
    return page, status
