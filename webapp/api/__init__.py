"""The REST API: `/api/backup/…`, described by `/api/openapi.json`. See webapp/api/door.py."""
