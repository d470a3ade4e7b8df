"""Side by side with restic, borg and the plain limits, in one run: `python -m bench --help`."""
