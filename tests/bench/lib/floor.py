"""The floor: load/floor.c, a bare evhttp that answers with a captured reply."""
from lab.process import Server, free_port, spawn, start_until_ready

from .bench import exchange

# Of a captured reply, what evhttp makes by itself.
OWN_HEADERS = {"date", "content-length", "connection"}


class Floor(Server):
    name = "floor"

    def __init__(self, bench, name, status, headers, body):
        super().__init__()
        self.program = bench.program("floor")
        self.status = status
        self.log = bench.scratch.path / f"{name}.log"
        self.reply = bench.scratch.path / f"{name}.reply"
        kept = [f"{key}: {value}" for key, value in headers if key.lower() not in OWN_HEADERS]
        self.reply.write_bytes("\n".join([*kept, "", ""]).encode() + body)
        self.port = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        def launch(attempt):
            self.port = free_port()
            self.process = spawn([self.program, self.port, self.status, self.reply], self.log)
        start_until_ready(self, launch, self._answers, attempts=5)
        return self

    def _answers(self):
        try:
            return exchange(self.port, "GET", "/")[0] == self.status
        except OSError:
            return False

    def __exit__(self, *exception):
        self.kill()
