"""The few words of the NATS protocol that tests need: publish with headers, request, and JetStream's JSON API."""

import base64
import json
import secrets
import socket


class NatsError(OSError):
    """The server is away, or answered something else than asked."""


class NatsClient:
    """One blocking connection, for one thread."""

    def __init__(self, port, host="127.0.0.1", timeout=5.0):
        self._socket = socket.create_connection((host, port), timeout)
        self._file = self._socket.makefile("rb")
        self._inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._count = 0
        self.info = self._read_info()
        self._send(b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"name":"test"}\r\n'
                   + f"SUB {self._inbox}.* 1\r\n".encode() + b"PING\r\n")
        self._wait_pong()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._file.close()
        self._socket.close()

    def _read_info(self):
        line = self._file.readline()
        if not (line.startswith(b"INFO ") and line.endswith(b"\r\n")):
            raise NatsError("no NATS server answers")
        return json.loads(line[5:])

    def _send(self, data):
        self._socket.sendall(data)

    def _read(self):
        """One protocol message: (kind, subject, headers, payload)."""
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise NatsError("the NATS server closed the connection")
        word, _, rest = line.strip().decode().partition(" ")
        if word == "PING":
            self._send(b"PONG\r\n")
        if word == "-ERR":
            raise NatsError(f"the NATS server says {rest}")
        if word not in ("MSG", "HMSG"):
            return word, "", [], b""
        parts = rest.split()
        total = int(parts[-1])
        head = int(parts[-2]) if word == "HMSG" else 0
        payload = self._file.read(total + 2)[:total]
        if len(payload) != total:
            raise NatsError("the NATS server closed the connection")
        return word, parts[0], _parse_headers(payload[:head]), payload[head:]

    def _wait_pong(self):
        while self._read()[0] != "PONG":
            pass

    def publish(self, subject, payload=b"", headers=(), reply="", first_line="NATS/1.0"):
        if isinstance(payload, str):
            payload = payload.encode()
        head = b""
        if headers or first_line != "NATS/1.0":
            lines = "".join(f"{key}: {value}\r\n" for key, value in headers)
            head = f"{first_line}\r\n{lines}\r\n".encode()
            line = f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}\r\n"
        else:
            line = f"PUB {subject} {reply} {len(payload)}\r\n"
        self._send(line.encode(errors="surrogateescape") + head + payload + b"\r\n")

    def flush(self):
        self._send(b"PING\r\n")
        self._wait_pong()

    def request(self, subject, payload=b"", headers=()):
        """Returns (headers, payload) of the first answer."""
        self._count += 1
        inbox = f"{self._inbox}.{self._count}"
        self.publish(subject, payload, headers, inbox)
        while True:
            kind, answered, answer_headers, answer = self._read()
            if kind in ("MSG", "HMSG") and answered == inbox:
                if answer_headers and answer_headers[0] == ("status", "503"):
                    raise NatsError(f"nobody answers on {subject}")
                return answer_headers, answer

    # ---- JetStream

    def api(self, verb, body=None):
        answer = json.loads(self.request(f"$JS.API.{verb}", json.dumps(body) if body is not None else b"")[1])
        if "error" in answer:
            raise NatsError(f"{verb}: {answer['error'].get('description')}")
        return answer

    def store(self, subject, payload=b"", headers=()):
        """Publishes into a stream and returns the sequence that JetStream gave."""
        answer = json.loads(self.request(subject, payload, headers)[1])
        if "error" in answer:
            raise NatsError(f"{subject}: {answer['error'].get('description')}")
        return answer["seq"]

    def stream_state(self, stream):
        return self.api(f"STREAM.INFO.{stream}")["state"]

    def stream_message(self, stream, sequence):
        """(subject, {header: value}, payload) of a stored message."""
        message = self.api(f"STREAM.MSG.GET.{stream}", {"seq": sequence})["message"]
        headers = dict(_parse_headers(base64.b64decode(message.get("hdrs", ""))))
        return message["subject"], headers, base64.b64decode(message.get("data", ""))


def _parse_headers(block):
    """Lines of a header block as pairs; a status in the first line becomes ("status", code)."""
    if not block:
        return []
    lines = block.decode(errors="surrogateescape").split("\r\n")
    found = []
    status = lines[0].removeprefix("NATS/1.0").split()
    if status:
        found.append(("status", status[0]))
    for line in lines[1:]:
        key, colon, value = line.partition(":")
        if colon:
            found.append((key, value.strip()))
    return found
