"""What the scripts keep in Redis: facts that stay the text that they were told as, and for how long."""

import json
import pathlib
import re
import time
import uuid

import pytest

import model
from support import assert_problem, ok, stop_postgres

ROOT = pathlib.Path(__file__).resolve().parents[2]
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
    stop_postgres(lab)
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


class Script:
    """A script as the binary has it, behind the shared files that it uses, called with keys and words of a test's own."""

    GENERATION, TTL_MS, WINDOW_MS = "replid", "60000", "600000"

    def __init__(self, lab, name):
        text = (ROOT / "lua" / f"{name}.lua").read_text()
        [uses] = re.findall("^-- uses (.*)$", text, re.M)
        [shared] = re.findall(r"^shared_lua = ((?:.*\\\n)*.*)$", (ROOT / "Makefile.am").read_text(), re.M)
        files = [file for file in re.findall("lua/(.*?)[.]lua", shared) if file in uses.split()]
        self.text = "".join((ROOT / "lua" / f"{file}.lua").read_text() for file in files) + text
        self.redis = lab.redis
        self.key = f"test:{{{uuid.uuid4()}}}"

    def __call__(self, *words):
        return self.redis.eval(self.text, 2, self.key, self.key + ":emptied", self.GENERATION, self.TTL_MS, *words)


def session_fact(**members):
    return json.dumps({"heard_at": 1795800000000, "sid": "s", "user": str(uuid.UUID(int=1)), **members})


@pytest.mark.parametrize("name, words, count, says", [
    ("session_index", ["s"], 8, "HYDRATE"),
    ("session_index", ["s", "", "1"], 8, "OK"),
    ("conversation_index", [Script.WINDOW_MS], 9, "HYDRATE"),
    ("conversation_index", [Script.WINDOW_MS, "1", "1"], 9, "OK"),
    ("decide", [Script.WINDOW_MS, "0"], 10, "OK"),
    ("decide", [Script.WINDOW_MS, "0", "", "", "", session_fact()], 10, "HYDRATE"),
], ids=str)
def test_words_that_are_left_out_are_empty(lab, name, words, count, says):
    """Naive: what is not there is not '', and a script takes that for the word that the ledger can't be asked."""
    replies = [Script(lab, name)(*words, *[""] * more) for more in (0, count - len(words))]
    assert [reply[0] for reply in replies] == [says, says]
    assert len(replies[0]) == len(replies[1])


def test_a_revision_of_another_generation_is_less_than_the_clock(lab):
    """Naive: the bucket of a Redis that came back older goes on where it was, with numbers that others have seen."""
    decide = Script(lab, "decide")

    def revision_after(replid, **members):
        lab.redis.hset(decide.key, mapping={"r": replid, "revision": "5", "covered": "[[0,9999999999999]]"})
        reply = decide(Script.WINDOW_MS, "0", "1", "", "", session_fact(**members))
        assert lab.redis.hget(decide.key, "revision") == reply[1]
        return int(reply[1])

    assert revision_after(Script.GENERATION) == 6
    assert revision_after("older", ended_at=1795800000001, ended_by="user") > (time.time() - 60) * 1e6


def test_a_page_is_bounded_by_what_its_bodies_were_before_they_were_compressed(lab):
    """Naive: whoever sweeps unpacks all of them at once."""
    script, MIB = Script(lab, "journal_page"), 1 << 20
    stream = script.key
    for cid in ("one", "two", "three"):
        lab.redis.xadd(stream, {"kind": "webhook", "subject": cid, "body": cid, "bytes": 9000, "size": 3 * MIB,
                                "hash": "h", "interview": cid})

    def page(after=""):
        reply = lab.redis.eval(script.text, 3, stream, stream + ":bytes", stream + ":lease", "me", 1000, 0, 64, 8 * MIB, after)
        return reply[4], reply[7::7], reply[5::7]

    more, subjects, entries = page()
    assert (more, subjects) == ("1", ["one", "two"])
    assert page(entries[-1])[:2] == ("", ["three"])
