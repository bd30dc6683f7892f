"""A private Redis, durable as the journal needs it."""
import secrets
import shutil
import socket

from .process import LabError, Server, free_port, spawn, start_until_ready, unprivileged_user


class Redis(Server):
    """redis-server with `appendonly yes` and `noeviction`, on loopback with a password.

    `options` are more lines of redis.conf, as {"maxmemory": "64mb"}.
    """

    name = "redis"

    def __init__(self, scratch, options=None):
        super().__init__()
        self.program = shutil.which("redis-server")
        if self.program is None:
            raise LabError("redis-server is not installed (Debian: redis-server)")
        self.user = unprivileged_user("redis")
        self.directory = scratch.directory("redis", self.user)
        self.log = scratch.path / "redis.log"
        self.options = options or {}
        self.password = secrets.token_hex(16)
        self.port = None

    @property
    def url(self):
        return f"redis://default:{self.password}@127.0.0.1:{self.port}/0"

    def start(self):
        fresh = self.port is None

        def launch(attempt):
            if fresh:
                self.port = free_port()
            self._configure()
            self.process = spawn([self.program, self.directory / "redis.conf"], self.log, user=self.user,
                                 cwd=self.directory)
        start_until_ready(self, launch, lambda: self.call("PING") == b"PONG", attempts=5)
        return self

    def _configure(self):
        lines = {"bind": "127.0.0.1", "port": self.port, "requirepass": self.password, "dir": self.directory,
                 "appendonly": "yes", "maxmemory-policy": "noeviction", "save": '""', "daemonize": "no",
                 "unixsocket": self.directory / "redis.sock", "unixsocketperm": "700", "logfile": '""',
                 **self.options}
        path = self.directory / "redis.conf"
        path.write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
        if self.user is not None:
            path.chmod(0o640)
            shutil.chown(path, group=self.user.pw_gid)

    def call(self, *words):
        """One command on a connection of its own; None if Redis does not answer.

        Understands the one-line and bulk replies that a lab needs.
        """
        def encode(*parts):
            parts = [str(part).encode() for part in parts]
            return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(encode("AUTH", self.password) + encode(*words))
                stream = connection.makefile("rb")
                if not stream.readline().startswith(b"+OK"):
                    return None
                line = stream.readline().rstrip(b"\r\n")
                if line.startswith(b"$"):
                    return None if line == b"$-1" else stream.read(int(line[1:]))
                return None if line.startswith(b"-") else line[1:]
        except OSError:
            return None
