"""However many signals come, and whenever: they end a process, and never hang it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from core.settings import PROJECT_DIR

# Looks often, so that signals meet the handler at work; ends only when told to, and after a while of more.
PROGRAM = """
import time
from jobs.stopping import flag_for_signals
stop = flag_for_signals()
print("ready", flush=True)
while not stop.is_set():
    pass
until = time.monotonic() + 0.05
while time.monotonic() < until:
    stop.is_set()
print("ended")
"""


def end_with_a_burst() -> str:
    """Start the program, send it signals as fast as they go, and return what it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=PROJECT_DIR, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for number in (signal.SIGTERM, signal.SIGINT) * 300:
        os.kill(process.pid, number)
    try:
        return process.communicate(timeout=240)[0]
    finally:
        process.kill()


def test_a_burst_of_signals_ends_a_process_each_time() -> None:
    assert [end_with_a_burst() for _ in range(25)] == ["ended\n"] * 25


# A signal in each function that runs from the first signal on: also inside the handler, and in what it calls.
MET_AT_WORK = """
import signal, sys
from jobs.stopping import flag_for_signals
stop = flag_for_signals()
left = 50
def again(frame, event, argument):
    global left
    if event == "call" and left:
        left -= 1
        signal.raise_signal(signal.SIGTERM)
sys.setprofile(again)
signal.raise_signal(signal.SIGTERM)
sys.setprofile(None)
print("ended" if stop.is_set() else "not told")
"""


def test_a_signal_in_the_middle_of_the_handler_does_not_hang_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MET_AT_WORK],
        cwd=PROJECT_DIR, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    assert done.stdout == "ended\n"
