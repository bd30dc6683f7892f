"""Chooses the benchmarks, runs them one after another, and leaves the report."""
import argparse
import pathlib
import shutil
import sys

from . import growth, latency, outage, pace, polls, results, webhooks
from .bench import Bench, Missing
from .report import Report

from lab import LabError, Scratch, default_binary
from . import ROOT

BENCHMARKS = {
    "polls": polls.measure,
    "results": results.measure,
    "webhooks": webhooks.measure,
    "outage": outage.measure,
    "pace": pace.measure,
    "latency": latency.measure,
    "growth": growth.measure,
}


def names(text):
    chosen = text.split(",")
    for name in chosen:
        if name not in BENCHMARKS:
            raise argparse.ArgumentTypeError(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    return chosen


def arguments(doc):
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=doc.splitlines()[0])
    parser.add_argument("--only", type=names, default=list(BENCHMARKS), metavar="NAME,…",
                        help=", ".join(BENCHMARKS))
    parser.add_argument("--secs", type=int, default=None, help="of one measurement (4; quick: 2)")
    parser.add_argument("--rounds", type=int, default=None, help="measurements of each kind (5; quick: 2)")
    parser.add_argument("--quick", action="store_true", help="short measurements, small data: does it work at all?")
    parser.add_argument("--no-peers", action="store_true", help="against the floor alone")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "bench",
                        help="directory of bench.json and bench.svg (build/bench)")
    parser.add_argument("--binary", default=default_binary(), help="build/src/debrief")
    parser.add_argument("--no-fsync", action="store_true", help="Postgres without fsync")
    chosen = parser.parse_args()
    chosen.secs = chosen.secs or (2 if chosen.quick else 4)
    chosen.rounds = chosen.rounds or (2 if chosen.quick else 5)
    return chosen


def main(doc):
    chosen = arguments(doc)
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: wrk)", file=sys.stderr)
        return 1
    report = Report(chosen)
    scratch = Scratch()
    failed = []
    try:
        bench = Bench(chosen, scratch, report)
        for name in chosen.only:
            try:
                BENCHMARKS[name](bench)
            except Missing as error:
                report.skip(name, str(error))
            except LabError as error:
                failed.append(name)
                report.skip(name, f"it could not be measured: {error}")
    finally:
        scratch.remove()
        report.write(chosen.out)
    report.print_claims()
    print(f"\nraw numbers and plot: {chosen.out}/bench.json, {chosen.out}/bench.svg")
    return 1 if failed else 0
