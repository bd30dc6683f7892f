"""Polls, 200 and 304: one worker, token verified, state looked up, against the floor and the peers."""
import contextlib
import uuid

from .bench import Missing, exchange, save
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
        contenders = {"bare evhttp": run(floor.url, path, headers), "debrief": run(node.url, path, headers)}
        for name, server in servers.items():
            if name == "express + pg":
                contenders[name] = run(server.url, path, request_headers(server.port, path, bearer, wanted))
            elif wanted == 200:
                contenders[name] = run(server.url, server.page, headers)
        taken = bench.alternate(contenders)
    medians = {name: benchmark.add_rates(name, results) for name, results in taken.items()}
    ours = medians["debrief"]
    benchmark.claim(f"polls, {wanted}: of the floor", ours / medians["bare evhttp"], 0.9)
    if wanted == 200 and "webdis" in medians:
        benchmark.claim("polls, 200: against webdis's GET", ours / medians["webdis"], 1.5)
    if wanted == 200 and "nginx + Lua" in medians:
        benchmark.claim("polls, 200: against nginx + Lua + Redis", ours / medians["nginx + Lua"])
    if "express + pg" in medians:
        benchmark.claim(f"polls, {wanted}: against Express + pg", ours / medians["express + pg"], 40)
