"""Results of a 40 KB interview against a bare evhttp that sends the same bytes, and Express."""
import contextlib
import json
import uuid

from lab import LabError

from .bench import exchange, save
from .floor import Floor
from .peers import Express
from .wrk import wrk
from .hooks import BYTES, signed_webhook

CONNECTIONS = 64


def deliver(lab, port, user, sid):
    """A webhook for a saved session; returns the path of its results."""
    token = save(lab, port, user, sid)
    headers, body = signed_webhook(lab, user, sid)
    status, _, answer = exchange(port, "POST", "/webhooks/elevenlabs", headers, body)
    if status != 200:
        raise LabError(f"webhook: {status} {answer!r}")
    bearer = {"Authorization": f"Bearer {token}"}
    view = json.loads(exchange(port, "GET", f"/api/interviews/by-session/{sid}", bearer)[2])
    if not view["interviewId"]:
        raise LabError(f"after the webhook's 200 the poll says {view}")
    return f"/api/interviews/{view['interviewId']}/results", bearer


def measure(bench):
    with bench.lab() as lab, contextlib.ExitStack() as peers:
        node = lab.nodes[0]
        user, sid = str(uuid.uuid4()), "bench-results"
        path, bearer = deliver(lab, node.port, user, sid)
        lines = [f"{name}: {value}" for name, value in bearer.items()]
        status, captured, body = exchange(node.port, "GET", path, bearer)
        if status != 200:
            raise LabError(f"results: {status} {body!r}")
        contenders = {}
        benchmark = bench.report.benchmark(f"Results of an interview of {BYTES // 1000} KB ({len(body) / 1000:.1f} KB of JSON): "
                                           f"one worker, wrk -t1 -c{CONNECTIONS}")
        floor = peers.enter_context(Floor(bench, "floor-results", 200, captured, body))
        contenders["bare evhttp"] = lambda: wrk(floor.url + path, "polls.lua", bench.secs, CONNECTIONS, lines)
        contenders["debrief"] = lambda: wrk(node.url + path, "polls.lua", bench.secs, CONNECTIONS, lines)
        express = bench.peer(peers, "express + pg", lambda: Express(bench, lab))
        if express:
            theirs, _ = deliver(lab, express.port, user, sid)
            contenders["express + pg"] = lambda: wrk(express.url + theirs, "polls.lua", bench.secs, CONNECTIONS, lines)
        taken = bench.alternate(contenders)
        for name, results in taken.items():
            benchmark.add_rates(name, results)
        benchmark.claim("results, 40 KB: of the floor", benchmark.ratio(taken["debrief"], taken["bare evhttp"]), 0.5)
        if express:
            benchmark.claim("results, 40 KB: against Express + pg", benchmark.ratio(taken["debrief"], taken["express + pg"]))
