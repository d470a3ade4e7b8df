"""What a config of type files reads: its schema, and the Source made from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from core import app_state
from core.errors import Invalid
from core.form_values import split_lines
from core.retention.retention_rules import blank_is_none
from core.storages import storages
from sources.local import LocalSource
from sources.rules import Rules, parse_size

# Left out unless a config names a path in them: the kernel makes them anew at each start.
KERNEL_FOLDERS = ("/proc", "/sys", "/dev", "/run")


def _unique(items: list[str]) -> list[str]:
    return list(dict.fromkeys(item for item in items if item))


def _check_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is not an absolute path: it must start with /")
    if not path.isprintable():
        raise ValueError(f"{path!r} holds a character that cannot be shown")
    return os.path.normpath("/" + path.lstrip("/"))


def _check_size(text: str) -> str:
    text = text.strip()
    if text and parse_size(text) < 1:
        raise ValueError("the size must be more than nothing, such as 500M")
    return text


def _checked(make: Callable[[list[str]], object]) -> Callable[[list[str]], list[str]]:
    def check(items: list[str]) -> list[str]:
        make(items)
        return items

    return check


Lines = Annotated[list[str], BeforeValidator(split_lines), AfterValidator(_unique)]
Paths = Annotated[
    list[Annotated[str, AfterValidator(_check_path)]], BeforeValidator(split_lines), AfterValidator(_unique)
]


class TreeSource(BaseModel):
    """Trees of this machine, or of the host with the id `host_id`, and restic's rules for what is left out.

    Lists may come as lines of text.
    """

    model_config = ConfigDict(extra="forbid")

    host_id: Annotated[str | None, BeforeValidator(blank_is_none)] = None
    paths: Paths = Field(min_length=1)
    exclude: Annotated[Lines, AfterValidator(_checked(lambda lines: Rules(exclude=tuple(lines))))] = []
    iexclude: Annotated[Lines, AfterValidator(_checked(lambda lines: Rules(iexclude=tuple(lines))))] = []
    exclude_caches: bool = False
    exclude_if_present: Annotated[
        Lines, AfterValidator(_checked(lambda lines: Rules(exclude_if_present=tuple(lines))))
    ] = []
    exclude_larger_than: Annotated[str, AfterValidator(_check_size)] = ""
    one_file_system: bool = False


class FilesSource(TreeSource):
    """Trees, and nothing else."""

    type: Literal["files"] = "files"


def open_source(source: TreeSource) -> LocalSource:
    """Return the tree to read, with the rules and with all that is always left out."""
    return LocalSource(source.paths, rules=rules_of(source), always_excluded=always_excluded(source.paths))


def rules_of(source: TreeSource) -> Rules:
    """Return the source's rules in the form that the matcher takes."""
    return Rules(
        exclude=tuple(source.exclude),
        iexclude=tuple(source.iexclude),
        exclude_caches=source.exclude_caches,
        exclude_if_present=tuple(source.exclude_if_present),
        exclude_larger_than=parse_size(source.exclude_larger_than) if source.exclude_larger_than else None,
        one_file_system=source.one_file_system,
    )


def check_paths(source: TreeSource) -> None:
    """Raise Invalid, by field, for a path that a backup would leave out, or store as a mere link."""
    excluded = [(os.path.realpath(place), reason) for place, reason in always_excluded(source.paths)]
    for path in source.paths:
        real = os.path.realpath(path)
        for place, reason in excluded:
            if real == place or real.startswith(place + "/"):
                is_or_lies = "is" if real == place else "lies in"
                raise Invalid(
                    {"paths": f"{path} {is_or_lies} {reason}, which is never backed up. Take it out."}
                )
        if os.path.islink(path):
            text = f"{path} is a link, and only the link would be stored. Name what it leads to: {real}"
            raise Invalid({"paths": text})


def left_out_below(source: TreeSource) -> list[tuple[str, str]]:
    """Return those of the places always left out that lie below the source's paths, with the reasons."""
    tops = [os.path.join(os.path.realpath(path), "") for path in source.paths]
    return [
        (place, reason)
        for place, reason in always_excluded(source.paths)
        if os.path.lexists(place) and any(os.path.realpath(place).startswith(top) for top in tops)
    ]


def always_excluded(paths: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return the places that no backup holds, each with the reason, as pages and logs say it.

    The kernel's folders are among them unless one of `paths` lies in them.
    """
    excluded = [(app_state.settings().data_dir, "Holdfast's own data folder")]
    excluded += [(root, "a storage of Holdfast") for root in storages.local_roots()]
    return excluded + kernel_folders(paths)


def kernel_folders(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Return the kernel's folders in which none of `paths` lies, each with the reason."""
    named = [os.path.join(path, "") for path in paths]
    unnamed = [each for each in KERNEL_FOLDERS if not any(path.startswith(each + "/") for path in named)]
    return [(folder, "made by the kernel at each start") for folder in unnamed]
