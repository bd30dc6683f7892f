"""The formatting check: clang-format decides about spaces and indentation, authors about line breaks.

Runs of spaces inside a line are the author's too: tables and comments aligned by hand.
"""
import concurrent.futures
import difflib
import os
import subprocess

from counting import ROOT, count

# Both are written: like a call, and like a `for`.
LOOSE = (("_FOREACH (", "_FOREACH("),)


def check(outcome, log):
    """One test a file."""
    names = subprocess.run(["git", "ls-files", "src/*.c", "src/*.h"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout.split()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, open(log, "w") as output:
        for name, faults in zip(names, pool.map(faults_of, names)):
            count(outcome, not faults)
            for number, is_now, should_be in faults:
                output.write(f"{name}:{number}:\n-{is_now}\n+{should_be}\n")


def faults_of(name):
    written = (ROOT / name).read_text().splitlines()
    formatted = subprocess.run(["clang-format", name], cwd=ROOT, capture_output=True, text=True,
                               check=True).stdout.splitlines()
    faults = []
    for tag, i, j, k, l in difflib.SequenceMatcher(None, written, formatted, autojunk=False).get_opcodes():
        if tag == "equal" or (j - i != l - k and squeeze(written[i:j]) == squeeze(formatted[k:l])):
            continue  # the same words, in other lines
        pairs = zip(written[i:j], formatted[k:l])
        faults += [(i + n + 1, a, b) for n, (a, b) in enumerate(pairs) if loosen(a) != loosen(b)]
        if j - i != l - k and not faults:
            faults.append((i + 1, " ".join(written[i:j]), " ".join(formatted[k:l])))
    return faults


def squeeze(lines):
    return "".join("".join(lines).split())


def loosen(line):
    """A line with its indentation, and each run of spaces inside it as one."""
    for strict, loose in LOOSE:
        line = line.replace(strict, loose)
    body = line.lstrip()
    return line[:len(line) - len(body)] + " ".join(body.split())
