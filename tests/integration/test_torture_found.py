"""What tests/torture has found, one by one and without chance."""

import model
from simulator import Conversation, webhook
from support import eventually, interview_row, journal_length, ok, rows, session_row


def test_without_redis_the_ledger_alone_is_no_404(api, lab):
    """A save that only the journal has, while Redis is away and the ledger is back."""
    user, sid = api.user(), "s-" + api.cid()
    lab.pg.close()
    lab.postgres_server.stop()
    ok(api.save(user, sid))
    lab.redis_server.stop()
    lab.postgres_server.start()
    eventually(lambda: lab.nodes[0].sees("ledger"), what="the node to see the ledger")
    answer = api.poll(user, sid)
    assert answer.status_code == 503, f"{answer.status_code}: {answer.text}"
    lab.redis_server.start()
    eventually(lambda: api.poll(user, sid).status_code == 200, what="the session to be known again")


def test_a_replaced_claim_lets_its_conversation_go(api, lab):
    """Naive: only the session index remembers what a session formerly claimed, and Redis is emptied."""
    user, sid, cid = api.user(), "s-" + api.cid(), api.cid()
    ok(api.webhook(api.payload(cid)))
    ok(api.save(user, sid, ended_by="user", conversation_id=cid))
    assert interview_row(lab, cid)["owner"] == user
    # that claim was heard a moment after the next one, which another node took, and could tell only the ledger
    rows(lab, "UPDATE interview_sessions SET claimed_at = claimed_at + interval '1 minute' WHERE client_session_id = %s"
         " RETURNING 1", sid)
    lab.redis_server.stop()
    ok(api.save(user, sid, conversation_id="room_1"))
    assert session_row(lab, sid)["claimed_conversation_id"] == "room_1"
    lab.redis_server.start()
    lab.flush_redis()
    lab.wait_ready()
    eventually(lambda: not session_row(lab, sid)["undecided"], what="the sweeper to decide the session")
    eventually(lambda: interview_row(lab, cid)["owner"] is None, what="the conversation to be nobody's")
    assert api.poll(user, sid).json()["status"] != "completed"


def test_results_that_a_poll_has_named_are_no_404_while_the_ledger_is_still_to_decide(api, lab):
    """The conversation is in the ledger, undecided, from when Redis was away; who owns it only Redis has found
    out, from the journal. Naive: the ledger has it, as nobody's, and the index is of another replication id."""
    user, sid, cid = api.user(), "s-" + api.cid(), api.cid()
    body = webhook(Conversation(id=cid, agent_id="agent_test", duration=60, dynamic_variables={"client_session_id": sid}))
    lab.redis_server.stop()
    ok(api.webhook(body))
    lab.pg.close()
    lab.postgres_server.stop()
    lab.redis_server.start()
    for node in lab.nodes:
        eventually(lambda node=node: node.sees("redis") and not node.sees("ledger"), 20, "the nodes to see who is there")
    ok(api.webhook(body))
    ok(api.save(user, sid))
    assert api.poll(user, sid).json()["interviewId"] == model.interview_id(cid)
    lab.postgres_server.start()
    lab.connect_pg()
    said = set()

    def shown():
        for node in (0, 1):
            said.add(api.results(user, model.interview_id(cid), node=node).status_code)
        return journal_length(lab) == 0
    eventually(shown, 20, "the journal to be swept")
    assert said <= {200, 503}, said
    assert api.results(user, model.interview_id(cid)).status_code == 200


def test_a_claim_that_loses_to_an_earlier_one_is_taken_back(api, lab):
    """The ledger heard the first claim while Redis was away, Redis the second while the ledger was: then a conversation that
    only the second could own."""
    user, sid, cid = api.user(), "twice-" + api.cid(), api.cid()
    lab.redis_server.stop()
    try:
        for node in lab.nodes:
            eventually(lambda: not node.sees("redis"), 20, "the nodes to see that Redis is away")
        ok(api.save(user, sid, conversation_id="room_1"))
        lab.pg.close()
        lab.postgres_server.kill()
        for node in lab.nodes:
            eventually(lambda: not node.sees("ledger"), 20, "the nodes to see that Postgres is away")
        lab.redis_server.start()
        for node in lab.nodes:
            eventually(lambda: node.sees("redis"), 20, "the nodes to see that Redis is back")
        ok(api.save(user, sid, ended_by="user", conversation_id=cid))
        ok(api.webhook(api.payload(cid)))
    finally:
        lab.mend()
    query = "SELECT user_id FROM interviews WHERE conversation_id = %s AND NOT undecided"
    eventually(lambda: rows(lab, query, cid), 30, "the journal to be swept")
    eventually(lambda: session_row(lab, sid)["claimed_conversation_id"] == "room_1" and not session_row(lab, sid)["undecided"], 30,
               "the session to be swept")
    eventually(lambda: rows(lab, query, cid)[0]["user_id"] is None, 15, "the conversation to be nobody's again")
