"""What a config reads, by its type: one schema for forms, API and commands, and the Source made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import Field, TypeAdapter

from core import secrets, source_config, source_database, source_files, words
from core.errors import Invalid
from core.models import Config
from core.source_config import ConfigSource
from core.source_database import DatabasePreview, DatabaseSource
from core.source_files import FilesSource, TreeSource
from repository.entries import Source, SourceUnavailable
from sources.postgres.source import PostgresSource
from sources.preview import Preview
from sources.preview import preview as preview_tree

OneSource = FilesSource | ConfigSource | DatabaseSource
AnySource = Annotated[OneSource, Field(discriminator="type")]

_ADAPTER: TypeAdapter[OneSource] = TypeAdapter(AnySource)
_MODELS: Mapping[str, type[FilesSource] | type[ConfigSource] | type[DatabaseSource]] = {
    "files": FilesSource,
    "config": ConfigSource,
    "database": DatabaseSource,
}
_SEALED_IN = {"table": "configs", "column": "secrets_sealed"}


def source_of(config: Config) -> OneSource:
    """Return what a config reads; a password is not part of it."""
    return _ADAPTER.validate_python({**config.source, "type": config.type})


def as_stored(config: Config) -> OneSource:
    """Return the same unchecked, to be shown and corrected."""
    return _MODELS[config.type].model_construct(**config.source)


def document(source: OneSource) -> dict[str, object]:
    """Return the source as it is stored, without its type and its secrets."""
    return source.model_dump(exclude={"type"})


def check(source: OneSource) -> None:
    """Raise Invalid, by field, for what a backup could never read."""
    if isinstance(source, TreeSource):
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
    return isinstance(as_stored(config), TreeSource)


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
    return source_files.open_source(source)


def countable(source: OneSource) -> Source | None:
    """Return the same to be counted beside a backup; None where only reading tells how much there is."""
    return source_files.open_source(source) if isinstance(source, TreeSource) else None


def excludes(source: OneSource) -> list[str]:
    """Return the patterns that a snapshot names."""
    return [*source.exclude, *source.iexclude] if isinstance(source, TreeSource) else []


def what(source: OneSource) -> str:
    """Say in short what is backed up."""
    if isinstance(source, ConfigSource):
        return source_config.what(source)
    return ", ".join(source.paths) if isinstance(source, TreeSource) else source_database.what(source)


def plan(source: OneSource) -> list[str]:
    """Say, a line each, what a backup is going to read, and what never."""
    lines = [f"Backing up {what(source)}."]
    if isinstance(source, TreeSource):
        left_out = source_files.left_out_below(source)
        return lines + [f"Left out, as always: {place} ({reason})." for place, reason in left_out]
    return lines + ([source_database.NOT_ACROSS] if source.which == "all" or source.databases[1:] else [])


def read(opened: Source, files: int) -> str:
    """Say how much was read, in the words of the source: 2 databases, or 30 files."""
    if isinstance(opened, PostgresSource):
        return words.count(len(opened.manifest.databases), "database")
    return words.count(files, "file")


def changed(opened: Source, count: int) -> str:
    """Say what happened to so many things while they were read, that the point does not show whole."""
    if isinstance(opened, PostgresSource):
        was = "was" if count == 1 else "were"
        return f"{words.count(count, 'database')} {was} made while it ran, and will be in the next point"
    return f"{words.count(count, 'file')} changed while being read"


def told(opened: Source) -> list[str]:
    """Say, a line each, what was read, once a backup has ended."""
    return source_database.told(opened.manifest) if isinstance(opened, PostgresSource) else []


def preview(source: OneSource, password: str = "", limit_s: float = 5.0) -> Preview | DatabasePreview:
    """Return what a backup would read. Raises Invalid if a path is missing or a server lets nobody in."""
    try:
        if isinstance(source, DatabaseSource):
            return source_database.preview(source, password)
        return preview_tree(source_files.open_source(source), limit_s=limit_s)
    except SourceUnavailable as error:
        field = "host" if isinstance(source, DatabaseSource) else "paths"
        raise Invalid({field: _sentence(str(error))}) from error


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
