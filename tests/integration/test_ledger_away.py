"""Postgres away: saves and webhooks go into the journal, polls and results come from Redis, and whoever
finds Postgres again brings everything there."""

import collections
import itertools
import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import requests

import model
from lab.proxy import Proxy
from support import assert_problem, eventually, interview_row, journal_length, ok, rows, session_row, stop_postgres

AGENT = "agent_test"
BEGAN = {}


def sid_of():
    return f"ledger-away-{uuid.uuid4()}"


@pytest.fixture(autouse=True)
def note_when_it_began():
    """What other tests left undecided for good, since a window was full, is older."""
    BEGAN["at"] = time.time()


@pytest.fixture
def no_ledger(api, lab):
    """Both nodes know that Postgres is away; it comes back when the test asks, or at its end."""
    eventually(lambda: journal_length(lab) == 0, 30, "what earlier tests journaled to be swept")
    stop_postgres(lab)
    yield
    lab.mend()


def settled(lab):
    """Postgres is back, and nothing is left to sweep."""
    lab.mend()
    eventually(lambda: journal_length(lab) == 0, 30, "the journals to be swept")
    query = ("SELECT client_session_id FROM interview_sessions WHERE undecided AND updated_at > to_timestamp(%s)"
             " UNION ALL SELECT conversation_id FROM interviews WHERE undecided AND updated_at > to_timestamp(%s)")
    eventually(lambda: not rows(lab, query, BEGAN["at"], BEGAN["at"]), 60, "everything to be decided")


def test_an_interview_without_postgres(api, lab, no_ledger):
    user, sid = api.user(), sid_of()
    payload = api.payload(user=user, session=sid)
    began = time.monotonic()
    ok(api.save(user, sid, agent_id=AGENT))
    assert ok(api.poll(user, sid, node=1)).json()["status"] == "started"
    ok(api.save(user, sid, node=1, ended_by="user"))
    assert ok(api.poll(user, sid)).json()["status"] == "ended_pending_webhook"
    ok(api.webhook(payload, node=1))
    done = [ok(api.poll(user, sid, node=node)).json() for node in (0, 1)]
    assert time.monotonic() - began < 5, "it waited for what is known to be away"
    assert done[0] == done[1]
    assert (done[0]["status"], done[0]["evaluationStatus"]) == ("completed", "complete")
    assert done[0]["conversationId"] == payload["data"]["conversation_id"]

    seen = [ok(api.results(user, done[0]["interviewId"], node=node)).json() for node in (0, 1)]
    assert seen[0] == seen[1]
    messages = [turn["message"] for turn in payload["data"]["transcript"]]
    assert [turn["message"] for turn in seen[0]["interview"]["transcript"]] == messages
    assert seen[0]["interview"]["sessionId"] == sid
    assert_problem(api.results(api.user(), done[0]["interviewId"]), 404)

    settled(lab)
    row = session_row(lab, sid)
    assert (row["conversation_id"], row["evidence"], row["status"]) == (
        payload["data"]["conversation_id"], "session_id", "completed")
    assert row["interview"] == done[0]["interviewId"]
    after = ok(api.results(user, done[0]["interviewId"])).json()
    assert after == seen[0], "the ledger says something else than the journal did"
    assert api.poll(user, sid).json() == done[0]


@pytest.mark.parametrize("evidence", ["conversation_id", "window"])
def test_every_evidence_holds_without_postgres(api, lab, no_ledger, evidence):
    user, sid, cid = api.user(), sid_of(), api.cid()
    claim = {"conversation_id": cid} if evidence == "conversation_id" else {}
    named = {"user": user} if evidence == "window" else {}
    ok(api.webhook(api.payload(conversation_id=cid, **named)))
    ok(api.save(user, sid, node=1, ended_by="user", agent_id=AGENT, **claim))
    assert ok(api.poll(user, sid)).json()["status"] == "completed"
    settled(lab)
    row = session_row(lab, sid)
    assert (row["conversation_id"], row["evidence"]) == (cid, evidence)


def test_what_was_known_before_counts_without_postgres(api, lab):
    """Facts from before the outage and facts from within it are linked together."""
    user, early, late = api.user(), sid_of(), sid_of()
    ok(api.save(user, early, ended_by="user"))
    before = api.payload(user=user, session=late)
    ok(api.webhook(before))
    stop_postgres(lab)
    within = api.payload(user=user, session=early)
    ok(api.webhook(within))
    ok(api.save(user, late, ended_by="user"))
    for sid, payload in ((early, within), (late, before)):
        assert ok(api.poll(user, sid)).json()["conversationId"] == payload["data"]["conversation_id"]
    other = api.user()
    assert_problem(api.save(other, early), 409, "client_session_id")
    assert_problem(api.save(other, sid_of(), conversation_id=before["data"]["conversation_id"]), 409, "conversation_id")
    settled(lab)
    for sid, payload in ((early, within), (late, before)):
        assert session_row(lab, sid)["conversation_id"] == payload["data"]["conversation_id"]


def test_a_view_does_not_go_back_when_postgres_returns(api, lab, no_ledger):
    """A user with sessions in several windows: what was shown stays, although not all of it is swept yet."""
    user, told = api.user(), {}
    for number in range(4):
        sid, start = sid_of(), time.time() - 4000 * (number + 1)
        payload = api.payload(user=user, start=start, duration=60)
        ok(api.save(user, sid, ended_by="user", ended_ago_ms=int((time.time() - start - 61) * 1000)))
        ok(api.webhook(payload))
        told[sid] = payload["data"]["conversation_id"]
    check = {sid: api.poll(user, sid).json()["conversationId"] for sid in told}
    assert check == told
    lab.mend()
    ok(api.save(user, sid_of()))
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline and journal_length(lab) > 0:
        for node in (0, 1):
            assert {sid: api.poll(user, sid, node=node).json()["conversationId"] for sid in told} == told
    settled(lab)
    for node in (0, 1):
        assert {sid: api.poll(user, sid, node=node).json()["conversationId"] for sid in told} == told
    assert {sid: session_row(lab, sid)["conversation_id"] for sid in told} == told


def test_the_earliest_receipt_counts_after_an_outage(api, lab, no_ledger):
    """A call without times of its own is matched by the time of its first receipt."""
    payload = api.payload()
    for name in ("start_time_unix_secs", "call_duration_secs"):
        payload["data"]["metadata"].pop(name, None)
    ok(api.webhook(payload))
    heard = time.time()
    time.sleep(1.5)
    lab.mend()
    ok(api.webhook(payload))
    settled(lab)
    row = interview_row(lab, payload["data"]["conversation_id"])
    assert abs(row["received_at"].timestamp() - heard) < 1


def test_what_the_ledger_holds_of_another_user_stands(api, lab):
    """Redis forgot whose session it is, Postgres is away: the second claimant was answered 200, and is
    nowhere linked; what they said is kept for the operator."""
    owner, other, sid = api.user(), api.user(), sid_of()
    ok(api.save(owner, sid, ended_by="user"))
    stop_postgres(lab)
    lab.flush_redis()
    ok(api.save(other, sid, ended_by="user"))
    settled(lab)
    assert session_row(lab, sid)["owner"] == owner
    rejected = rows(lab, "DELETE FROM rejected_facts WHERE subject = %s RETURNING error, fact", sid)
    assert len(rejected) == 1 and other.encode() in bytes(rejected[0]["fact"])
    payload = api.payload(session=sid)
    ok(api.webhook(payload))
    assert interview_row(lab, payload["data"]["conversation_id"])["owner"] == owner


def test_duplicates_are_journaled_once(api, lab, no_ledger):
    payload = api.payload(user=api.user())
    before = journal_length(lab)
    for node in (0, 1, 0):
        ok(api.webhook(payload, node=node))
    assert journal_length(lab) == before + 1
    settled(lab)
    assert interview_row(lab, payload["data"]["conversation_id"])["status"] == "done"


def test_a_body_that_postgres_would_refuse_is_kept(api, lab, no_ledger):
    payload = api.payload(user=api.user())
    payload["data"]["transcript"][0]["message"] = "nul \u0000 and \ud800"
    ok(api.webhook(payload))
    settled(lab)
    row = interview_row(lab, payload["data"]["conversation_id"])
    assert row["raw_body"] is not None
    assert "\ufffd" in row["transcript"][0]["message"]


def test_unknown_sessions_get_503_not_404(api, no_ledger):
    assert_problem(api.poll(api.user(), sid_of()), 503)
    assert_problem(api.results(api.user(), str(uuid.uuid4())), 503)


def test_a_ledger_that_freezes_is_waited_for_only_once(api, lab):
    """A slow ledger: an answer after ledger_patience_ms, later ones at once."""
    user, sid = api.user(), sid_of()
    with lab.node(ledger_patience_ms=500) as node:
        ok(api.save(user, sid, node=node))
        lab.postgres_server.pause()
        try:
            began = time.monotonic()
            ok(api.save(user, sid, node=node, ended_by="user"))
            assert 0.3 < time.monotonic() - began < 5
            eventually(lambda: timed(lambda: ok(api.webhook(api.payload(user=user, session=sid), node=node))) < 0.3,
                       20, "the node to stop waiting for the ledger")
            assert ok(api.poll(user, sid, node=node)).json()["status"] == "completed"
        finally:
            lab.postgres_server.resume()
        settled(lab)
        assert session_row(lab, sid)["status"] == "completed"


@pytest.mark.parametrize("what", ["poll", "results"])
def test_a_frozen_ledger_does_not_hold_up_those_who_ask_for_what_is_not_here(api, lab, what):
    """Whoever finds others waiting for it to no avail hears 503 at once, and not when they do."""
    def ask():
        assert_problem(getattr(api, what)(api.user(), str(uuid.uuid4()), node=node), 503)

    with lab.node(workers=1) as node, ThreadPoolExecutor(64) as clients:
        lab.postgres_server.pause()
        try:
            first, later = clients.submit(ask), []
            while not first.done() and not any(answer.done() for answer in later):
                time.sleep(0.2)
                later.append(clients.submit(ask))
            told = [answer for answer in later if answer.done()]
            assert told and not first.done(), "nobody was answered before the one who had asked first"
            told[0].result()
        finally:
            lab.postgres_server.resume()
        for answer in (first, *later):
            answer.exception()  # those under way may have been answered 404 by now


def test_without_patience_results_are_still_read(api, lab):
    """ledger_patience_ms = 0 is for facts, which the journal takes: nobody else has what is read."""
    with lab.node(ledger_patience_ms=0, workers=1) as node:
        user, ids = api.user(), []
        for number in range(20):
            payload = api.payload(user=user, turns=40, start=time.time() - 3600 * number)
            ok(api.webhook(payload, node=node))
            ids.append(model.interview_id(payload["data"]["conversation_id"]))
        settled(lab)
        with ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(lambda id: api.results(user, id, node=node).status_code, ids * 5))
        assert set(answers) == {200}, collections.Counter(answers)


def timed(act):
    began = time.monotonic()
    act()
    return time.monotonic() - began


def test_durability_journal_answers_before_the_ledger(api, lab):
    user, sid = api.user(), sid_of()
    with lab.node(durability="journal") as node:
        lab.postgres_server.pause()
        try:
            ok(api.save(user, sid, node=node, ended_by="user"))
            ok(api.webhook(api.payload(user=user, session=sid), node=node))
            assert ok(api.poll(user, sid, node=node)).json()["status"] == "completed"
        finally:
            lab.postgres_server.resume()
        settled(lab)
        assert session_row(lab, sid)["status"] == "completed"
        # and with the ledger there, everything is readable at once
        for _ in range(20):
            user, sid = api.user(), sid_of()
            ok(api.save(user, sid, node=node, ended_by="user"))
            ok(api.webhook(api.payload(user=user, session=sid), node=node))
            done = ok(api.poll(user, sid, node=node)).json()
            assert done["status"] == "completed"
            ok(api.results(user, done["interviewId"], node=node))
        settled(lab)


def test_durability_ledger_only_never_journals(api, lab):
    user, sid = api.user(), sid_of()
    with lab.node(durability="ledger-only") as node:
        ok(api.save(user, sid, node=node))
        stop_postgres(lab)
        eventually(lambda: not node.sees("ledger"), 20, "the node to see it")
        eventually(lambda: api.save(user, sid, node=node, ended_by="user").status_code == 503, 20,
                   "the backends that outlived their server to be gone")
        for answer in (api.save(user, sid, node=node, ended_by="user"), api.webhook(api.payload(user=user), node=node)):
            assert_problem(answer, 503)
            assert int(answer.headers["Retry-After"]) >= 1
        assert journal_length(lab) == 0
        ready = api.request("GET", "/readyz", node)
        assert ready.status_code == 503 and "ledger-only" in ready.text
        lab.mend()
        eventually(lambda: node.sees("ledger"), 20, "the node to have Postgres again")
        ok(api.save(user, sid, node=node, ended_by="user"))


@pytest.mark.parametrize("setting, value, usual", [("appendonly", "no", "yes"), ("maxmemory-policy", "allkeys-lru", "noeviction")])
def test_a_redis_that_forgets_is_no_journal(api, lab, setting, value, usual):
    """/readyz says why, and nothing is answered 200 that could be lost."""
    lab.redis.config_set(setting, value)
    try:
        with lab.node() as node:
            assert setting in api.request("GET", "/readyz", node).text
            stop_postgres(lab)
            eventually(lambda: not node.sees("ledger"), 20, "the node to see it")
            assert_problem(api.save(api.user(), sid_of(), node=node), 503)
            assert_problem(api.webhook(api.payload(user=api.user()), node=node), 503)
            ready = api.request("GET", "/readyz", node)
            assert ready.status_code == 503 and setting in ready.text
            lab.mend()
    finally:
        lab.redis.config_set(setting, usual)


def test_a_full_journal_sends_facts_the_other_way(api, lab):
    """journal_max_bytes: past it the ledger, and without that 503; nothing is dropped."""
    with lab.node(durability="journal", journal_max_bytes=64 * 1024) as node:
        lab.postgres_server.pause()
        taken, refused = [], None
        try:
            for _ in range(60):
                payload = api.payload(user=api.user(), turns=40)
                answer = api.webhook(payload, node=node)
                if answer.status_code != 200:
                    refused = answer
                    break
                taken.append(payload)
        finally:
            lab.postgres_server.resume()
        assert refused is not None, "64 KiB took everything"
        assert_problem(refused, 503)
        assert int(refused.headers["Retry-After"]) >= 1
        settled(lab)
        for payload in taken:
            assert interview_row(lab, payload["data"]["conversation_id"]) is not None
        ok(api.webhook(api.payload(user=api.user()), node=node))


def test_both_away(api, lab):
    """503 and Retry-After at once; /livez says 200, /readyz names both."""
    lab.pg.close()
    lab.postgres_server.kill()
    lab.redis_server.kill()
    try:
        for node in lab.nodes:
            eventually(lambda: not node.sees("ledger") and not node.sees("redis"), 20, "the nodes to see it")
        user, sid = api.user(), sid_of()
        for send in (lambda: api.save(user, sid), lambda: api.webhook(api.payload(user=user)),
                     lambda: api.poll(user, sid), lambda: api.results(user, str(uuid.uuid4()))):
            began = time.monotonic()
            answer = send()
            assert time.monotonic() - began < 1
            assert_problem(answer, 503)
            assert int(answer.headers["Retry-After"]) >= 1
        assert api.request("GET", "/livez").status_code == 200
        ready = api.request("GET", "/readyz")
        assert ready.status_code == 503
        assert (ready.json()["redis"], ready.json()["ledger"]) == ("away", "away")
    finally:
        lab.mend()


def test_a_node_that_can_still_keep_facts_is_ready(api, lab, no_ledger):
    ready = api.request("GET", "/readyz")
    assert (ready.status_code, ready.json()["redis"], ready.json()["ledger"]) == (200, "up", "away")


def test_a_node_is_ready_when_all_its_workers_are(api, lab):
    """Whichever worker a balancer asks: its next request may reach the one that has no connection yet."""
    lab.mend()
    proxy = Proxy(lab.postgres_server.port)
    node = lab.new_node(database_url=proxy.through(lab.database_url), workers=2, database_connections=2)
    proxy.admit(5)  # of six: each worker has one that reads and two that write
    try:
        node.start(ready=False)
        eventually(lambda: "event=ledger_up" in node.log_text(), what="one worker to be ready")
        answers = [requests.get(node.url + "/readyz", headers={"Connection": "close"}, timeout=5) for _ in range(40)]
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["ledger"] for answer in answers} == {"away"}
        proxy.mend()
        eventually(lambda: requests.get(node.url + "/readyz", timeout=5).status_code == 200, what="both to be ready")
    finally:
        node.stop()
        proxy.close()


def test_a_dead_nodes_entries_are_swept_by_another(api, lab, no_ledger):
    """Answered 200 by a node that is killed before the ledger is back."""
    user, sid = api.user(), sid_of()
    node = lab.new_node()
    node.start(ready=False)
    eventually(lambda: api.save(user, sid, node=node, ended_by="user").status_code == 200, 10, "a 200")
    payload = api.payload(user=user, session=sid)
    ok(api.webhook(payload, node=node))
    node.kill()
    settled(lab)
    assert session_row(lab, sid)["conversation_id"] == payload["data"]["conversation_id"]


def bodies(lab):
    return list(lab.redis.scan_iter("debrief:{p*}:body:*", count=1000))


def test_a_journaled_body_is_kept_once_and_goes_with_its_entry(api, lab, no_ledger):
    payload = api.payload(user=api.user())
    for node in (0, 1, 0):
        ok(api.webhook(payload, node=node))
    kept = bodies(lab)
    assert len(kept) == 1 and lab.redis.ttl(kept[0]) == -1, "one body, which doesn't expire"
    more = {**payload, "event_timestamp": payload["event_timestamp"] + 1}
    ok(api.webhook(more, node=1))
    ok(api.webhook(payload))  # no longer the content that counts: taken again
    assert len(bodies(lab)) == journal_length(lab) == 3
    settled(lab)
    assert bodies(lab) == []


def kept_body(lab):
    """(its key, its bytes) of the only one."""
    [key] = bodies(lab)
    with redis.Redis.from_url(lab.redis_url) as raw:
        return key, raw.get(key)


def test_a_journaled_body_is_an_lz4_frame(api, lab, no_ledger):
    payload = api.payload(user=api.user(), turns=100)
    ok(api.webhook(payload))
    _, kept = kept_body(lab)
    assert kept[:4] == b"\x04\x22\x4d\x18" and len(kept) < len(json.dumps(payload)) / 3


def test_a_body_that_was_journaled_as_it_came_is_read(api, lab, no_ledger):
    """As nodes did before bodies were compressed."""
    user, sid = api.user(), sid_of()
    payload = api.payload(user=user, session=sid)
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(payload))
    [body] = bodies(lab)
    lab.redis.set(body, json.dumps(payload), keepttl=True)
    interview = ok(api.poll(user, sid)).json()["interviewId"]
    journaled = ok(api.results(user, interview)).json()
    settled(lab)
    assert interview_row(lab, payload["data"]["conversation_id"])["transcript"] == payload["data"]["transcript"]
    assert ok(api.results(user, interview)).json() == journaled


def test_a_damaged_body_is_rejected_not_dropped(api, lab, no_ledger):
    payload = api.payload(user=api.user(), turns=100)
    ok(api.webhook(payload))
    key, kept = kept_body(lab)
    damaged = kept[:-9]
    lab.redis.set(key, damaged, keepttl=True)
    settled(lab)
    cid = payload["data"]["conversation_id"]
    assert interview_row(lab, cid) is None
    [rejected] = rows(lab, "SELECT * FROM rejected_facts WHERE subject = %s", cid)
    assert bytes(rejected["fact"]) == damaged and "LZ4" in rejected["error"]


def test_a_body_that_is_gone_does_not_hold_up_the_journal(api, lab, no_ledger):
    """Nobody but an operator could do it; then its entry goes too, and the others are kept."""
    lost, other = api.payload(user=api.user()), api.payload(user=api.user())
    ok(api.webhook(lost))
    lab.redis.delete(*bodies(lab))
    ok(api.webhook(other))
    settled(lab)
    assert interview_row(lab, other["data"]["conversation_id"]) is not None
    assert interview_row(lab, lost["data"]["conversation_id"]) is None


def test_a_body_that_somebody_deleted_is_not_dropped_silently(api, lab, no_ledger):
    payload = api.payload(user=api.user())
    before = set(lab.redis.scan_iter("debrief:{p*}:body:*", count=1000))
    ok(api.webhook(payload))
    [body] = set(lab.redis.scan_iter("debrief:{p*}:body:*", count=1000)) - before
    lab.redis.delete(body)
    settled(lab)
    assert interview_row(lab, payload["data"]["conversation_id"]) is None
    logs = "".join(node.log_text() for node in lab.nodes)
    assert f"journaled_body_missing conversation={payload['data']['conversation_id']}" in logs


@pytest.mark.parametrize("evidence", ["session_id", "conversation_id"])
def test_what_redis_has_forgotten_counts_when_the_journal_is_swept(api, lab, evidence):
    """A session of days ago, of which only the ledger knows when its webhook goes to the journal."""
    user, sid, cid = api.user(), sid_of(), api.cid()
    claim = {"conversation_id": cid} if evidence == "conversation_id" else {}
    ok(api.save(user, sid, ended_by="user", ended_ago_ms=3 * 86400 * 1000, **claim))
    gone = [key for id in (user, sid, cid) for key in lab.redis.scan_iter(f"debrief:{{p*}}:*:{id}", count=1000)]
    lab.redis.delete(*gone)
    ok(api.save(user, sid_of(), ended_by="user"))  # which Redis takes for the better one meanwhile
    stop_postgres(lab)
    try:
        ok(api.webhook(api.payload(cid, user=user, **({} if claim else {"session": sid}))))
        settled(lab)
    finally:
        lab.mend()
    assert session_row(lab, sid)["evidence"] == evidence
    found = ok(api.poll(user, sid)).json()
    assert (found["status"], found["conversationId"]) == ("completed", cid)


def partition_of(id, partitions=64):
    value = 0xcbf29ce484222325
    for byte in id.encode():
        value = ((value ^ byte) * 0x100000001b3) % (1 << 64)
    return value % partitions


def test_a_long_journal_of_one_partition_is_swept_to_its_end(api, lab, no_ledger):
    """Some pages of it: each is read behind the one before, and none twice."""
    sids = list(itertools.islice((sid for sid in (sid_of() for _ in itertools.count()) if partition_of(sid) == 7), 150))
    for sid in sids:
        ok(api.save(api.user(), sid, ended_by="user"))
    entries = journal_length(lab)  # a save that was made anew has two
    assert lab.redis.xlen("debrief:{p7}:journal") >= len(sids)
    before = [len(node.log_text()) for node in lab.nodes]
    settled(lab)
    assert len(rows(lab, "SELECT 1 FROM interview_sessions WHERE client_session_id = ANY(%s) AND NOT undecided", sids)) == 150

    def swept():
        logs = "".join(node.log_text()[at:] for node, at in zip(lab.nodes, before))
        return [(int(facts), int(left)) for facts, left in re.findall(r"event=swept facts=(\d+) left_in_journal=(-?\d+)", logs)]
    eventually(lambda: sum(facts for facts, _ in swept()) >= len(sids), 10, "the nodes to log it")
    # besides, a round may find what other tests left undecided for good
    assert 64 < max(facts for facts, _ in swept()) < entries + 50, "a page a round, or entries twice"
    assert min(left for _, left in swept()) >= 0
