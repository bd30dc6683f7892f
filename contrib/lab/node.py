"""A `debrief serve` process."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal

from .process import LabError, Server, free_port, run, spawn, start_until_ready, tail, unprivileged_user

# What a sanitizer prints when it found something.
SANITIZER = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|runtime error:|WARNING: ThreadSanitizer"
                       r"|AddressSanitizer:DEADLYSIGNAL")

TSAN_SUPPRESSIONS = pathlib.Path(__file__).resolve().parents[2] / "tests" / "tsan.supp"


def default_binary():
    """DEBRIEF_BINARY, or the one that contrib/setup builds."""
    root = pathlib.Path(__file__).resolve().parents[2]
    return pathlib.Path(os.environ.get("DEBRIEF_BINARY") or root / "build" / "src" / "debrief")


def install_binary(binary, scratch):
    """A copy that the unprivileged user can run, wherever the checkout lies."""
    binary = pathlib.Path(binary)
    if not binary.exists():
        raise LabError(f"{binary} isn't there; contrib/setup builds it")
    copy = scratch.directory("bin", mode=0o755) / "debrief"
    shutil.copyfile(binary, copy)
    copy.chmod(0o755)
    beside = copy.with_name(TSAN_SUPPRESSIONS.name)
    shutil.copyfile(TSAN_SUPPRESSIONS, beside)
    beside.chmod(0o644)
    return copy


def environment(options):
    """Options by their names in the design, as the environment variables of the process."""
    def text(value):
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, (list, tuple)):
            return ",".join(str(item) for item in value)
        return str(value)

    def variable(name):
        # The one option whose variable has no prefix.
        return name.upper() if name == "simulate_webhook_delay_ms" else f"DEBRIEF_{name.upper()}"

    return {variable(name): text(value) for name, value in options.items() if value is not None}


def sanitizer_environment():
    return {
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0"),
        "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1"),
        # Looked for beside the binary.
        "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", f"suppressions={TSAN_SUPPRESSIONS.name}"),
    }


class Node(Server):
    """One node; its options are those of the configuration table, by name.

    The addresses stay the same over stop(), kill() and start().
    """

    def __init__(self, binary, scratch, name, options):
        super().__init__()
        self.binary = binary
        self.name = name
        self.options = dict(options)
        self.user = unprivileged_user()
        self.log = scratch.path / f"{name}.log"
        self.port = None
        self.admin_port = None
        self.asked_to_end = True
        self.sudden_ends = []  # exit statuses of processes that nobody had asked to end

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self):
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def env(self):
        listeners = {"listen": f"127.0.0.1:{self.port}", "admin_listen": f"127.0.0.1:{self.admin_port}"}
        return {**sanitizer_environment(), **environment({**listeners, **self.options})}

    def start(self, ready=True):
        """Starts it and waits until it has both stores; with ready=False only for /livez (one is away)."""
        if self.running:
            return self
        self.note_sudden_end()
        fresh = self.port is None

        def launch(attempt):
            if fresh:
                self.port, self.admin_port = free_port(), free_port()
            self.process = spawn([self.binary, "serve"], self.log, env=self.env, user=self.user)
        def is_up():
            return self.answers("/readyz") and self.sees("redis", "ledger") if ready else self.answers("/livez")
        start_until_ready(self, launch, is_up, attempts=5 if fresh else 3)
        self.asked_to_end = False
        return self

    def note_sudden_end(self):
        if not self.asked_to_end and not self.running:
            if self.process.returncode != -signal.SIGKILL:  # which a test may send by itself
                self.sudden_ends.append(self.process.returncode)
            self.asked_to_end = True

    def answers(self, page="/readyz"):
        """Whether both listeners answer 200."""
        return all(self._get(port, page)[0] == 200 for port in (self.port, self.admin_port))

    def sees(self, *stores):
        """Whether all its workers have these stores ("redis", "ledger")."""
        state = self._get(self.admin_port, "/readyz")[1]
        return state is not None and all(state.get(store) == "up" for store in stores)

    @staticmethod
    def _get(port, page):
        """(status or None, JSON or None)"""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", page)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text.startswith(b"{") else None
        except (OSError, http.client.HTTPException, ValueError):
            return None, None
        finally:
            connection.close()

    def stop(self, timeout=40):
        """SIGTERM; LabError unless it ends with exit status 0."""
        was_running = self.running
        self.note_sudden_end()
        self.asked_to_end = True
        code = super().stop(timeout)
        if was_running and code != 0:
            raise LabError(f"{self.name} ended with exit status {code}:\n{tail(self.log, 60)}")
        return code

    def kill(self):
        self.note_sudden_end()
        self.asked_to_end = True
        super().kill()

    def reload(self):
        self.signal(signal.SIGHUP)

    def command(self, *words, timeout=60):
        """Runs another subcommand with this node's configuration; its output is in the log."""
        run([self.binary, *words], self.log, env=self.env, user=self.user, timeout=timeout,
            what=f"debrief {' '.join(str(word) for word in words)}")

    def complaint(self):
        """What a sanitizer said in its log, or that it ended by itself; or None."""
        lines = self.log_text().splitlines()
        for number, line in enumerate(lines):
            if SANITIZER.search(line):
                return "\n".join(lines[number:number + 60])
        if self.sudden_ends:
            return f"it ended by itself, exit status {self.sudden_ends}:\n{tail(self.log, 60)}"
        return None
