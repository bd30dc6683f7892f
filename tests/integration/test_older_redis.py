"""Redis comes back as it was a while ago, or empty, under polls and saves: what the ledger has is never unknown."""

import collections
import itertools
import shutil
import threading
import time
import uuid

import pytest
import requests
from conftest import Api, Lab
from support import eventually, journal_length, ok, session_row

SESSIONS = 6  # of each age, on three users
NODES = 2


@pytest.fixture(scope="module")
def own():
    """Its Redis goes back in time: not the one that others use."""
    with Lab(nodes=NODES) as lab:
        yield lab
        lab.pg.close()


@pytest.fixture
def own_api(own):
    return Api(own)


class Crowd:
    """Sessions that are saved through either node in turn, each with its interview."""

    def __init__(self, api):
        self.api = api
        self.users = [api.user() for _ in range(3)]
        self.known = {}   # sid: user, of those whose save was answered 200
        self.linked = {}  # sid: conversation id, of those whose webhook was
        self.numbers = itertools.count()

    def _until_ok(self, send):
        for node in itertools.cycle(range(NODES)):
            if (answer := send(node)).status_code == 200:
                return
            assert answer.status_code == 503, f"{answer.status_code}: {answer.text}"
            time.sleep(0.02)

    def add(self):
        number = next(self.numbers)
        user, sid = self.users[number % len(self.users)], f"older-{uuid.uuid4()}"
        payload = self.api.payload(user=user, session=sid)
        self._until_ok(lambda node: self.api.save(user, sid, (node + number) % NODES, ended_by="user"))
        self.known[sid] = user
        self._until_ok(lambda node: self.api.webhook(payload, (node + number) % NODES))
        self.linked[sid] = payload["data"]["conversation_id"]

    def grow(self):
        for _ in range(SESSIONS):
            self.add()


class Watch(threading.Thread):
    """Polls all that is known on one node, until it is told to stop."""

    def __init__(self, crowd, node, tokens):
        super().__init__()
        self.crowd, self.node, self.tokens = crowd, node, tokens
        self.over = threading.Event()
        self.statuses = collections.Counter()
        self.unknown = []

    def run(self):
        with requests.Session() as session:
            session.trust_env = False
            while not self.over.is_set():
                for sid, user in list(self.crowd.known.items()):
                    answer = session.get(f"{self.node.url}/api/interviews/by-session/{sid}", timeout=60,
                                         headers={"Authorization": f"Bearer {self.tokens[user]}"})
                    self.statuses[answer.status_code] += 1
                    if answer.status_code == 404:
                        self.unknown.append(sid)


def kill_without_a_journal(lab):
    """What only the journal has would be lost: at the kill it is empty."""
    deadline = time.monotonic() + 30
    while True:
        lab.redis_server.call("CLIENT", "PAUSE", 5000, "WRITE")
        if journal_length(lab) == 0:
            break
        lab.redis_server.call("CLIENT", "UNPAUSE")
        assert time.monotonic() < deadline, "the journal is never empty"
        time.sleep(0.01)
    lab.redis_server.kill()


def give_to(redis, directory):
    for path in (directory, *directory.iterdir()):
        if redis.user is not None:
            shutil.chown(path, redis.user.pw_uid, redis.user.pw_gid)


@pytest.mark.parametrize("down_secs", [0, 1])
@pytest.mark.parametrize("age", ["older", "empty"])
def test_an_older_redis_makes_nothing_unknown(own, own_api, age, down_secs):
    redis, crowd = own.redis_server, Crowd(own_api)
    now, then = redis.directory / "appendonlydir", redis.directory / "older"
    crowd.grow()
    shutil.rmtree(then, ignore_errors=True)
    shutil.copytree(now, then, copy_function=shutil.copyfile)
    crowd.grow()

    tokens = {user: own_api.token(user) for user in crowd.users}
    watches = [Watch(crowd, node, tokens) for node in own.nodes]
    late = threading.Thread(target=crowd.grow)
    for thread in (*watches, late):
        thread.start()
    try:
        kill_without_a_journal(own)
        shutil.rmtree(now)
        if age == "older":
            then.rename(now)
            give_to(redis, now)
        time.sleep(down_secs)
        redis.start()
        late.join(60)
        assert not late.is_alive(), "saves and webhooks were not answered"
        own.wait_ready()
        seen = [watch.statuses.total() for watch in watches]
        eventually(lambda: all(watch.statuses.total() > before + len(crowd.known) or not watch.is_alive()
                               for watch, before in zip(watches, seen)), 30, "all to be polled once more")
    finally:
        for watch in watches:
            watch.over.set()
            watch.join(60)
    for watch in watches:
        assert watch.unknown == [], f"{watch.node.name} did not know what was saved: {watch.statuses}"
        assert set(watch.statuses) <= {200, 503} and watch.statuses[200] > 0

    assert len(crowd.linked) == 3 * SESSIONS
    for sid, cid in crowd.linked.items():
        for node in range(NODES):
            eventually(lambda: ok(own_api.poll(crowd.known[sid], sid, node)).json()["conversationId"] == cid, 30,
                       "its interview to be shown")
        assert eventually(lambda: session_row(own, sid)["conversation_id"] == cid, 30, "the ledger to say so")
