"""A nats-server with JetStream of our own, with the faults that the real one can have."""

import json
import os
import shutil
import signal
import urllib.request

from .nats_client import NatsClient
from .scratch import free_port
from .wait import wait_until


class NatsServer:
    """Keeps its ports over restarts. The store directory can be copied and put back, as a power cut would."""

    def __init__(self, scratch, name="nats", max_payload=None, max_file="8GB", extra=""):
        self.scratch = scratch
        self.name = name
        self.port = free_port()
        self.monitor_port = free_port()
        self.directory = scratch.directory(name)
        self.store = os.path.join(self.directory, "store")
        self.log = os.path.join(self.directory, "nats.log")
        self.process = None
        self._copies = 0
        self.configure(max_payload, max_file, extra)

    def configure(self, max_payload=None, max_file="8GB", extra=""):
        """Writes the configuration file; takes effect at the next start."""
        lines = [
            f"server_name: {self.name}", f"listen: 127.0.0.1:{self.port}", f"http: 127.0.0.1:{self.monitor_port}",
            f'jetstream {{ store_dir: "{self.store}", max_file: {max_file}, max_mem: 256MB }}',
        ]
        if max_payload:
            lines.append(f"max_payload: {max_payload}")
        with open(os.path.join(self.directory, "nats.conf"), "w", encoding="utf-8") as file:
            file.write("\n".join(lines + [extra, ""]))

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def start(self, deadline=30):
        if self.running():
            return self
        self.process = self.scratch.spawn(["nats-server", "-c", "nats.conf"], self.directory, self.log,
                                          env={"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"})

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"nats-server ended with {self.process.returncode}:\n{self.log_tail()}")
            with self.client() as client:
                client.api("INFO")
            return True

        wait_until(ready, deadline, "nats-server answers for JetStream", self.log_tail, interval=0.02)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if self.running():
            self.process.terminate()
            self.process.wait(30)

    def kill9(self):
        if self.running():
            self.process.kill()
            self.process.wait(30)

    def pause(self):
        """The server stalls: connections stay open, nothing moves."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def snapshot(self):
        """Copies the store as it is now and returns where to; a running server is held still for the copy."""
        self._copies += 1
        copy = os.path.join(self.directory, f"copy-{self._copies}")
        if self.running():
            self.pause()
        try:
            shutil.copytree(self.store, copy)
        finally:
            if self.running():
                self.resume()
        return copy

    def restore(self, copy):
        """Puts an older store in place. REQUIRES: stopped."""
        assert not self.running(), "a store is replaced only while its server is down"
        shutil.rmtree(self.store)
        shutil.copytree(copy, self.store)

    def client(self):
        return NatsClient(self.port)

    def monitor(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}{path}", timeout=5) as answer:
            return json.load(answer)

    def log_tail(self, lines=20):
        from .program import tail
        return f"--- {self.name} {self.log}\n{tail(self.log, lines)}"
