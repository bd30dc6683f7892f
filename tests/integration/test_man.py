"""The man pages say what the binary says."""
import pathlib
import re
import shutil
import subprocess

import pytest

from support import run_debrief

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ROOT / "doc" / "man"


def test_the_options_are_those_of_the_table(lab):
    page = (PAGES / "debrief.conf.5").read_text()
    made = subprocess.run([str(ROOT / "build-aux" / "man-options"), str(lab.binary)], capture_output=True, text=True,
                          timeout=60, check=True).stdout
    assert made.count(".TP\n") > 30
    listed = page.split("up to the next section.\n")[1].split(".SH ")[0]
    assert listed == made, "run build-aux/man-options BINARY and put its output into doc/man/debrief.conf.5"


def test_every_command_and_option_is_told(lab):
    page = (PAGES / "debrief.1").read_text().replace("\\-", "-")
    commands = re.findall(r"^  ([a-z-]+) ", run_debrief(lab, "--help").stdout, re.M)
    assert set(re.findall(r"^\.SS debrief (\S+)$", page, re.M)) == set(commands)
    for command in commands:
        section = page.split(f".SS debrief {command}\n")[1].split("\n.S")[0]
        told = set(re.findall(r"^  (--[a-z-]+)", run_debrief(lab, command, "--help").stdout, re.M)) - {"--help"}
        assert told == set(re.findall(r"^\.B (--[a-z-]+)", section, re.M)) - {"--help"}, command


@pytest.mark.parametrize("page", ["debrief.1", "debrief.conf.5"])
def test_groff_has_no_complaint(page):
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("man and groff are not installed (Debian: man-db, groff-base)")
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", str(PAGES / page)], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}, timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr and len(done.stdout) > 1000, done.stderr
