"""What contrib/test --all runs beyond contrib/test: other builds, and tools that read or watch the code."""
import os
import pathlib
import shlex
import subprocess

import formatting
from counting import ROOT, count, execute

INTEGRATION = ROOT / "tests" / "integration"
# Where the workers and the main thread meet most.
THREADED = [INTEGRATION / f"test_{name}.py" for name in
            ("smoke", "storms", "session_cache", "long_poll", "ledger_away")]
# Each block on its own for tools that watch memory (src/base/pool.h).
NO_POOL = "CPPFLAGS=-DLISTED_MAX=0"
VALGRIND = "valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect"
VALGRIND_SECS = 900
LIBRARIES = "libevent hiredis libpq libcjson libjwt libcrypto zlib"
TIDY_SECS = 900
# Without its `style`: that wants variables in the innermost scope, and takes options read by reference for constants.
CPPCHECK = """--enable=warning,performance,portability --inline-suppr --std=c11 --library=posix --error-exitcode=1
    --quiet --template={file}:{line}:{id}:{message} -DHAVE_CONFIG_H -D_GNU_SOURCE -Isrc -Ibuild"""


def run(run, selection):
    run.stage("integration, clang", run.pytest, "build-clang", *selection)
    if run.stage("thread sanitizer build", run.build, "build-tsan", "--enable-werror", "--enable-sanitizers=thread",
                 NO_POOL, "CFLAGS=-g -O1"):
        run.stage("integration, thread sanitizer", run.pytest, "build-tsan", *THREADED)
    if run.stage("valgrind's build", run.build, "build-valgrind", "--enable-werror", NO_POOL, "CFLAGS=-g -O1"):
        run.stage("unit tests, valgrind", run.unit, "build-valgrind", f"LOG_COMPILER={VALGRIND}",
                  timeout=VALGRIND_SECS)
    run.stage("cppcheck", cppcheck)
    run.stage("clang-tidy", clang_tidy)
    run.stage("formatting", formatting.check)


def cppcheck(outcome, log):
    """One test; tests/cppcheck.supp has what it does not understand."""
    suppressions = f"--suppressions-list={ROOT / 'tests' / 'cppcheck.supp'}"
    count(outcome, execute(["cppcheck", *shlex.split(CPPCHECK), suppressions, f"-j{os.cpu_count()}", "src"], log) == 0)


def clang_tidy(outcome, log):
    """One test a file, each in a process of its own: va_list confuses the analyzer from the second file on."""
    flags = subprocess.run(["pkg-config", "--cflags", *LIBRARIES.split()], capture_output=True, text=True,
                           check=True).stdout.split()
    flags = ["-std=gnu17", "-DHAVE_CONFIG_H", "-D_GNU_SOURCE", "-Ibuild", "-Isrc", *flags]
    sources = sorted(path.relative_to(ROOT) for path in pathlib.Path(ROOT, "src").glob("**/*.c"))
    script = 'clang-tidy --quiet "$1" -- ' + shlex.join(flags) + ' || { echo "tidy-failed: $1"; exit 0; }'
    listing = "\n".join(map(str, sources))
    code = execute(["sh", "-c", f"printf '%s\n' {shlex.quote(listing)} | xargs -P {os.cpu_count()} -n 1 sh -c "
                    f"{shlex.quote(script)} sh"], log, TIDY_SECS)
    failed = log.read_text(errors="replace").count("\ntidy-failed: ")
    outcome.failed += failed if code == 0 else max(failed, 1)
    outcome.passed += len(sources) - failed
