"""Where bytes go: storages, their places and credentials, what depends on them, how full they are."""
