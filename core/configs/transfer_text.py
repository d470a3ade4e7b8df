"""An export as text: YAML, of which JSON is a part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from core.errors import Invalid

MOST_BYTES = 4 * 1024 * 1024
_HEAD = "# An export of Holdfast. No secret is in it: keep the recovery key elsewhere.\n"


class _Reader(yaml.SafeLoader):
    """Reads plain data only. Aliases are refused: a few lines of them stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """See yaml.SafeLoader."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name) cannot stand in an export")
        return super().compose_node(parent, index)


class _Writer(yaml.SafeDumper):
    """Writes everything out."""

    def ignore_aliases(self, data: Any) -> bool:
        """See yaml.SafeDumper."""
        return True


def write(document: Mapping[str, Any]) -> str:
    """Return a document as text."""
    text: str = yaml.dump(dict(document), Dumper=_Writer, sort_keys=False, allow_unicode=True, width=120)
    return _HEAD + text


def read(text: str, name: str = "file") -> Any:
    """Return what a text says, as JSON can hold it. Raises Invalid (`name`), and repeats nothing of it."""
    if len(text) > MOST_BYTES:
        raise Invalid({name: "This is too large to be an export."})
    try:
        found = yaml.load(text, Loader=_Reader)  # noqa: S506  (a SafeLoader)
        return json.loads(json.dumps(found, default=str, allow_nan=False))
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = error.problem
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        where, problem = "", str(error).partition("\n")[0]
    raise Invalid({name: f"This is no YAML{where}: {problem}."})
