"""Restores of files, configurations and databases: asked for, done, proven."""
