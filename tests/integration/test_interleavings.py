"""The orders of events that break code which patches links step by step. One test each; each
says what a naive implementation does instead."""

import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

import model
from support import assert_problem, eventually, interview_row, ok, rows, session_row, sessions_of


def new_sid():
    return f"s-{uuid.uuid4()}"


def nameless(api, cid=None, session=None, **more):
    """A conversation that names no user."""
    return api.payload(conversation_id=cid, session=session, user=None, **more)


def view(api, user, sid):
    """What both nodes answer to a poll; they must agree."""
    answers = [ok(api.poll(user, sid, node=node)) for node in (0, 1)]
    assert answers[0].json() == answers[1].json(), "the nodes disagree"
    assert answers[0].headers["ETag"] == answers[1].headers["ETag"], "the nodes' ETags differ"
    return answers[0].json()


def assert_linked(api, lab, user, sid, cid, evidence):
    seen = view(api, user, sid)
    assert (seen["status"], seen["conversationId"]) == ("completed", cid), f"poll of {sid}: {seen}"
    assert seen["interviewId"] == model.interview_id(cid)
    row = session_row(lab, sid)
    assert (row["conversation_id"], row["evidence"], row["interview"]) == (cid, evidence, model.interview_id(cid))
    assert interview_row(lab, cid)["owner"] == user
    ok(api.results(user, model.interview_id(cid)))


def assert_not_linked(api, lab, user, sid, status="ended_pending_webhook"):
    seen = view(api, user, sid)
    assert (seen["status"], seen["interviewId"]) == (status, None), f"poll of {sid}: {seen}"
    row = session_row(lab, sid)
    assert (row["conversation_id"], row["evidence"], row["interview"]) == (None, None, None)


def assert_fallback(lab, user, cid):
    row = session_row(lab, "fallback:" + cid)
    assert row is not None, f"{cid} has no fallback session: {sessions_of(lab, user)}"
    assert (row["owner"], row["conversation_id"], row["interview"]) == (user, cid, model.interview_id(cid))


@pytest.fixture
def other_pg(lab):
    """A second connection, with transactions, to hold row locks."""
    connection = psycopg2.connect(lab.database_url if hasattr(lab, "database_url") else lab.postgres_server.url)
    yield connection
    connection.rollback()
    connection.close()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as executor:
        yield executor


# ── two users claim one id before its webhook ───────────────────────────────


def test_two_users_claim_one_id_before_its_webhook(api, lab):
    """Naive: the index "conversation id → user" is overwritten by the last claim, or both
    sessions get the link and the UNIQUE column turns the second into a 500."""
    first, second = api.user(), api.user()
    sid1, sid2, cid = new_sid(), new_sid(), api.cid()
    ok(api.save(first, sid1, node=0, ended_by="user", conversation_id=cid))
    ok(api.save(second, sid2, node=1, ended_by="user", conversation_id=cid))
    ok(api.webhook(nameless(api, cid), node=1))

    assert_linked(api, lab, first, sid1, cid, "conversation_id")
    assert_not_linked(api, lab, second, sid2)
    assert view(api, second, sid2)["conversationId"] == cid, "the claim is still what is shown"
    assert api.results(second, model.interview_id(cid)).status_code == 404
    # now it is another user's conversation
    assert_problem(api.save(second, new_sid(), ended_by="user", conversation_id=cid), 409, "conversation_id")


def test_the_webhook_decides_between_two_claims(api, lab):
    """Naive: "first come, first served" at the time of the save, whatever the webhook says."""
    first, second = api.user(), api.user()
    sid1, sid2, cid = new_sid(), new_sid(), api.cid()
    ok(api.save(first, sid1, ended_by="user", conversation_id=cid))
    ok(api.save(second, sid2, node=1, ended_by="user", conversation_id=cid))
    ok(api.webhook(api.payload(conversation_id=cid, user=second)))
    assert_linked(api, lab, second, sid2, cid, "conversation_id")
    assert_not_linked(api, lab, first, sid1)


def test_an_early_claim_from_outside_the_window_is_no_claim(api, lab):
    """Naive: whoever guessed the id first owns it for ever."""
    squatter, owner = api.user(), api.user()
    sid1, sid2, cid = new_sid(), new_sid(), api.cid()
    ok(api.save(squatter, sid1, ended_by="user", conversation_id=cid, ended_ago_ms=3_000_000))
    ok(api.save(owner, sid2, node=1, ended_by="user", conversation_id=cid))
    ok(api.webhook(nameless(api, cid)))
    assert_linked(api, lab, owner, sid2, cid, "conversation_id")
    assert view(api, squatter, sid1)["interviewId"] is None


def test_an_earlier_claim_that_gets_into_the_window_takes_the_conversation(api, lab):
    """The squatter's session is open and far from the call; its end brings it near. Naive: owners
    are settled once, so that the order of the two ends decides."""
    first, second = api.user(), api.user()
    sid1, sid2, cid = new_sid(), new_sid(), api.cid()
    call = {"start": time.time() - 2000, "duration": 1990}
    ok(api.save(first, sid1, conversation_id=cid))  # its start is 2000 s from the call's
    ok(api.save(second, sid2, node=1, ended_by="user", conversation_id=cid))
    ok(api.webhook(nameless(api, cid, **call)))
    assert_linked(api, lab, second, sid2, cid, "conversation_id")
    assert_problem(api.save(first, sid1, ended_by="user", conversation_id=cid), 409, "conversation_id")
    ok(api.save(first, sid1, ended_by="user"))  # its end is 10 s from the call's
    assert_linked(api, lab, first, sid1, cid, "conversation_id")
    assert_not_linked(api, lab, second, sid2)


# ── webhooks that name what isn't theirs ────────────────────────────────────


def test_a_webhook_names_a_victims_user(api, lab):
    """All of a webhook's names were chosen in a browser. Naive: the attacker's call lands in the
    victim's waiting session by time, and the victim reads the attacker's interview as theirs; or
    it is linked to the attacker's session while it belongs to the victim."""
    attacker, victim = api.user(), api.user()
    attackers_sid, victims_sid, cid = new_sid(), new_sid(), api.cid()
    ok(api.save(victim, victims_sid, ended_by="user", agent_id="agent_test"))
    ok(api.save(attacker, attackers_sid, node=1, ended_by="user", agent_id="agent_test"))
    ok(api.webhook(api.payload(conversation_id=cid, user=victim, session=attackers_sid)))

    assert_not_linked(api, lab, attacker, attackers_sid)
    assert_not_linked(api, lab, victim, victims_sid)
    assert interview_row(lab, cid)["owner"] == victim, "the named user decides alone"
    assert_fallback(lab, victim, cid)
    assert api.results(attacker, model.interview_id(cid)).status_code == 404
    # and the victim's own call still finds its session
    own = api.cid()
    ok(api.webhook(api.payload(conversation_id=own, user=victim)))
    assert_linked(api, lab, victim, victims_sid, own, "window")


def test_a_webhook_names_a_session_of_another_user(api, lab):
    """Naive: "update … where client_session_id = named", and the victim's poll says completed,
    with an interview whose results the victim gets a 404 for."""
    attacker, victim = api.user(), api.user()
    victims_sid, cid = new_sid(), api.cid()
    ok(api.save(victim, victims_sid, ended_by="user"))
    ok(api.webhook(api.payload(conversation_id=cid, user=attacker, session=victims_sid), node=1))
    assert_not_linked(api, lab, victim, victims_sid)
    assert_fallback(lab, attacker, cid)
    assert api.results(victim, model.interview_id(cid)).status_code == 404
    ok(api.results(attacker, model.interview_id(cid)))


def test_a_webhook_names_a_session_that_another_user_opens_later(api, lab):
    """Naive: the waiting webhook is handed to whoever brings the session id."""
    named, other = api.user(), api.user()
    sid, cid = new_sid(), api.cid()
    ok(api.webhook(api.payload(conversation_id=cid, user=named, session=sid)))
    ok(api.save(other, sid, node=1, ended_by="user"))
    assert_not_linked(api, lab, other, sid)
    assert_fallback(lab, named, cid)


def test_a_conflict_changes_nothing(api, lab):
    """Naive: the 409 is found out after half of the save was written."""
    owner, other = api.user(), api.user()
    sid, cid = new_sid(), api.cid()
    ok(api.save(owner, sid, conversation_id=cid))
    before = session_row(lab, sid)
    assert_problem(api.save(other, sid, node=1, ended_by="user", agent_id="agent_x"), 409, "client_session_id")
    assert session_row(lab, sid) == before
    assert view(api, owner, sid)["status"] == "started"
    assert api.poll(other, sid).status_code == 404
    # a refused conversation id leaves no session behind
    ok(api.webhook(nameless(api, cid, start=time.time() - 30, duration=29)))
    assert_linked(api, lab, owner, sid, cid, "conversation_id")
    refused = new_sid()
    assert_problem(api.save(other, refused, ended_by="user", conversation_id=cid), 409, "conversation_id")
    assert session_row(lab, refused) is None
    assert api.poll(other, refused).status_code == 404
    # and it was no claim either: the other user's next session is free for the window
    free = new_sid()
    ok(api.save(other, free, ended_by="user"))
    own = api.cid()
    ok(api.webhook(api.payload(conversation_id=own, user=other)))
    assert_linked(api, lab, other, free, own, "window")


# ── links that move between rows with UNIQUE ids ────────────────────────────


def test_two_links_swap_in_one_decision(api, lab):
    """Both rows hold what the other one gets. Naive: UPDATE … SET conversation_id one row after
    the other; the first hits the UNIQUE index, and the decision is lost or the save is a 500."""
    user = api.user()
    sid1, sid2, x, y = new_sid(), new_sid(), api.cid(), api.cid()
    now = time.time()
    ok(api.save(user, sid1, ended_by="user", ended_ago_ms=500_000))
    ok(api.save(user, sid2, ended_by="user", ended_ago_ms=100_000))
    ok(api.webhook(api.payload(conversation_id=x, user=user, start=now - 550, duration=40)))  # ended 510 s ago
    ok(api.webhook(api.payload(conversation_id=y, user=user, start=now - 150, duration=40), node=1))  # 110 s
    assert_linked(api, lab, user, sid1, x, "window")
    assert_linked(api, lab, user, sid2, y, "window")

    ok(api.save(user, sid1, node=1, conversation_id=y))
    assert_linked(api, lab, user, sid1, y, "conversation_id")
    assert_linked(api, lab, user, sid2, x, "window")
    assert sessions_of(lab, user) == {sid1: (y, "conversation_id"), sid2: (x, "window")}


def test_links_rotate_over_four_sessions(api, lab):
    """The same with a ring of four, told to both nodes in turn."""
    user, now = api.user(), time.time()
    sids, cids = [new_sid() for _ in range(4)], [api.cid() for _ in range(4)]
    for i, sid in enumerate(sids):
        ok(api.save(user, sid, node=i % 2, ended_by="user", ended_ago_ms=100_000 * i))
    for i, cid in enumerate(cids):
        ok(api.webhook(api.payload(conversation_id=cid, user=user, start=now - 100 * i - 15, duration=10), node=i % 2))
    for sid, cid in zip(sids, cids):
        assert_linked(api, lab, user, sid, cid, "window")
    for i, sid in enumerate(sids):
        ok(api.save(user, sid, node=i % 2, conversation_id=cids[(i + 1) % 4]))
    for i, sid in enumerate(sids):
        assert_linked(api, lab, user, sid, cids[(i + 1) % 4], "conversation_id")
    assert len(sessions_of(lab, user)) == 4, "no fallback row is left over"


def test_a_conversation_moves_to_another_user(api, lab):
    """A nameless conversation was claimed; then the session that it names turns up, at another
    user's. Naive: both users' rows hold the id (500), or the former owner's poll never changes."""
    claimant, named = api.user(), api.user()
    claims, sid, cid = new_sid(), new_sid(), api.cid()
    ok(api.save(claimant, claims, ended_by="user", conversation_id=cid))
    ok(api.webhook(nameless(api, cid, session=sid)))
    assert_linked(api, lab, claimant, claims, cid, "conversation_id")
    ok(api.save(named, sid, node=1, ended_by="user"))
    assert_linked(api, lab, named, sid, cid, "session_id")
    assert_not_linked(api, lab, claimant, claims)
    assert api.results(claimant, model.interview_id(cid)).status_code == 404


def test_a_conversation_moves_to_another_user_after_a_flush(api, lab):
    """The same while Redis has forgotten the former owner: their rows must move all the same."""
    claimant, named = api.user(), api.user()
    claims, sid, cid, spare = new_sid(), new_sid(), api.cid(), api.cid()
    ok(api.save(claimant, claims, ended_by="user", conversation_id=cid))
    ok(api.webhook(nameless(api, cid, session=sid)))
    lab.flush_redis()
    ok(api.save(named, sid, node=1, ended_by="user"))
    assert_linked(api, lab, named, sid, cid, "session_id")
    assert_not_linked(api, lab, claimant, claims)
    # the former owner's bucket is whole again: a strong claim keeps out of the window
    ok(api.webhook(api.payload(conversation_id=spare, user=claimant)))
    assert_not_linked(api, lab, claimant, claims)
    assert_fallback(lab, claimant, spare)


def test_several_conversations_name_one_session(api, lab):
    """The one that the session claims, then the nearer. Naive: the last (or the first) one told."""
    now = time.time()
    for order in ((0, 1), (1, 0)):
        user, sid, claimed, near, far = api.user(), new_sid(), api.cid(), api.cid(), api.cid()
        hooks = [
            api.payload(conversation_id=near, user=user, session=sid, start=now - 61, duration=60),
            api.payload(conversation_id=far, user=user, session=sid, start=now - 161, duration=60),
        ]
        ok(api.save(user, sid, ended_by="user"))
        for i in order:
            ok(api.webhook(hooks[i], node=i))
        assert_linked(api, lab, user, sid, near, "session_id")
        assert_fallback(lab, user, far)
        ok(api.webhook(api.payload(conversation_id=claimed, user=user, session=sid, start=now - 9000)))
        assert_linked(api, lab, user, sid, near, "session_id")
        ok(api.save(user, sid, conversation_id=claimed))
        assert_linked(api, lab, user, sid, claimed, "session_id")
        assert_fallback(lab, user, near)


def test_several_sessions_claim_one_conversation(api, lab):
    """The nearer one has it, in whatever order they claim. Naive: the first claim is kept."""
    now = time.time()
    for order in ((0, 1), (1, 0)):
        user, sids, cid = api.user(), [new_sid(), new_sid()], api.cid()
        for i in order:
            ok(api.save(user, sids[i], node=i, ended_by="user", ended_ago_ms=200_000 * i, conversation_id=cid))
        ok(api.webhook(api.payload(conversation_id=cid, user=user, start=now - 61, duration=60)))
        assert_linked(api, lab, user, sids[0], cid, "conversation_id")
        assert_not_linked(api, lab, user, sids[1])


# ── flushed, then nearer evidence ───────────────────────────────────────────


@pytest.mark.parametrize("claim", [None, "weak"])
def test_window_linked_then_flushed_then_nearer_evidence(api, lab, claim):
    """Naive: hydration reads links back as if they were facts ("the session has conversation
    far"), and the nearer conversation never gets its session."""
    user, sid, far, near = api.user(), new_sid(), api.cid(), api.cid()
    now = time.time()
    claims = {"conversation_id": f"room_{uuid.uuid4().hex}"} if claim else {}
    ok(api.save(user, sid, ended_by="user", **claims))
    ok(api.webhook(api.payload(conversation_id=far, user=user, start=now - 330, duration=30)))
    assert_linked(api, lab, user, sid, far, "window")
    lab.flush_redis()
    ok(api.webhook(api.payload(conversation_id=near, user=user, start=now - 33, duration=30), node=1))
    assert_linked(api, lab, user, sid, near, "window")
    assert_fallback(lab, user, far)
    lab.flush_redis()
    assert_linked(api, lab, user, sid, near, "window")


def test_saved_with_x_window_linked_then_flushed_then_x_comes(api, lab):
    """S claims X weakly, is matched by time to Y, Redis is flushed, X's webhook comes. Naive: the
    claim was overwritten by the link (one column for both), and X finds nobody."""
    user, sid, x, y = api.user(), new_sid(), f"room_{uuid.uuid4().hex}", api.cid()
    ok(api.save(user, sid, ended_by="user", conversation_id=x))
    ok(api.webhook(api.payload(conversation_id=y, user=user)))
    assert_linked(api, lab, user, sid, y, "window")
    lab.flush_redis()
    ok(api.webhook(nameless(api, x), node=1))
    assert_linked(api, lab, user, sid, x, "conversation_id")
    assert_fallback(lab, user, y)


def test_a_redis_that_restarts_empty_decides_the_same(api, lab):
    """Naive: the connection comes back, the bucket is missing, and the save alone is decided on."""
    user, sid, cid = api.user(), new_sid(), api.cid()
    ok(api.webhook(api.payload(conversation_id=cid, user=user)))
    lab.flush_redis()
    lab.restart_redis()
    ok(eventually(lambda: _not_503(api.save(user, sid, ended_by="user")), what="the nodes to find Redis again"))
    assert_linked(api, lab, user, sid, cid, "window")
    assert session_row(lab, "fallback:" + cid) is None


def _not_503(answer):
    return None if answer.status_code == 503 else answer


def test_a_repeat_after_a_flush_changes_nothing(api, lab):
    """Naive: the repeated webhook finds no bucket, decides on itself alone and takes the session
    of a nearer conversation; or its receipt becomes now."""
    user, sid, cid = api.user(), new_sid(), api.cid()
    body = json.dumps(api.payload(conversation_id=cid, user=user, metadata=None)).encode()
    ok(api.webhook(body))
    ok(api.save(user, sid, ended_by="user"))
    assert_linked(api, lab, user, sid, cid, "window")
    before = interview_row(lab, cid)["received_at"]
    for node in (0, 1):
        lab.flush_redis()
        ok(api.webhook(body, node=node))
        assert_linked(api, lab, user, sid, cid, "window")
    assert interview_row(lab, cid)["received_at"] == before
    assert len(rows(lab, "SELECT 1 FROM evaluations WHERE interview_id = %s", model.interview_id(cid))) == 1


def test_the_earliest_receipt_counts(api, lab):
    """A conversation without times is compared by when it was first heard of, though a greater webhook
    tells it again later. Naive: the receipt goes with the content, and the link with the receipt."""
    user, early, late, cid = api.user(), new_sid(), new_sid(), api.cid()
    first = api.payload(conversation_id=cid, user=user, metadata=None)
    again = {**first, "event_timestamp": int(first["event_timestamp"]) + 60}
    ok(api.webhook(first))
    ok(api.save(user, early, ended_by="user"))
    time.sleep(0.8)
    ok(api.save(user, late, ended_by="user"))
    ok(api.webhook(again, node=1))
    assert_linked(api, lab, user, early, cid, "window")
    assert_not_linked(api, lab, user, late)
    lab.flush_redis()
    ok(api.webhook(again))
    assert_linked(api, lab, user, early, cid, "window")


# ── decisions that arrive late ──────────────────────────────────────────────


def test_a_decision_that_arrives_late(api, lab, other_pg, pool):
    """Node 0 decides "S2 has no link" and is held up in the ledger; node 1 decides "S2 is C" and
    commits; then node 0 comes through. Naive: the last writer wins and clears the link. (Revisions
    are compared under the profile's lock, so that the older snapshot is dropped.)"""
    user, sid1, sid2, cid = api.user(), new_sid(), new_sid(), api.cid()
    ok(api.save(user, sid1, agent_id="agent_other"))
    ok(api.save(user, sid2, ended_by="user"))

    with other_pg.cursor() as cursor:
        cursor.execute("SELECT 1 FROM interview_sessions WHERE client_session_id = %s FOR UPDATE", (sid1,))
    held = pool.submit(api.save, user, sid1, node=0, ended_by="user")
    # decided in Redis, waiting in the ledger for the row that we hold
    eventually(lambda: api.poll(user, sid1, node=1).json()["status"] == "ended_pending_webhook", 1.0, "node 0's decision")
    try:
        late = pool.submit(api.webhook, api.payload(conversation_id=cid, user=user), node=1)
        time.sleep(0.4)
    finally:
        other_pg.rollback()
    ok(held.result(20))
    ok(late.result(20))
    assert_linked(api, lab, user, sid2, cid, "window")
    assert_not_linked(api, lab, user, sid1)
    lab.flush_redis()
    assert_linked(api, lab, user, sid2, cid, "window")


def test_decisions_that_queue_for_one_users_lock(api, lab, other_pg, pool):
    """The profile's row is held while both nodes take facts; whatever order they get through in,
    the ledger ends with the last decision, and polls are answered meanwhile. Naive: whoever commits
    last wins, or a deadlock is answered with a 500."""
    user, bystander = api.user(), api.user()
    sids, cids = [new_sid() for _ in range(3)], [api.cid() for _ in range(3)]
    ok(api.save(user, sids[0], ended_by="user"))
    with other_pg.cursor() as cursor:
        cursor.execute("SELECT 1 FROM profiles WHERE id = %s FOR UPDATE", (user,))
        assert cursor.rowcount == 1, "the user has no profile"
    waiting = []
    try:
        for i in range(3):
            waiting.append(pool.submit(api.save, user, sids[i], node=i % 2, ended_by="user", ended_ago_ms=i * 90_000))
            waiting.append(
                pool.submit(
                    api.webhook,
                    api.payload(conversation_id=cids[i], user=user, start=time.time() - 92 - 90 * i, duration=90),
                    node=(i + 1) % 2,
                )
            )
        time.sleep(0.3)
        began = time.monotonic()
        ok(api.poll(user, sids[0], node=0))
        assert time.monotonic() - began < 1.0, "a poll waited for a lock in the ledger"
        waiting.append(pool.submit(api.save, bystander, new_sid(), node=1, ended_by="user"))
    finally:
        other_pg.rollback()
    for answer in waiting:
        ok(answer.result(20))
    # S0 ended (at its first save) before anything: it keeps the nearest, and so on
    for sid, cid in zip(sids, cids):
        assert_linked(api, lab, user, sid, cid, "window")


def test_both_nodes_at_once(api, lab, pool):
    """The end and its webhook at the same moment through two nodes, again and again. Naive: each
    reads before the other writes, and neither links."""
    users = [api.user() for _ in range(30)]
    sids, cids = [new_sid() for _ in users], [api.cid() for _ in users]
    for i, user in enumerate(users):
        barrier = threading.Barrier(2)

        def together(call, *args, gate=barrier, **more):
            gate.wait(10)
            return call(*args, **more)

        saved = pool.submit(together, api.save, user, sids[i], node=i % 2, ended_by="user")
        hooked = pool.submit(together, api.webhook, api.payload(conversation_id=cids[i], user=user), node=(i + 1) % 2)
        ok(saved.result(20))
        ok(hooked.result(20))
        assert_linked(api, lab, user, sids[i], cids[i], "window")
        assert session_row(lab, "fallback:" + cids[i]) is None


def test_a_burst_for_one_user_over_both_nodes(api, lab, pool):
    """Eight sessions and eight named webhooks of one user, all at once, each told twice."""
    user = api.user()
    sids, cids = [new_sid() for _ in range(8)], [api.cid() for _ in range(8)]
    jobs = []
    for i, (sid, cid) in enumerate(zip(sids, cids)):
        body = json.dumps(api.payload(conversation_id=cid, user=user, session=sid)).encode()
        for node in (0, 1):
            jobs.append(pool.submit(api.save, user, sid, node=node, ended_by="user"))
            jobs.append(pool.submit(api.webhook, body, node=(node + i) % 2))
    for job in jobs:
        ok(job.result(30))
    for sid, cid in zip(sids, cids):
        assert_linked(api, lab, user, sid, cid, "session_id")
    assert sessions_of(lab, user) == {s: (c, "session_id") for s, c in zip(sids, cids)}


def test_two_claims_and_the_webhook_at_once(api, lab, pool):
    """Two users claim an id while its nameless webhook comes. Whoever is first may win, but polls
    and the ledger must tell the same story, and only one user may have it."""
    for _ in range(10):
        users, sids, cid = [api.user(), api.user()], [new_sid(), new_sid()], api.cid()
        barrier = threading.Barrier(3)

        def together(call, *args, gate=barrier, **more):
            gate.wait(10)
            return call(*args, **more)

        jobs = [
            pool.submit(together, api.save, users[i], sids[i], node=i, ended_by="user", conversation_id=cid)
            for i in (0, 1)
        ]
        hooked = pool.submit(together, api.webhook, nameless(api, cid), node=0)
        saved = [job.result(20) for job in jobs]
        ok(hooked.result(20))
        accepted = [i for i in (0, 1) if saved[i].status_code == 200]
        assert accepted and all(s.status_code in (200, 409) for s in saved), [s.text for s in saved]
        stamps = {i: (session_row(lab, sids[i])["claimed_at"], sids[i]) for i in accepted}
        winner = min(stamps, key=stamps.get)
        assert_linked(api, lab, users[winner], sids[winner], cid, "conversation_id")
        for i in set(accepted) - {winner}:
            assert_not_linked(api, lab, users[i], sids[i])


# ── fallback rows ───────────────────────────────────────────────────────────


def test_a_fallback_row_is_replaced(api, lab):
    """Naive: the real session is inserted beside the fallback that holds the UNIQUE conversation
    id: a 500, or a second row for one interview."""
    user, sid, cid = api.user(), new_sid(), api.cid()
    ok(api.webhook(api.payload(conversation_id=cid, user=user)))
    assert_fallback(lab, user, cid)
    ok(api.save(user, sid, node=1, ended_by="user"))
    assert_linked(api, lab, user, sid, cid, "window")
    assert sessions_of(lab, user) == {sid: (cid, "window")}


def test_a_fallback_row_comes_back(api, lab):
    """A conversation that loses its session to a nearer one keeps a row. Naive: it vanishes from
    the user's history."""
    user, sid, far, near = api.user(), new_sid(), api.cid(), api.cid()
    now = time.time()
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(api.payload(conversation_id=far, user=user, start=now - 200, duration=100)))
    ok(api.webhook(api.payload(conversation_id=near, user=user, start=now - 100, duration=99), node=1))
    assert_linked(api, lab, user, sid, near, "window")
    assert_fallback(lab, user, far)
    ok(api.results(user, model.interview_id(far)))
    # a session that is told late takes it over
    late = new_sid()
    ok(api.save(user, late, ended_by="disconnect", ended_ago_ms=100_000))
    assert_linked(api, lab, user, late, far, "window")
    assert sessions_of(lab, user) == {sid: (near, "window"), late: (far, "window")}


def test_a_fallback_row_moves_with_its_conversation_to_another_user(api, lab):
    """Naive: the fallback row stays with the former user, for ever."""
    first, second, sid, cid = api.user(), api.user(), new_sid(), api.cid()
    old = api.payload(conversation_id=cid, user=first)
    new = api.payload(conversation_id=cid, user=second)
    new["event_timestamp"] = int(old["event_timestamp"]) + 60
    ok(api.webhook(old))
    assert_fallback(lab, first, cid)
    ok(api.webhook(new, node=1))
    assert_fallback(lab, second, cid)
    assert sessions_of(lab, first) == {}
    ok(api.save(second, sid, ended_by="user"))
    assert_linked(api, lab, second, sid, cid, "window")
    assert api.results(first, model.interview_id(cid)).status_code == 404


# ── early webhooks ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("by", ["sid", "claim"])
def test_a_nameless_conversation_waits_under_both_of_its_ids(api, lab, by, flush):
    """Naive: it waits under one of them, or only in Redis."""
    user, sid, cid = api.user(), new_sid(), api.cid()
    ok(api.webhook(nameless(api, cid, session=sid)))
    assert interview_row(lab, cid)["owner"] is None
    assert rows(lab, "SELECT 1 FROM interview_sessions WHERE conversation_id = %s", cid) == []
    if flush:
        lab.flush_redis()
    if by == "sid":
        ok(api.save(user, sid, node=1, ended_by="user"))
        assert_linked(api, lab, user, sid, cid, "session_id")
    else:
        claims = new_sid()
        ok(api.save(user, claims, node=1, ended_by="user", conversation_id=cid))
        assert_linked(api, lab, user, claims, cid, "conversation_id")


def test_claim_unowned_off(api, lab):
    """An unguessable id is still no proof where the operator says so."""
    user, sid, cid = api.user(), new_sid(), api.cid()
    with lab.node(claim_unowned="off") as strict:
        ok(api.save(user, sid, node=strict, ended_by="user", conversation_id=cid))
        ok(api.webhook(nameless(api, cid), node=strict))
        seen = ok(api.poll(user, sid, node=strict)).json()
        assert (seen["interviewId"], seen["conversationId"]) == (None, cid)
        assert interview_row(lab, cid)["owner"] is None


def test_the_very_edge_of_the_window(api, lab):
    """600 s are inside, 600 s and a bit are not; the provider's times are whole seconds, ours
    milliseconds."""
    for inside in (True, False):
        user, sid, cid = api.user(), new_sid(), api.cid()
        ok(api.save(user, sid, ended_by="user"))
        ended_ms = rows(
            lab,
            "SELECT floor(extract(epoch FROM client_ended_at) * 1000)::bigint AS ms FROM interview_sessions"
            " WHERE client_session_id = %s",
            sid,
        )[0]["ms"]
        edge_secs = (ended_ms - 600_000 + 999) // 1000 if inside else (ended_ms - 600_000 - 1) // 1000
        distance_ms = ended_ms - edge_secs * 1000
        assert (distance_ms <= 600_000) == inside and abs(distance_ms - 600_000) <= 1000
        ok(api.webhook(api.payload(conversation_id=cid, user=user, start=edge_secs - 60, duration=60)))
        if inside:
            assert_linked(api, lab, user, sid, cid, "window")
        else:
            assert_not_linked(api, lab, user, sid)


# ── a profile is deleted while facts remain ─────────────────────────────────


@pytest.mark.parametrize("flush", [False, True])
def test_a_profile_deleted_while_facts_remain(api, lab, flush):
    """Redis still holds the user's facts, the interviews still name them. Naive: each decision is
    a foreign key error, answered with 500 or tried for ever, and its neighbours in the batch with
    it."""
    user, sid, cid, later = api.user(), new_sid(), api.cid(), api.cid()
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(api.payload(conversation_id=cid, user=user)))
    assert_linked(api, lab, user, sid, cid, "window")
    with lab.pg.cursor() as cursor:
        cursor.execute("DELETE FROM profiles WHERE id = %s", (user,))
    assert session_row(lab, sid) is None, "the sessions go with the profile"
    if flush:
        lab.flush_redis()

    ok(api.webhook(api.payload(conversation_id=later, user=user, start=time.time() - 9000), node=1))
    assert interview_row(lab, later)["owner"] == user
    assert api.poll(user, sid).status_code in (200, 404)
    # the user comes back, and with them everything works as on the first day
    fresh, fresh_cid = new_sid(), api.cid()
    ok(api.save(user, fresh, node=1, ended_by="user", ended_ago_ms=4_000_000))
    ok(api.webhook(api.payload(conversation_id=fresh_cid, user=user, session=fresh)))
    assert_linked(api, lab, user, fresh, fresh_cid, "session_id")
    assert rows(lab, "SELECT 1 FROM profiles WHERE id = %s", user) == [{"?column?": 1}]
    ok(api.save(user, sid, ended_by="user"))
    assert api.poll(user, sid).status_code == 200


def test_a_deleted_profile_does_not_disturb_its_neighbours(api, lab, pool):
    """Many saves in one group commit, one of them of a user whose rows are being deleted."""
    gone = api.user()
    ok(api.save(gone, new_sid(), ended_by="user"))
    with lab.pg.cursor() as cursor:
        cursor.execute("DELETE FROM profiles WHERE id = %s", (gone,))
    jobs = [pool.submit(api.save, api.user(), new_sid(), node=0, ended_by="user") for _ in range(20)]
    jobs.insert(10, pool.submit(api.save, gone, new_sid(), node=0, ended_by="user"))
    for job in jobs:
        ok(job.result(20))
    assert rows(lab, "SELECT error FROM rejected_facts WHERE rejected_at > now() - interval '30 seconds'") == []
