"""Webhooks of 40 KB on 32 connections: committed to the ledger and journaled, against Express and pg; memory."""
import contextlib
import statistics

from lab import LabError, wait_for

from .bench import memory
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
        raise LabError(f"{sent.errors} of {sent.answered} webhooks were not answered 200")
    return sent


def kept(lab, database="debrief"):
    return int(lab.postgres_server.sql("SELECT count(*) FROM interviews", database))


def settled(lab):
    """Nothing is left to be decided (or the sweeper is still at it)."""
    return lab.postgres_server.sql("SELECT count(*) FROM interviews WHERE undecided") == "0"


def measure(bench):
    count = 500 if bench.quick else 3000
    with bench.lab() as lab, contextlib.ExitStack() as peers:
        express = bench.peer(peers, "express + pg", lambda: Express(bench, lab))
        node = lab.nodes[0]
        journaling = lab.new_node(durability="journal").start()

        def committed():
            before = kept(lab)
            sent = send(bench, node.port, prepare(bench, lab, node.port, count))
            if kept(lab) - before != count:
                raise LabError(f"{count} webhooks were answered 200, the ledger holds {kept(lab) - before} of them")
            return sent

        def journaled():
            before = kept(lab)
            sent = send(bench, journaling.port, prepare(bench, lab, journaling.port, count))
            wait_for(lambda: kept(lab) - before == count and settled(lab), "the journal to be in the ledger", 180, 0.2)
            return sent

        def theirs():
            before = kept(lab, "express")
            sent = send(bench, express.port, prepare(bench, lab, express.port, count))
            if kept(lab, "express") - before != count:
                raise LabError("Express lost webhooks")
            return sent

        benchmark = bench.report.benchmark(f"Webhooks of 40 KB: one worker, {CONNECTIONS} connections, {count} a round, "
                                           "their sessions saved before")
        contenders = {"debrief, committed": committed, "debrief, journal": journaled}
        taken = bench.alternate({"express + pg": theirs, **contenders} if express else contenders)
        medians = {name: benchmark.add_rates(name, results) for name, results in taken.items()}
        if express:
            benchmark.claim("webhooks, committed: against Express + pg",
                            medians["debrief, committed"] / medians["express + pg"], 4)
            benchmark.claim("webhooks, durability = journal: against Express + pg",
                            medians["debrief, journal"] / medians["express + pg"], 6)
        p99 = statistics.median(r.p99_ms for r in taken["debrief, journal"])
        benchmark.claim("webhooks, durability = journal: p99", p99, 50, "ms", "≤")
        for name, process in (("debrief, committed", node), ("debrief, journal", journaling)):
            peak = memory(process.pid, "VmHWM") / MIB
            benchmark.claim(f"peak memory, {name}", peak, 256, "MiB", "≤")
