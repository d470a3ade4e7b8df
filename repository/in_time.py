"""Do something that may hang, without hanging with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future


def ends_within(seconds: float, call: Callable[[], None], name: str) -> bool:
    """Call in a thread of this name; tell whether it has ended in time. Raises what it raises.

    What has not goes on, at most until the program ends.
    """
    ended: Future[None] = Future()

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits
            ended.set_exception(error)
        else:
            ended.set_result(None)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return False
    ended.result()
    return True
