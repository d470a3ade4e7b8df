"""The Overview, reports, and metrics."""
