"""Calls about the catalog: how much search knows, and to let it know all."""

from __future__ import annotations

from core.points import catalog, catalog_file, catalog_job
from jobs import tasks
from webapp.api import door, job_shape, search
from webapp.api.answers import Out
from webapp.api.door import Given
from webapp.api.job_shape import JobOut


class CatalogOut(Out):
    """Of how many points search knows what is in them, and the size of what it knows. `trouble`: what kept
    it from knowing all, for operators and admins; others get an empty text."""

    points: int
    catalogued: int
    trouble: str
    bytes: int


@door.operation("GET", "/backup/catalog", "viewer", answer=CatalogOut, also=(503,))
def get_catalog() -> CatalogOut:
    """Say of how many points search knows what is in them."""
    found = catalog.coverage()
    return CatalogOut(
        points=found.points, catalogued=found.catalogued, trouble=search.trouble(found),
        bytes=catalog_file.size_bytes(),
    )  # fmt: skip


@door.operation("POST", "/backup/catalog/fill", "operator", answer=JobOut, status=202)
def fill_catalog() -> Given:
    """Add the points that search does not know, as a job."""
    return _started(rebuild=False)


@door.operation("POST", "/backup/catalog/rebuild", "admin", answer=JobOut, status=202)
def rebuild_catalog() -> Given:
    """Begin the catalog anew and read the folders of all points again, as a job.

    Search knows the less until it has ended. Backups and restores do not need it.
    """
    return _started(rebuild=True)


def _started(*, rebuild: bool) -> Given:
    job = catalog_job.create("api", rebuild=rebuild)
    tasks.enqueue([job.id])
    return Given(job_shape.job(job))
