"""Count what a backup meets and stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from repository.entries import Problem
from repository.jsontext import JsonObject
from repository.packfile import BlobType
from repository.progress import Progress
from repository.writer import SavedBlob


@dataclass(slots=True)
class Tally:
    """Counts of one backup, as restic's summary has them.

    `data_blobs`, `tree_blobs`, `bytes_added` (plain), `bytes_added_packed` (as stored): new blobs only.
    `problems_lost`: data is missing; `problems_changed`: stored as read, but changed meanwhile.
    """

    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    files_failed: int = 0
    dirs_new: int = 0
    dirs_changed: int = 0
    dirs_unmodified: int = 0
    others_total: int = 0
    data_blobs: int = 0
    tree_blobs: int = 0
    bytes_processed: int = 0
    bytes_added: int = 0
    bytes_added_packed: int = 0
    problems_lost: int = 0
    problems_changed: int = 0

    @property
    def files_total(self) -> int:
        """Files in the snapshot."""
        return self.files_new + self.files_changed + self.files_unmodified

    @property
    def dirs_total(self) -> int:
        """Directories in the snapshot."""
        return self.dirs_new + self.dirs_changed + self.dirs_unmodified

    def count_file(self, state: Literal["new", "changed", "unmodified"], size: int) -> None:
        """Count a file of `size` bytes that is in the snapshot."""
        if state == "new":
            self.files_new += 1
        elif state == "changed":
            self.files_changed += 1
        else:
            self.files_unmodified += 1
        self.bytes_processed += size

    def count_new(self, files: int, size_bytes: int, others: int) -> None:
        """Count files of `size_bytes` in all, and others, that no snapshot held before."""
        self.files_new += files
        self.bytes_processed += size_bytes
        self.others_total += others

    def count_unmodified(self, files: int, size_bytes: int, folders: int, others: int) -> None:
        """Count all that is below a directory in which nothing changed."""
        self.files_unmodified += files
        self.bytes_processed += size_bytes
        self.dirs_unmodified += folders
        self.others_total += others

    def count_blob(self, blob_type: BlobType, saved: SavedBlob, length: int) -> None:
        """Count a blob of `length` plain bytes, if it is new."""
        if not saved.is_new:
            return
        if blob_type == "tree":
            self.tree_blobs += 1
        else:
            self.data_blobs += 1
        self.bytes_added += length
        self.bytes_added_packed += saved.stored_bytes

    def count_problem(self, problem: Problem) -> None:
        """Count a problem by what it means."""
        if problem.loses_data:
            self.problems_lost += 1
        elif problem.kind == "changed":
            self.problems_changed += 1

    def progress(
        self, phase: str, expected: tuple[int, int] | None, current: bytes = b"", extra_bytes: int = 0
    ) -> Progress:
        """Return where the backup is; `extra_bytes` were read of a file that is not counted yet."""
        files, size = expected or (None, None)
        done = self.files_total + self.files_failed
        return Progress(
            phase, done, files, self.bytes_processed + extra_bytes, size, self.bytes_added_packed, current
        )

    def summary(self, started: str, ended: str) -> JsonObject:
        """Return the summary that stands in the snapshot, keys in restic's order."""
        return {
            "backup_start": started,
            "backup_end": ended,
            "files_new": self.files_new,
            "files_changed": self.files_changed,
            "files_unmodified": self.files_unmodified,
            "dirs_new": self.dirs_new,
            "dirs_changed": self.dirs_changed,
            "dirs_unmodified": self.dirs_unmodified,
            "data_blobs": self.data_blobs,
            "tree_blobs": self.tree_blobs,
            "data_added": self.bytes_added,
            "data_added_packed": self.bytes_added_packed,
            "total_files_processed": self.files_total,
            "total_bytes_processed": self.bytes_processed,
        }
