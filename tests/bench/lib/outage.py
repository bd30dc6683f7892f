"""Postgres stopped: webhooks into the journal, and the drain afterwards against a bare insert of the same rows."""
import contextlib
import statistics
import subprocess
import time

from lab import LabError, wait_for

from .bench import counter, memory
from .cpu import Meter
from .peers import Express
from .webhooks import CONNECTIONS, MIB, kept, prepare, send, settled

# As many rows a transaction as a node's batch has at most.
BATCH_ROWS = 64
SWEPT = "debrief_swept_total"


def measure(bench):
    count = 500 if bench.quick else 4000
    with bench.lab() as lab:
        node = lab.nodes[0]
        benchmark = bench.report.benchmark(f"Postgres stopped: webhooks of 40 KB, {CONNECTIONS} connections, {count} a round")
        theirs, ours, drains, bares = [], [], [], []
        meter = Meter(node=node, Redis=lab.redis_server)
        for _ in range(max(2, bench.rounds - 2)):
            with contextlib.ExitStack() as peers:
                express = bench.peer(peers, "express + pg", lambda: Express(bench, lab))
                if express:
                    theirs.append(send(bench, express.port, prepare(bench, lab, express.port, count)))
            batch = prepare(bench, lab, node.port, count)
            before = kept(lab)
            lab.postgres_server.stop()
            wait_for(lambda: not node.sees("ledger"), "the node to see that Postgres is away")
            ours.append(send(bench, node.port, batch))
            meter.start()
            drains.append(drain(lab, node, before, count))
            meter.stop(count)
            bares.append(bare_insert(bench, lab, before, count))
        benchmark.add_rates("debrief, Postgres stopped", ours)
        if theirs:
            benchmark.add_rates("express + pg, Postgres up", theirs)
            benchmark.claim("webhooks, Postgres stopped: against Express + pg", benchmark.ratio(ours, theirs), 6)
        benchmark.add("bare libpq insert of the rows", bares, "rows/s")
        benchmark.add("debrief, drain", drains, "rows/s")
        meter.report(benchmark, "debrief, drain")
        benchmark.claim("webhooks, Postgres stopped: p99", statistics.median(r.p99_ms for r in ours), 50, "ms", "≤")
        benchmark.claim("drain: of a bare insert of the same rows", benchmark.ratio(drains, bares, float), 0.6)
        benchmark.claim("peak memory through outage and drain", memory(node.pid, "VmHWM") / MIB, 256, "MiB", "≤")


def drain(lab, node, before, count):
    """Rows a second while the journal is drained. The node counts them: a client of Postgres that came every few
    milliseconds would take its share of what is measured."""
    came_ago = counter(node, SWEPT)
    lab.postgres_server.start()
    began, first = time.monotonic(), None
    while True:
        done, now = counter(node, SWEPT) - came_ago, time.monotonic()
        if done > 0 and first is None:
            first, done_first = now, done
        if done >= count:
            break
        if now - began > 300:
            raise LabError(f"after 300 s {done} of {count} webhooks are in the ledger")
        time.sleep(0.05)  # a page of metrics is a millisecond of the node's
    if kept(lab) - before != count or not settled(lab):
        raise LabError("what the node has swept is not in the ledger")
    return (count - done_first) / (now - first)


def bare_insert(bench, lab, before, count):
    """The rows that were drained, through load/insert.c into a table with the same columns and unique indexes."""
    postgres = lab.postgres_server
    postgres.sql("""
        DROP TABLE IF EXISTS bare;
        CREATE TABLE bare (LIKE interviews INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION);
        ALTER TABLE bare ADD PRIMARY KEY (id), ADD UNIQUE (conversation_id);
        CHECKPOINT;""")
    names = postgres.sql("SELECT string_agg(quote_ident(attname), ',' ORDER BY attnum) FROM pg_attribute "
                         "WHERE attrelid = 'interviews'::regclass AND attnum > 0 AND NOT attisdropped")
    rows = bench.scratch.path / "rows.copy"
    with open(rows, "w") as out:
        out.write(postgres.sql(f"COPY (SELECT {names} FROM interviews ORDER BY received_at DESC LIMIT {count}) TO STDOUT")
                  + "\n")
    params = ",".join(f"${n + 1}" for n in range(names.count(",") + 1))
    done = subprocess.run([str(bench.program("insert")), postgres.url, f"INSERT INTO bare ({names}) VALUES ({params})",
                           str(rows), str(BATCH_ROWS)], capture_output=True, text=True, timeout=300)
    rows.unlink()
    if done.returncode != 0:
        raise LabError(done.stderr)
    inserted, micros = (int(word) for word in done.stdout.split()[1:])
    if inserted != count:
        raise LabError(f"the bare insert took {inserted} of {count} rows")
    return inserted / (micros / 1e6)
