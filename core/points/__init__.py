"""Restore points: which there are, what is in them, streams out of them."""
