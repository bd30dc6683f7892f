"""tests/bench/run works and leaves what it promises. How fast anything is, it doesn't ask."""
import json
import pathlib
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

from lab import default_binary

RUN = pathlib.Path(__file__).resolve().parents[1] / "bench" / "run"


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_bench_leaves_numbers_and_a_plot(tmp_path):
    done = subprocess.run([RUN, "--quick", "--secs", "1", "--rounds", "1", "--no-peers", "--only", "polls,webhooks,latency,growth",
                           "--no-fsync", "--out", tmp_path, "--binary", default_binary()],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "bench.json").read_text())
    assert document["skipped"] == []
    for benchmark in document["benchmarks"]:
        for series in benchmark["series"]:
            assert len(series["values"]) == 1 and not series["errors"], series
    claims = {claim["text"]: claim for claim in document["claims"]}
    of_floor = claims["polls, 200: of the floor"]
    assert of_floor["value"] > 0 and of_floor["reached"] == (of_floor["value"] >= of_floor["target"])
    for text in claims:
        assert text in done.stdout
    assert xml.etree.ElementTree.parse(tmp_path / "bench.svg").getroot().tag.endswith("svg")


def test_bench_names_its_benchmarks():
    done = subprocess.run([RUN, "--only", "poles"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "no benchmark 'poles'" in done.stderr
