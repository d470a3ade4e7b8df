"""The tests of backups that a second process could break, once more with every small file read by workers."""

from __future__ import annotations

import pytest

from repository import backup, crew
from tests.repository.test_backup import (  # noqa: F401 - collected here a second time
    repo,
    test_a_parent_that_lacks_content_is_not_trusted,
    test_a_parent_that_lies_about_a_length_is_not_trusted,
    test_a_second_backup_reads_nothing_and_stores_nothing,
    test_a_storage_that_dies_at_any_write_leaves_every_earlier_snapshot,
    test_a_storage_that_lies_makes_no_backup,
    test_full_read_finds_what_metadata_hides,
    test_metadata_is_fresh_though_content_is_reused,
    test_nodes_say_as_many_bytes_as_their_blobs_hold,
    test_one_changed_file_costs_its_own_blobs_and_the_trees_above,
    test_one_failed_write_fails_the_backup,
    test_progress_never_goes_back_and_ends_at_the_whole,
    test_sizes_and_content_come_back,
    test_two_backups_at_once_into_one_repository,
    tree,
)


@pytest.fixture(autouse=True)
def all_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start workers at the first file, on any machine; large files stay in this process, as always."""
    monkeypatch.setattr(backup, "affordable", lambda: 2)
    monkeypatch.setattr(crew, "START_FILES", 1)
    monkeypatch.setattr(crew, "BATCH_FILES", 3)
