"""The web application, served by a node, with the simulator as its voice provider."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import urllib.parse
import uuid

from simulator import Simulator

from .node import environment, sanitizer_environment
from .process import LabError, free_port

BUILT = pathlib.Path(__file__).resolve().parents[1] / "web" / "dist"
PROVIDER = ("https://*.elevenlabs.io", "wss://*.elevenlabs.io")


def mint_token(lab, node, user):
    """From `debrief token`, as a developer would get one."""
    done = subprocess.run([lab.binary, "token", "--user", user, "--ttl", "86400"],
                          env={**sanitizer_environment(), **environment(node.options)},
                          capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise LabError(f"debrief token failed: {done.stderr.strip()}")
    return done.stdout.split()[-1]


class Page:
    def __init__(self, lab, node, simulator):
        self.lab = lab
        self.node = node
        self.simulator = simulator

    def url(self, user=None, path="/"):
        """With a ready token in its fragment, which browsers send to nobody."""
        fragment = {"token": mint_token(self.lab, self.node, user or str(uuid.uuid4())), "sim": self.simulator.url}
        return f"{self.node.url}{path}#{urllib.parse.urlencode(fragment, quote_via=urllib.parse.quote)}"


def publish(built, lab):
    """A copy of the application that the unprivileged node can read; its path."""
    if not (built / "index.html").exists():
        raise LabError(f"{built} has no index.html; contrib/setup --web builds it")
    copy = lab.scratch.path / f"web-{uuid.uuid4().hex[:8]}"
    shutil.copytree(built, copy)
    for directory, _, names in os.walk(copy):
        os.chmod(directory, 0o755)
        for name in names:
            os.chmod(os.path.join(directory, name), 0o644)
    return copy


@contextlib.contextmanager
def open_page(lab, built=BUILT, simulator_options=None, **node_options):
    """A Page on a node and a simulator of its own."""
    node = lab.new_node(web_root=publish(built, lab), **node_options)
    # Each has to know the other's address before it starts.
    node.port, node.admin_port = free_port(), free_port()
    options = {"origins": [node.url], **(simulator_options or {})}
    with Simulator(node.url + "/webhooks/elevenlabs", lab.secret, **options) as simulator:
        node.options["web_connect_src"] = [*PROVIDER, simulator.url]
        node.start()
        try:
            yield Page(lab, node, simulator)
        finally:
            node.stop()
