"""Command line of the simulator."""
import argparse
import os
import pathlib
import signal
import sys
import threading

if not __package__:  # started as a directory: python3 contrib/simulator
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from simulator.call import BEHAVIOURS  # noqa: E402
from simulator.service import Simulator  # noqa: E402


def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def arguments():
    parser = argparse.ArgumentParser(
        prog="simulator", description="Plays ElevenLabs Agents: signed webhooks and the pull API.",
        epilog="Play it by hand: POST /sim/conversations {agent_id, user_id, dynamic_variables, start, duration, "
               "turns, size, seed, webhook}, POST /sim/conversations/ID/turns {role, message}, "
               "POST /sim/conversations/ID/end {end|duration, webhook}, POST /sim/conversations/ID/hangup {reason}, "
               "GET /sim/conversations/ID/line, POST /sim/conversations/ID/webhook "
               "{delay, duplicates, shape, with_user, chunked}, POST /sim/webhooks {conversation_ids, order}, "
               "GET /sim/conversations, GET /sim/deliveries. As `webhook` at the start or the end: "
               f"{', '.join(BEHAVIOURS)}.")
    parser.add_argument("--listen", type=address, default=("127.0.0.1", 8090), metavar="HOST:PORT")
    parser.add_argument("--webhook-url", required=True, metavar="URL")
    parser.add_argument("--secret", default=os.environ.get("SIMULATOR_SECRET"), metavar="SECRET",
                        help="webhook secret (or SIMULATOR_SECRET in the environment)")
    parser.add_argument("--api-key", default=os.environ.get("SIMULATOR_API_KEY"), metavar="KEY",
                        help="what xi-api-key must be (or SIMULATOR_API_KEY); made up and printed by default")
    parser.add_argument("--retry-scale", type=float, default=1.0, metavar="X",
                        help="multiplies the provider's retry delays (default 1; 0.001 for the impatient)")
    parser.add_argument("--no-retries", action="store_true", help="as at the provider until they are turned on")
    parser.add_argument("--origin", action="append", metavar="ORIGIN",
                        help="pages of this origin may call /sim/… (again for more; default: any)")
    parser.add_argument("--seed", type=int, help="the same conversations each time")
    parser.add_argument("--verbose", action="store_true", help="log requests")
    chosen = parser.parse_args()
    if not chosen.secret:
        parser.error("--secret is needed: webhooks are signed")
    return chosen


def main():
    chosen = arguments()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    simulator = Simulator(chosen.webhook_url, chosen.secret, listen=chosen.listen, api_key=chosen.api_key,
                          retry_scale=None if chosen.no_retries else chosen.retry_scale, seed=chosen.seed,
                          origins=chosen.origin)
    simulator.verbose = chosen.verbose
    with simulator:
        print(f"listening on {simulator.url}", flush=True)
        if not chosen.api_key:
            print(f"xi-api-key: {simulator.api_key}", flush=True)
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
