"""The document of the environment: readable, secrets hidden, held against the machine now."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from core.configs import config_documents, configs
from core.configs.config_documents import PackageChange
from core.errors import NotFound
from core.models import Point
from core.points import points
from tests.core.making import back_up, make_config, make_storage, make_tree

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Point:
    """Return a point with a document that holds a secret."""
    make_storage(tmp_path)
    monkeypatch.setenv("SHOP_TOKEN", "geheim")
    monkeypatch.setenv("SHOP_NAME", "shop")
    source = {"paths": [str(make_tree(tmp_path / "etc"))], "variables": "SHOP_TOKEN\nSHOP_NAME"}
    config = configs.create(configs.parse({"name": "Machine", "type": "config", "source": source}))
    back_up(config.id)
    found = points.latest(config.id)
    assert found is not None
    return found


def test_secrets_are_masked_until_they_are_asked_for(point: Point) -> None:
    shown = config_documents.document_of(point)
    assert shown["variables"] == {"SHOP_TOKEN": "********", "SHOP_NAME": "shop"}
    assert shown["secrets_not_kept"] == ["variables.SHOP_TOKEN"]
    assert config_documents.document_of(point, reveal=True)["variables"]["SHOP_TOKEN"] == "geheim"


def test_who_revealed_them_is_noted(point: Point, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        config_documents.note_reveal("anna", point, b"/etc/x")
    assert f"anna revealed the secrets in /etc/x of point {point.id}" in caplog.text


def test_right_after_nothing_is_otherwise(point: Point) -> None:
    since = config_documents.changed_since(point)
    assert since.nothing, since


def document(**changes: Any) -> dict[str, Any]:
    packages = {"manager": "dpkg-query", "installed": [["a", "1", "all"], ["b", "1", "amd64"]]}
    return {"packages": packages, "services_enabled": ["x.service"], "etc_environment": {"A": "1"}, **changes}


def test_packages_services_and_variables_that_changed_are_named() -> None:
    now = document(
        packages={"manager": "dpkg-query", "installed": [["b", "2", "amd64"], ["c", "1", "all"]]},
        services_enabled=["y.service"],
        etc_environment={"A": "2", "B": "1"},
    )
    since = config_documents.compare(document(), now)
    assert since.packages == [
        PackageChange("a", "1", ""),
        PackageChange("b", "1", "2"),
        PackageChange("c", "", "1"),
    ]
    assert (since.services_gone, since.services_new) == (["x.service"], ["y.service"])
    assert since.variables == ["A", "B"]
    assert config_documents.compare(document(packages=None, services_enabled=None), now).packages == []


def test_a_point_without_one_says_so(tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    back_up(config.id)
    found = points.latest(config.id)
    assert found is not None
    assert not config_documents.holds_document(found)
    with pytest.raises(NotFound):
        config_documents.document_of(found)
