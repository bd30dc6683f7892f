"""HTTP byte by byte: what no client library would send."""
import json
import re
import socket
import time


class Reply:
    """One reply as it came."""

    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            self.headers[name.lower()] = value
        self.body = body

    def problem(self):
        assert self.headers["content-type"] == "application/problem+json", self.headers
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["requestId"] == self.headers["x-request-id"]
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", problem["requestId"])
        return problem


class Raw:
    """A connection to a node. Every wait has an end."""

    def __init__(self, node, timeout=20, receive_buffer=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", node.port))
        self.rest = b""

    def send(self, *pieces):
        for piece in pieces:
            self.socket.sendall(piece.encode("latin-1") if isinstance(piece, str) else piece)
        return self

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.rest += data
        return bool(data)

    def reply(self, head=False):
        """The next reply, or None if the connection ended before it."""
        while b"\r\n\r\n" not in self.rest:
            if not self._more():
                assert not self.rest, f"half a reply: {self.rest[:300]!r}"
                return None
        start, self.rest = self.rest.split(b"\r\n\r\n", 1)
        reply = Reply(start, b"")
        if reply.status == 100:
            return reply
        length = 0 if head else int(reply.headers.get("content-length", 0))
        while len(self.rest) < length:
            assert self._more(), "half a body"
        reply.body, self.rest = self.rest[:length], self.rest[length:]
        return reply

    def ended(self):
        """Waits for the end; whatever still comes before it is an error."""
        while self._more():
            pass
        assert not self.rest, f"more came: {self.rest[:300]!r}"
        return True

    def has_news(self):
        """Whether a reply, or the end, has come."""
        self.socket.setblocking(False)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return True
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        finally:
            self.socket.settimeout(20)

    def trickle(self, byte, every, limit):
        """Sends a byte now and then until the other side has closed; how long it stood that."""
        began = time.monotonic()
        while time.monotonic() - began < limit:
            try:
                self.socket.sendall(byte)
            except OSError:
                break
            self.socket.settimeout(every)
            try:
                if not self._more():
                    break
            except (socket.timeout, OSError):
                pass
            finally:
                self.socket.settimeout(20)
        return time.monotonic() - began

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
