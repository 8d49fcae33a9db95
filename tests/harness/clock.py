"""A wall clock that a test can set, for one server and all its children: libfaketime reads the file at every look at the clock."""

import glob
import os
import time


class WallClock:
    """The environment for the server's start, and the hands."""

    def __init__(self, directory):
        self._file = os.path.join(directory, "clock")
        self.right()

    def environment(self):
        found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
        if not found:
            raise RuntimeError("no libfaketime: run deploy/install-deps")
        return {"LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": self._file, "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def right(self):
        self.shift(0)

    def shift(self, seconds):
        """Runs, but is wrong by so much."""
        self._write(f"{seconds:+}")

    def runs_from(self, year):
        """Runs on from the beginning of that year."""
        self.shift(int((year - 1970) * 365.2425 * 86400 - time.time()))

    def frozen_at(self, text):
        """Stands still: "2026-11-22 12:00:00", UTC."""
        self._write(text)

    def _write(self, text):
        with open(f"{self._file}.new", "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.chmod(f"{self._file}.new", 0o644)
        os.replace(f"{self._file}.new", self._file)
