"""Retry-After: from how long webhooks of the agent lately took."""

import time
import uuid

from support import eventually, ok


def sid_of():
    return f"retry-{uuid.uuid4()}"


def retry_after(api, agent=None, ended=True, node=0):
    user, sid = api.user(), sid_of()
    fields = {"agent_id": agent} if agent else {}
    ok(api.save(user, sid, node, **fields, **({"ended_by": "user"} if ended else {})))
    return int(ok(api.poll(user, sid, node)).headers["Retry-After"])


def webhooks(api, agent, lag_secs, count=8):
    """Webhooks of calls that ended that long ago."""
    for _ in range(count):
        ok(api.webhook(api.payload(user=api.user(), agent=agent, start=time.time() - 60 - lag_secs, duration=60)))


def test_nothing_known_is_a_second(api, lab):
    assert retry_after(api, f"agent_{uuid.uuid4().hex}") == 1


def test_polls_thin_out_when_nothing_can_have_come(api, lab):
    slow, quick = f"agent_{uuid.uuid4().hex}", f"agent_{uuid.uuid4().hex}"
    webhooks(api, slow, 90)
    webhooks(api, quick, 1)
    for node in (0, 1):
        eventually(lambda: retry_after(api, slow, node=node) == 5, 30, "the slow agent's")
        assert retry_after(api, slow, ended=False, node=node) == 5
        assert retry_after(api, quick, node=node) <= 2
    # soon before they usually come
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid, agent_id=slow, ended_by="user", ended_ago_ms=88_000))
    assert int(ok(api.poll(user, sid)).headers["Retry-After"]) <= 3
    # when they may
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid, agent_id=slow, ended_by="user", ended_ago_ms=120_000))
    assert int(ok(api.poll(user, sid)).headers["Retry-After"]) == 1


def test_what_is_kept_is_bounded(api, lab):
    agent = f"agent_{uuid.uuid4().hex}"
    webhooks(api, agent, 2, count=20)
    key = next(iter(lab.redis.scan_iter(f"debrief:*:lag:{agent}", count=10000)))
    eventually(lambda: lab.redis.llen(key) == 16, what="the latest 16")
    assert 0 < lab.redis.pttl(key) <= 7 * 86400 * 1000


def test_final_ones_have_none_and_late_webhooks_do_not_count(api, lab):
    agent, user, sid = f"agent_{uuid.uuid4().hex}", api.user(), sid_of()
    ok(api.save(user, sid, agent_id=agent, ended_by="user"))
    ok(api.webhook(api.payload(user=user, session=sid, agent=agent)))
    assert "Retry-After" not in ok(api.poll(user, sid)).headers
    webhooks(api, agent, 5 * 3600)
    key = next(iter(lab.redis.scan_iter(f"debrief:*:lag:{agent}", count=10000)))
    time.sleep(0.2)
    assert lab.redis.llen(key) == 1
