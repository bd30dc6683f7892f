"""Polls, 200 and 304: one worker, token verified, state looked up, against the floor and the peers."""
import contextlib
import uuid

from .bench import Missing, exchange, save
from .cpu import Meter
from .floor import Floor
from .peers import Express, Nginx, Webdis
from .wrk import wrk

CONNECTIONS = 64


def measure(bench):
    with bench.lab() as lab, contextlib.ExitStack() as peers:
        user, sid = str(uuid.uuid4()), "bench-" + uuid.uuid4().hex[:12]
        path = f"/api/interviews/by-session/{sid}"
        token = save(lab, lab.nodes[0].port, user, sid)
        bearer = f"Authorization: Bearer {token}"
        body = exchange(lab.nodes[0].port, "GET", path, dict([bearer.split(": ", 1)]))[2]
        servers = {
            "webdis": bench.peer(peers, "webdis", lambda: Webdis(bench, lab, body)),
            "nginx + Lua": bench.peer(peers, "nginx + Lua", lambda: Nginx(bench, lab, body)),
            "express + pg": bench.peer(peers, "express + pg", lambda: Express(bench, lab)),
        }
        servers = {name: server for name, server in servers.items() if server}
        if "express + pg" in servers:
            save(lab, servers["express + pg"].port, user, sid)
        for wanted in (200, 304):
            measure_status(bench, lab, servers, path, bearer, wanted)


def request_headers(port, path, bearer, wanted):
    """Those of a poll that is answered so: for 304 with the ETag that this server gave."""
    if wanted == 200:
        return [bearer]
    headers = dict(exchange(port, "GET", path, dict([bearer.split(": ", 1)]))[1])
    return [bearer, f"If-None-Match: {headers.get('ETag') or headers['etag']}"]


def measure_status(bench, lab, servers, path, bearer, wanted):
    node = lab.nodes[0]
    headers = request_headers(node.port, path, bearer, wanted)
    status, captured, body = exchange(node.port, "GET", path, dict(line.split(": ", 1) for line in headers))
    if status != wanted:
        raise Missing(f"a poll was answered {status} instead of {wanted}")
    benchmark = bench.report.benchmark(f"Polls answered {wanted}: one worker, wrk -t1 -c{CONNECTIONS}")

    def run(url, path, headers):
        return lambda: wrk(url + path, "polls.lua", bench.secs, CONNECTIONS, headers)
    with Floor(bench, f"floor-{wanted}", wanted, captured, body) as floor:
        meters = {"bare evhttp": Meter(floor=floor), "debrief": Meter(node=node)}
        contenders = {"bare evhttp": meters["bare evhttp"].around(run(floor.url, path, headers)),
                      "debrief": meters["debrief"].around(run(node.url, path, headers))}
        for name, server in servers.items():
            if name == "express + pg":
                contenders[name] = run(server.url, path, request_headers(server.port, path, bearer, wanted))
            elif wanted == 200:
                contenders[name] = run(server.url, server.page, headers)
        taken = bench.alternate(contenders)
    for name, results in taken.items():
        benchmark.add_rates(name, results)
    for name, meter in meters.items():
        meter.report(benchmark, name)

    def against(text, name, target=None):
        if name in taken:
            benchmark.claim(f"polls, {wanted}: {text}", benchmark.ratio(taken["debrief"], taken[name]), target)
    against("of the floor", "bare evhttp", 0.9)
    by_cpu = benchmark.ratio(meters["bare evhttp"].each_us["floor"], meters["debrief"].each_us["node"], float)
    benchmark.claim(f"polls, {wanted}: of the floor, by CPU time", by_cpu)
    if wanted == 200:
        against("against webdis's GET", "webdis", 1.5)
        against("against nginx + Lua + Redis", "nginx + Lua")
    against("against Express + pg", "express + pg", 40)
