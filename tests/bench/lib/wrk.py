"""wrk, one thread."""
import os
import subprocess

from lab import LabError

from . import HERE


class Result:
    """One run of wrk."""

    def __init__(self, line):
        requests, micros, broken, refused, p99_micros = (int(word) for word in line.split()[1:])
        self.requests = requests
        self.per_sec = requests / (micros / 1e6)
        self.errors = broken + refused
        self.p99_ms = p99_micros / 1000


def start(url, script, secs, connections, headers=(), env=None):
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{secs}s", "--timeout", "10s", "-s", str(HERE / "load" / script)]
    for header in headers:
        argv += ["-H", header]
    return subprocess.Popen([*argv, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, **(env or {})})


def finish(process, secs):
    try:
        text, _ = process.communicate(timeout=secs + 60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise LabError("wrk does not end") from None
    lines = [line for line in text.splitlines() if line.startswith("RESULT ")]
    if process.returncode != 0 or not lines:
        raise LabError(f"wrk failed:\n{text}")
    return Result(lines[0])


def wrk(url, script, secs, connections, headers=(), env=None):
    return finish(start(url, script, secs, connections, headers, env), secs)
