"""Values as forms send them, before their fields are checked."""

from __future__ import annotations


def split_lines(value: object) -> object:
    """Take a list, or a text with one entry a line, as forms send it; blank lines are nothing."""
    if isinstance(value, str):
        value = value.splitlines()
    if isinstance(value, list | tuple):
        return [item.strip() if isinstance(item, str) else item for item in value if item not in ("", None)]
    return value
