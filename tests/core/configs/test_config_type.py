"""Configs of type config: files of this machine and the document of its environment, in one point."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.configs import configs
from core.errors import Invalid
from core.points import browse, points
from core.restores import restores
from tests.core.making import back_up, make_storage, make_tree, run

pytestmark = pytest.mark.usefixtures("context")


def test_files_and_environment_are_one_point_and_files_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_storage(tmp_path)
    monkeypatch.setenv("SHOP_TOKEN", "geheim")
    folder = make_tree(tmp_path / "etc")
    source = {"paths": [str(folder)], "variables": "SHOP_TOKEN\nSHOP_NONE", "packages": False}
    config = configs.create(configs.parse({"name": "Machine", "type": "config", "source": source}))
    job = back_up(config.id)
    assert job.status == "completed", job.summary
    point = points.latest(config.id)
    assert point is not None
    _, content = browse.read_file(point, b"/holdfast/environment.json")
    document = json.loads(b"".join(content))
    assert document["variables"] == {"SHOP_TOKEN": "geheim"}
    assert "variable SHOP_NONE" in document["absent"]
    assert document["packages"] is None
    given = {"point_id": point.id, "target_path": str(tmp_path / "out")}
    assert run(restores.create(restores.validate(given))).status == "completed"
    restored = tmp_path / "out" / str(folder).lstrip("/") / "sub" / "1.txt"
    assert restored.read_text() == (folder / "sub" / "1.txt").read_text()


def test_what_is_offered_is_there_and_can_be_taken() -> None:
    offered = configs.offered("config")
    assert "/etc" in offered["source"]["paths"]
    data = configs.parse(offered)
    assert (data.name, data.cron, data.type) == ("Weekly Configuration", "0 4 * * 0", "config")


def test_a_name_that_is_none_is_refused_by_field() -> None:
    source = {"paths": ["/etc"], "variables": ["A=b"], "units": ["../x"]}
    with pytest.raises(Invalid) as caught:
        configs.parse({"name": "x", "type": "config", "source": source})
    assert set(caught.value.fields) == {"variables", "units"}
