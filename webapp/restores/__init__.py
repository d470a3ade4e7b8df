"""Pages of restores, and of what they left behind."""
