"""What systemd and a node tell each other, and the unit itself."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from lab.node import environment, sanitizer_environment
from lab.process import free_port
from support import eventually, ok

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = ROOT / "contrib" / "systemd"


class Manager:
    """systemd's side: NOTIFY_SOCKET, and what came there."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(0.1)
        self.heard = []

    def listen(self):
        with contextlib.suppress(TimeoutError):
            while True:
                self.heard.append((time.monotonic(), self.socket.recv(4096).decode()))

    def wait(self, state, count=1, timeout=60):
        def there():
            self.listen()
            return sum(each.split("\n")[0] == state for _, each in self.heard) >= count
        eventually(there, timeout=timeout, what=f"{state} from the node")


@contextlib.contextmanager
def served(lab, shell="exec", sockets=(), **env):
    """A node as systemd would start it: `sockets` become its descriptors from 3 on."""
    content = {"PATH": os.environ["PATH"], **sanitizer_environment(), **environment(lab.base_options()),
               "DEBRIEF_ADMIN_LISTEN": f"127.0.0.1:{free_port()}", "DEBRIEF_LISTEN": f"127.0.0.1:{free_port()}", **env}
    moves = "".join(f" {3 + i}<&{each.fileno()}" for i, each in enumerate(sockets))
    process = subprocess.Popen(["/bin/bash", "-c", f"export LISTEN_PID=$$; {shell} {lab.binary} serve{moves}"], env=content,
                               pass_fds=[each.fileno() for each in sockets], stderr=subprocess.PIPE, text=True)
    try:
        yield process, content
    finally:
        process.terminate()
        _, log = process.communicate(timeout=60)
        process.log = log


def test_notifications(api, lab):
    address = "\0debrief-test-" + api.user()
    manager = Manager(address)
    with served(lab, NOTIFY_SOCKET="@" + address[1:], WATCHDOG_USEC="800000") as (process, _):
        manager.wait("READY=1")
        manager.wait("WATCHDOG=1", count=3)
        process.send_signal(signal.SIGHUP)
        manager.wait("RELOADING=1")
        manager.wait("READY=1", count=2)
        usec = next(int(text.split("MONOTONIC_USEC=")[1]) for _, text in manager.heard if text.startswith("RELOADING=1"))
        assert abs(usec / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)) < 60
    manager.wait("STOPPING=1")
    assert process.returncode == 0, process.log


def test_no_watchdog_unless_it_is_asked_for(api, lab, tmp_path):
    tmp_path.chmod(0o777)
    manager = Manager(str(tmp_path / "notify"))
    with served(lab, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000", WATCHDOG_PID="1"):
        manager.wait("READY=1")
        time.sleep(1.5)
        manager.listen()
    assert not any(text == "WATCHDOG=1" for _, text in manager.heard)


def test_a_stuck_worker_silences_the_watchdog(api, lab):
    """Every thread but the first is stopped from the outside: not possible for one thread, so the whole is stopped
    and, when it goes on, it has missed its time."""
    address = "\0debrief-test-" + api.user()
    manager = Manager(address)
    with served(lab, NOTIFY_SOCKET="@" + address[1:], WATCHDOG_USEC="1200000") as (process, _):
        manager.wait("WATCHDOG=1")
        process.send_signal(signal.SIGSTOP)
        manager.listen()
        stopped = time.monotonic()
        time.sleep(2)
        manager.listen()
        assert not [at for at, _ in manager.heard if at > stopped + 0.2]
        process.send_signal(signal.SIGCONT)
        manager.wait("WATCHDOG=1", count=len(manager.heard) + 1)


def listening():
    ours = socket.socket()
    ours.bind(("127.0.0.1", 0))
    ours.listen(64)
    return ours


def test_sockets_are_taken_over(api, lab):
    """Both, by their names, in the other order; what connects before the node is there is answered by it."""
    public, admin = listening(), listening()
    early = socket.create_connection(public.getsockname())
    early.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    with served(lab, sockets=(admin, public), LISTEN_FDS="2", LISTEN_FDNAMES="admin_listen:listen") as (process, env):
        early.settimeout(60)
        assert early.recv(4096).startswith(b"HTTP/1.1 200 ")
        for _ in range(20):
            ok(api.session.get(f"http://127.0.0.1:{public.getsockname()[1]}/livez", timeout=30, headers={"Connection": "close"}))
        answer = ok(api.session.get(f"http://127.0.0.1:{admin.getsockname()[1]}/metrics", timeout=30))
        assert "debrief_build_info" in answer.text
        # and not its own besides
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", int(env["DEBRIEF_LISTEN"].split(":")[1])), timeout=5)
    assert process.returncode == 0, process.log


def test_sockets_for_another_process_are_left_alone(api, lab):
    public = listening()
    with served(lab, shell="LISTEN_PID=1 exec", sockets=(public,), LISTEN_FDS="1") as (_, env):
        port = int(env["DEBRIEF_LISTEN"].split(":")[1])

        def connects():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                return True
        eventually(connects, timeout=60)


def test_what_is_no_listening_socket_is_refused(api, lab):
    plain = socket.socket()
    with served(lab, sockets=(plain,), LISTEN_FDS="1") as (process, _):
        assert process.wait(60) == 1
    assert "LISTEN_FDS" in process.log


def test_no_core_file_in_production(api, lab):
    """There the kernel gives its memory and its environment to nobody but root."""
    if os.getuid() != 0:
        pytest.skip("needs nodes that run as another user than this")
    with lab.node() as node:
        assert os.stat(f"/proc/{node.process.pid}/environ").st_uid == node.user.pw_uid
    with plain_node(lab) as node:
        assert os.stat(f"/proc/{node.process.pid}/environ").st_uid == 0


@contextlib.contextmanager
def plain_node(lab):
    """In production; LeakSanitizer can't look into such a process, so it isn't asked to."""
    node = lab.new_node(environment="production")
    before = os.environ.get("ASAN_OPTIONS")
    os.environ["ASAN_OPTIONS"] = "detect_leaks=0"
    try:
        node.start()
        yield node
    finally:
        if before is None:
            del os.environ["ASAN_OPTIONS"]
        else:
            os.environ["ASAN_OPTIONS"] = before
        node.stop()


@pytest.mark.parametrize("unit", ["debrief.service", "debrief.socket"])
def test_the_unit_is_valid(lab, tmp_path, unit):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    for each in ("debrief.service", "debrief.socket"):
        (tmp_path / each).write_text((UNITS / each).read_text().replace("/usr/bin/debrief", str(lab.binary)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit)],
                          capture_output=True, text=True, timeout=120, check=False)
    complaints = [line for line in done.stderr.splitlines() if "debrief" in line]
    assert done.returncode == 0 and not complaints, done.stderr


def test_the_unit_is_tight():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20",
                           str(UNITS / "debrief.service")], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
