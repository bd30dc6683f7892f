"""Redis away: saves and webhooks go into the ledger undecided, polls and results come from there, and
whoever finds Redis again decides."""

import contextlib
import re
import time
import uuid

import pytest

from support import eventually, ok, rows, stop_postgres


@contextlib.contextmanager
def without_redis(api, lab, **options):
    """A node that reaches the ledger and no Redis."""
    node = lab.new_node(redis_url="redis://127.0.0.1:9/0", **options)
    try:
        node.start(ready=False)
        eventually(lambda: api.request("GET", "/readyz", node).json()["ledger"] == "up", what="its ledger to be up")
        yield node
    finally:
        node.stop()


@pytest.fixture
def cut_off(api, lab):
    with without_redis(api, lab) as node:
        yield node


def sid_of():
    return f"away-{uuid.uuid4()}"


def test_what_a_cut_off_node_was_told_is_decided_by_the_others(api, lab, cut_off):
    user, sid = api.user(), sid_of()
    payload = api.payload(user=user, duration=60)
    ok(api.save(user, sid, node=cut_off, agent_id="agent_test"))
    assert ok(api.poll(user, sid, node=cut_off)).json()["status"] == "started"
    ok(api.save(user, sid, node=cut_off, ended_by="user", ended_ago_ms=1000))
    assert ok(api.poll(user, sid, node=cut_off)).json()["status"] == "ended_pending_webhook"
    ok(api.webhook(payload, node=cut_off))
    done = eventually(
        lambda: (found := ok(api.poll(user, sid)).json())["status"] == "completed" and found,
        15, "the sweeper to link what was told while Redis was away")
    assert done["conversationId"] == payload["data"]["conversation_id"]
    # the ledger says the same, also to the node that has nothing else
    assert eventually(lambda: ok(api.poll(user, sid, node=cut_off)).json() == done, 5, "the ledger to say so too")
    assert ok(api.results(user, done["interviewId"], node=cut_off)).json()["interview"]["sessionId"] == sid
    etags = {api.poll(user, sid, node=node).headers["ETag"] for node in (0, 1, cut_off)}
    assert len(etags) == 1, "the ETag depends on the store"
    query = "SELECT ended_by FROM interview_sessions WHERE client_session_id = %s AND NOT undecided"
    assert eventually(lambda: rows(lab, query, sid), 15, "the session to be decided")[0]["ended_by"] == "user"


def test_a_save_by_a_node_without_redis_is_soon_seen_where_it_was_unknown(api, lab, cut_off):
    user, sid = api.user(), sid_of()
    for node in (0, 1):
        assert api.poll(user, sid, node).status_code == 404
    asked = time.monotonic()
    ok(api.save(user, sid, cut_off))
    time.sleep(max(0, asked + 0.3 - time.monotonic()))
    for node in (0, 1):
        ok(api.poll(user, sid, node))


def test_the_rules_hold_without_redis(api, lab, cut_off):
    owner, other, sid = api.user(), api.user(), sid_of()
    payload = api.payload(user=owner)
    ok(api.webhook(payload, node=cut_off))
    taken = api.save(other, sid_of(), node=cut_off, conversation_id=payload["data"]["conversation_id"])
    assert taken.status_code == 409, taken.text
    ok(api.save(owner, sid, node=cut_off))
    assert api.save(other, sid, node=cut_off).status_code == 409
    # it has never seen the journals: what the ledger lacks may be in there
    assert api.poll(other, sid, node=cut_off).status_code == 503
    assert api.poll(owner, sid_of(), node=cut_off).status_code == 503


def test_a_node_that_starts_while_redis_is_away_knows_not_what_is_journaled(api, lab):
    """Found by tests/torture, seed 32: it took the ledger's word, and said 404 for a save that had been answered 200."""
    user, sid = api.user(), sid_of()
    stop_postgres(lab)
    ok(api.save(user, sid))
    for node in lab.nodes:
        node.pause()  # nobody sweeps
    try:
        lab.postgres_server.start()
        with without_redis(api, lab) as late:
            assert api.poll(user, sid, late).status_code == 503
    finally:
        lab.mend()
    ok(eventually(lambda: (found := api.poll(user, sid)).status_code == 200 and found, 20, "it to be swept"))


def test_without_a_journal_the_ledgers_word_is_enough(api, lab):
    with without_redis(api, lab, durability="ledger-only") as node:
        assert api.poll(api.user(), sid_of(), node).status_code == 404


def test_a_redis_that_dies_under_traffic_loses_nothing(api, lab):
    """Through all of it every answer is 200 or a 503 that the sender repeats."""
    users = [(api.user(), sid_of()) for _ in range(12)]

    def insist(send):
        eventually(lambda: send().status_code == 200, 20, "a 200")

    for number, (user, sid) in enumerate(users):
        if number == 4:
            lab.redis_server.kill()
        if number == 8:
            lab.redis_server.start()
        insist(lambda: api.save(user, sid, node=number % 2, ended_by="user", ended_ago_ms=1000))
        insist(lambda: api.webhook(api.payload(user=user, session=sid, duration=30), node=(number + 1) % 2))
    for user, sid in users:
        eventually(lambda: ok(api.poll(user, sid)).json()["status"] == "completed", 20, f"{sid} to be completed")
    sids = [sid for _, sid in users]
    query = ("SELECT client_session_id FROM interview_sessions WHERE client_session_id = ANY (%s)"
             " AND (conversation_id IS NULL OR undecided)")
    eventually(lambda: not rows(lab, query, sids), 15, "the ledger to follow")


def test_a_redis_that_freezes_does_not_cost_an_answer(api, lab):
    """Who is the first to wait for it goes to the ledger in time, and so does everybody after that."""
    user, sid = api.user(), sid_of()
    payload = api.payload(user=user, session=sid)
    with lab.node(request_timeout_ms=4000) as node:
        lab.redis_server.pause()
        try:
            ok(api.save(user, sid, node=node, ended_by="user"))
            ok(api.webhook(payload, node=node))
            assert ok(api.poll(user, sid, node=node)).json()["status"] == "ended_pending_webhook"
        finally:
            lab.redis_server.resume()
        eventually(lambda: ok(api.poll(user, sid, node=node)).json()["status"] == "completed", 30, "it to be decided")


def test_many_undecided_facts_are_decided_in_one_go(api, lab):
    """Page behind page, not a page a second."""
    sids = [sid_of() for _ in range(150)]
    lab.redis_server.stop()
    try:
        for node in lab.nodes:
            eventually(lambda: not node.sees("redis"), 20, "the nodes to see that Redis is away")
        for sid in sids:
            ok(api.save(api.user(), sid, ended_by="user"))
        before = [len(node.log_text()) for node in lab.nodes]
    finally:
        lab.mend()
    query = "SELECT 1 FROM interview_sessions WHERE client_session_id = ANY(%s) AND undecided"
    eventually(lambda: not rows(lab, query, sids), 30, "all of them to be decided")

    def swept():
        logs = "".join(node.log_text()[at:] for node, at in zip(lab.nodes, before))
        return [int(facts) for facts in re.findall(r"event=swept facts=(\d+)", logs)]
    eventually(lambda: sum(swept()) >= len(sids), 10, "the nodes to log it")
    assert max(swept()) > 64
