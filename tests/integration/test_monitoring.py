"""contrib/prometheus and contrib/grafana: valid, true to what a node says, and each alert seen firing."""
import json
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

from support import ok

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "contrib" / "prometheus" / "debrief.rules.yml"
CASES = ROOT / "contrib" / "prometheus" / "debrief.test.yml"
DASHBOARD = ROOT / "contrib" / "grafana" / "debrief.json"
METRIC = re.compile(r"\b(?:debrief|process)_[a-z0-9_]+")


def alerts():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("words", [("check", "rules", RULES), ("check", "config", RULES.parent / "prometheus.yml"),
                                   ("test", "rules", CASES)])
def test_promtool(words):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_seen_firing():
    cases = yaml.safe_load(CASES.read_text())["tests"]
    fired = {case["alertname"] for each in cases for case in each["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in alerts()}


def test_each_alert_has_its_section():
    sections = {line[3:].strip() for line in (ROOT / "doc" / "alerts.md").read_text().splitlines() if line.startswith("## ")}
    assert sections == {rule["alert"] for rule in alerts()}
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"doc/alerts.md#{rule['alert'].lower()}"


def queries():
    yield from (rule["expr"] for rule in alerts())

    def walk(value):
        if isinstance(value, dict):
            if "expr" in value:
                yield value["expr"]
            for each in value.values():
                yield from walk(each)
        elif isinstance(value, list):
            for each in value:
                yield from walk(each)
    yield from walk(json.loads(DASHBOARD.read_text()))


def test_all_that_is_asked_for_is_there(api, lab):
    user, sid = api.user(), "monitoring-" + api.user()
    ok(api.save(user, sid))
    ok(api.poll(user, sid))
    page = ok(api.session.get(lab.nodes[0].admin_url + "/metrics", timeout=30)).text
    known = set(METRIC.findall(page))
    asked = {name for query in queries() for name in METRIC.findall(query)}
    assert len(asked) > 20
    assert asked <= known, asked - known
    # and values of labels that are asked for
    for label, value in re.findall(r'(route|evidence|result|type|store|cache|kind)="([^"$]+)"', "\n".join(queries())):
        assert f'{label}="{value}"' in page, (label, value)


def test_the_dashboard_holds_together():
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    cells = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in cells, f"{panel['title']} lies over another panel"
                cells.add((x, y))
