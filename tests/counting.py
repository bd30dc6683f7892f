"""What the stages of contrib/test stand on: commands that end in time, and the counts of what ran."""
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent


@dataclasses.dataclass
class Outcome:
    stage: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    secs: float = 0.0
    note: str = ""


def execute(argv, log, timeout=None, env=None, live=False, cwd=ROOT):
    """Runs a command in a process group of its own; its exit status, or 124 after the timeout."""
    with open(log, "ab") as output:
        output.write(f"\n== {' '.join(map(str, argv))}\n".encode())
        output.flush()
        stream = None if live else output
        process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=stream,
                                   stderr=subprocess.STDOUT if not live else None, cwd=cwd,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            print(f"gave up after {timeout} s", flush=True)
            return 124
        finally:
            end(process)


def end(process):
    """Asks a command that still runs to clean up after itself, then insists."""
    for number, patience in ((signal.SIGINT, 30), (signal.SIGKILL, None)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue


def count(outcome, passed):
    if passed:
        outcome.passed += 1
    else:
        outcome.failed += 1


def count_unit_test(outcome, result):
    """cmocka's own counts for a program that prints them; a script counts as one."""
    verdict = re.search(r"^:test-result: (\w+)", result.read_text(), re.M)
    verdict = verdict.group(1) if verdict else "ERROR"
    if verdict == "SKIP":
        outcome.skipped += 1
        return
    text = result.with_suffix(".log").read_text(errors="replace")
    passed = sum(int(number) for number in re.findall(r"^\[  PASSED  \] (\d+) test", text, re.M))
    failed = sum(int(number) for number in re.findall(r"^\[  FAILED  \] (?:\S+: )?(\d+) test", text, re.M))
    if verdict == "PASS":
        outcome.passed += passed or 1
        outcome.failed += failed
    else:
        outcome.passed += passed
        outcome.failed += failed or 1


def count_junit(outcome, report):
    if not report.exists():
        return
    for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
        total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        outcome.failed += bad
        outcome.skipped += skipped
        # A test can pass and its teardown fail: then it is both, in `tests` only once.
        cases = {}
        for case in suite.iter("testcase"):
            key = (case.get("classname"), case.get("name"))
            spoilt = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
            cases[key] = cases.get(key, False) or spoilt
        outcome.passed += sum(1 for spoilt in cases.values() if not spoilt)
