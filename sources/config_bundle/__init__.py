"""Configuration as a Source: files, and beside them a document of the environment they work in."""
