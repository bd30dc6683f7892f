"""contrib/docker, contrib/debian and contrib/systemd name only what there is."""
import pathlib
import re

import yaml

from support import run_debrief

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTRIB = ROOT / "contrib"


def variables(lab):
    """{variable: whether it has a _FILE}"""
    text = run_debrief(lab, "check-config", "--options").stdout
    return {name: bool(file) for name, file in re.findall(r"^\w+ \((DEBRIEF_\w+)(\[_FILE\])?;", text, re.M)}


def known(lab, name):
    options = variables(lab)
    return name in options or (name.endswith("_FILE") and options.get(name.removesuffix("_FILE"), False))


def test_the_containers_variables_are_options(lab):
    compose = yaml.safe_load((CONTRIB / "docker" / "compose.yaml").read_text())
    for service in ("debrief", "migrate"):
        assert compose["services"][service]["environment"], service
        for name in compose["services"][service]["environment"]:
            assert known(lab, name), name
        assert set(compose["services"][service]["secrets"]) <= set(compose["secrets"])
    containerfile = (CONTRIB / "docker" / "Containerfile").read_text()
    found = re.findall(r"\b(DEBRIEF_\w+)=", containerfile)
    assert found and all(known(lab, name) for name in found)


def test_redis_is_set_up_as_the_journal_needs_it():
    compose = yaml.safe_load((CONTRIB / "docker" / "compose.yaml").read_text())
    words = " ".join(compose["services"]["redis"]["command"])
    assert "--appendonly yes" in words and "--maxmemory-policy noeviction" in words


def test_all_of_them_build_with_the_same_libraries():
    """What contrib/setup installs to build is what the package and the container install."""
    def libraries(text):
        return set(re.findall(r"\blib[a-z]+-dev\b", text)) - {"libcmocka-dev"}
    setup = re.search(r'^PACKAGES="([^"]*)"', (CONTRIB / "setup").read_text(), re.M).group(1)
    wanted = libraries(setup) - {"libc6-dev"}
    control = (CONTRIB / "debian" / "control").read_text().split("\nPackage:")[0]
    assert libraries(control) == wanted
    build = (CONTRIB / "docker" / "Containerfile").read_text().split("\nFROM debian")[1]
    assert libraries(build) - {"libc6-dev"} == wanted


def test_the_packaged_configuration_is_valid(lab, tmp_path):
    """With its commented-out lines taken in, every name in it is an option."""
    text = (CONTRIB / "debian" / "debrief.conf").read_text()
    names = re.findall(r"^#?([a-z_]+) = ?", text, re.M)
    options = {name.removeprefix("DEBRIEF_").lower(): file for name, file in variables(lab).items()}
    for name in names:
        assert name in options or options.get(name.removesuffix("_file")), name
    path = tmp_path / "debrief.conf"
    path.write_text(text)
    done = run_debrief(lab, "check-config", "--json", "--config", path)
    assert "unknown" not in done.stdout


def test_the_unit_starts_what_the_package_installs():
    unit = (CONTRIB / "systemd" / "debrief.service").read_text()
    assert "ExecStart=/usr/bin/debrief serve --config /etc/debrief/debrief.conf" in unit
    assert "etc/debrief" in (CONTRIB / "debian" / "debrief.install").read_text()
    assert (CONTRIB / "systemd" / "debrief.sysusers").read_text().startswith("u debrief ")
    stop = int(re.search(r"^TimeoutStopSec=(\d+)", unit, re.M).group(1))
    assert stop > 30, "longer than drain_timeout_secs"
