"""What the threads of a process do again and again, whatever happens."""

import logging
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from django.db import connection


def repeat(turn: Callable[[], None], *, seconds: Callable[[], float], failing: str, log: logging.Logger) -> NoReturn:
    """Do `turn` now, and again so many `seconds` after each end of it.

    What it raises is logged, once until it succeeds again: `failing`, which has a place for the exception's name. Its
    words are left out, because those of a database hold values.
    """
    is_failing = False
    while True:
        try:
            turn()
            is_failing = False
        except Exception as exc:  # noqa: BLE001 — whatever it is, the next turn may succeed
            if not is_failing:
                log.warning(failing, type(exc).__name__)
            is_failing = True
            connection.close()
        finally:
            # A pool lends it to others meanwhile.
            if connection.settings_dict.get("CONN_MAX_AGE") == 0:
                connection.close()
        time.sleep(seconds())


def start(
    name: str, turn: Callable[[], None], *, seconds: float, failing: str, log: logging.Logger
) -> threading.Thread:
    """Have a thread that holds up no exit `repeat` it."""
    options = {"seconds": lambda: seconds, "failing": failing, "log": log}
    thread = threading.Thread(target=repeat, args=(turn,), kwargs=options, name=name, daemon=True)
    thread.start()
    return thread
