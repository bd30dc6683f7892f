"""What the scripts keep in Redis: facts that stay the text that they were told as, and for how long."""

import json
import uuid

import pytest

import model
from support import assert_problem, eventually, ok

AWKWARD = 'a/b"c\\d é'


def only(lab, pattern):
    [key] = lab.redis.scan_iter(pattern, count=10000)
    return key


def bucket_of(lab, user):
    return only(lab, f"debrief:{{p*}}:user:{user}")


def entry_of(lab, cid):
    return only(lab, f"debrief:{{p*}}:conv:{cid}")


def sid_of():
    return f"scripts-{uuid.uuid4()}"


@pytest.fixture
def no_ledger(api, lab):
    lab.pg.close()
    lab.postgres_server.kill()
    for node in lab.nodes:
        eventually(lambda: not node.sees("ledger"), 20, "the nodes to see that Postgres is away")
    yield
    lab.mend()


@pytest.mark.parametrize("names_user", [True, False], ids=["user named", "owner found"])
def test_a_conversation_that_is_told_again_changes_nothing(api, lab, no_ledger, names_user):
    """Kept as it was told, or decoded and written anew: whatever stands in it. Naive: what another writer escapes
    otherwise is another fact, and each repeat a new decision."""
    user, sid = api.user(), sid_of()
    payload = api.payload(user=user if names_user else None, session=sid, agent=AWKWARD)
    cid = payload["data"]["conversation_id"]
    ok(api.save(user, sid, agent_id=AWKWARD))
    ok(api.webhook(payload))
    bucket, entry = lab.redis.hgetall(bucket_of(lab, user)), lab.redis.hgetall(entry_of(lab, cid))
    fact = json.loads(bucket["c:" + cid])
    assert (fact["cid"], fact["id"], fact["agent"]) == (cid, model.interview_id(cid), AWKWARD)
    assert fact.pop("epoch") == int(entry["e"])
    assert fact == json.loads(entry["c"])
    assert json.loads(bucket["v:" + sid])["conversationId"] == cid
    for node in (1, 0):
        ok(api.webhook(payload, node=node))
    assert lab.redis.hgetall(bucket_of(lab, user)) == bucket
    assert lab.redis.hgetall(entry_of(lab, cid)) == entry


def test_later_content_replaces_what_was_kept_as_text(api, lab, no_ledger):
    user, sid = api.user(), sid_of()
    payload = api.payload(user=user, session=sid, turns=1)
    cid = payload["data"]["conversation_id"]
    ok(api.webhook(payload))
    ok(api.save(user, sid, node=1))
    later = {**payload, "event_timestamp": payload["event_timestamp"] + 5}
    for content in (later, payload):
        ok(api.webhook(content, node=1))
    assert json.loads(lab.redis.hget(entry_of(lab, cid), "c"))["event_at"] == later["event_timestamp"]
    assert json.loads(lab.redis.hget(bucket_of(lab, user), "c:" + cid))["event_at"] == later["event_timestamp"]
    assert ok(api.poll(user, sid)).json()["conversationId"] == cid


def test_a_text_that_looks_like_a_name_is_none(api, lab, no_ledger):
    """The named user is found in the text of the fact. Naive: found in what somebody wrote into another member."""
    victim, owner, sid = api.user(), api.user(), sid_of()
    agent = f'x","named_user":"{victim}","named_session":"y'
    payload = api.payload(agent=agent)
    cid = payload["data"]["conversation_id"]
    ok(api.save(owner, sid, ended_by="user", conversation_id=cid))
    ok(api.webhook(payload))
    entry = lab.redis.hgetall(entry_of(lab, cid))
    assert (entry["h"], json.loads(entry["c"])["agent"]) == (owner, agent)
    assert ok(api.poll(owner, sid)).json()["conversationId"] == cid
    assert_problem(api.results(victim, model.interview_id(cid)), 404)


def test_an_expiry_is_moved_when_an_eighth_of_it_is_over(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    keys = [bucket_of(lab, user), only(lab, f"debrief:{{p*}}:sid:{sid}")]
    first = [lab.redis.expiretime(key) for key in keys]
    ttl_ms = lab.redis.pttl(keys[0])
    ok(api.save(user, sid, ended_by="user"))
    assert [lab.redis.expiretime(key) for key in keys] == first
    for key in keys:
        lab.redis.pexpire(key, int(ttl_ms * 0.86))
    ok(api.save(user, sid, ended_by="user", node=1))
    for key in keys:
        assert lab.redis.pttl(key) > ttl_ms * 0.99
