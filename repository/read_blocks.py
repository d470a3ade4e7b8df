"""Memory that large files are read into, used again as soon as no view of it is left."""

from __future__ import annotations


class ReadBlocks:
    """Blocks of one size. Whoever asks must be the only thread that does; views may end in any thread."""

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self._blocks: list[bytearray] = []

    def take(self) -> bytearray:
        """Return a block that nobody sees any more, or a new one. It is in use while a view of it exists."""
        free = next(filter(_is_free, self._blocks), None)
        if free is None:
            free = bytearray(self._size)
            self._blocks.append(free)
        return free

    def keep_one(self) -> None:
        """Let go of all blocks but one; what is still seen of them stays as it is."""
        del self._blocks[1:]


def _is_free(block: bytearray) -> bool:
    try:
        block.pop()  # Python lets nobody change the size of what is seen
    except BufferError:
        return False
    block.append(0)
    return True
