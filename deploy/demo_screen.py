"""How the demo shows itself: an updating screen on a terminal, plain lines anywhere else. NO_COLOR is respected.

A Frame is plain data; a Screen only draws. Events are kept in order and never lost: the plain form prints each once, the terminal form shows the newest.
"""

import dataclasses
import os
import shutil
import sys
import time

EVENTS_SHOWN = 12
PLAIN_INTERVAL_SECONDS = 2.0


@dataclasses.dataclass
class Frame:
    """What is known at one moment. Numbers that could not be read are None."""
    phase: str
    elapsed_seconds: float
    edge_rows: dict
    centre_rows: dict
    transactions: int
    behind: int                      # transactions committed on the edge and not visible in the centre
    lag_seconds: float               # age of the oldest of them, 0 when there is none
    p50_ms: float                    # commit to visible, of the last seconds
    stream_messages: int
    stream_last: int
    stream_bytes: int
    slot_behind_bytes: int           # WAL that the edge still keeps for the slot
    publisher: str                   # state in words
    subscriber: str
    tail: list                       # newest messages seen on the bus, as short lines


class Paint:
    """ANSI colours, or nothing at all."""

    def __init__(self, enabled):
        self._enabled = enabled

    def _wrap(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self._enabled else text

    def bold(self, text):
        return self._wrap("1", text)

    def dim(self, text):
        return self._wrap("2", text)

    def good(self, text):
        return self._wrap("32", text)

    def warn(self, text):
        return self._wrap("33", text)

    def bad(self, text):
        return self._wrap("1;31", text)


def number(value, unit=""):
    return "-" if value is None else f"{value:,.0f}{unit}"


def duration(seconds):
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


class Screen:
    def __init__(self, out=sys.stdout):
        self._out = out
        self._live = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.paint = Paint(self._live and not os.environ.get("NO_COLOR"))
        self._events = []
        self._started = time.monotonic()
        self._last_plain = 0.0
        self._drawn_lines = 0

    @property
    def live(self):
        return self._live

    def event(self, text, kind="info"):
        line = f"{time.monotonic() - self._started:6.1f} s  {text}"
        self._events.append((kind, line))
        if not self._live or not self._drawn_lines:   # on a terminal: until the screen takes over
            self._print(line)

    def say(self, text=""):
        """A line of its own, below whatever is drawn."""
        self._drawn_lines = 0
        self._print(text)

    def draw(self, frame):
        if not self._live:
            if time.monotonic() - self._last_plain >= PLAIN_INTERVAL_SECONDS:
                self._last_plain = time.monotonic()
                self._print(self._plain(frame))
            return
        size = shutil.get_terminal_size((100, 40))
        lines = list(self._lines(frame, size.lines))
        text = f"\x1b[{self._drawn_lines}A\r\x1b[J" if self._drawn_lines else ""
        self._drawn_lines = len(lines)
        self._out.write(text + "\n".join(lines) + "\n")
        self._out.flush()

    def _print(self, line):
        self._out.write(line + "\n")
        self._out.flush()

    def _plain(self, frame):
        rows = " ".join(f"{t}={number(n)}/{number(frame.centre_rows.get(t))}" for t, n in frame.edge_rows.items())
        return (f"{frame.elapsed_seconds:6.1f} s  [{frame.phase}] edge/centre {rows}  transactions={frame.transactions}"
                f" behind={frame.behind} lag={duration(frame.lag_seconds)} p50={number(frame.p50_ms, ' ms')}"
                f" stream_last={number(frame.stream_last)} publisher={frame.publisher} subscriber={frame.subscriber}")

    def _lines(self, frame, height):
        paint = self.paint
        lag_paint = paint.good if frame.lag_seconds < 1 else paint.warn if frame.lag_seconds < 5 else paint.bad
        yield paint.bold(f"pmoves-sync demo   {frame.phase}   {frame.elapsed_seconds:.0f} s")
        yield ""
        yield paint.dim(f"{'table':<12}{'edge rows':>12}{'centre rows':>14}{'difference':>13}")
        for table, edge in frame.edge_rows.items():
            centre = frame.centre_rows.get(table)
            difference = None if edge is None or centre is None else edge - centre
            colour = paint.good if difference == 0 else paint.warn
            yield f"{table:<12}{number(edge):>12}{number(centre):>14}" + colour(f"{number(difference):>13}")
        yield ""
        yield (f"lag {lag_paint(duration(frame.lag_seconds))}   behind {number(frame.behind)} transactions   "
               f"commit to visible p50 {number(frame.p50_ms, ' ms')}   written {number(frame.transactions)} transactions")
        yield (f"stream {number(frame.stream_messages)} messages, last {number(frame.stream_last)}, "
               f"{number(None if frame.stream_bytes is None else frame.stream_bytes / 1024, ' KiB')}   "
               f"WAL kept for the slot {number(None if frame.slot_behind_bytes is None else frame.slot_behind_bytes / 1024, ' KiB')}")
        yield f"publisher {frame.publisher}   subscriber {frame.subscriber}"
        yield ""
        yield paint.dim("on the bus (newest last)")
        for line in frame.tail:
            yield "  " + line[:110]
        yield ""
        yield paint.dim("events")
        room = max(3, min(EVENTS_SHOWN, height - 20 - len(frame.tail)))
        colours = {"info": str, "good": paint.good, "warn": paint.warn, "bad": paint.bad}
        for kind, line in self._events[-room:]:
            yield "  " + colours[kind](line[:118])
