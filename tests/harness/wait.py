"""Waiting for conditions, never for time."""

import threading
import time

import psycopg2

# What a condition may raise while a server is away: not yet true, and worth showing if it never becomes true.
NOT_YET = (psycopg2.Error, OSError)


def wait_until(condition, deadline, what, diagnose=None, interval=0.05):
    """Polls `condition` until it returns something true, and returns that.

    After `deadline` seconds it fails with `what`, the last value or error seen, and the text that diagnose() gives.
    """
    end = time.monotonic() + deadline
    pause = threading.Event()
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except NOT_YET as error:
            last = f"{type(error).__name__}: {str(error).strip()}"
        if time.monotonic() >= end:
            break
        pause.wait(interval)
    details = f"\n{diagnose()}" if diagnose else ""
    raise AssertionError(f"not within {deadline:g} s: {what}\nlast seen: {last!r:.2000}{details}")


class Ticker:
    """Runs a function again and again on a thread of its own until it is stopped; keeps what went wrong.

    Used as `with Ticker(function, 0.1) as ticker:`; an exception of the function is raised again at the end of the block.
    """

    def __init__(self, function, interval, name="ticker"):
        self._function = function
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.rounds = 0
        self.error = None

    def _run(self):
        while not self._stop.is_set():
            try:
                self._function()
                self.rounds += 1
            except NOT_YET:
                pass   # a server is away: that is for others to judge
            except BaseException as error:   # pylint: disable=broad-except
                self.error = error
                return
            self._stop.wait(self._interval)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop(raise_error=kind is None)

    def stop(self, raise_error=True):
        self._stop.set()
        self._thread.join(60)
        if raise_error and self.error is not None:
            raise self.error
