"""Cleans a scratch directory when the process that owns it has ended: python3 -m harness.janitor DIRECTORY < pipe of the owner."""

import os
import signal
import sys

from .scratch import remove_scratch


def main():
    directory = sys.argv[1]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    sys.stdin.buffer.read()   # ends when the last writer, the owner, is gone
    if os.path.isdir(directory):
        remove_scratch(directory)


if __name__ == "__main__":
    main()
