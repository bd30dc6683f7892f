"""Runs the stages of contrib/test, counts what really ran, and says so in its last line."""
import argparse
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

from counting import ROOT, Outcome, count, count_junit, count_unit_test, execute

sys.path.insert(0, str(ROOT / "tests" / "fuzz"))

import fuzzing  # noqa: E402
import matrix  # noqa: E402

LOGS = ROOT / "build" / "test-logs"
INTEGRATION = ROOT / "tests" / "integration"
BROWSER = ROOT / "tests" / "browser"
PYTEST_SECS = 1200
FUZZ_SECS = 10
TORTURE_SECS = 240
TORTURE_SEED = 2
JOBS = str(os.cpu_count() or 1)


class Run:
    def __init__(self):
        self.outcomes = []

    def stage(self, name, function, *arguments, **settings):
        """Runs a stage; a stage that breaks counts as one failure."""
        print(f"{name} … ", end="", flush=True)
        outcome = Outcome(name)
        log = LOGS / (re.sub(r"[^a-z0-9]+", "-", name) + ".log")
        log.unlink(missing_ok=True)
        began = time.monotonic()
        try:
            function(outcome, log, *arguments, **settings)
        except Exception as error:  # whatever it is, the other stages are still worth running
            outcome.failed += 1
            outcome.note = f"{type(error).__name__}: {error}"
        outcome.secs = time.monotonic() - began
        self.outcomes.append(outcome)
        print(f"{outcome.secs:.0f} s, {outcome.passed} passed, {outcome.failed} failed"
              + (f" ({outcome.note})" if outcome.note else ""), flush=True)
        if outcome.failed and log.exists():
            print(f"--- the end of {log}:")
            print("\n".join(log.read_text(errors="replace").splitlines()[-60:]))
            print("---", flush=True)
        return outcome.failed == 0

    # Stages

    def build(self, outcome, log, directory, *options):
        """Configures and builds; counts as one test, since a warning fails it."""
        code = execute(["contrib/setup", "--no-packages", "--build-dir", directory, "--", *options], log)
        if code == 0:
            code = execute(["make", "-C", directory, "-j", JOBS, "check", "TESTS="], log)
        count(outcome, code == 0)

    def unit(self, outcome, log, directory, *options, timeout=300):
        for result in (ROOT / directory).glob("tests/**/*.trs"):
            result.unlink()
        code = execute(["make", "-C", directory, "-j", JOBS, "check", "VERBOSE=1", *options], log, timeout)
        results = sorted((ROOT / directory).glob("tests/**/*.trs"))
        for result in results:
            count_unit_test(outcome, result)
        if code != 0 and not outcome.failed:
            outcome.failed += 1
            outcome.note = f"make check ended with {code}"
        elif not results:
            outcome.failed += 1
            outcome.note = "there are no unit tests in it"

    def fuzz(self, outcome, log):
        directory = "build-fuzz"
        self.build(outcome, log, directory, *fuzzing.BUILD_OPTIONS)
        if outcome.failed:
            return
        outcome.passed = 0
        with tempfile.TemporaryDirectory() as found:
            results = fuzzing.run(fuzzing.targets(), ROOT / directory, FUZZ_SECS, pathlib.Path(found), LOGS)
        print("\n" + fuzzing.table(results), flush=True)
        for result in results:
            count(outcome, result.ok)
            if not result.ok:
                outcome.note = f"see {result.log}"

    def pytest(self, outcome, log, directory, *selection, env=None):
        report = log.with_suffix(".xml")
        report.unlink(missing_ok=True)
        print(flush=True)
        code = execute(
            ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
             "-o", "junit_family=xunit2", "-o", "faulthandler_timeout=120", *selection],
            log, timeout=PYTEST_SECS, live=True,
            env={"DEBRIEF_BINARY": str(ROOT / directory / "src" / "debrief"), **(env or {})})
        log.unlink()  # all of it was on the terminal
        count_junit(outcome, report)
        if code not in (0, 5) and not outcome.failed:
            outcome.failed += 1
            outcome.note = f"pytest ended with {code}"
        elif code == 5:
            outcome.note = "none selected"

    def client(self, outcome, log):
        """The types of the client and the web application count as one test."""
        report = log.with_suffix(".xml")
        report.unlink(missing_ok=True)
        count(outcome, execute(["npm", "run", "check"], log, timeout=120, cwd=ROOT / "contrib") == 0)
        code = execute(["npm", "test", "--", "--reporter=default", "--reporter=junit", f"--outputFile.junit={report}"],
                       log, timeout=180, cwd=ROOT / "contrib" / "client")
        count_junit(outcome, report)
        if code != 0 and not outcome.failed:
            outcome.failed += 1
            outcome.note = f"vitest ended with {code}"

    def torture(self, outcome, log):
        """A short round; its seed and complaints are in the log. Always the same plan: a round by chance is
        for whoever runs tests/torture/run, and for nights."""
        code = execute([ROOT / "tests" / "torture" / "run", "--short", "--seed", TORTURE_SEED], log,
                       timeout=TORTURE_SECS)
        count(outcome, code == 0)

    def distcheck(self, outcome, log):
        code = execute(["make", "-C", "build", "-j", JOBS, "distcheck"], log, timeout=300)
        count(outcome, code == 0)

    def demo(self, outcome, log):
        code = execute([ROOT / "contrib" / "demo", "--once"], log, timeout=120)
        count(outcome, code == 0)


def table(outcomes, setup_secs):
    rows = [("setup and plain build", "", "", "", f"{setup_secs:.0f}")]
    rows += [(o.stage, o.passed, o.failed, o.skipped, f"{o.secs:.0f}") for o in outcomes]
    rows.append(("all", sum(o.passed for o in outcomes), sum(o.failed for o in outcomes),
                 sum(o.skipped for o in outcomes), f"{setup_secs + sum(o.secs for o in outcomes):.0f}"))
    width = max(len(row[0]) for row in rows)
    print(f"\n{'stage':<{width}} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}")
    for name, *numbers in rows:
        print(f"{name:<{width}} {numbers[0]:>7} {numbers[1]:>7} {numbers[2]:>8} {numbers[3]:>8}")
    print()


def main():
    parser = argparse.ArgumentParser(prog="contrib/test", add_help=False, allow_abbrev=False)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true")
    extent.add_argument("--all", action="store_true")
    parser.add_argument("--setup-secs", type=float, default=0.0)
    chosen, pytest_arguments = parser.parse_known_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    run = Run()
    # Files and test ids among the arguments say what to run; else it is all.
    named = any(not word.startswith("-") and (ROOT / word.split("::")[0]).exists() for word in pytest_arguments)
    selection = pytest_arguments if named else [INTEGRATION, *pytest_arguments]
    run.stage("unit tests, gcc", run.unit, "build")
    run.stage("client, vitest", run.client)
    if chosen.quick:
        run.stage("integration, plain build", run.pytest, "build", *selection)
    else:
        if shutil.which("clang"):
            run.stage("clang, warnings are errors", run.build, "build-clang", "CC=clang", "--enable-werror",
                      "CFLAGS=-g -O1")
        sanitized = run.stage("sanitizer build", run.build, "build-asan", "--enable-werror", "--enable-sanitizers",
                              "CFLAGS=-g -O1")
        if sanitized:
            run.stage("unit tests, sanitizers", run.unit, "build-asan")
            run.stage("integration, sanitizers", run.pytest, "build-asan", *selection)
        run.stage("smoke, plain build", run.pytest, "build", INTEGRATION, "-m", "smoke")
        if not named:
            run.stage("browser", run.pytest, "build", BROWSER, *pytest_arguments)
        if shutil.which("clang") and any((ROOT / "tests" / "fuzz").glob("fuzz_*.c")):
            run.stage("fuzzing", run.fuzz)
        run.stage("distcheck", run.distcheck)
    if chosen.all:
        matrix.run(run, selection)
    run.stage("torture, a short round", run.torture)
    run.stage("demo", run.demo)

    table(run.outcomes, chosen.setup_secs)
    passed = sum(outcome.passed for outcome in run.outcomes)
    failed = sum(outcome.failed for outcome in run.outcomes)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
