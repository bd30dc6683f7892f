"""Polls at a fixed 1,000 a second, quiet and in a burst of webhooks."""
import statistics
import uuid

from .bench import mint
from .hooks import Batch
from .webhooks import CONNECTIONS

RATE = 1000
SESSIONS = 500


def measure(bench):
    secs = 3 if bench.quick else 8
    count = 4000 if bench.quick else 12000
    with bench.lab() as lab:
        node = lab.nodes[0]
        people = [(str(uuid.uuid4()), f"pace-{number}") for number in range(SESSIONS)]
        bench.save_all(lab, node.port, people)
        polls = [("GET", f"/api/interviews/by-session/{sid}", mint(lab, user), None, None) for user, sid in people]

        def polled():
            return bench.pace(node.port, bench.listing(polls), RATE, secs, 64)

        def quiet():
            return polled().result()

        def burst():
            """More webhooks than can be answered in the time of the polls; what is left is cut off."""
            batch = Batch(bench, lab, count)
            bench.save_all(lab, node.port, batch.people[:200])
            hooks = bench.pace(node.port, batch.listing, connections=CONNECTIONS)
            try:
                return polled().result()
            finally:
                hooks.process.kill()
                hooks.process.wait()
                batch.listing.unlink()
        benchmark = bench.report.benchmark(f"Polls at {RATE:,} a second, one worker: quiet, and while webhooks of 40 KB come "
                                           f"on {CONNECTIONS} connections as fast as they are answered")
        taken = bench.alternate({"debrief, quiet": quiet, "debrief, burst": burst}, max(2, bench.rounds - 2))
        p99 = {}
        for name, results in taken.items():
            p99[name] = benchmark.add(f"{name}: p99", [r.p99_ms for r in results], "ms", errors=sum(r.errors for r in results))
            benchmark.add(f"{name}: p50", [statistics.median([r.p50_ms]) for r in results], "ms")
        bound = max(20, 3 * p99["debrief, quiet"])
        benchmark.claim("polls at 1,000/s: p99 in a burst (3 × quiet, or 20 ms)", p99["debrief, burst"], bound, "ms", "≤")
