"""What contrib/demo starts: the web application, or (--once) one interview without a browser."""
import argparse
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab import Lab, LabError, default_binary  # noqa: E402
from lab.page import BUILT, open_page  # noqa: E402
from lab.process import tail  # noqa: E402
from lab.story import Story  # noqa: E402
from simulator import Simulator  # noqa: E402

WATCH_SECS = 0.3


class Watch:
    """Tells what the provider does, line by line."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.began = time.monotonic()
        self.known = set()

    def tell(self, key, text):
        if key not in self.known:
            self.known.add(key)
            print(f"  {time.monotonic() - self.began:5.1f} s  {text}", flush=True)

    def look(self):
        for conversation in list(self.simulator.conversations.values()):
            id, call = conversation.id, self.simulator.calls.get(conversation.id)
            session = conversation.dynamic_variables.get("client_session_id")
            self.tell((id, "begun"), f"provider: {id} has begun, for session {session}")
            if call is not None and call.over:
                self.tell((id, "over"), f"provider: {id} is over ({call.reason}); its webhook: {call.followed_by or 'none'}")
        for delivery in list(self.simulator.courier.deliveries):
            if delivery.done.is_set():
                self.tell(delivery.id, f"provider: a webhook for {delivery.conversation_id} was answered {delivery.status}")

    def forever(self):
        while True:
            self.look()
            time.sleep(WATCH_SECS)


def show_page(lab, built, progress):
    with open_page(lab, built) as page:
        progress(f"Debrief listens on {page.node.url}, admin on {page.node.admin_url}")
        progress(f"the simulated provider listens on {page.simulator.url}")
        print(f"\nOpen this in a browser; Ctrl-C here takes everything down:\n\n  {page.url()}\n", flush=True)
        Watch(page.simulator).forever()


def play_once(lab, progress):
    node = lab.new_node()
    lab.nodes.append(node)
    node.start()
    progress(f"Debrief listens on {node.url}, admin on {node.admin_url}")
    with Simulator(node.url + "/webhooks/elevenlabs", lab.secret, retry_scale=0.001) as simulator:
        progress(f"the simulated provider listens on {simulator.url}")
        print("\nThe story\n", flush=True)
        story = Story(lab, simulator)
        try:
            story.mint()
            story.show(story.play())
        except (LabError, OSError, KeyError, TypeError) as error:
            raise LabError(f"{error}\n{node.name} said last:\n{tail(node.log)}") from error


def interrupt(*_):
    """Once is enough: the way down is not interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(
        prog="contrib/demo", description="Debrief with a web application to click through, and a simulated voice "
        "provider. Prints one address to open; everything is private and goes down with Ctrl-C.")
    parser.add_argument("--once", action="store_true", help="play one interview without a browser, and end")
    parser.add_argument("--binary", default=default_binary(), metavar="PATH", help="use this debrief; no setup")
    parser.add_argument("--web", default=BUILT, metavar="DIR", type=pathlib.Path,
                        help="the built web application (contrib/web/dist)")
    chosen = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    began = time.monotonic()

    def progress(line):
        print(f"  {time.monotonic() - began:5.1f} s  {line}", flush=True)

    try:
        print("\nThe servers\n", flush=True)
        with Lab(chosen.binary, nodes=0, options={"workers": 2, "environment": "development"}, progress=progress) as lab:
            if chosen.once:
                play_once(lab, progress)
            else:
                show_page(lab, chosen.web, progress)
    except KeyboardInterrupt:
        print("\nAll down again.", flush=True)
        return 0
    except (LabError, OSError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr, flush=True)
        return 1
    print("\nThe story came to its end; all down again.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
