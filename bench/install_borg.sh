#!/bin/sh
# Install borg from PyPI into .cache/borg, where the benchmark looks for it first. It is compiled here: on Debian
#   apt install gcc python3-dev pkg-config libacl1-dev liblz4-dev libzstd-dev libxxhash-dev libssl-dev
set -eu
cd "$(dirname "$0")/.."
${PYTHON:-python3} -m venv .cache/borg
.cache/borg/bin/python -m pip install -q --disable-pip-version-check borgbackup==1.4.5
.cache/borg/bin/borg --version
