"""A restic-format repository: reader, writer and command line (`python -m repository`)."""
