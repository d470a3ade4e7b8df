"""Pages of configs: what is backed up, when, where to."""
