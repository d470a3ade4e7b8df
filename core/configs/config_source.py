"""What a config reads, by its type: one schema for forms, API and commands, and the Source made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Annotated, Protocol, runtime_checkable

from pydantic import Field, TypeAdapter

from core import secrets, words
from core.configs import source_config, source_database, source_files
from core.configs.source_config import ConfigSource
from core.configs.source_database import DatabasePreview, DatabaseSource
from core.configs.source_files import FilesSource, TreeSource
from core.errors import Invalid, Refused
from core.hosts import host_source, host_trouble, hosts
from core.hosts.host_source import HostPreview
from core.models import Config
from repository.compression import Mode
from repository.entries import Source, SourceUnavailable
from sources.postgres.manifest import Manifest
from sources.postgres.source import PostgresSource
from sources.preview import Preview as Preview
from sources.preview import preview as preview_tree


@runtime_checkable
class Closable(Protocol):
    """What holds something that is to be let go of."""

    def close(self) -> None:
        """Let go of it."""


OneSource = FilesSource | ConfigSource | DatabaseSource
AnySource = Annotated[OneSource, Field(discriminator="type")]

_ADAPTER: TypeAdapter[OneSource] = TypeAdapter(AnySource)
_MODELS: Mapping[str, type[FilesSource] | type[ConfigSource] | type[DatabaseSource]] = {
    "files": FilesSource,
    "config": ConfigSource,
    "database": DatabaseSource,
}
_SEALED_IN = {"table": "configs", "column": "secrets_sealed"}


def host_of(source: OneSource) -> str | None:
    """Return the id of the host that is read; None for what is read from here."""
    return source.host_id


def source_of(config: Config) -> OneSource:
    """Return what a config reads; a password is not part of it."""
    return _ADAPTER.validate_python({**config.source, "type": config.type})


def as_stored(config: Config) -> OneSource:
    """Return the same unchecked, to be shown and corrected."""
    return _MODELS[config.type].model_construct(**config.source)


@runtime_checkable
class _Dumps(Protocol):
    """A source that dumps databases, and keeps a manifest of what it has dumped."""

    @property
    def manifest(self) -> Manifest: ...


def document(source: OneSource) -> dict[str, object]:
    """Return the source as it is stored, without its type and its secrets."""
    return source.model_dump(exclude={"type"})


def check(source: OneSource) -> None:
    """Raise Invalid, by field, for what a backup could never read."""
    if isinstance(source, DatabaseSource):
        source_database.check(source)
    if source.host_id:
        hosts.require(source.host_id)
    elif isinstance(source, TreeSource):
        source_files.check_paths(source)


def keep_secrets(config: Config, source: OneSource) -> None:
    """Seal a new password into the config's row, which has its id; a stored one stays if none is given.

    Raises Invalid where that one was for another server or user.
    """
    if not isinstance(source, DatabaseSource):
        return
    if source.password is not None:
        text = source.password.get_secret_value()
        config.secrets_sealed = secrets.seal(text, row=config.id, **_SEALED_IN) if text else ""
    elif config.secrets_sealed:
        before = DatabaseSource.model_construct(**config.source).place
        if before != source.place:
            text = "Type the password again: the stored one is for another server or user."
            raise Invalid({"password": text})


def is_of_this_machine(config: Config) -> bool:
    """Tell whether a config reads files of this machine."""
    source = as_stored(config)
    return isinstance(source, TreeSource) and host_of(source) is None


def password_of(config: Config) -> str:
    """Return the password of a config's server, "" if it has none. Raises SealBroken."""
    sealed = config.secrets_sealed
    return secrets.unseal(sealed, row=config.id, **_SEALED_IN) if sealed else ""


def open_source(source: OneSource, password: str = "", waiting: Callable[[], None] = lambda: None) -> Source:
    """Return what is to be read; `waiting` is called while a server is waited for, and may raise."""
    if isinstance(source, DatabaseSource):
        return source_database.open_source(source, password, waiting)
    if isinstance(source, ConfigSource):
        return source_config.open_source(source)
    return host_source.open_source(source) if source.host_id else source_files.open_source(source)


def closed_after(opened: Source) -> AbstractContextManager[object]:
    """Return what lets go of a source at the end of a block, where there is something to let go of."""
    if isinstance(opened, AbstractContextManager):
        return opened
    return closing(opened) if isinstance(opened, Closable) else nullcontext()


def tell_work(opened: Source, tell: Callable[[str], None]) -> None:
    """Let a source that works for long before it hands anything on say how far it is."""
    if isinstance(opened, PostgresSource):
        opened.tell = tell


def limits(opened: Source) -> list[str]:
    """Return what of the files read cannot be kept, a sentence each."""
    return list(getattr(opened, "limits", ()))


def compression(source: OneSource, chosen: Mode) -> Mode:
    """Return how what is read is compressed best, where a person leaves that open."""
    return "rows" if isinstance(source, DatabaseSource) and chosen == "auto" else chosen


def countable(source: OneSource) -> Source | None:
    """Return the same to be counted beside a backup; None where only reading tells how much there is."""
    if isinstance(source, TreeSource) and host_of(source) is None:
        return source_files.open_source(source)
    return None


def excludes(source: OneSource) -> list[str]:
    """Return the patterns that a snapshot names."""
    return [*source.exclude, *source.iexclude] if isinstance(source, TreeSource) else []


def what(source: OneSource) -> str:
    """Say in short what is backed up."""
    if isinstance(source, ConfigSource):
        return source_config.what(source)
    if isinstance(source, DatabaseSource):
        return source_database.what(source)
    return ", ".join(source.paths) + (f" of {hosts.name_of(source.host_id)}" if source.host_id else "")


def plan(source: OneSource) -> list[str]:
    """Say, a line each, what a backup is going to read, and what never."""
    lines = [f"Backing up {what(source)}."]
    if isinstance(source, TreeSource):
        left_out = _left_out(source)
        return lines + [f"Left out, as always: {place} ({reason})." for place, reason in left_out]
    return lines + source_database.plan(source)


def read(opened: Source, files: int) -> str:
    """Say how much was read, in the words of the source: 2 databases, or 30 files."""
    if isinstance(opened, _Dumps):
        return words.count(len(opened.manifest.databases), "database")
    return words.count(files, "file")


def changed(opened: Source, count: int) -> str:
    """Say what happened to so many things while they were read, that the point does not show whole."""
    if isinstance(opened, PostgresSource):
        was = "was" if count == 1 else "were"
        return f"{words.count(count, 'database')} {was} made while it ran, and will be in the next point"
    return f"{words.count(count, 'file')} changed while being read"


def _left_out(source: TreeSource) -> list[tuple[str, str]]:
    """Return the places below the source's paths that are always left out, with the reasons."""
    if not source.host_id:
        return source_files.left_out_below(source)
    tops = [path.rstrip("/") + "/" for path in source.paths]
    return [each for each in host_source.left_out(source) if any(each[0].startswith(top) for top in tops)]


def told(opened: Source) -> list[str]:
    """Say, a line each, what was read, once a backup has ended."""
    return source_database.told(opened.manifest) if isinstance(opened, _Dumps) else []


def preview(
    source: OneSource, password: str = "", limit_s: float = 5.0
) -> Preview | DatabasePreview | HostPreview:
    """Return what a backup would read. Raises Invalid if a path is missing or a server lets nobody in."""
    if isinstance(source, TreeSource) and source.host_id:
        return host_source.preview(source, needs_shell=isinstance(source, ConfigSource))
    try:
        if isinstance(source, DatabaseSource):
            if source.host_id:
                hosts.require(source.host_id)
            return source_database.preview(source, password)
        return preview_tree(source_files.open_source(source), limit_s=limit_s)
    except SourceUnavailable as error:
        field = "host" if isinstance(source, DatabaseSource) else "paths"
        advice = host_trouble.advice_for(error)
        raise Invalid({field: f"{_sentence(str(error))} {advice}".strip()}) from error
    except Refused as error:  # the host's key is not confirmed yet
        raise Invalid({"host_id": str(error)}) from error


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
