"""Export and import: everything but secrets as one file; and what an import still waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.configs import awaited, configs, transfer, transfer_text
from core.configs.transfer import Plan
from core.errors import HoldfastError, Invalid
from core.models import Awaited
from webapp import answers, formats, forms
from webapp.access import access

blueprint = Blueprint("transfer", __name__, url_prefix="/settings/transfer")


@blueprint.get("")
@access.allow("admin")
def index() -> ResponseReturnValue:
    """Offer the export, ask for one to import, list what still waits."""
    return _page()


@blueprint.get("/export")
@access.allow("admin")
def export() -> ResponseReturnValue:
    """Download configs, storages, hosts and channels, without secrets."""
    return attachment()


@blueprint.post("/look")
@access.allow("admin")
def look() -> ResponseReturnValue:
    """Say what an import would do; nothing is done."""
    text = _text()
    try:
        return _page(text, transfer.plan(transfer_text.read(text)))
    except HoldfastError as error:
        return _page(text, error=error)


@blueprint.post("")
@access.allow("admin")
def create() -> ResponseReturnValue:
    """Make what an export holds and is not here yet; all of it is checked before."""
    text = _text()
    try:
        plan = transfer.plan(transfer_text.read(text))
        apply(plan)
    except HoldfastError as error:
        return _page(text, error=error)
    made = formats.count(sum(step.what == "make" for step in plan.steps), "thing")
    message = f"Imported: {made} made."
    if waits := len(awaited.list_all()):
        return answers.see_other(
            url_for("transfer.index"),
            f"{message} {formats.count(waits, 'thing')} {'waits' if waits == 1 else 'wait'} for you, below.",
            "warn",
        )
    return answers.see_other(url_for("transfer.index"), message)


@blueprint.post("/<int:awaited_id>/drop")
@access.allow("admin")
def drop(awaited_id: int) -> ResponseReturnValue:
    """Wait no more for what an import could not make."""
    name = awaited.drop(awaited_id).name
    return answers.see_other(url_for("transfer.index"), f"{name} is dropped: nothing waits for it.")


@blueprint.app_template_global("import_waits")
def count() -> int:
    """Return how many things of an import wait for a person."""
    return awaited.count()


def attachment() -> Response:
    """Return the export as a download."""
    response = Response(transfer_text.write(transfer.document()), mimetype="application/yaml")
    response.headers["Content-Disposition"] = 'attachment; filename="holdfast-export.yaml"'
    return response


def apply(plan: Plan) -> None:
    """Do an import; let the audit log name what it made, also where it stops. Raises HalfMade."""
    try:
        awaited.apply(plan)
    except awaited.HalfMade:
        g.audit_result = "failed"
        raise
    finally:
        if plan.made:
            answers.note(f"made {', '.join(plan.made)}")


def prefilled(form: forms.Form, noun: str) -> forms.Form:
    """Return the form of a new thing, filled with what waits under the number in `?awaited=`, if any."""
    wanted = request.args.get("awaited", type=int)
    row = next((each for each in awaited.list_all() if each.id == wanted and each.noun == noun), None)
    return form.changed(_values(row.document)) if row is not None else form


def follow() -> str:
    """Make what waited for what was just made; return a sentence about it, "" if nothing did."""
    found = awaited.follow()
    if not found:
        return ""
    answers.note(f"made {', '.join(f'{step.noun} {step.name}' for step in found)}")
    return f" What waited for it is made, too: {formats.listing([step.name for step in found])}."


def _values(document: Mapping[str, Any]) -> dict[str, Any]:
    target = document.get("target")
    found = {**document, **(target if isinstance(target, Mapping) else {})}
    for name in ("tell_resolved", "enabled"):
        if name in found:
            found[name] = "yes" if found[name] else ""
    if isinstance(found.get("recipients"), list):
        found["recipients"] = ", ".join(map(str, found["recipients"]))
    found.pop("host_keys", None)  # the person compares them: a file may be anybody's
    plain = {name: value for name, value in found.items() if not isinstance(value, list | dict)}
    return plain | _only_for(document.get("configs"))


def _only_for(wanted: Any) -> dict[str, Any]:
    """Return the fields of a channel for some configs: those of them that are here, never all instead."""
    if not isinstance(wanted, list) or not wanted:
        return {}
    here = [row.id for row in configs.list_all() if row.name in wanted]
    return {"for": "some", "configs": here}


def _text() -> str:
    """Return the export that was sent: the file, if one was chosen. Raises Invalid."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return forms.sent().value("document")
    try:
        text: str = file.read().decode()
        return text
    except UnicodeDecodeError:
        return "\0"  # refused as any other text that is no YAML


def _page(
    text: str = "", plan: Plan | None = None, error: HoldfastError | None = None
) -> ResponseReturnValue:
    problems = error.fields if isinstance(error, Invalid) else {"": str(error)} if error else {}
    page = render_template(
        "transfer/index.html", at="settings", text=text, plan=plan, problems=problems, fill_in=_fill_in,
        half=isinstance(error, awaited.HalfMade),
        waiting=[(row, awaited.why(row)) for row in awaited.list_all()],
    )  # fmt: skip
    if isinstance(error, awaited.HalfMade):
        return page, 409
    return page, 422 if error else 200


def _fill_in(row: Awaited) -> str:
    """Return the address of the form in which a person gives what is missing; "" if there is none."""
    if row.noun == "storage":
        return url_for("storages.new", provider=row.document.get("provider"), awaited=row.id)
    if row.noun == "channel":
        return url_for("channels.new", kind=row.document.get("kind"), awaited=row.id)
    return ""
