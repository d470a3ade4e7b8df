"""Pages of storages: where backups are kept."""
