"""Evaluations: made from the provider's analysis, or brought by an evaluator outside."""

import json
import select
import time
import uuid

import psycopg2
import pytest

import model
from support import assert_problem, eventually, ok, rows


def new_sid():
    return f"s-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def external(lab):
    """A node that leaves evaluations to somebody else."""
    with lab.node(evaluator="external") as node:
        yield node


class Service:
    """An evaluator."""

    def __init__(self, api, lab, node=0):
        self.api, self.node = api, node
        self.headers = {"Authorization": f"Bearer {lab.service_token}"}

    def put(self, interview, body, **more):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        path = f"/api/interviews/{interview}/evaluation"
        return self.api.request("PUT", path, more.pop("node", self.node), headers=self.headers, data=data, **more)

    def pending(self, **query):
        return self.api.request(
            "GET", "/api/evaluations", self.node, headers=self.headers, params={"status": "pending", **query}
        )

    def every_pending(self, limit=50):
        """All pages, as one list."""
        found, cursor = [], None
        while True:
            page = ok(self.pending(limit=limit, **({"after": cursor} if cursor else {}))).json()
            assert len(page["evaluations"]) <= limit
            found += page["evaluations"]
            cursor = page["next"]
            if cursor is None:
                return found
            assert len(page["evaluations"]) == limit, "a page that isn't the last is full"
            assert len(found) < 10_000, "the pages have no end"


@pytest.fixture
def service(api, lab, external):
    return Service(api, lab, external)


def interview_of(api, node, user=None, sid=None, **more):
    """A joined interview: (user, sid, interview id)."""
    user, sid = user or api.user(), sid or new_sid()
    payload = api.payload(user=user, session=sid, **more)
    ok(api.save(user, sid, node=node, ended_by="user"))
    ok(api.webhook(payload, node=node))
    return user, sid, model.interview_id(payload["data"]["conversation_id"])


def evaluation(api, user, interview, node=0):
    return ok(api.results(user, interview, node=node)).json()["evaluation"]


# ── the provider's own analysis ─────────────────────────────────────────────


def test_the_provider_evaluates(api):
    user, sid, interview = interview_of(api, 0)
    view = ok(api.poll(user, sid)).json()
    assert (view["status"], view["evaluationStatus"], view["reason"]) == ("completed", "complete", None)
    found = evaluation(api, user, interview)
    assert found["status"] == "complete" and found["completedAt"] and isinstance(found["result"], dict)


@pytest.mark.parametrize("analysis", [None, "x", [], 7])
def test_without_an_analysis_it_has_failed(api, analysis):
    user, sid, interview = interview_of(api, 0, **({"analysis": False} if analysis is None else {}))
    if analysis is not None:
        payload = api.payload(user=user, session=(sid := new_sid()))
        payload["data"]["analysis"] = analysis
        ok(api.save(user, sid))
        ok(api.webhook(payload))
        interview = model.interview_id(payload["data"]["conversation_id"])
    view = ok(api.poll(user, sid)).json()
    assert (view["status"], view["evaluationStatus"], view["reason"]) == ("completed", "failed", "no_analysis")
    found = evaluation(api, user, interview)
    assert (found["status"], found["result"], found["reason"]) == ("failed", None, "no_analysis")


def test_an_analysis_that_comes_later_counts(api):
    """The first webhook had none; the provider sends another one with a later stamp."""
    user, sid, interview = interview_of(api, 0, analysis=False)
    assert evaluation(api, user, interview)["status"] == "failed"
    cid = ok(api.poll(user, sid)).json()["conversationId"]
    payload = api.payload(conversation_id=cid, user=user, session=sid)
    payload["event_timestamp"] = int(payload["event_timestamp"]) + 60
    ok(api.webhook(payload, node=1))
    assert evaluation(api, user, interview)["status"] == "complete"
    for node in (0, 1):
        assert ok(api.poll(user, sid, node=node)).json()["evaluationStatus"] == "complete"


def test_an_empty_analysis_is_an_analysis(api):
    user, sid = api.user(), new_sid()
    payload = api.payload(user=user, session=sid)
    payload["data"]["analysis"] = {}
    ok(api.save(user, sid))
    ok(api.webhook(payload))
    assert ok(api.poll(user, sid)).json()["evaluationStatus"] == "complete"


# ── an evaluator outside ────────────────────────────────────────────────────


def test_the_way_of_an_external_evaluation(api, service, external):
    user, sid, interview = interview_of(api, external)
    waiting = ok(api.poll(user, sid, node=external))
    assert waiting.json()["status"] == "completed"
    assert waiting.json()["evaluationStatus"] == "pending"
    assert "Retry-After" in waiting.headers, "pending is not final"
    pending = {row["interviewId"]: row for row in service.every_pending()}
    assert pending[interview]["conversationId"] == waiting.json()["conversationId"]
    assert pending[interview]["agentId"] == "agent_test"
    assert pending[interview]["requestedAt"].endswith("Z")
    before = evaluation(api, user, interview, external)
    assert (before["status"], before["result"], before["completedAt"]) == ("pending", None, None)

    result = {"score": 4.5, "text": "Wörk ✓", "nested": {"a": [1, None, True]}}
    answer = ok(service.put(interview, {"status": "complete", "result": result}))
    assert answer.json() == {"success": True}
    for node in (0, 1, external):
        after = ok(api.poll(user, sid, node=node, etag=waiting.headers["ETag"]))
        assert after.json()["evaluationStatus"] == "complete"
        assert "Retry-After" not in after.headers
        found = evaluation(api, user, interview, node)
        assert (found["status"], found["result"], found["reason"]) == ("complete", result, None)
        assert found["completedAt"].endswith("Z")
    assert interview not in {row["interviewId"] for row in service.every_pending()}


def test_an_evaluation_that_failed(api, service, external):
    user, sid, interview = interview_of(api, external)
    ok(service.put(interview, {"status": "failed", "reason": "model_unavailable"}))
    view = ok(api.poll(user, sid, node=1)).json()
    assert (view["evaluationStatus"], view["reason"]) == ("failed", "model_unavailable")
    assert view["status"] == "completed"
    found = evaluation(api, user, interview)
    assert (found["status"], found["result"], found["reason"]) == ("failed", None, "model_unavailable")


def test_puts_are_idempotent(api, service, external, announcements):
    user, sid, interview = interview_of(api, external)
    body = {"status": "complete", "result": {"score": 1}}
    ok(service.put(interview, body))
    first, tag = evaluation(api, user, interview), ok(api.poll(user, sid)).headers["ETag"]
    results_tag = ok(api.results(user, interview)).headers["ETag"]
    eventually(lambda: any(interview in text and "complete" in text for text in announcements()), 5, "news of the first")
    announcements().clear()
    for node in (0, 1, external):
        assert ok(service.put(interview, body, node=node)).json() == {"success": True}
    again = evaluation(api, user, interview)
    assert again == first, "even the time at which it was completed"
    assert ok(api.poll(user, sid)).headers["ETag"] == tag
    assert ok(api.results(user, interview)).headers["ETag"] == results_tag
    assert not any(interview in text for text in announcements())
    # what says something else is news
    ok(service.put(interview, {"status": "complete", "result": {"score": 2}}))
    assert evaluation(api, user, interview)["result"] == {"score": 2}


def test_a_completed_evaluation_is_not_downgraded(api, lab, service, external):
    user, sid, interview = interview_of(api, external)
    ok(service.put(interview, {"status": "complete", "result": {"score": 1}}))
    ok(service.put(interview, {"status": "failed", "reason": "late"}))
    for _ in range(2):
        assert evaluation(api, user, interview)["result"] == {"score": 1}
        for node in (0, 1):
            view = ok(api.poll(user, sid, node=node)).json()
            assert (view["evaluationStatus"], view["reason"]) == ("complete", None)
        lab.flush_redis()


def test_a_failed_evaluation_can_still_be_completed(api, service, external):
    user, sid, interview = interview_of(api, external)
    ok(service.put(interview, {"status": "failed", "reason": "try again"}))
    ok(service.put(interview, {"status": "complete", "result": {"score": 2}}))
    found = evaluation(api, user, interview)
    assert (found["status"], found["result"], found["reason"]) == ("complete", {"score": 2}, None)
    assert ok(api.poll(user, sid)).json()["reason"] is None


def test_a_repeated_webhook_does_not_touch_it(api, lab, service, external):
    user, sid = api.user(), new_sid()
    payload = api.payload(user=user, session=sid)
    body = json.dumps(payload).encode()
    interview = model.interview_id(payload["data"]["conversation_id"])
    ok(api.save(user, sid, node=external, ended_by="user"))
    ok(api.webhook(body, node=external))
    ok(service.put(interview, {"status": "complete", "result": {"score": 3}}))
    for flush in (False, True):
        if flush:
            lab.flush_redis()
        ok(api.webhook(body, node=external))
        assert evaluation(api, user, interview)["result"] == {"score": 3}
        assert ok(api.poll(user, sid)).json()["evaluationStatus"] == "complete"


def test_an_interview_without_a_user_is_evaluated_too(api, service, external):
    payload = api.payload()
    interview = model.interview_id(payload["data"]["conversation_id"])
    ok(api.webhook(payload, node=external))
    assert interview in {row["interviewId"] for row in service.every_pending()}
    ok(service.put(interview, {"status": "complete", "result": {"score": 5}}))
    # the user who turns up later sees it
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid, ended_by="user", conversation_id=payload["data"]["conversation_id"]))
    assert ok(api.poll(user, sid)).json()["evaluationStatus"] == "complete"


def test_a_large_result(api, service, external):
    """Service bodies may be larger than users'."""
    user, _, interview = interview_of(api, external)
    result = {"text": "x" * 50_000}
    ok(service.put(interview, {"status": "complete", "result": result}))
    assert evaluation(api, user, interview)["result"] == result


def test_numbers_of_a_result_keep_their_digits(api, service, external):
    user, _, interview = interview_of(api, external)
    digits = b'{"id":12345678901234567890123,"share":0.12345678901234567891}'
    ok(service.put(interview, b'{"status":"complete","result":' + digits + b"}"))
    text = ok(api.results(user, interview)).text
    assert "12345678901234567890123" in text and "0.12345678901234567891" in text, text


def test_a_hostile_result(api, service, external):
    user, sid, interview = interview_of(api, external)
    answer = service.put(interview, b'{"status":"complete","result":{"a":"\\u0000","b":1e999999,"c":"\\ud800"}}')
    assert answer.status_code in (200, 400), answer.text
    ok(api.results(user, interview)).json()


def test_unknown_interviews_and_bad_ids(service):
    body = {"status": "complete", "result": {}}
    assert_problem(service.put(uuid.uuid4(), body), 404)
    for bad in ("x", "1", "0" * 36):
        assert_problem(service.put(bad, body), 400, "id")


@pytest.mark.parametrize(
    "body,field",
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        ({}, "status"),
        ({"status": None, "result": {}}, "status"),
        ({"status": "pending"}, "status"),
        ({"status": "Complete", "result": {}}, "status"),
        ({"status": 1, "result": {}}, "status"),
        ({"result": {}}, "status"),
        ({"status": "complete"}, "result"),
        ({"status": "complete", "result": None}, "result"),
        ({"status": "complete", "result": "x"}, "result"),
        ({"status": "complete", "result": []}, "result"),
        ({"status": "failed"}, "reason"),
        ({"status": "failed", "reason": None}, "reason"),
        ({"status": "failed", "reason": 7}, "reason"),
        ({"status": "failed", "reason": ""}, "reason"),
    ],
    ids=str,
)
def test_bad_bodies_are_named(api, service, external, body, field):
    user, _, interview = interview_of(api, external)
    assert_problem(service.put(interview, body), 400, field)
    assert evaluation(api, user, interview)["status"] == "pending"


# ── the list ────────────────────────────────────────────────────────────────


def test_paging_oldest_first(api, service, external):
    mine = [interview_of(api, external)[2] for _ in range(7)]
    for limit in (1, 2, 3, 50, 100):
        found = [row["interviewId"] for row in service.every_pending(limit)]
        assert len(found) == len(set(found)), "one of them twice"
        assert [i for i in found if i in mine] == mine, f"limit {limit}"
    stamps = [row["requestedAt"] for row in service.every_pending()]
    assert stamps == sorted(stamps)


def test_paging_while_the_list_changes(api, service, external):
    mine = [interview_of(api, external)[2] for _ in range(4)]
    seen, cursor = [], None
    while True:
        page = ok(service.pending(limit=1, **({"after": cursor} if cursor else {}))).json()
        seen += [row["interviewId"] for row in page["evaluations"]]
        if page["evaluations"] and page["evaluations"][0]["interviewId"] in mine:
            ok(service.put(page["evaluations"][0]["interviewId"], {"status": "complete", "result": {}}))
        cursor = page["next"]
        if cursor is None:
            break
    assert [i for i in seen if i in mine] == mine, "what is done drops nothing from the pages to come"


def test_the_default_limit_is_50(api, service, external):
    for _ in range(51):
        ok(api.webhook(api.payload(), node=external))
    assert len(ok(service.pending()).json()["evaluations"]) == 50


@pytest.mark.parametrize(
    "query,field",
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"after": "x"}, "after"),
        ({"after": "9" * 500}, "after"),
        ({"status": "complete"}, "status"),
        ({"status": ""}, "status"),
    ],
    ids=str,
)
def test_bad_queries_are_named(service, query, field):
    assert_problem(service.pending(**query), 400, field)


def test_the_status_must_be_given(api, lab, service):
    answer = api.request("GET", "/api/evaluations", headers=service.headers)
    assert answer.status_code in (200, 400)


# ── deadlines and notifications ─────────────────────────────────────────────


def test_an_evaluation_that_never_comes(api, lab):
    user, sid = api.user(), new_sid()
    with lab.node(evaluator="external", evaluation_deadline_secs=1) as hasty:
        payload = api.payload(user=user, session=sid)
        ok(api.save(user, sid, node=hasty, ended_by="user"))
        ok(api.webhook(payload, node=hasty))
        eventually(
            lambda: api.poll(user, sid, node=hasty).json()["evaluationStatus"] == "failed", 5, "the deadline to pass"
        )
        view = ok(api.poll(user, sid, node=hasty))
        assert view.json()["status"] == "completed" and view.json()["reason"] == "evaluation_timeout"
        assert "Retry-After" not in view.headers
        # one that comes later still counts
        late = Service(api, lab, hasty)
        interview = model.interview_id(payload["data"]["conversation_id"])
        ok(late.put(interview, {"status": "complete", "result": {"score": 1}}))
        assert ok(api.poll(user, sid, node=hasty)).json()["evaluationStatus"] == "complete"


@pytest.fixture
def announcements(lab):
    """A function that returns what was announced on debrief_evaluation, up to now."""
    listener = psycopg2.connect(lab.postgres_server.url)
    listener.autocommit = True
    listener.cursor().execute("LISTEN debrief_evaluation")
    heard = []

    def collect():
        select.select([listener], [], [], 0.1)
        listener.poll()
        heard.extend(notify.payload for notify in listener.notifies)
        listener.notifies.clear()
        return heard

    yield collect
    listener.close()


def test_notifications_at_commit(api, lab, service, external, announcements):
    user, _, interview = interview_of(api, external)
    eventually(lambda: any(interview in text for text in announcements()), 5, "news of the pending evaluation")
    assert interview in {row["interviewId"] for row in service.every_pending()}, "what was announced can be read"
    announcements().clear()
    ok(service.put(interview, {"status": "complete", "result": {"score": 1}}))
    eventually(lambda: any(interview in text for text in announcements()), 5, "news of the completed evaluation")
    assert rows(lab, "SELECT status FROM evaluations WHERE interview_id = %s", interview) == [{"status": "complete"}]
    announcements().clear()
    # what changes nothing is no news
    ok(service.put(interview, {"status": "failed", "reason": "late"}))
    time.sleep(0.3)
    assert not any(interview in text for text in announcements())
