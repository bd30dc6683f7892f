"""Polls and saves with a million sessions in Redis against a thousand; what a session takes of memory.

Polls that the worker answers from its memory and polls that it reads from Redis are measured apart, and each series is
checked by the node's own counts to be all of one kind: of a mixture the median would be whichever of the two has
a few more.
"""
import contextlib
import itertools
import uuid

from lab import LabError, wait_for

from .bench import TOKEN_SECS, counter, memory, mint
from .crowd import fill, used_memory
from .cpu import Meter
from .webhooks import prepare, send, settled

FEW, MANY, MANY_QUICK = 1000, 1_000_000, 50_000
POLLS, POLLS_QUICK = 20_000, 5000
# What is polled from memory: these fit into every worker's.
REMEMBERED = 1000
# A worker that remembers so few reads each poll from Redis, and has another go for it.
SMALL_CACHE = 256
SAVES, SAVES_QUICK = 2000, 500
INTERVIEWS = 500
CONNECTIONS = 64


def measure(bench):
    many, polls = (MANY_QUICK, POLLS_QUICK) if bench.quick else (MANY, POLLS)
    benchmark = bench.report.benchmark(f"With {FEW:,} and with {many:,} sessions in Redis: one worker, two labs in turn")
    with contextlib.ExitStack() as stack:
        contenders, meters = {}, {}
        for count in (FEW, many):
            lab = stack.enter_context(bench.lab())
            each, known = fill(lab, count, polls)
            forgetful = lab.new_node(session_cache_entries=SMALL_CACHE).start()
            name = f"debrief, {count:,}"
            for what, node, measure_once in (
                    ("polls from memory", lab.nodes[0], polls_from_memory(bench, lab, known[:REMEMBERED], polls)),
                    ("polls from Redis", forgetful, polls_from_redis(bench, lab, forgetful, known, polls)),
                    ("saves", lab.nodes[0], saves_of(bench, lab))):
                meter = meters[f"{name}: {what}"] = Meter(node=node, Redis=lab.redis_server)
                contenders[f"{name}: {what}"] = meter.around(measure_once)
        for measure_once in contenders.values():  # not yet counted
            measure_once()
        for meter in meters.values():
            meter.clear()
        taken = bench.alternate(contenders)
    for name, results in taken.items():
        benchmark.add_rates(name, results)
        benchmark.add(f"{name}, p50", [r.p50_ms for r in results], "ms")
    for name, meter in meters.items():
        meter.report(benchmark, name)
    for what in ("polls from memory", "polls from Redis", "saves"):
        ours, theirs = f"debrief, {many:,}: {what}", f"debrief, {FEW:,}: {what}"
        ratio = benchmark.ratio(taken[ours], taken[theirs], lambda result: result.p50_ms)
        benchmark.claim(f"{what}, median: {many:,} sessions against {FEW:,}", ratio, 1.2, "×", "≤")
        ratio = benchmark.ratio(meters[ours].total_us(), meters[theirs].total_us(), float)
        benchmark.claim(f"{what}, CPU of node and Redis: {many:,} against {FEW:,}", ratio)
    benchmark.add("Redis memory of a saved session", [each], "bytes")
    benchmark.claim("Redis memory of a saved session", each, None, "bytes")
    measure_memory(bench, polls)


def cache_reads(node):
    """{"hit": n, "miss": n} of the sessions that the worker remembers."""
    return {result: counter(node, f'debrief_cache_reads_total{{cache="views",result="{result}"}}')
            for result in ("hit", "miss")}


def poll_all(bench, node, lines):
    polled = bench.pace(node.port, bench.listing(lines), connections=CONNECTIONS).result()
    if polled.errors:
        raise LabError(f"{polled.errors} polls failed, the last with status {polled.error_status}")
    return polled


def poll_only(bench, node, lines, result):
    """All of them hits, or all of them misses."""
    before = cache_reads(node)
    polled = poll_all(bench, node, lines)
    reads = {kind: count - before[kind] for kind, count in cache_reads(node).items()}
    if reads[result] != sum(reads.values()) or reads[result] != len(lines):
        raise LabError(f"{len(lines)} polls were to be a {result} each, and were {reads}")
    return polled


def poll_line(user_token, sid):
    return ("GET", f"/api/interviews/by-session/{sid}", user_token, None, None)


def polls_from_memory(bench, lab, known, count):
    """The same few again and again."""
    node = lab.nodes[0]
    few = [poll_line(mint(lab, user), sid) for user, sid in known]
    lines = list(itertools.islice(itertools.cycle(few), count))

    def measure_polls():
        poll_all(bench, node, few)  # those of saves, and what Redis has taken back, are read again
        return poll_only(bench, node, lines, "hit")
    return measure_polls


def polls_from_redis(bench, lab, node, known, count):
    """As many sessions as there are, each with as many tokens as it takes: none is remembered, of either."""
    lines = []
    for number, (user, sid) in enumerate(itertools.islice(itertools.cycle(known), count)):
        lines.append(poll_line(mint(lab, user, TOKEN_SECS - number // len(known)), sid))
    return lambda: poll_only(bench, node, lines, "miss")


def saves_of(bench, lab):
    count = SAVES_QUICK if bench.quick else SAVES
    return lambda: bench.save_all(lab, lab.nodes[0].port,
                                  [(str(uuid.uuid4()), f"save-{uuid.uuid4().hex}") for _ in range(count)])


def measure_memory(bench, count):
    """What else grows with sessions, each."""
    benchmark = bench.report.benchmark(f"{count:,} sessions polled on one worker; {INTERVIEWS} with their interviews")
    with bench.lab() as lab:
        node = lab.nodes[0]
        _, known = fill(lab, count, count)
        lines = [poll_line(mint(lab, user), sid) for user, sid in known]
        early, rest = lines[:count // 4], lines[count // 4:]
        poll_all(bench, node, early)  # what a node takes for its first polls isn't the sessions'
        in_redis, in_node = used_memory(lab), memory(node.pid, "VmRSS")
        poll_only(bench, node, rest, "miss")
        tracked, remembered = (used_memory(lab) - in_redis) / len(rest), (memory(node.pid, "VmRSS") - in_node) / len(rest)
        before = used_memory(lab)
        send(bench, node.port, prepare(bench, lab, node.port, INTERVIEWS))
        wait_for(lambda: settled(lab), "the webhooks to be decided", 60, 0.2)
        whole = (used_memory(lab) - before) / INTERVIEWS
    for what, each in (("Redis memory of a session with its interview", whole),
                       ("Redis memory of a session that a worker remembers", tracked),
                       ("a worker's memory of a session", remembered)):
        benchmark.add(f"debrief: {what}", [each], "bytes")
        benchmark.claim(what, each, None, "bytes")
