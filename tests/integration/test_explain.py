"""`debrief explain`: what happened, and why."""
import json
import time

import pytest

from support import ok, run_debrief, told


def explain(lab, subject, *words, **options):
    done = run_debrief(lab, "explain", *words, subject, options={**lab.base_options(), **options})
    assert done.returncode == 0, told(done)
    return done.stdout


def document(lab, subject, **options):
    return json.loads(explain(lab, subject, "--json", **options))


def events(found):
    return [event["event"] for event in found["timeline"]]


def test_an_interview_from_its_start_to_its_evaluation(api, lab):
    user, sid, cid, now = api.user(), "explain-" + api.user(), api.cid(), time.time()
    ok(api.save(user, sid))
    ok(api.save(user, sid, ended_by="user"))
    payload = api.payload(cid, user=user, session=sid, start=now - 60, duration=50)
    payload["event_timestamp"] = int(now - 5)
    ok(api.webhook(payload))
    found = document(lab, sid)
    assert sorted(events(found)) == ["call_ended", "call_started", "evaluated", "linked", "session_ended", "session_saved",
                                     "session_started", "webhook_made", "webhook_received"]
    assert [event["at"] for event in found["timeline"]] == sorted(event["at"] for event in found["timeline"])
    by_name = {event["event"]: event for event in found["timeline"]}
    assert 4000 <= by_name["webhook_received"]["eventLagMs"] < 60000
    assert 9000 <= by_name["webhook_received"]["endLagMs"] < 60000
    assert by_name["linked"]["evidence"] == "session_id"
    assert found["link"]["evidence"] == "session_id" and found["link"]["conversationId"] == cid
    assert found["session"]["status"] == "completed" and found["conversation"]["userId"] == user
    # one story, whatever it is asked by
    for subject in (cid, found["conversation"]["interviewId"]):
        again = document(lab, subject)
        assert {**again, "id": sid} == found
    text = explain(lab, sid)
    for word in (sid, cid, user, "by session_id", "s after its event", "What happened"):
        assert word in text, text


def test_moves_are_told(api, lab):
    """The nearer session takes the conversation; the story of both says so."""
    user, cid, now = api.user(), api.cid(), time.time()
    far, near = (f"{name}-{api.user()}" for name in ("far", "near"))
    ok(api.webhook(api.payload(cid, user=user, start=now - 200, duration=100)))
    ok(api.save(user, far, ended_by="user"))
    ok(api.save(user, near, ended_by="user", ended_ago_ms=98000))
    found = document(lab, far)
    assert events(found)[-2:] == ["linked", "unlinked"]
    assert found["link"] is None
    lost = {candidate["conversationId"]: candidate for candidate in found["candidates"]}
    assert 90000 < lost[cid]["distanceMs"] < 160000
    assert near in lost[cid]["lost"] and "by window" in lost[cid]["lost"]
    story = document(lab, cid)
    assert [event["event"] for event in story["timeline"] if "linked" in event["event"]] == ["linked", "unlinked", "linked"]
    assert story["link"]["sid"] == near
    assert [candidate["sid"] for candidate in story["candidates"]] == [far]


@pytest.mark.parametrize("fields, webhook, why", [
    ({"agent_id": "agent_other"}, {}, "another agent"),
    ({"conversation_id": "conv_elsewhere"}, {}, "claims another conversation"),
    ({}, {"session": "explain-somebody-elses"}, "names another session"),
    ({"ended_ago_ms": 900000}, {}, "more than the match window"),
])
def test_why_candidates_lost(api, lab, fields, webhook, why):
    user, sid, cid = api.user(), "lost-" + api.user(), api.cid()
    ok(api.save(user, sid, ended_by="user", **fields))
    ok(api.webhook(api.payload(cid, user=user, **webhook)))
    for subject in (sid, cid):
        found = document(lab, subject)
        assert len(found["candidates"]) == 1 and why in found["candidates"][0]["lost"], found
    assert why in explain(lab, sid)


def test_a_conversation_without_a_session(api, lab):
    user, cid = api.user(), api.cid()
    ok(api.webhook(api.payload(cid, user=user)))
    found = document(lab, cid)
    assert found["session"]["sid"] == f"fallback:{cid}" and found["link"] is None
    assert "fallback" in next(event["text"] for event in found["timeline"] if event["event"] == "linked")
    nobodys = api.cid()
    ok(api.webhook(api.payload(nobodys)))
    assert document(lab, nobodys)["session"] is None


def test_a_webhook_that_never_came(api, lab):
    user, sid = api.user(), "never-" + api.user()
    ok(api.save(user, sid, ended_by="disconnect", ended_ago_ms=120000))
    assert "webhook_deadline" not in events(document(lab, sid))
    assert "webhook_deadline" in events(document(lab, sid, webhook_deadline_secs=100))


def test_free_text_cannot_drive_the_terminal(api, lab):
    cid = api.cid()
    payload = {"type": "call_initiation_failure", "event_timestamp": int(time.time()), "data": {
        "agent_id": "a", "conversation_id": cid, "failure_reason": "busy\u001b[31m\u009b31m\nred"}}
    ok(api.webhook(payload))
    text = explain(lab, cid)
    assert "\x1b" not in text and "\x9b" not in text and "busy?[31m" in text


def test_an_id_that_nobody_knows(lab, api):
    done = run_debrief(lab, "explain", "nobody-knows", options=lab.base_options())
    assert done.returncode == 1 and "no session" in done.stderr and not done.stdout
    assert run_debrief(lab, "explain", options=lab.base_options()).returncode == 2
    done = run_debrief(lab, "explain", "x")
    assert done.returncode == 1 and "database_url" in done.stderr
