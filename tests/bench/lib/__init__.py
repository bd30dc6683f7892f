"""The benchmarks' rooms: main chooses; polls, results, webhooks, outage, latency, pace and growth (on a crowd) measure;
floor and peers are what is measured against; report, table and plot tell."""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "contrib"))
