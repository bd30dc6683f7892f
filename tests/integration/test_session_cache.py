"""What workers remember between polls: nothing stale is shown, whatever dies, and nobody is shown what is
another's."""

import random
import threading
import time
import uuid

import pytest
import requests

from support import eventually, ok, rows

# What a change may take to reach the other nodes after its 200 (a shared machine gets some more), and
# while connections are being killed.
AGREED_SECS, SLACK_SECS = 0.05, 0.15
KILLED_SECS = 1.0
# For so long a session is remembered as unknown.
UNKNOWN_SECS = 0.25


def sid_of():
    return f"cache-{uuid.uuid4()}"


def metric(node, name):
    for line in requests.get(f"{node.admin_url}/metrics", timeout=10).text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise AssertionError(f"no metric {name}")


def subscribers(lab):
    return [client["id"] for client in lab.redis.client_list(_type="pubsub")]


def tracking_is_on(lab):
    """As many listening connections as there are workers, and each first one tracks."""
    tracking = [client for client in lab.redis.client_list() if "t" in client.get("flags", "")]
    return len(subscribers(lab)) >= 2 and len(tracking) >= 2 and all(c["redir"] != "-1" for c in tracking)


def test_a_repeated_poll_asks_no_store(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    eventually(lambda: tracking_is_on(lab), what="tracking to be on")
    # some poll is the first of its worker; then all come from there
    eventually(lambda: _grows_only_from_worker(api, lab, user, sid), what="polls to come from the worker")


def _grows_only_from_worker(api, lab, user, sid):
    node = lab.nodes[0]
    read = metric(node, 'debrief_cache_reads_total{cache="views",result="miss"}')
    cached = metric(node, 'debrief_cache_reads_total{cache="views",result="hit"}')
    for _ in range(20):
        ok(api.poll(user, sid))
    return (metric(node, 'debrief_cache_reads_total{cache="views",result="miss"}') == read
            and metric(node, 'debrief_cache_reads_total{cache="views",result="hit"}') == cached + 20)


def test_an_unknown_session_is_remembered_too(api, lab):
    user, sid = api.user(), sid_of()
    eventually(lambda: tracking_is_on(lab), what="tracking to be on")
    assert api.poll(user, sid).status_code == 404
    before = metric(lab.nodes[0], 'debrief_cache_reads_total{cache="views",result="miss"}')
    began = time.monotonic()
    for _ in range(40):
        assert api.poll(user, sid).status_code == 404
    took = time.monotonic() - began
    # each of the node's two workers asks four times a second
    asked = metric(lab.nodes[0], 'debrief_cache_reads_total{cache="views",result="miss"}') - before
    assert asked <= (took / UNKNOWN_SECS + 2) * 2, f"{asked} of 40 polls in {took:.1f} s"
    ok(api.save(user, sid, node=1))
    eventually(lambda: api.poll(user, sid).status_code == 200, AGREED_SECS + SLACK_SECS, "the save to be seen")


def test_nobody_is_shown_anothers(api, lab):
    owner, other, sid = api.user(), api.user(), sid_of()
    ok(api.save(owner, sid))
    for _ in range(5):
        for node in (0, 1):
            assert ok(api.poll(owner, sid, node)).json()["status"] == "started"
            assert api.poll(other, sid, node).status_code == 404


def test_a_flushed_redis_is_noticed(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    for node in (0, 1):
        assert ok(api.poll(user, sid, node)).json()["status"] == "started"
    ok(api.save(user, sid, ended_by="user"))
    lab.redis.flushall()
    for node in (0, 1):
        assert ok(api.poll(user, sid, node)).json()["status"] == "ended_pending_webhook"


def test_a_deadline_passes_in_what_is_remembered(api, lab):
    node = lab.new_node(webhook_deadline_secs=1)
    node.start()
    try:
        user, sid = api.user(), sid_of()
        ok(api.save(user, sid, node, ended_by="user"))
        first = ok(api.poll(user, sid, node))
        assert first.json()["status"] == "ended_pending_webhook"
        failed = eventually(lambda: (r := ok(api.poll(user, sid, node))).json()["status"] == "failed" and r, 5)
        assert failed.json()["reason"] == "webhook_never_arrived"
        assert failed.headers["ETag"] != first.headers["ETag"]
        assert "Retry-After" not in failed.headers
    finally:
        node.stop()


class Watcher(threading.Thread):
    """Polls one node in a tight loop, and notes when it saw what."""

    def __init__(self, api, node, user, sid):
        super().__init__(daemon=True)
        self.api, self.node, self.user, self.sid = api, node, user, sid
        self.seen = []  # (asked at, status code, status)
        self.ended = threading.Event()
        self.headers = {"Authorization": f"Bearer {api.token(user)}"}

    def run(self):
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.api.lab.nodes[self.node].url}/api/interviews/by-session/{self.sid}"
            while not self.ended.is_set():
                asked = time.monotonic()
                answer = session.get(url, headers=self.headers, timeout=30)
                status = answer.json().get("status") if answer.status_code == 200 else None
                self.seen.append((asked, answer.status_code, status))


ORDER = [None, "started", "ended_pending_webhook", "completed"]


def story(api, lab, rng, allowed_secs):
    """One session's life through random nodes, with a watcher on each node; the longest staleness seen."""
    user, sid = api.user(), sid_of()
    watchers = [Watcher(api, node, user, sid) for node in (0, 1)]
    done = []  # (time of the 200, state)
    for watcher in watchers:
        watcher.start()
    steps = [
        (lambda: api.save(user, sid, node=rng.randrange(2)), "started"),
        (lambda: api.save(user, sid, node=rng.randrange(2), ended_by="user"), "ended_pending_webhook"),
        (lambda: api.webhook(api.payload(user=user, session=sid, duration=5), node=rng.randrange(2)), "completed"),
    ]
    for send, state in steps:
        time.sleep(rng.random() * 0.05)
        eventually(lambda: send().status_code == 200, 30, f"the 200 that makes it {state}")
        done.append((time.monotonic(), state))
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not all(w.seen and w.seen[-1][2] == "completed" for w in watchers):
        time.sleep(0.01)
    for watcher in watchers:
        watcher.ended.set()
    for watcher in watchers:
        watcher.join(30)
    worst = 0.0
    for watcher in watchers:
        assert watcher.seen[-1][2] == "completed", f"node {watcher.node} never saw the end"
        for asked, code, status in watcher.seen:
            assert code in (200, 404), f"node {watcher.node} answered {code}"
            for since, state in done:
                if asked > since and ORDER.index(status) < ORDER.index(state):
                    worst = max(worst, asked - since)
    assert worst <= allowed_secs, f"a state was shown {worst * 1000:.0f} ms after it had passed"
    return worst


@pytest.mark.parametrize("seed", range(6))
def test_nothing_stale_is_shown(api, lab, seed):
    eventually(lambda: tracking_is_on(lab), what="tracking to be on")
    story(api, lab, random.Random(seed), AGREED_SECS + SLACK_SECS)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_stale_is_shown_while_connections_are_killed(api, lab, seed):
    rng = random.Random(seed)
    ended = threading.Event()
    killed = []

    def kill():
        while not ended.is_set():
            victims = subscribers(lab)
            if victims:
                killed.append(lab.redis.client_kill_filter(_id=rng.choice(victims)))
            time.sleep(rng.random() * 0.1)
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        for _ in range(3):
            story(api, lab, rng, KILLED_SECS)
    finally:
        ended.set()
        killer.join(30)
    assert sum(killed) > 3
    eventually(lambda: tracking_is_on(lab), 15, "tracking to be on again")


def test_the_loss_of_the_first_connection_is_the_loss_of_both(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    for number in range(5):
        eventually(lambda: tracking_is_on(lab), 15, "tracking to be on")
        before = set(subscribers(lab))
        lab.redis.client_kill_filter(_type="normal", skipme=True)
        eventually(lambda: not before & set(subscribers(lab)), 15, "the listening connections to be replaced")
        eventually(lambda: tracking_is_on(lab), 15, "tracking to be on")
        ok(api.save(user, f"{sid}-{number}", node=number % 2))
        eventually(lambda: api.poll(user, f"{sid}-{number}", 1 - number % 2).status_code == 200, KILLED_SECS)


def test_a_listener_that_hears_nothing_is_given_up(api, lab):
    """A connection that is there and says nothing (a proxy lost its state): the heartbeat tells."""
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    eventually(lambda: tracking_is_on(lab), what="tracking to be on")
    lost = metric(lab.nodes[0], "debrief_tracking_losses_total")
    # nobody hears what is published; commands go on
    lab.redis.execute_command("CLIENT", "PAUSE", "1500", "WRITE")
    eventually(lambda: metric(lab.nodes[0], "debrief_tracking_losses_total") > lost, 15, "the loss to be noticed")
    eventually(lambda: tracking_is_on(lab), 15, "tracking to be on again")
    ok(api.save(user, sid, node=1, ended_by="user"))
    assert eventually(lambda: ok(api.poll(user, sid)).json()["status"] == "ended_pending_webhook", 1)
    assert rows(lab, "SELECT 1 FROM interview_sessions WHERE client_session_id = %s", sid)
