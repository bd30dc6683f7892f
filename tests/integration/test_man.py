"""The man pages say what the binary says."""
import pathlib
import re
import shutil
import subprocess

import pytest

from lab.node import default_binary
from support import run_debrief

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ROOT / "doc" / "man"


def page(name):
    """debrief.conf.5 is made by the build, from the binary's own table."""
    return (default_binary().parents[1] / "doc" / "man" if name == "debrief.conf.5" else PAGES) / name


def test_the_options_are_those_of_the_table(lab):
    text = page("debrief.conf.5").read_text().replace("\\-", "-").replace("\\e", "\\")
    listed = run_debrief(lab, "check-config", "--options").stdout
    options = re.findall(r"^(\w+) \((\S+); default: (.*)\)\n    (.*)$", listed, re.M)
    assert len(options) > 30
    for name, variable, value, meaning in options:
        default = "" if value == "none" else f"Default: {value}.\n"
        assert f'.TP\n.BR {name} " ({variable})"\n{meaning}.\n{default}' in text, name
    assert "@OPTIONS@" not in text and ".SH RELOADING" in text


def test_every_command_and_option_is_told(lab):
    text = page("debrief.1").read_text().replace("\\-", "-")
    commands = re.findall(r"^  ([a-z-]+) ", run_debrief(lab, "--help").stdout, re.M)
    assert set(re.findall(r"^\.SS debrief (\S+)$", text, re.M)) == set(commands)
    for command in commands:
        section = text.split(f".SS debrief {command}\n")[1].split("\n.S")[0]
        told = set(re.findall(r"^  (--[a-z-]+)", run_debrief(lab, command, "--help").stdout, re.M)) - {"--help"}
        assert told == set(re.findall(r"^\.B (--[a-z-]+)", section, re.M)) - {"--help"}, command


@pytest.mark.parametrize("name", ["debrief.1", "debrief.conf.5"])
def test_groff_has_no_complaint(name):
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("man and groff are not installed (Debian: man-db, groff-base)")
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", str(page(name))], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}, timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr and len(done.stdout) > 1000, done.stderr
