"""Real servers and the real programs, started and stopped by tests, demo and benchmark.

    with Fleet() as fleet:                       # nats-server, a centre
        edge = fleet.add_edge("jetson-01")       # an edge database with its publisher
        fleet.start()
        edge.db.execute("INSERT INTO jobs ...")
        fleet.wait_equal()

Everything listens on 127.0.0.1 and lives below one scratch directory, which goes away with all its processes however the program
ends (scratch.py). No test waits for an amount of time: it waits for a condition, with a deadline (wait.py).
"""

from .compare import assert_equal, difference
from .fleet import Centre, Edge, Fleet
from .forged import ForgedStream
from .nats_client import NatsClient
from .nats_server import NatsServer
from .postgres import Postgres
from .program import Program, Publisher, Subscriber, build_dir
from .scratch import Scratch, free_port
from .tables import GPU_TABLES, INLINE_COLUMNS, MARKER_TABLE, create_gpu_tables
from .wait import Ticker, wait_until

__all__ = [
    "Centre", "Edge", "Fleet", "ForgedStream", "GPU_TABLES", "INLINE_COLUMNS", "MARKER_TABLE", "NatsClient", "NatsServer", "Postgres", "Program",
    "Publisher", "Scratch", "Subscriber", "Ticker", "assert_equal", "build_dir", "create_gpu_tables", "difference",
    "free_port", "wait_until",
]
