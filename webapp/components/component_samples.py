"""What the page of components shows its pieces with: rows that are in no database, in every state.

They are made of the classes that real pages get, so a piece that asks for more than before fails here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import get_args

from core.configs import config_facts, states
from core.db import utc_now
from core.jobs.jobs import Page
from core.models import Alert, Config, Copy, Destination, Job, Point, RepositoryRecord, Storage
from core.points import browse, tokens
from core.storages import storage_usage
from webapp.configs import config_cards
from webapp.jobs import progress
from webapp.points import points, timeline
from webapp.storages import storage_pages

MIB, GIB = 1 << 20, 1 << 30
# No row has such an id, so whatever is pressed among the samples finds nothing.
_AWAY = -1
LONG_NAME = "a-name-that-is-longer-than-what-fits-on-a-telephone-and-has-no-blank-to-break-at.tar.zst"

_REASONS = {
    "Paused": "Its schedule is switched off; it runs only when started by hand.",
    "Running": "A backup is running.",
    "Failing": "The last backup failed: /srv/wiki does not exist.",
    "Late": "The run of 02:00 has not ended yet.",
    "Degraded": "3 points are missing on Bucket.",
    "New": "There is no good point yet.",
    "Protected": "Everything that was asked for is stored.",
}


def storage(name: str = "NAS", provider: str = "sftp", *, away: bool = False) -> Storage:
    """Return a storage; `away`: it does not answer."""
    found = Storage(id=f"sample-{name.lower()}", name=name, provider=provider, settings={}, offsite=True)
    found.unreachable_since = utc_now() - timedelta(hours=2) if away else None
    found.tested_at, found.test_ok = utc_now() - timedelta(minutes=4), not away
    return found


def config(word: str, *places: Storage) -> Config:
    """Return a config that keeps its points on these storages."""
    source = {"paths": ["/srv/wiki", "/home/anna/letters"]}
    found = Config(id=f"sample-{word.lower()}", name=f"A config that is {word}", type="files", source=source)
    found.enabled, found.cron, found.timezone = word != "Paused", "0 2 * * *", "Europe/Berlin"
    found.full_read_days, found.timing = 7, {}
    found.destinations = [
        Destination(position=place, retention={"days": 30}, repository=RepositoryRecord(storage=one))
        for place, one in enumerate(places or (storage("Disk", "local"), storage()))
    ]
    return found


def cards() -> list[config_cards.Card]:
    """Return a card of a config in each state, with each kind of day in its strip."""
    words: Sequence[states.Word] = get_args(states.Word)
    return [_card(word) for word in reversed(words)]


def _card(word: states.Word) -> config_cards.Card:
    new = word == "New"
    last = None if new else point(_AWAY, utc_now() - timedelta(hours=5))
    facts = config_facts.Facts(
        last_good=last,
        next_run=utc_now() + timedelta(hours=9),
        good_points=0 if new else 28,
        source_bytes=None if new else 42 * GIB,
        stored_bytes=0 if new else 51 * GIB,
    )
    places = (storage("Disk", "local"), storage(away=word == "Degraded"))
    return config_cards.Card(config(word, *places), states.State(word, _REASONS[word]), facts, _strip(new))


def _strip(empty: bool) -> list[states.Day]:
    today, cells = utc_now().date(), ("good", "good", "warning", "good", "failed", "missed", "good", "none")
    return [
        states.Day(today - timedelta(days=back), "none" if empty else cells[back % 8])  # type: ignore[arg-type]
        for back in reversed(range(30))
    ]


def point(number: int, taken_at: datetime, *, added: int = 40 * MIB, warnings: int = 0) -> Point:
    """Return a point with one good copy."""
    found = Point(
        id=number, taken_at=taken_at, hostname="wiki.lan", paths={"paths": ["/srv/wiki"]}, limits={}
    )
    found.files, found.bytes, found.bytes_added, found.warnings = 12_408, 42 * GIB, added, warnings
    found.copies = [Copy(id=number, repository=RepositoryRecord(storage=storage()))]
    return found


def points_found() -> list[Point]:
    """Return a month of points: most good, one with a warning, pinned, damaged, in the trash."""
    now = utc_now()
    found = [
        point(-2 - day, now - timedelta(days=day, hours=3), added=(1 + day * 7 % 11) ** 3 * MIB)
        for day in range(0, 30, 2)
    ]
    found[1].warnings = 2
    found[2].pinned_at, found[2].pinned_by, found[2].pin_note = now, "anna", "before the migration"
    found[4].copies[0].damaged_at = now
    found[5].copies[0].trashed_at = now
    return found


def axis_of(found: Sequence[Point]) -> timeline.Timeline:
    """Return the time axis of these points."""
    return timeline.draw(found, "30")


def folder() -> points.Folder:
    """Return a folder with each kind of entry."""
    given = (
        ("letters", "dir", None, ""),
        ("report.pdf", "file", 3 * MIB, ""),
        ("current", "symlink", None, "releases/42"),
        ("queue.sock", "socket", None, ""),
        (LONG_NAME, "file", GIB, ""),
    )
    rows = [_row(name, kind, size, link) for name, kind, size, link in given]
    return points.Folder(point(_AWAY, utc_now()), None, b"/", tokens.token_from_path(b"/"), rows, 0, 5, 1_204)


def _row(name: str, kind: str, size: int | None, link: str) -> browse.Row:
    path = b"/srv/" + name.encode()
    mtime = utc_now() - timedelta(days=40)
    return browse.Row(name, kind, size, mtime, link, path, tokens.token_from_path(path))


def jobs() -> list[tuple[Job, progress.Live]]:
    """Return a job in each state, with what can be said of it now."""
    found = [_queued(), _waiting(), _scanning(), _reading(), _copying(), *_ended_jobs()]
    return [(job, progress.of(job)) for job in found]


def _job(number: int, status: str, kind: str = "backup") -> Job:
    now = utc_now()
    job = Job(
        id=-number, kind=kind, status=status, trigger="schedule", attempt=1, phase="", waiting_reason=""
    )
    job.created_at, job.counts, job.parameters, job.problems = now - timedelta(minutes=6), {}, {}, 0
    job.files_done = job.bytes_done = job.bytes_added = 0
    job.current_path = job.summary = job.meaning = job.advice = job.detail = ""
    job.started_at = None if status == "queued" else now - timedelta(minutes=4, seconds=12)
    return job


def _queued() -> Job:
    return _job(1, "queued")


def _waiting() -> Job:
    job = _job(2, "queued")
    job.phase, job.waiting_reason = "waiting", "NAS does not answer; it is tried again."
    job.not_before = utc_now() + timedelta(minutes=3)
    return job


def _scanning() -> Job:
    job = _job(3, "running")
    job.phase, job.files_done, job.current_path = "scanning", 2_311, "/srv/wiki/images"
    return job


def _reading() -> Job:
    job = _job(4, "running")
    job.phase, job.files_done, job.files_total = "reading", 8_204, 12_408
    job.bytes_done, job.bytes_total, job.bytes_added = 18 * GIB, 42 * GIB, 3 * GIB
    job.current_path = f"/srv/wiki/images/2026/11/a/folder/of/a/folder/{LONG_NAME}"
    return job


def _copying() -> Job:
    job = _job(5, "running", "copy")
    job.phase, job.files_done, job.files_total = "copying", 3, 14
    job.bytes_done, job.bytes_total, job.bytes_added = 5 * GIB, 16 * GIB, 5 * GIB
    job.bytes_rate, job.current_path = 11_400_000, "The point of 22 Nov 2026, 03:00, from Local disk"
    return job


def _ended_jobs() -> list[Job]:
    said = (
        ("completed", "Stored 12,408 files, 42.0 GiB; 38.2 MiB were new.", ""),
        ("warning", "Stored 12,406 of 12,408 files.", "2 files are not in this point."),
        ("failed", "/srv/wiki does not exist.", "Nothing was stored; all earlier points are whole."),
        ("cancelled", "Cancelled by anna.", "What was stored already is not stored a second time."),
        (
            "interrupted",
            "The machine went off while this ran.",
            "No point was made; earlier points are whole.",
        ),
    )
    return [_ended(6 + place, *words) for place, words in enumerate(said)]


def _ended(number: int, status: str, summary: str, meaning: str) -> Job:
    job = _job(number, status)
    job.ended_at = utc_now() - timedelta(seconds=40)
    job.summary, job.meaning = summary, meaning
    job.advice = "Mount it, or change the config." if status == "failed" else ""
    job.problems = 2 if status == "warning" else 0
    job.detail = "FileNotFoundError: [Errno 2] /srv/wiki" if status == "failed" else ""
    return job


def page_of_jobs() -> Page[Job]:
    """Return these jobs as one page of many."""
    return Page([job for job, _ in jobs()], 2, 9, 1_204)


def alerts() -> list[Alert]:
    """Return an alert that is open, one that somebody has seen, one that is over."""
    now = utc_now()
    found = [_alert(-1, "error"), _alert(-2, "warning"), _alert(-3, "error")]
    found[1].acknowledged_at, found[1].acknowledged_by = now - timedelta(minutes=10), "anna"
    found[2].resolved_at = now - timedelta(minutes=2)
    return found


def _alert(number: int, severity: str) -> Alert:
    now = utc_now()
    return Alert(
        id=number, subject="sample", kind="failure", severity=severity, what="The backup of Wiki failed.",
        meaning="The newest point is from yesterday.", advice="Mount /srv/wiki, then press `Back up now`.",
        detail="FileNotFoundError: [Errno 2] /srv/wiki", count=3, news=1,
        opened_at=now - timedelta(hours=3), last_at=now,
    )  # fmt: skip


def storages() -> list[storage_pages.Card]:
    """Return a storage in each state."""
    now = utc_now()
    roomy = storage_usage.Usage(51 * GIB, now, free_bytes=400 * GIB, total_bytes=900 * GIB)
    nearly = storage_usage.Usage(88 * GIB, now, 100 * GIB, 0.88, cost_per_month=2.1, currency="EUR")
    full = storage_usage.Usage(101 * GIB, now, 100 * GIB, 1.01)
    unknown = storage_usage.Usage(None, None)
    return [
        _storage_card(storage("Disk", "local"), roomy),
        _storage_card(storage("Bucket", "s3"), nearly),
        _storage_card(storage("Archive", "s3"), full),
        _storage_card(storage("NAS", away=True), unknown, "It is unreachable: nas.lan does not answer."),
    ]


def _storage_card(found: Storage, usage: storage_usage.Usage, trouble: str = "") -> storage_pages.Card:
    return storage_pages.Card(found, usage, "/mnt/backup/holdfast", 84, [], trouble)
