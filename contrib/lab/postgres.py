"""A private Postgres cluster."""
import os
import pathlib
import secrets
import shutil
import signal
import subprocess

from .process import LabError, Server, free_port, run, spawn, start_until_ready, unprivileged_user

DATABASE = "debrief"


def bindir():
    """Where initdb and postgres are: Debian keeps them off the PATH."""
    candidates = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"),
                        key=lambda path: float(path.parent.name), reverse=True)
    for path in candidates:
        if (path / "initdb").exists() and (path / "postgres").exists():
            return path
    found = shutil.which("initdb")
    if found:
        return pathlib.Path(found).resolve().parent
    config = shutil.which("pg_config")
    if config:
        path = pathlib.Path(subprocess.check_output([config, "--bindir"], text=True).strip())
        if (path / "initdb").exists():
            return path
    raise LabError("Postgres's initdb is not installed (Debian: postgresql)")


class Postgres(Server):
    """postgres on loopback and a socket in the scratch directory, with a password.

    `fsync=False` is for tests that crash processes but never the machine.
    """

    name = "postgres"
    stop_signal = signal.SIGINT   # fast shutdown: clients are disconnected
    death_signal = signal.SIGQUIT  # immediate shutdown: takes its children and its shared memory along

    def __init__(self, scratch, fsync=True, options=None):
        super().__init__()
        self.bin = bindir()
        self.scratch = scratch
        self.user = unprivileged_user("postgres")
        self.directory = scratch.directory("postgres", self.user)
        self.data = self.directory / "data"
        self.log = scratch.path / "postgres.log"
        self.fsync = fsync
        self.options = options or {}
        self.password = secrets.token_hex(16)
        self.port = None

    def database_url(self, database=DATABASE):
        return f"postgresql://debrief:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def url(self):
        return self.database_url()

    def start(self):
        fresh = self.port is None
        if fresh:
            self._initialise()

        def launch(attempt):
            if fresh:
                self.port = free_port()
            settings = {"listen_addresses": "127.0.0.1", "port": self.port, "max_connections": 100,
                        "unix_socket_directories": self.directory, "logging_collector": "off",
                        "dynamic_shared_memory_type": "mmap", "fsync": "on" if self.fsync else "off",
                        **self.options}
            argv = [self.bin / "postgres", "-D", self.data]
            for key, value in settings.items():
                argv += ["-c", f"{key}={value}"]
            self.process = spawn(argv, self.log, user=self.user, cwd=self.directory,
                                 death_signal=self.death_signal)
        # A killed postmaster's children hold its shared memory for some moments more, and
        # the next one ends at its start until they are gone.
        start_until_ready(self, launch, self._ready, attempts=5 if fresh else 500)
        if fresh:
            self.create_database(DATABASE)
        return self

    def _initialise(self):
        secret = self.directory / "password"
        secret.write_text(self.password)
        if self.user is not None:
            shutil.chown(secret, self.user.pw_uid, self.user.pw_gid)
        run([self.bin / "initdb", "-D", self.data, "-U", "debrief", "--auth=scram-sha-256", f"--pwfile={secret}",
             "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"], self.log, user=self.user, what="initdb")
        secret.unlink()

    def _ready(self):
        """The eighth line of postmaster.pid says so (as pg_ctl reads it)."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def sql(self, statement, database=DATABASE):
        """Runs statements through psql and returns its unaligned output."""
        done = subprocess.run(
            [str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
             "-p", str(self.port), "-U", "debrief", "-d", database, "-f", "-"],
            input=statement, capture_output=True, text=True, timeout=60,
            env={**os.environ, "PGPASSWORD": self.password})
        if done.returncode != 0:
            raise LabError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def create_database(self, name):
        """A fresh, empty database; replaces one of that name. Returns its URL."""
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE);\nCREATE DATABASE {name};", "postgres")
        return self.database_url(name)
