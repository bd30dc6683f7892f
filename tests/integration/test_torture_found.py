"""What tests/torture has found, one by one and without chance."""

from support import eventually, ok


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
