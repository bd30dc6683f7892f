"""Many calls in one batch of the ledger: statements are executed once for all of them, and each gets its own answer."""

import contextlib
import threading
import uuid

import psycopg2
import pytest

from support import eventually, interview_row, ok, rows, session_row, sessions_of


@pytest.fixture
def node(lab):
    """One connection that writes, and patience: what waits there is one batch."""
    with lab.node(workers=1, database_connections=1, ledger_patience_ms=60000, request_timeout_ms=60000) as node:
        eventually(lambda: node.sees("ledger"), 20, "the node to see Postgres")
        yield node


@contextlib.contextmanager
def held(lab):
    """Nobody locks a user meanwhile."""
    with contextlib.closing(psycopg2.connect(lab.postgres_server.url)) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE profiles IN EXCLUSIVE MODE")
        yield
        holder.commit()


class Senders:
    def __init__(self):
        self.threads, self.answers = [], {}

    def send(self, name, call, *args, **fields):
        def run():
            self.answers[name] = call(*args, **fields)
        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def wait(self):
        for thread in self.threads:
            thread.join()
        return self.answers


def sid_of():
    return f"batches-{uuid.uuid4()}"


def is_viewed(api, node, user, sid):
    """Redis has it, and so it waits for the ledger."""
    answer = api.poll(user, sid, node=node)
    return answer.status_code == 200 and answer.json()["status"] == "ended_pending_webhook"


def hold_back(api, lab, node, saves, webhooks):
    """Sends all of them, so that they wait for the ledger together; their answers."""
    senders = Senders()
    with held(lab):
        for _, _, payload in webhooks:
            senders.send(payload["data"]["conversation_id"], api.webhook, payload, node=node)
        for user, sid, fields in saves:
            senders.send(sid, api.save, user, sid, node=node, ended_by="user", **fields)
        for user, sid, _ in saves:
            eventually(lambda: is_viewed(api, node, user, sid), 60, f"{sid} to be in Redis")
    return senders.wait()


def stories(api, node, count):
    """Users with an ended session, and the webhooks that name them."""
    told = []
    for _ in range(count):
        user, sid = api.user(), sid_of()
        ok(api.save(user, sid, node=node, ended_by="user"))
        told.append((user, sid, api.payload(user=user, session=sid)))
    return told


def assert_linked(lab, user, sid, payload):
    cid = payload["data"]["conversation_id"]
    assert sessions_of(lab, user)[sid] == (cid, "session_id")
    row = interview_row(lab, cid)
    assert (row["owner"], row["undecided"]) == (user, False)
    assert row["id"] == session_row(lab, sid)["interview_id"]


def test_saves_and_webhooks_in_one_batch(api, lab, node):
    saves = [(api.user(), sid_of(), {"agent_id": f"agent_{number}"}) for number in range(20)]
    webhooks = stories(api, node, 12)
    for answer in hold_back(api, lab, node, saves, webhooks).values():
        ok(answer)
    for user, sid, fields in saves:
        row = session_row(lab, sid)
        assert (row["owner"], row["claimed_agent_id"], row["undecided"]) == (user, fields["agent_id"], False)
    for story in webhooks:
        assert_linked(lab, *story)


def test_one_user_many_times(api, lab, node):
    """Decisions of one user are made one after the other, each on what the one before left."""
    user = api.user()
    saves = [(user, sid_of(), {"conversation_id": api.cid()}) for _ in range(5)]
    saves += [(api.user(), sid_of(), {}) for _ in range(5)]
    for answer in hold_back(api, lab, node, saves, []).values():
        ok(answer)
    for owner, sid, fields in saves:
        row = session_row(lab, sid)
        assert (row["owner"], row["claimed_conversation_id"], row["undecided"]) == (
            owner, fields.get("conversation_id"), False)
    for _, sid, fields in saves[:5]:
        ok(api.webhook(api.payload(conversation_id=fields["conversation_id"], user=user), node=node))
        assert sessions_of(lab, user)[sid] == (fields["conversation_id"], "conversation_id")


def test_one_that_is_refused_fails_no_other(api, lab, node):
    refused = (api.user(), sid_of(), {"agent_id": "agent_refused"})
    others = [(api.user(), sid_of(), {"agent_id": "agent_taken"}) for _ in range(10)]
    webhooks = stories(api, node, 4)
    with lab.pg.cursor() as cursor:
        cursor.execute("ALTER TABLE interview_sessions ADD CONSTRAINT refuse CHECK (claimed_agent_id <> 'agent_refused')")
    try:
        answers = hold_back(api, lab, node, [*others[:5], refused, *others[5:]], webhooks)
    finally:
        with lab.pg.cursor() as cursor:
            cursor.execute("ALTER TABLE interview_sessions DROP CONSTRAINT refuse")
    for answer in answers.values():
        ok(answer)
    for user, sid, _ in others:
        row = session_row(lab, sid)
        assert (row["owner"], row["claimed_agent_id"]) == (user, "agent_taken")
    for story in webhooks:
        assert_linked(lab, *story)
    assert session_row(lab, refused[1]) is None
    rejected = rows(lab, "DELETE FROM rejected_facts WHERE subject = %s RETURNING sqlstate", refused[1])
    assert [row["sqlstate"] for row in rejected] == ["23514"]


def test_a_sid_of_two_users(api, lab, node):
    """The ledger knows whose it is, Redis has forgotten: only the other is refused."""
    owner, sid = api.user(), sid_of()
    ok(api.save(owner, sid, node=node))
    lab.flush_redis()
    other = (api.user(), sid, {})
    assert api.save(*other[:2], node=node, ended_by="user").status_code == 409
    assert session_row(lab, sid)["owner"] == owner
