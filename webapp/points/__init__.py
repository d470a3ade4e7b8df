"""Pages of points: what is in them, search, differences, downloads, and what leaves."""
