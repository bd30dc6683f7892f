"""What was measured: series of numbers, and claims on them with their targets."""
import json
import os
import pathlib
import platform
import statistics
import time

from .plot import draw


class Report:
    def __init__(self, chosen):
        self.benchmarks = []
        self.skipped = []
        self.machine = {
            "cores": os.cpu_count(), "cpu": cpu(), "kernel": platform.release(), "date": time.strftime("%Y-%m-%d %H:%M"),
            "load_before": os.getloadavg(), "secs": chosen.secs, "rounds": chosen.rounds, "quick": chosen.quick,
            "fsync": not chosen.no_fsync,
        }

    def benchmark(self, title):
        print(f"\n{title}\n", flush=True)
        benchmark = Benchmark(title)
        self.benchmarks.append(benchmark)
        return benchmark

    def skip(self, name, why):
        print(f"\n{name}: {why}", flush=True)
        self.skipped.append({"name": name, "why": why})

    def claims(self):
        return [claim for benchmark in self.benchmarks for claim in benchmark.claims]

    def print_claims(self):
        print(f"\n{'':<66} {'measured':>11} {'target':>11}")
        for claim in self.claims():
            verdict = "" if claim["reached"] is None else "reached" if claim["reached"] else "NOT REACHED"
            target = "" if claim["target"] is None else f"{claim['bound']} {number(claim['target'])} {claim['unit']}".strip()
            print(f"{claim['text']:<66} {number(claim['value']) + ' ' + claim['unit']:>11} {target:>11}  {verdict}")
        for skipped in self.skipped:
            print(f"{skipped['name']}: not measured: {skipped['why'].splitlines()[0]}")

    def write(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        document = {
            "machine": {**self.machine, "load_after": os.getloadavg()}, "claims": self.claims(), "skipped": self.skipped,
            "benchmarks": [{"title": b.title, "series": b.series} for b in self.benchmarks],
        }
        (directory / "bench.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        (directory / "bench.svg").write_text(draw(document))


class Benchmark:
    """Prints its series as they come."""

    def __init__(self, title):
        self.title = title
        self.series = []
        self.claims = []
        print(f"  {'':<34} {'median':>11} {'lowest':>11} {'highest':>11} {'':<8} {'p99 ms':>8} {'errors':>7}")

    def add(self, name, values, unit, p99_ms=None, errors=None):
        """A series of raw values; returns their median."""
        median = statistics.median(values)
        p99 = statistics.median(p99_ms) if p99_ms else None
        self.series.append({"name": name, "unit": unit, "values": values, "median": median, "p99_ms": p99_ms,
                            "errors": errors})
        print(f"  {name:<34} {number(median):>11} {number(min(values)):>11} {number(max(values)):>11} {unit:<8} "
              f"{'' if p99 is None else number(p99):>8} {'' if errors is None else errors:>7}", flush=True)
        return median

    def add_rates(self, name, results):
        """Of wrk's or pace's results."""
        return self.add(name, [r.per_sec for r in results], "/s", [r.p99_ms for r in results],
                        sum(r.errors for r in results))

    @staticmethod
    def ratio(ours, theirs, of=lambda result: result.per_sec):
        """Median of the rounds' ratios: what slows a whole round down slows both."""
        return statistics.median(of(mine) / of(other) for mine, other in zip(ours, theirs))

    def claim(self, text, value, target=None, unit="×", bound="≥"):
        reached = None if target is None else value >= target if bound == "≥" else value <= target
        self.claims.append({"text": text, "value": value, "target": target, "unit": unit, "bound": bound,
                            "reached": reached})


def number(value):
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 20 else f"{value:.2f}"


def cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
