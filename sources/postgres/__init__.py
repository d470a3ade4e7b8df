"""PostgreSQL: dumps of databases as a Source, and what puts them back."""
