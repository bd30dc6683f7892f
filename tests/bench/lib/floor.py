"""The floor: load/floor.c, a bare evhttp that answers with a captured reply."""
from lab.process import PortServer, spawn

from .bench import exchange

# Of a captured reply, what evhttp makes by itself.
OWN_HEADERS = {"date", "content-length", "connection"}


class Floor(PortServer):
    name = "floor"

    def __init__(self, bench, name, status, headers, body):
        super().__init__(bench.scratch.path / f"{name}.log")
        self.program = bench.program("floor")
        self.status = status
        self.reply = bench.scratch.path / f"{name}.reply"
        kept = [f"{key}: {value}" for key, value in headers if key.lower() not in OWN_HEADERS]
        self.reply.write_bytes("\n".join([*kept, "", ""]).encode() + body)

    def launch(self):
        return spawn([self.program, self.port, self.status, self.reply], self.log)

    def ready(self):
        try:
            return exchange(self.port, "GET", "/")[0] == self.status
        except OSError:
            return False

    def __exit__(self, *exception):
        self.kill()
