"""What is to be said about an archive while it is made: how far it is, and what is not in it as it was."""

from __future__ import annotations

from dataclasses import dataclass, field

from repository.tree import Node

_MOST_NOTES = 1_000


@dataclass(slots=True)
class Made:
    """How far an archive is, and what is not in it as it was; kept by who makes it.

    `size`: bytes of content. `notes`: the first of `noted` paths, each with what became of it.
    """

    files: int = 0
    size: int = 0
    current: bytes = b""
    noted: int = 0
    notes: list[tuple[bytes, str]] = field(default_factory=list)

    def meet(self, name: bytes, node: Node) -> None:
        """Note what comes next."""
        self.current = name
        self.files += node.type == "file"

    def note(self, name: bytes, what: str) -> None:
        """Note what became of a path."""
        self.noted += 1
        if len(self.notes) < _MOST_NOTES:
            self.notes.append((name, what))

    def text(self) -> str:
        """Return the notes, a line each."""
        lines = [f"{name.decode('utf-8', 'backslashreplace')!r}: {what}" for name, what in self.notes]
        more = self.noted - len(self.notes)
        return "\r\n".join([*lines, *([f"… and {more} more"] if more else []), ""])
