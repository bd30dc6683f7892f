"""The main way, end to end, as a person would try it first."""
import pytest

pytestmark = pytest.mark.smoke


def poll(api, user, sid):
    response = api.poll(user, sid)
    assert response.status_code == 200, response.text
    return response.json()


def test_an_interview_is_joined_with_its_webhook(api):
    user, sid = api.user(), "smoke-" + api.cid()
    assert api.save(user, sid).json() == {"success": True}
    assert poll(api, user, sid)["status"] == "started"
    assert api.save(user, sid, ended_by="user").json() == {"success": True}
    assert poll(api, user, sid) == {"interviewId": None, "conversationId": None, "status": "ended_pending_webhook",
                                    "evaluationStatus": None, "reason": None}

    payload = api.payload(user=user, session=sid)
    assert api.webhook(payload).status_code == 200

    for node in (0, 1):
        answer = api.poll(user, sid, node=node).json()
        assert answer["status"] == "completed"
        assert answer["evaluationStatus"] == "complete"
        assert answer["conversationId"] == payload["data"]["conversation_id"]
    results = api.results(user, answer["interviewId"])
    assert results.status_code == 200
    messages = [turn["message"] for turn in results.json()["interview"]["transcript"]]
    assert messages == [turn["message"] for turn in payload["data"]["transcript"]]
    assert results.json()["evaluation"]["status"] == "complete"


def test_an_early_webhook_waits_for_its_session(api):
    user, sid = api.user(), "smoke-" + api.cid()
    assert api.webhook(api.payload(user=user, session=sid)).status_code == 200
    assert api.save(user, sid, ended_by="disconnect").status_code == 200
    assert poll(api, user, sid)["status"] == "completed"


def test_strangers_and_bad_signatures_are_turned_away(api):
    user, sid = api.user(), "smoke-" + api.cid()
    assert api.save(user, sid, ended_by="user").status_code == 200
    assert api.poll(api.user(), sid).status_code == 404
    assert api.request("GET", f"/api/interviews/by-session/{sid}").status_code == 401
    assert api.webhook(api.payload(user=user, session=sid), secret="wsec_" + "0" * 64).status_code == 401
    assert poll(api, user, sid)["status"] == "ended_pending_webhook"
