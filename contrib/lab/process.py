"""Processes that leave nothing behind: spawning, ports, waiting, scratch directories."""
import concurrent.futures
import ctypes
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

# The kernel ties PR_SET_PDEATHSIG to the thread that forked, not to the process. So one
# thread, which lives as long as the interpreter, starts everything.
_spawner = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class LabError(Exception):
    """Something did not start, stop or become ready as it should."""


def wait_for(condition, what, timeout=20.0, interval=0.02):
    """Polls until condition() is true and returns its value; LabError after the timeout."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise LabError(f"gave up after {timeout:g} s waiting for {what}")
        time.sleep(interval)


def free_port():
    """A loopback port that nobody listens on.

    Taken below the range from which the kernel picks ports of outgoing connections, so
    that a server that is restarted finds its own port still free. A listener that comes
    in between is met by a retry where servers are started.
    """
    for _ in range(200):
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def unprivileged_user(*preferred):
    """The passwd entry to run a server as when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in (*preferred, "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LabError("there is no unprivileged user to run servers as (not even nobody)")


class Scratch:
    """A directory that every user may pass through and that is removed at the end."""

    def __init__(self, parent=None, keep=False):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="debrief-", dir=parent))
        self.path.chmod(0o755)
        self.keep = keep

    def directory(self, name, owner=None, mode=0o700):
        path = self.path / name
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        if owner is not None:
            os.chown(path, owner.pw_uid, owner.pw_gid)
        return path

    def remove(self):
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)


def _die_with_parent(death_signal, parent):
    def in_child():
        _libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(127)
    return in_child


def spawn(argv, log, env=None, user=None, cwd="/", death_signal=signal.SIGKILL):
    """Starts a process whose output goes to the file `log` and which dies with us.

    It gets a process group of its own: Ctrl-C in our terminal is ours to handle, and one
    that was stopped is continued by the kernel when we die, so that its signal arrives.
    """
    identity = {}
    if user is not None:
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    base = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}

    def start():
        with open(log, "ab") as output:
            return subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, cwd=cwd, env={**base, **(env or {})}, process_group=0,
                preexec_fn=_die_with_parent(death_signal, os.getpid()), **identity)
    return _spawner.submit(start).result()


def run(argv, log, env=None, user=None, timeout=60, what=None):
    """Runs a command to its end; LabError with the end of its log if it fails."""
    process = spawn(argv, log, env=env, user=user)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = f"none after {timeout} s"
    if code != 0:
        raise LabError(f"{what or argv[0]} failed, exit status {code}:\n{tail(log)}")


def tail(log, lines=25):
    try:
        text = pathlib.Path(log).read_text(errors="replace")
    except OSError as error:
        return f"(no log: {error})"
    return "\n".join(text.splitlines()[-lines:])


class Server:
    """A process with a life: start, stop, kill, pause, resume. Base of all three servers."""

    name = "server"
    stop_signal = signal.SIGTERM
    death_signal = signal.SIGKILL

    def __init__(self):
        self.process = None
        self.log = None

    @property
    def pid(self):
        return self.process.pid if self.process else None

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def family(self):
        """Pids of the process and its children, parents first."""
        pids = [self.process.pid]
        for pid in pids:
            try:  # a child may be gone by now
                for listing in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                    pids.extend(int(child) for child in listing.read_text().split())
            except OSError:
                continue
        return pids

    def signal(self, number, family=False):
        for pid in self.family() if family else [self.process.pid]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def pause(self):
        """SIGSTOP: still connected, no longer answering."""
        self.signal(signal.SIGSTOP, family=True)

    def resume(self):
        self.signal(signal.SIGCONT, family=True)

    def kill(self):
        """SIGKILL, as a crash would have it."""
        if self.running:
            self.resume()
            self.process.kill()
            self.process.wait()

    def stop(self, timeout=30):
        """Asks it to end and returns its exit status; killed and LabError if it does not."""
        if not self.running:
            return self.process.returncode if self.process else 0
        self.resume()
        self.process.send_signal(self.stop_signal)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise LabError(f"{self.name} did not stop within {timeout} s:\n{tail(self.log)}") from None

    def log_text(self):
        return pathlib.Path(self.log).read_text(errors="replace") if self.log.exists() else ""

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.stop()


def start_until_ready(server, launch, ready, attempts, timeout=60):
    """Launches and waits; launches again if it ended early (a port taken meanwhile).

    launch(attempt) starts server.process.
    """
    deadline = time.monotonic() + timeout
    for attempt in range(attempts):
        launch(attempt)
        try:
            wait_for(lambda: not server.running or ready(), f"{server.name} to be ready",
                     timeout=max(1.0, deadline - time.monotonic()))
        except LabError as error:
            server.kill()
            raise LabError(f"{error}:\n{tail(server.log)}") from None
        except BaseException:
            server.kill()
            raise
        if server.running:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    raise LabError(f"{server.name} ended at its start, exit status {server.process.returncode}:\n{tail(server.log)}")


class PortServer(Server):
    """A server that is told its port, a free one: a subclass's launch() starts it on self.port, and its ready() says when
    it answers there."""

    def __init__(self, log):
        super().__init__()
        self.log = log
        self.port = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        def launch(attempt):
            self.port = free_port()
            self.process = self.launch()
        start_until_ready(self, launch, self.ready, attempts=5)
        return self
