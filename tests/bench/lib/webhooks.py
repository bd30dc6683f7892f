"""Webhooks of 40 KB on 32 connections: committed to the ledger and journaled, against Express and pg; memory."""
import contextlib
import statistics

from lab import LabError, wait_for

from .bench import memory
from .cpu import Meter
from .hooks import Batch
from .peers import Express

CONNECTIONS = 32
MIB = 1 << 20


def prepare(bench, lab, port, count):
    """Signs `count` webhooks and saves their sessions."""
    batch = Batch(bench, lab, count)
    bench.save_all(lab, port, batch.people)
    return batch


def send(bench, port, batch):
    sent = bench.pace(port, batch.listing, connections=CONNECTIONS).result()
    if sent.errors:
        raise LabError(f"{sent.errors} of {sent.requests} webhooks were not answered 200; the last: {sent.error_status}")
    return sent


def kept(lab, database="debrief"):
    return int(lab.postgres_server.sql("SELECT count(*) FROM interviews", database))


def settled(lab):
    """Nothing is left to be decided (or the sweeper is still at it)."""
    return lab.postgres_server.sql("SELECT count(*) FROM interviews WHERE undecided") == "0"


def measure(bench):
    count = 500 if bench.quick else 3000
    with bench.lab() as lab, contextlib.ExitStack() as peers:
        express = {name: bench.peer(peers, name, lambda: Express(bench, lab, one_statement)) for name, one_statement
                   in (("express + pg", False), ("express + pg, one statement", True))}
        express = {name: peer for name, peer in express.items() if peer}
        node = lab.nodes[0]
        journaling = lab.new_node(durability="journal").start()

        stores = {"Redis": lab.redis_server, "Postgres": lab.postgres_server}
        meters = {"debrief, committed": Meter(node=node, **stores), "debrief, journal": Meter(node=journaling, **stores)}
        meters.update((name, Meter(node=peer, Postgres=lab.postgres_server)) for name, peer in express.items())

        def sending(name, port, database):
            """Sends a batch and sees it kept."""
            def measure_once():
                before = kept(lab, database)
                # saved to the ledger, so that no sweeper is at it while the webhooks come
                batch = prepare(bench, lab, node.port if database == "debrief" else port, count)
                sent = meters[name].around(lambda: send(bench, port, batch))()
                wait_for(lambda: kept(lab, database) - before == count and (database != "debrief" or settled(lab)),
                         f"{count} webhooks to be kept", 180, 0.2)
                return sent
            return measure_once

        contenders = {"debrief, committed": sending("debrief, committed", node.port, "debrief"),
                      "debrief, journal": sending("debrief, journal", journaling.port, "debrief")}
        contenders.update((name, sending(name, peer.port, peer.database)) for name, peer in express.items())
        benchmark = bench.report.benchmark(f"Webhooks of 40 KB: one worker, {CONNECTIONS} connections, {count} a round, "
                                           "their sessions saved before")
        taken = bench.alternate(contenders)
        for name, results in taken.items():
            benchmark.add_rates(name, results)
        for name, meter in meters.items():
            meter.report(benchmark, name)
        for name, text, target in (("debrief, committed", "committed", 4), ("debrief, journal", "durability = journal", 6)):
            for peer in express:
                benchmark.claim(f"webhooks, {text}: against {peer.capitalize()}", benchmark.ratio(taken[name], taken[peer]),
                                target if peer == "express + pg" else None)
        p99 = statistics.median(r.p99_ms for r in taken["debrief, journal"])
        benchmark.claim("webhooks, durability = journal: p99", p99, 50, "ms", "≤")
        for name, process in (("debrief, committed", node), ("debrief, journal", journaling)):
            peak = memory(process.pid, "VmHWM") / MIB
            benchmark.claim(f"peak memory, {name}", peak, 256, "MiB", "≤")
