"""Fixtures: a lab of real processes, and an `api` that speaks HTTP to it.

The binary is DEBRIEF_BINARY, else build/src/debrief. Servers run as unprivileged users
when the tests run as root, so files that nodes read belong under `tmp_path`, which is
made readable for them here.
"""
import json
import os
import pathlib
import sys
import threading
import time
import uuid

import jwt
import openapi
import psycopg2
import pytest
import redis
import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "contrib"))

from lab import Lab as BareLab  # noqa: E402
from lab import LabError, Scratch  # noqa: E402
from simulator import HEADER, Conversation, conversation_id, sign, webhook  # noqa: E402

TIMEOUT_SECS = 60


def pytest_configure(config):
    config.addinivalue_line("markers", "smoke: the main way end to end; also run against the plain build")


class Lab(BareLab):
    """The lab with clients of both stores: `redis` and `pg`."""

    def __init__(self, **options):
        super().__init__(**options)
        self.redis = None
        self.pg = None

    def start(self):
        super().start()
        self.redis = redis.Redis.from_url(self.redis_server.url, decode_responses=True)
        self.connect_pg()
        return self

    def connect_pg(self):
        self.pg = psycopg2.connect(self.postgres_server.url)
        self.pg.autocommit = True

    def restart_postgres(self, kill=False, ready=True):
        super().restart_postgres(kill, ready)
        self.connect_pg()

    def mend(self):
        """Brings back what a test left paused or down, so that the next one starts whole."""
        for server in (self.redis_server, self.postgres_server, *self.nodes):
            if server.running:
                server.resume()
            else:
                server.start()
        if self.pg.closed:
            self.connect_pg()
        self.wait_ready()


class Api:
    """What browsers, the provider and evaluators send to Debrief."""

    def __init__(self, lab):
        self.lab = lab
        self._local = threading.local()

    @property
    def session(self):
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        return self._local.session

    @staticmethod
    def user():
        return str(uuid.uuid4())

    @staticmethod
    def cid():
        return conversation_id()

    def token(self, user=None, **claims):
        """An HS256 token; a claim given as None is left out."""
        now = int(time.time())
        content = {"sub": user or self.user(), "iat": now, "exp": now + 3600, **claims}
        return jwt.encode({key: value for key, value in content.items() if value is not None},
                          self.lab.jwt_secret, algorithm="HS256")

    def request(self, method, path, node=0, user=None, headers=None, **options):
        """A request to a node: its index in lab.nodes, or a node. `user` adds a token of theirs.

        Every reply must be as doc/openapi.yaml describes it.
        """
        target = self.lab.nodes[node] if isinstance(node, int) else node
        headers = dict(headers or {})
        if user is not None:
            headers.setdefault("Authorization", f"Bearer {self.token(user)}")
        options.setdefault("timeout", TIMEOUT_SECS)
        answer = self.session.request(method, target.url + path, headers=headers, **options)
        if not options.get("stream"):
            openapi.check(method, path, answer)
        return answer

    def save(self, user, sid, node=0, **fields):
        return self.request("POST", "/api/save-interview", node, user, json={"client_session_id": sid, **fields})

    def poll(self, user, sid, node=0, etag=None):
        return self.request("GET", f"/api/interviews/by-session/{sid}", node, user, _condition(etag))

    def results(self, user, interview_id, node=0, etag=None):
        return self.request("GET", f"/api/interviews/{interview_id}/results", node, user, _condition(etag))

    def webhook(self, payload, node=0, secret=None, timestamp=None, headers=None, chunked=False):
        """A signed webhook; bytes are sent as they are. Headers given as None are left out."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        content = {"Content-Type": "application/json", HEADER: sign(secret or self.lab.secret, body, timestamp),
                   **(headers or {})}
        content = {key: value for key, value in content.items() if value is not None}
        data = (body[i:i + 4096] for i in range(0, len(body), 4096)) if chunked else body
        return self.request("POST", "/webhooks/elevenlabs", node, headers=content, data=data)

    def payload(self, conversation_id=None, user=None, session=None, agent="agent_test", start=None, duration=60,
                analysis=True, turns=4, **overrides):
        """A post_call_transcription; `overrides` replace members of its `data`.

        It ended now unless `start` (seconds since 1970) says otherwise.
        """
        variables = {}
        if user is not None:
            variables["user_id"] = user
        if session is not None:
            variables["client_session_id"] = session
        conversation = Conversation(
            id=conversation_id or self.cid(), agent_id=agent, user_id=user, dynamic_variables=variables,
            start=time.time() - duration if start is None else start, duration=duration, turns=turns,
            analysis=analysis)
        content = json.loads(webhook(conversation))
        content["data"].update(overrides)
        return content


def _condition(etag):
    return {"If-None-Match": etag} if etag is not None else None


@pytest.fixture(scope="session")
def shared_scratch():
    scratch = Scratch()
    yield scratch
    scratch.remove()


@pytest.fixture
def tmp_path(shared_scratch, request):
    """As pytest's own, but unprivileged nodes may read it."""
    name = f"{len(list(shared_scratch.path.iterdir()))}-{request.node.name[:40]}"
    return shared_scratch.directory("".join(c if c.isalnum() else "-" for c in name), mode=0o755)


@pytest.fixture(scope="session")
def lab():
    """Redis, Postgres and two nodes. At the end every node must have ended well, and no
    sanitizer may have spoken."""
    lab = Lab(nodes=2, fsync=False, keep=bool(os.environ.get("DEBRIEF_KEEP_LAB")))
    lab.start()
    try:
        yield lab
    finally:
        if lab.pg is not None:
            lab.pg.close()
        try:
            lab.stop()
        except LabError as error:
            pytest.fail(f"at the end of the session: {error}", pytrace=False)


@pytest.fixture
def api(lab):
    lab.mend()
    return Api(lab)


def pytest_make_parametrize_id(config, val, argname):
    """Long values make short ids: a log is no place for megabytes."""
    if isinstance(val, (str, bytes)) and len(val) > 60:
        return f"{val[:40]!r}..{len(val)}"
    return None
