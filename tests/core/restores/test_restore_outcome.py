"""What could not be restored is blamed on the place or on the backup, whichever it was."""

from __future__ import annotations

import pytest

from core.restores.restore_outcome import Missing
from repository.entries import Problem, TargetError
from sources.ssh.host import SshHostSettings
from sources.ssh.sftp_target import SftpTarget
from tests.servers.sshd import Sshd


@pytest.mark.parametrize(
    "text",
    [
        "it cannot be seen what stands on web: the connection broke",
        "the server cannot make hard links",
        "cannot restore /f on web: Permission denied",
    ],
)
def test_a_refusal_by_the_target_is_no_damage(text: str) -> None:
    missing = Missing()
    assert missing.note(Problem(b"/f", "unreadable", text))
    assert (missing.refused, missing.damaged, missing.damaged_paths) == (1, 0, [])


def test_what_a_host_refuses_over_sftp_is_not_read_again_from_another_storage(sshd: Sshd) -> None:
    target = SftpTarget(SshHostSettings(sshd.server(key=sshd.sftp_only_key)), "/proc/none")
    try:
        with pytest.raises(TargetError) as refused:
            target.start_dir(b"/")
    finally:
        target.close()
    missing = Missing()
    missing.note(Problem(b"/", "unreadable", str(refused.value)))
    assert (missing.refused, missing.damaged) == (1, 0)


def test_what_the_backup_cannot_give_is_damage() -> None:
    missing = Missing()
    missing.note(Problem(b"/f", "unreadable", "web: cannot read a blob"))
    assert (missing.refused, missing.damaged, missing.damaged_paths) == (0, 1, [b"/f"])
