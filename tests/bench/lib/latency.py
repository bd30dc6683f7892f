"""Long polls: from the webhook's 200 to the parked client's answer, on two nodes; memory of parked clients."""
import random
import statistics
import subprocess
import uuid

from lab import LabError, wait_for

from .bench import Missing, exchange, memory, mint, save
from .hooks import Template, conversation_id

PARKED = 2000
MANY = 10000
HOOKS = 300
KIB = 1024


class Parked:
    """load/parked.c at work."""

    def __init__(self, bench, parked, hooks):
        listing, told = bench.scratch.path / "parked.list", bench.scratch.path / "hooks.list"
        listing.write_text("".join(f"{port}\t/api/interviews/by-session/{sid}\t{token}\n" for port, sid, token in parked))
        told.write_text("".join("\t".join(str(word) for word in hook) + "\n" for hook in hooks))
        self.process = subprocess.Popen([str(bench.program("parked")), str(listing), str(told)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def wait_parked(self):
        if not self.process.stdout.readline().startswith("PARKED"):
            self.process.kill()
            raise LabError("the clients could not be parked")

    def go(self):
        """Sorted milliseconds from the webhooks' 200s, and from their sending."""
        out, _ = self.process.communicate("go\n", timeout=300)
        lines = out.splitlines()
        if self.process.returncode != 0 or len(lines) != 3:
            raise LabError(f"parked failed: {out}")
        errors = int(lines[0].split()[2])
        if errors:
            raise LabError(f"{errors} of the long polls or webhooks failed")
        return tuple(sorted(int(word) / 1000 for word in line.split()[1:]) for line in lines[1:])


def require_long_polls(lab):
    """A client that asks to wait is told that it was let."""
    user = str(uuid.uuid4())
    token = save(lab, lab.nodes[0].port, user, "latency-probe")
    headers = dict(exchange(lab.nodes[0].port, "GET", "/api/interviews/by-session/latency-probe",
                            {"Authorization": f"Bearer {token}", "Prefer": "wait=1"})[1])
    if "Preference-Applied" not in headers:
        raise Missing("this binary has no long polls")


def quantile(sorted_values, of):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * of))]


def people(lab, count, name):
    made = [(str(uuid.uuid4()), f"{name}-{number}") for number in range(count)]
    return [(user, sid, mint(lab, user)) for user, sid in made]


def hooks_for(bench, lab, parked, count, rng):
    """Webhooks for some of the parked, by either node in turn, whichever they wait at."""
    template, hooks = Template(), []
    directory = bench.scratch.directory("hooks-bodies")
    for number, index in enumerate(rng.sample(range(len(parked)), count)):
        user, sid, _ = parked[index]
        body = template.fill({"c": conversation_id(), "u": user, "s": sid})
        path = directory / str(number)
        path.write_bytes(body)
        hooks.append((lab.nodes[number % len(lab.nodes)].port, index, template.sign(lab.secret, body), path))
    return hooks


def measure(bench):
    rng = random.Random(1)
    parked_count, hook_count = (400, 60) if bench.quick else (PARKED, HOOKS)
    with bench.lab(nodes=2) as lab:
        require_long_polls(lab)
        benchmark = bench.report.benchmark(f"From the webhook's 200 to the waiting client's answer: two nodes, "
                                           f"{parked_count:,} parked, {hook_count} webhooks a round")
        after_ok, after_sent = [], []
        for number in range(max(1, bench.rounds - 2)):
            waiting = people(lab, parked_count, f"latency-{number}")
            bench.save_all(lab, lab.nodes[0].port, [person[:2] for person in waiting])
            parked = Parked(bench, [(lab.nodes[index % 2].port, sid, token)
                                    for index, (_, sid, token) in enumerate(waiting)],
                            hooks_for(bench, lab, waiting, hook_count, rng))
            parked.wait_parked()
            ok, sent = parked.go()
            after_ok.append(ok)
            after_sent.append(sent)
        # less than 0: the client knew before the provider did
        median = benchmark.add("debrief: after the 200, median", [statistics.median(one) for one in after_ok], "ms")
        p99 = benchmark.add("debrief: after the 200, p99", [quantile(one, 0.99) for one in after_ok], "ms")
        benchmark.add("debrief: after sending, median", [statistics.median(one) for one in after_sent], "ms")
        benchmark.add("debrief: after sending, p99", [quantile(one, 0.99) for one in after_sent], "ms")
        benchmark.claim("webhook's 200 to the parked client's answer: median", median, 3, "ms", "≤")
        benchmark.claim("webhook's 200 to the parked client's answer: p99", p99, 20, "ms", "≤")
    measure_memory(bench)


def measure_memory(bench):
    count = 2000 if bench.quick else MANY
    with bench.lab() as lab:
        node = lab.nodes[0]
        waiting = people(lab, count, "many")
        bench.save_all(lab, node.port, [person[:2] for person in waiting])
        benchmark = bench.report.benchmark(f"{count:,} parked clients on one node of one worker")
        before = memory(node.pid, "VmRSS")
        parked = Parked(bench, [(node.port, sid, token) for _, sid, token in waiting], [])
        try:
            parked.wait_parked()
            each = (memory(node.pid, "VmRSS") - before) / count / KIB
        finally:
            parked.process.kill()
            parked.process.wait()
        wait_for(node.answers, "the node to answer still")
        benchmark.add("debrief: memory of each", [each], "KiB")
        benchmark.claim(f"memory of each of {count:,} parked clients", each, 10, "KiB", "≤")
