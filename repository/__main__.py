"""Start the command line: `python -m repository`."""

from __future__ import annotations

import sys

from repository.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
