"""Jobs: rows that tell the truth about one run, the processes that work on them, and how they ended."""
