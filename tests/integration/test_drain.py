"""Nodes that are stopped under load, behind a load balancer (contrib/haproxy/haproxy.cfg): the other one takes
over, and no request is lost."""

import http.client
import json
import random
import re
import signal
import threading
import time

import pytest
import requests

from lab import wait_for
from lab.haproxy import HAProxy
from support import eventually, interview_row, ok, session_row

CLIENTS = 10
DRAIN_SECS = 10
STALE_SECS = 1


class Balanced:
    """What `Api` takes for a node."""

    def __init__(self, haproxy):
        self.url = haproxy.url


class Load:
    """Clients who save, tell of conversations and poll, each one request after the other. Every one of these may be
    repeated, and so they do, once or twice, when there was no answer or none of Debrief's."""

    def __init__(self, api, target):
        self.api, self.target = api, target
        self.stopped = threading.Event()
        self.answered, self.repeated, self.failed = 0, [], []
        self.saved, self.told = [], []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self.stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number):
        rng = random.Random(number)
        while not self.stopped.is_set():
            user, sid, cid = self.api.user(), f"s-{rng.getrandbits(64):x}", self.api.cid()
            turns = rng.choice((2, 2, 200, 600))
            body = json.dumps(self.api.payload(cid, user=user, session=sid, turns=turns)).encode()
            self._insist("save", lambda: self.api.save(user, sid, self.target))
            self._insist("save", lambda: self.api.save(user, sid, self.target, ended_by="user"))
            self.saved.append(sid)
            self._insist("poll", lambda: self.api.poll(user, sid, self.target))
            self._insist(f"webhook of {len(body)} bytes", lambda: self.api.webhook(body, self.target))
            self.told.append(cid)
            told = time.monotonic()
            # the other node hears of it a moment later
            while (answer := self._insist("poll", lambda: self.api.poll(user, sid, self.target))) is not None and \
                    answer.json()["status"] != "completed":
                if time.monotonic() - told > STALE_SECS:
                    self.failed.append(f"a poll after the webhook's 200: {answer.text}")
                    break

    def _insist(self, what, call):
        said = []
        for _ in range(3):
            try:
                answer = call()
                if answer.status_code == 200:
                    with self._lock:
                        self.answered += 1
                        self.repeated += [f"{what}: {word}" for word in said]
                    return answer
                said.append(f"{answer.status_code} {answer.text[:100]}")
            except requests.RequestException as error:
                said.append(f"{type(error).__name__} {error}")
            time.sleep(0.1)
        self.failed.append(f"{what}: {said}")
        return None


@pytest.fixture
def nodes(lab):
    """Two of their own, with a drain_timeout."""
    lab.mend()
    found = [lab.new_node(drain_timeout_secs=DRAIN_SECS) for _ in range(2)]
    for node in found:
        node.start()
    yield found
    for node in found:
        node.stop()


@pytest.fixture
def haproxy(lab, nodes):
    with HAProxy(lab.scratch, nodes) as haproxy:
        wait_for(lambda: requests.get(haproxy.url + "/readyz", timeout=5).status_code == 200, "haproxy to find the nodes")
        yield haproxy


def test_a_second_node_takes_over_without_a_lost_request(api, lab, nodes, haproxy):
    waiting = {}
    patient = api.user()
    balanced = Balanced(haproxy)

    def wait_long():
        began = time.monotonic()
        answer = api.request("GET", "/api/interviews/by-session/still-to-come?wait=3", balanced, patient)
        waiting.update(status=answer.status_code, took=time.monotonic() - began)

    with Load(api, balanced) as load:
        for node in nodes:
            eventually(lambda n=load.answered: load.answered > n + 100, 60, "requests to be answered")
            waiter = threading.Thread(target=wait_long)
            waiter.start()
            began = time.monotonic()
            assert node.stop(DRAIN_SECS + 5) == 0
            assert time.monotonic() - began < DRAIN_SECS, "it takes the whole drain_timeout although clients are quick"
            eventually(lambda n=load.answered: load.answered > n + 100, 60, "the other one to answer")
            node.start()
            waiter.join()
            assert waiting["status"] == 404, waiting
    assert not load.failed, "\n".join(load.failed)
    # on a busy machine the journal may have taken what the ledger was too slow for
    for sid in load.saved:
        eventually(lambda sid=sid: (row := session_row(lab, sid)) and row["conversation_id"], 20, f"{sid} to be linked in the ledger")
    for cid in load.told:
        eventually(lambda cid=cid: interview_row(lab, cid), 20, f"{cid} to be in the ledger")
    # haproxy repeats by itself what a closed listener did not take: clients hardly notice
    assert len(load.repeated) <= 4, "\n".join(load.repeated)


@pytest.mark.parametrize("store", ("redis", "postgres"))
def test_with_a_store_away_the_load_balancer_still_leads_to_the_nodes(api, lab, nodes, haproxy, store):
    user, sid, cid = api.user(), "s-" + api.cid(), api.cid()
    balanced = Balanced(haproxy)
    server = lab.redis_server if store == "redis" else lab.postgres_server
    name = "redis" if store == "redis" else "ledger"
    server.stop()
    for node in nodes:
        wait_for(lambda node=node: not node.sees(name), f"the node to see that {store} is away")
    until = time.monotonic() + 1.5  # three of haproxy's checks
    while time.monotonic() < until:
        ok(api.save(user, sid, balanced))
    ok(api.webhook(api.payload(cid, user=user, session=sid), balanced))
    server.start()
    lab.connect_pg()
    eventually(lambda: api.poll(user, sid, balanced).json().get("status") == "completed", 20, "the link")
    eventually(lambda: (session_row(lab, sid) or {}).get("conversation_id") == cid, 20, "the ledger to have it")


def test_while_requests_are_finished(api, lab):
    """Probes and metrics still hear that the node lives and stops, and no connection of another worker is left hanging."""
    node = lab.new_node(simulate_webhook_delay_ms=5000, drain_timeout_secs=DRAIN_SECS * 3, workers=2)
    node.start()
    kept = [http.client.HTTPConnection("127.0.0.1", node.port, timeout=3) for _ in range(16)]  # to either worker
    answers = []
    sender = threading.Thread(target=lambda: answers.append(api.webhook(api.payload(user=api.user()), node)))
    try:
        for each in kept:
            each.request("GET", "/livez")
            each.getresponse().read()
        sender.start()
        eventually(lambda: re.search(r"^debrief_http_held_bytes \d{4,}$", requests.get(node.admin_url + "/metrics", timeout=5).text,
                                     re.MULTILINE), what="the webhook to be under way")
        node.asked_to_end = True
        node.signal(signal.SIGTERM)
        state = eventually(lambda: (lambda it: it.status_code == 503 and it.json())(requests.get(node.admin_url + "/readyz", timeout=5)),
                           what="/readyz to say so")
        assert state["draining"] and not state["ready"]
        for each in kept:
            each.request("GET", "/readyz")
            answer = each.getresponse()
            assert (answer.status, answer.getheader("Connection")) == (503, "close")
        assert requests.get(node.admin_url + "/livez", timeout=5).status_code == 200
        assert "debrief_draining 1" in requests.get(node.admin_url + "/metrics", timeout=5).text
        with pytest.raises(requests.RequestException):
            requests.get(node.url + "/livez", timeout=5)
        assert not answers
    finally:
        sender.join()
        assert node.process.wait(DRAIN_SECS) == 0
    assert answers[0].status_code == 200
