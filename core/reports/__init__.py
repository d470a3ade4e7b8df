"""What is told about a whole install: daily and compliance reports, metrics, its own records."""
