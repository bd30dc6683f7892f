"""/metrics: what it counts, and that Prometheus finds nothing to complain about."""
import re
import shutil
import socket
import subprocess
import time

import pytest

from support import eventually, ok

POLL = "/api/interviews/by-session/:sessionId"
LINE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")


def page(api, node):
    answer = ok(api.session.get(node.admin_url + "/metrics", timeout=30))
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return answer.text


def read(api, node):
    """{'name{labels}': value}, labels as they stand."""
    found = {}
    for line in page(api, node).splitlines():
        if line.startswith("#"):
            continue
        match = LINE.match(line)
        assert match, f"no line of the format: {line!r}"
        name = match.group(1) + (f"{{{match.group(2)}}}" if match.group(2) else "")
        assert name not in found, f"{name} stands there twice"
        found[name] = float(match.group(3))
    return found


def grown(api, node, action):
    """What an action adds to each series, without those that it leaves alone."""
    before = read(api, node)
    action()
    after = read(api, node)
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}


def test_promtool_finds_nothing(api, lab):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    user, sid = api.user(), "s-" + api.user()
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(api.payload(user=user, session=sid)))
    done = subprocess.run(["promtool", "check", "metrics"], input=page(api, lab.nodes[0]), capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr and not done.stdout, done.stdout + done.stderr


def test_requests_are_counted_by_route_method_and_code(api, lab):
    node, user = lab.nodes[0], api.user()

    def ask():
        assert api.poll(user, "nobody-knows-it").status_code == 404
        assert api.request("HEAD", "/livez").status_code == 200
        assert api.request("GET", "/nowhere").status_code == 404
        assert api.request("DELETE", "/api/save-interview").status_code == 405

    found = grown(api, node, ask)
    for labels in (f'route="{POLL}",method="GET",code="404"', 'route="/livez",method="HEAD",code="200"',
                   'route="other",method="GET",code="404"', 'route="other",method="DELETE",code="405"'):
        assert found[f"debrief_http_requests_total{{{labels}}}"] == 1, labels
    seconds = "debrief_http_request_duration_seconds"
    assert found[f'{seconds}_count{{route="{POLL}"}}'] == 1
    assert found[f'{seconds}_bucket{{route="{POLL}",le="+Inf"}}'] == 1
    assert 0 < found[f'{seconds}_sum{{route="{POLL}"}}'] < 30


def test_no_ids_in_labels(api, lab):
    user, sid, cid = api.user(), "label-" + api.user(), api.cid()
    ok(api.save(user, sid, ended_by="user"))
    ok(api.poll(user, sid))
    ok(api.webhook(api.payload(cid, user=user, session=sid)))
    text = page(api, lab.nodes[0])
    for each in (user, sid, cid):
        assert each not in text


def test_webhooks_are_counted_by_type_and_result(api, lab):
    node = lab.nodes[0]
    payload = api.payload(user=api.user())

    def send():
        ok(api.webhook(payload))
        ok(api.webhook(payload))
        ok(api.webhook({"type": "post_call_audio", "event_timestamp": 1, "data": {}}))
        ok(api.webhook({"type": "tomorrow's", "event_timestamp": 1, "data": {}}))
        assert api.webhook({"type": "post_call_transcription", "data": {"agent_id": "a"}}).status_code == 400
        assert api.webhook(b"{").status_code == 400
        assert api.webhook(payload, secret="wsec_wrong").status_code == 401

    found = {name: value for name, value in grown(api, node, send).items() if "webhooks_total" in name}
    assert found == {
        'debrief_webhooks_total{type="post_call_transcription",result="accepted"}': 1,
        'debrief_webhooks_total{type="post_call_transcription",result="duplicate"}': 1,
        'debrief_webhooks_total{type="post_call_transcription",result="malformed"}': 1,
        'debrief_webhooks_total{type="post_call_audio",result="ignored"}': 1,
        'debrief_webhooks_total{type="other",result="ignored"}': 1,
        'debrief_webhooks_total{type="unread",result="malformed"}': 1,
        'debrief_webhooks_total{type="unread",result="bad_signature"}': 1,
    }


def test_links_are_counted_by_evidence(api, lab):
    """Each link once, however often it is decided again; and a better one that takes its place."""
    node, user, cid = lab.nodes[0], api.user(), api.cid()
    sids = [f"evidence-{api.user()}" for _ in range(2)]
    payload = api.payload(cid, user=user)

    def links(action):
        return {name: value for name, value in grown(api, node, action).items() if "links" in name}

    assert links(lambda: ok(api.webhook(payload))) == {'debrief_links_total{evidence="fallback"}': 1}
    by_window = links(lambda: ok(api.save(user, sids[0], ended_by="user")))
    assert by_window == {'debrief_links_total{evidence="window"}': 1}
    assert not links(lambda: (ok(api.save(user, sids[0], ended_by="user")), ok(api.webhook(payload))))
    by_claim = links(lambda: ok(api.save(user, sids[1], ended_by="user", conversation_id=cid)))
    assert by_claim == {'debrief_links_total{evidence="conversation_id"}': 1, "debrief_links_moved_total": 1}
    named = api.payload(user=user, session="named-" + sids[0])
    ok(api.save(user, "named-" + sids[0]))
    assert links(lambda: ok(api.webhook(named))) == {'debrief_links_total{evidence="session_id"}': 1}


def test_lags(api, lab):
    """An event told 100 s late, of a call that had ended 40 s before it; repeated, only the receipt counts."""
    node, now = lab.nodes[0], time.time()
    payload = api.payload(user=api.user(), start=now - 200, duration=60)
    payload["event_timestamp"] = int(now - 100)

    found = grown(api, node, lambda: (ok(api.webhook(payload)), ok(api.webhook(payload))))
    assert found["debrief_webhook_lag_seconds_count"] == 2
    assert 200 <= found["debrief_webhook_lag_seconds_sum"] < 280
    assert found["debrief_result_lag_seconds_count"] == 1
    assert 140 <= found["debrief_result_lag_seconds_sum"] < 180
    assert 'debrief_webhook_lag_seconds_bucket{le="60"}' not in found


def test_the_lag_of_what_is_decided_later_counts(api, lab):
    """A webhook that came while its node had no Redis: its result is read when a sweeper has decided it."""
    user, sid = api.user(), "late-" + api.user()
    payload = api.payload(user=user, session=sid, start=time.time() - 200, duration=60)
    ok(api.save(user, sid, ended_by="user"))

    def lags():
        found = [read(api, node) for node in lab.nodes]
        return [sum(page[f"debrief_result_lag_seconds_{part}"] for page in found) for part in ("count", "sum")]
    before = lags()
    cut_off = lab.new_node(redis_url="redis://127.0.0.1:9/0")
    cut_off.start(ready=False)
    try:
        eventually(lambda: cut_off.sees("ledger"), what="its ledger to be up")
        alone = grown(api, cut_off, lambda: ok(api.webhook(payload, node=cut_off)))
        assert "debrief_result_lag_seconds_count" not in alone, "nobody can read it yet"
        eventually(lambda: ok(api.poll(user, sid)).json()["status"] == "completed", 15, "a sweeper to decide it")
        eventually(lambda: lags()[0] == before[0] + 1, 15, "its lag to be counted")
    finally:
        cut_off.stop()
    assert 140 <= lags()[1] - before[1] < 200


def test_batches_and_commits(api, lab):
    found = grown(api, lab.nodes[0], lambda: ok(api.save(api.user(), "batch-" + api.user())))
    assert found['debrief_ledger_batch_seconds_count{kind="write"}'] >= 1
    assert found['debrief_ledger_batch_seconds_sum{kind="write"}'] > 0
    assert found['debrief_ledger_batch_calls_sum{kind="write"}'] >= 1


def test_tokens_remembered(api, lab):
    node, token = lab.nodes[0], api.token()

    def ask():
        for _ in range(20):
            api.request("GET", "/api/interviews/by-session/x", headers={"Authorization": f"Bearer {token}"})

    found = grown(api, node, ask)
    hit, miss = (found.get(f'debrief_cache_reads_total{{cache="tokens",result="{r}"}}', 0) for r in ("hit", "miss"))
    assert hit + miss == 20 and 1 <= miss <= 2, "one verification a worker"


def test_what_waits_is_surveyed(api, lab):
    """A node of its own with a deadline of 100 s: who waits, who has waited in vain, who has no session."""
    lab_user, sids = api.user(), [f"survey-{api.user()}" for _ in range(3)]
    for sid, secs in zip(sids, (50, 90, 130)):
        ok(api.save(lab_user, sid, ended_by="user", ended_ago_ms=secs * 1000))
    ok(api.webhook(api.payload(start=time.time() - 86000)))
    ok(api.webhook(api.payload(user=api.user(), start=time.time() - 86000)))
    with lab.pg.cursor() as cursor:
        cursor.execute("SELECT count(*) FILTER (WHERE client_ended_at > now() - interval '100 s'), count(*) FILTER"
                       " (WHERE client_ended_at <= now() - interval '100 s' AND client_ended_at > now() - interval '3700 s')"
                       " FROM interview_sessions WHERE status = 'ended_pending_webhook'")
        pending, missing = cursor.fetchone()
        cursor.execute("SELECT (SELECT count(*) FROM interview_sessions WHERE client_session_id LIKE 'fallback:%'"
                       " AND created_at > now() - interval '1 day') + (SELECT count(*) FROM interviews"
                       " WHERE user_id IS NULL AND received_at > now() - interval '1 day')")
        unmatched, = cursor.fetchone()
    assert pending >= 2 and missing >= 1 and unmatched >= 2
    with lab.node(webhook_deadline_secs=100) as node:
        found = eventually(lambda: (lambda m: m["debrief_survey_timestamp_seconds"] > 0 and m)(read(api, node)), timeout=60)
    # others' sessions may have passed the deadline meanwhile
    assert found["debrief_pending_sessions"] + found["debrief_missing_sessions"] == pending + missing
    assert found["debrief_missing_sessions"] >= missing
    assert found["debrief_unmatched_conversations"] == unmatched
    assert 0 < found["debrief_pending_sessions_oldest_age_seconds"] <= 101
    assert found["debrief_unmatched_conversations_oldest_age_seconds"] > 0
    assert abs(found["debrief_survey_timestamp_seconds"] - time.time()) < 60


def test_what_the_journal_holds(api, lab):
    lab.pg.close()
    lab.postgres_server.kill()
    node, began = lab.nodes[0], time.time()
    eventually(lambda: not node.sees("ledger"), timeout=60)
    ok(api.save(api.user(), f"journaled-{api.user()}"))
    found = eventually(lambda: (lambda m: m["debrief_journal_oldest_age_seconds"] > 0 and m)(read(api, node)), timeout=60)
    assert found["debrief_journal_entries"] >= 1 and found["debrief_journal_bytes"] > 0
    assert found["debrief_journal_oldest_age_seconds"] <= time.time() - began + 1
    lab.mend()
    eventually(lambda: (lambda m: m["debrief_journal_entries"] == 0 == m["debrief_journal_oldest_age_seconds"])(
        read(api, node)), timeout=60)


def test_connections_are_counted(api, lab):
    with lab.node() as node:
        idle = [socket.create_connection(("127.0.0.1", node.port), timeout=30) for _ in range(7)]
        eventually(lambda: read(api, node)["debrief_http_connections"] == 7, timeout=60)
        for each in idle:
            each.close()
        eventually(lambda: read(api, node)["debrief_http_connections"] == 0, timeout=60)


def test_stores_up(api, lab):
    def up(node):
        found = read(api, node)
        return found['debrief_store_up{store="redis"}'], found['debrief_store_up{store="ledger"}']

    assert up(lab.nodes[0]) == (1, 1)
    node = lab.new_node(redis_url="redis://127.0.0.1:9/0")
    node.start(ready=False)
    try:
        eventually(lambda: up(node) == (0, 1), timeout=60)
    finally:
        node.stop()


def test_build_and_process(api, lab):
    found = read(api, lab.nodes[0])
    version = next(name for name in found if name.startswith("debrief_build_info"))
    assert re.fullmatch(r'debrief_build_info\{version="\d+\.\d+\.\d+"\}', version) and found[version] == 1
    assert abs(found["process_start_time_seconds"] - time.time()) < 86400
    assert found["process_resident_memory_bytes"] > 1e6
    assert found["process_max_fds"] >= 1024
    assert found["debrief_draining"] == 0
