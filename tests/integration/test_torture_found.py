"""What tests/torture has found, one by one and without chance."""

import time

import model
from simulator import Conversation, webhook
from support import eventually, interview_row, ok


def journal_length(lab):
    return sum(lab.redis.xlen(f"debrief:{{p{number}}}:journal") for number in range(64))


def test_the_earliest_receipt_is_kept(api, lab):
    """A webhook that went into the journal, and once more straight into the ledger before the sweep."""
    cid = api.cid()
    body = webhook(Conversation(id=cid, agent_id="agent_test", duration=60), shape="minimal")
    lab.postgres_server.stop()
    ok(api.webhook(body))
    heard_by = time.time()
    lab.postgres_server.start()
    lab.connect_pg()
    eventually(lambda: '"ledger":"up"' in api.request("GET", "/readyz").text, what="the node to see the ledger")
    ok(api.webhook(body))
    assert interview_row(lab, cid), "the sweep can't have come first: an entry must be some seconds old"
    eventually(lambda: journal_length(lab) == 0, what="the journal to be swept")
    eventually(lambda: interview_row(lab, cid)["received_at"].timestamp() <= heard_by, what="its first receipt to be kept")


def test_without_redis_the_ledger_alone_is_no_404(api, lab):
    """A save that only the journal has, while Redis is away and the ledger is back."""
    user, sid, cid = api.user(), "s-" + api.cid(), api.cid()
    lab.postgres_server.stop()
    ok(api.save(user, sid))
    ok(api.webhook(api.payload(cid, user=user, session=sid)))
    lab.redis_server.stop()
    lab.postgres_server.start()
    lab.connect_pg()
    eventually(lambda: '"ledger":"up"' in api.request("GET", "/readyz").text, what="the node to see the ledger")
    answer = api.poll(user, sid)
    assert answer.status_code == 503, f"{answer.status_code}: {answer.text}"
    assert api.results(user, model.interview_id(cid)).status_code == 503
    lab.redis_server.start()
    eventually(lambda: api.poll(user, sid).status_code == 200, what="the session to be known again")
    assert api.results(user, model.interview_id(cid)).status_code == 200
