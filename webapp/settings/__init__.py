"""Pages of settings, upkeep, export and import."""
