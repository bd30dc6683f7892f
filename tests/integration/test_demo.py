"""contrib/demo: one address, an interview through what it leads to, and nothing left behind."""

import os
import pathlib
import re
import select
import signal
import subprocess
import time
import urllib.parse

import jwt
import pytest
import requests

from lab import default_binary
from support import eventually, ok

DEMO = pathlib.Path(__file__).resolve().parents[2] / "contrib" / "demo"
ADDRESS = re.compile(r"http://\S+")


class Demo:
    """It in a process group of its own, as a terminal would have it."""

    def __init__(self, *words):
        self.began = time.monotonic()
        self.process = subprocess.Popen([DEMO, "--binary", default_binary(), *words], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        self.text = ""

    def read_until(self, condition, timeout=60):
        deadline = time.monotonic() + timeout
        while not condition(self.text):
            assert time.monotonic() < deadline, self.text
            if select.select([self.process.stdout], [], [], 0.5)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                assert data, f"it ended: {self.text}"
                self.text += data.decode()
        return self.text

    def children(self):
        listing = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(child) for path in listing for child in path.read_text().split()]

    def end(self, number=signal.SIGINT):
        """Exit status after a signal."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=90)
        self.text += rest.decode()
        return self.process.returncode


@pytest.fixture
def demo(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text("<!doctype html><title>demo</title>")
    demo = Demo("--web", tmp_path / "web")
    yield demo
    if demo.process.poll() is None:
        demo.end()


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def open_address(demo):
    """(base address, fragment's parameters) of the one address that it printed to be opened."""
    text = demo.read_until(lambda text: "#token=" in text)
    addresses = [address for address in ADDRESS.findall(text) if "#" in address]
    assert len(addresses) == 1, text
    base, _, fragment = addresses[0].partition("/#")
    return base, dict(urllib.parse.parse_qsl(fragment))


def test_an_interview_through_its_address(demo):
    demo.read_until(lambda text: "The servers" in text)
    assert time.monotonic() - demo.began < 20, "it says soon that it does something"
    base, given = open_address(demo)
    user = jwt.decode(given["token"], options={"verify_signature": False})["sub"]
    page = ok(requests.get(base + "/", timeout=30))
    assert "<title>demo" in page.text
    assert given["sim"] in page.headers["Content-Security-Policy"].split("connect-src")[1]

    mine, page_origin = {"Authorization": f"Bearer {given['token']}"}, {"Origin": base}
    begun = requests.post(given["sim"] + "/sim/conversations", headers=page_origin, timeout=30, json={
        "user_id": user, "dynamic_variables": {"user_id": user, "client_session_id": "s-1"}, "webhook": "twice"})
    assert begun.status_code == 201 and begun.headers["Access-Control-Allow-Origin"] == base
    conversation = begun.json()["conversation_id"]
    assert requests.post(given["sim"] + "/sim/conversations", headers={"Origin": "http://evil.example"}, json={},
                         timeout=30).status_code == 403
    ok(requests.post(base + "/api/save-interview", headers=mine, timeout=30,
                     json={"client_session_id": "s-1", "ended_by": "user"}))
    ok(requests.post(f"{given['sim']}/sim/conversations/{conversation}/end", headers=page_origin, timeout=30, data="{}"))

    def poll():
        return ok(requests.get(base + "/api/interviews/by-session/s-1", headers=mine, timeout=30)).json()

    eventually(lambda: poll()["evaluationStatus"] == "complete", 30)
    assert poll()["conversationId"] == conversation
    demo.read_until(lambda text: text.count("was answered 200") == 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left(demo, number):
    base, given = open_address(demo)
    children = demo.children()
    assert len(children) >= 3, "Redis, Postgres, a node"
    directories = {pathlib.Path(os.readlink(f"/proc/{pid}/exe")).parent.parent for pid in children}
    scratch = [path for path in directories if path.name.startswith("debrief-")]
    assert len(scratch) == 1
    assert demo.end(number) == 0, demo.text
    assert demo.text.rstrip().endswith("All down again.")
    assert all(gone(pid) for pid in children)
    assert not scratch[0].exists()
    for address in (base, given["sim"]):
        with pytest.raises(requests.ConnectionError):
            requests.get(address, timeout=5)


def test_without_a_built_page_it_says_what_builds_it(tmp_path):
    demo = Demo("--web", tmp_path)
    text, _ = demo.process.communicate(timeout=90)
    assert demo.process.returncode == 1 and b"contrib/setup --web" in text
