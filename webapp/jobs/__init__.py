"""Pages of jobs: what ran, what runs."""
