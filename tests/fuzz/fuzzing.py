"""Runs fuzz targets side by side and says what each has done."""
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD_OPTIONS = ["CC=clang", "--enable-werror", "--enable-fuzzing", "--enable-sanitizers", "CFLAGS=-g -O1"]
# libFuzzer's last word, and the way there.
PROGRESS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)/", re.M)


@dataclasses.dataclass
class Result:
    target: str
    ok: bool
    executions: int
    edges: int
    corpus: int
    secs: float
    log: pathlib.Path


def targets():
    return [source.stem for source in sorted(HERE.glob("fuzz_*.c"))]


def run_target(target, directory, secs, found, logs):
    """One target for so many seconds, from its seeds and what `found` holds of earlier runs."""
    log = logs / f"{target}.log"
    found = found / target
    found.mkdir(parents=True, exist_ok=True)
    seeds = HERE / "corpus" / target
    argv = [directory / "tests" / "fuzz" / target, f"-max_total_time={secs}", "-seed=1", "-rss_limit_mb=2048",
            "-timeout=20", f"-artifact_prefix={logs}/{target}-", found, *([seeds] if seeds.is_dir() else [])]
    began = time.monotonic()
    with open(log, "wb") as output:
        process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)
        try:
            code = process.wait(secs + 120)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    progress = PROGRESS.findall(log.read_text(errors="replace"))
    executions, edges, corpus = (int(word) for word in progress[-1]) if progress else (0, 0, 0)
    return Result(target, code == 0, executions, edges, corpus, time.monotonic() - began, log)


def run(names, directory, secs, found, logs, jobs=None):
    """The results, in the order of the names."""
    logs.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        return list(pool.map(lambda name: run_target(name, directory, secs, found, logs), names))


def table(results):
    lines = [f"{'target':<20} {'executions':>12} {'per second':>11} {'edges':>7} {'corpus':>7}"]
    for result in results:
        lines.append(f"{result.target:<20} {result.executions:>12,} {result.executions / max(result.secs, 1):>11,.0f} "
                     f"{result.edges:>7,} {result.corpus:>7,}" + ("" if result.ok else f"   FAILED: {result.log}"))
    return "\n".join(lines)
