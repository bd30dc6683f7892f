"""What every benchmark needs: labs, programs, tokens, and taking turns."""
import base64
import functools
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import subprocess
import time

from lab import Lab, LabError

from . import HERE

PROGRAMS = {
    "floor": (["floor.c"], ["libevent_core", "libevent_extra"]),
    "pace": (["pace.c", "client.c"], ["libevent_core"]),
    "parked": (["parked.c", "client.c"], ["libevent_core"]),
    "insert": (["insert.c"], ["libpq"]),
}
TOKEN_SECS = 3600
# By default Redis would rewrite its log in the middle of a burst, with a process of its own.
REDIS_OPTIONS = {"auto-aof-rewrite-min-size": "1gb"}


class Missing(Exception):
    """Something that a benchmark needs isn't installed, or this binary hasn't got it."""


class Bench:
    def __init__(self, chosen, scratch, report):
        self.chosen = chosen
        self.scratch = scratch
        self.report = report
        self.secs = chosen.secs
        self.rounds = chosen.rounds
        self.quick = chosen.quick

    def lab(self, nodes=1, **options):
        """A lab of its own for a benchmark; nodes of one worker, logging and metrics as they come."""
        return Lab(self.chosen.binary, nodes=nodes, options={"workers": 1, **options}, fsync=not self.chosen.no_fsync,
                   redis_options=REDIS_OPTIONS)

    def peer(self, stack, name, make):
        """A started peer, or None with a note when it isn't installed."""
        if self.chosen.no_peers:
            return None
        try:
            return stack.enter_context(make())
        except Missing as error:
            self.report.skip(name, str(error))
            return None

    @functools.cache
    def program(self, name):
        sources, libraries = PROGRAMS[name]
        out = self.scratch.directory("programs", mode=0o755) / name
        flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", *libraries], text=True).split()
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE",
                        *(str(HERE / "load" / source) for source in sources), "-o", str(out), *flags], check=True)
        return out

    def alternate(self, contenders, rounds=None):
        """A B A B: {name: callable} → {name: [result, …]}"""
        taken = {name: [] for name in contenders}
        for _ in range(rounds or self.rounds):
            for name, measure in contenders.items():
                taken[name].append(measure())
        return taken

    def listing(self, lines):
        """A file for load/pace.c of lines (method, path, token, header, body)."""
        path = self.scratch.path / f"pace-{time.monotonic_ns()}"
        with open(path, "w") as out:
            for line in lines:
                out.write("\t".join(word or "-" for word in line) + "\n")
        return path

    def pace(self, port, listing, rate=0, secs=0, connections=32):
        """Starts load/pace.c; it removes the listing in the end."""
        return PaceRun(self.program("pace"), port, rate, secs, connections, listing)

    def save_all(self, lab, port, people):
        """Saves ended sessions of (user, sid) as fast as it goes; returns the rates."""
        saved = self.pace(port, self.listing(
            ("POST", "/api/save-interview", mint(lab, user), None, save_body(sid)) for user, sid in people)).result()
        if saved.errors:
            raise LabError(f"{saved.errors} of {len(people)} saves failed, the last with status {saved.error_status}")
        return saved


class PaceRun:
    """pace.c at work; result() waits for it."""

    def __init__(self, program, port, rate, secs, connections, listing):
        self.listing = listing
        self.process = subprocess.Popen([str(word) for word in (program, port, rate, secs, connections, listing)],
                                        stdout=subprocess.PIPE, text=True)

    def result(self, timeout=600):
        out, _ = self.process.communicate(timeout=timeout)
        self.listing.unlink()
        if self.process.returncode != 0:
            raise LabError("pace failed")
        return Paced(out)


class Paced:
    def __init__(self, line):
        words = [int(word) for word in line.split()[1:]]
        self.requests, self.errors = words[0], words[1]
        self.per_sec = self.requests / (max(words[2], 1) / 1e6)
        self.p50_ms, self.p99_ms, self.p999_ms, self.max_ms = (word / 1000 for word in words[3:7])
        self.error_status = words[7]


def exchange(port, method, path, headers=None, body=None, timeout=30):
    """(status, header list, body)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read()
    finally:
        connection.close()


def mint(lab, user, secs=TOKEN_SECS):
    """A token as the user's login would give it (HS256)."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(
        json.dumps({"sub": user, "exp": int(time.time()) + secs}).encode())
    mac = hmac.new(lab.jwt_secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{part(mac)}"


def save_body(sid):
    return json.dumps({"client_session_id": sid, "ended_by": "user"})


def save(lab, port, user, sid):
    """Saves an ended session; returns the user's token."""
    token = mint(lab, user)
    status, _, answer = exchange(port, "POST", "/api/save-interview",
                                 {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                                 save_body(sid))
    if status != 200:
        raise LabError(f"save: {status} {answer!r}")
    return token


def memory(pid, field):
    """VmRSS or VmHWM of a process, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise LabError(f"no {field} of {pid}")


def counter(node, name):
    """One of a node's counters, by its name and labels; 0 if there is none yet."""
    text = exchange(node.admin_port, "GET", "/metrics")[2].decode()
    found = re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)
    return int(found[1]) if found else 0
