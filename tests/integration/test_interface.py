"""The HTTP interface, rule by rule: saves, polls, results, probes.

Bearer tokens are in test_auth.py, webhooks in test_webhook.py, evaluations in test_evaluation.py, CORS in test_cors.py.
"""

import datetime
import http.client
import json
import re
import socket
import time
import uuid

import pytest

import model
from support import assert_problem, eventually, interview_row, ok, rows, session_row

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
RFC3339_UTC = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


def new_sid():
    return f"s-{uuid.uuid4()}"


def raw_save(api, user, body, node=0, **options):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api.request("POST", "/api/save-interview", node, user, data=data, **options)


def seconds(text):
    assert RFC3339_UTC.match(text), f"{text!r} is not RFC 3339 in UTC"
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.fixture
def linked(api):
    """A user whose session is completed: (user, sid, payload)."""
    user, sid = api.user(), new_sid()
    payload = api.payload(user=user, session=sid)
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(payload))
    return user, sid, payload


# ── saves ───────────────────────────────────────────────────────────────────


def test_a_start_and_an_end(api, lab):
    user, sid = api.user(), new_sid()
    before = time.time()
    answer = ok(api.save(user, sid, agent_id="agent_7"))
    assert answer.json() == {"success": True}
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    row = session_row(lab, sid)
    assert row["owner"] == user and row["status"] == "started" and row["ended_at"] is None
    assert before - 2 <= row["started_at"].timestamp() <= time.time() + 2
    ok(api.save(user, sid, ended_by="disconnect"))
    row = session_row(lab, sid)
    assert (row["status"], row["ended_by"], row["agent_id"]) == ("ended_pending_webhook", "disconnect", "agent_7")
    assert row["started_at"] <= row["client_ended_at"]


def test_first_heard_of_at_its_end(api, lab):
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid, ended_by="user"))
    assert session_row(lab, sid)["started_at"] is None
    # a start that is heard later than the end is none
    ok(api.save(user, sid))
    assert session_row(lab, sid)["started_at"] is None
    assert ok(api.poll(user, sid)).json()["status"] == "ended_pending_webhook"


def test_ended_ago_ms_counts_back_from_the_receipt(api, lab):
    for ago in (0, 1, 90_000, 7 * DAY_MS):
        user, sid = api.user(), new_sid()
        ok(api.save(user, sid, ended_by="user", ended_ago_ms=ago))
        ended = session_row(lab, sid)["client_ended_at"].timestamp()
        assert abs(time.time() - ago / 1000 - ended) < 3, f"ended_ago_ms = {ago}"


def test_the_earliest_end_wins_with_its_ended_by(api, lab):
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid, ended_by="user", ended_ago_ms=50_000))
    ok(api.save(user, sid, node=1, ended_by="disconnect", ended_ago_ms=90_000))
    first = session_row(lab, sid)
    ok(api.save(user, sid, ended_by="user"))
    row = session_row(lab, sid)
    assert row["ended_by"] == "disconnect" and row["client_ended_at"] == first["client_ended_at"]
    assert abs(time.time() - 90 - row["client_ended_at"].timestamp()) < 4


def test_a_start_beyond_the_end_vanishes(api, lab):
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid))
    ok(api.save(user, sid, ended_by="user", ended_ago_ms=60_000))
    row = session_row(lab, sid)
    assert row["started_at"] is None and row["client_ended_at"] is not None


def test_what_was_missing_is_filled_and_the_first_claim_stays(api, lab):
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid))
    ok(api.save(user, sid, agent_id="agent_1", conversation_id="conv_first"))
    ok(api.save(user, sid, node=1, agent_id="agent_2", conversation_id="conv_second", ended_by="user"))
    row = session_row(lab, sid)
    assert row["claimed_conversation_id"] == "conv_first"
    assert (row["agent_id"], row["claimed_agent_id"]) == ("agent_1", "agent_1")
    assert ok(api.poll(user, sid)).json()["conversationId"] == "conv_first"


def test_saves_are_idempotent(api, lab, linked):
    user, sid, _ = linked
    poll = ok(api.poll(user, sid))
    for node in (0, 1, 0):
        ok(api.save(user, sid, node=node, ended_by="user"))
        assert ok(api.poll(user, sid, node=node)).headers["ETag"] == poll.headers["ETag"]
    assert len(rows(lab, "SELECT 1 FROM interview_sessions WHERE user_id = %s", user)) == 1


def test_every_well_formed_session_id_is_taken(api):
    user = api.user()
    for sid in ("Z", uuid.uuid4().hex + "aZ09._:-", (uuid.uuid4().hex + "aZ09._:-" * 12)[:128], "Fallback:x", ".."):
        ok(api.save(user, sid))
        if sid != "..":  # clients resolve that one away
            ok(api.poll(user, sid))


@pytest.mark.parametrize(
    "sid",
    ["", "x" * 129, "a b", "a/b", "a%20b", "ä", "a\n", "a\u0000", "fallback:conv_1", "fallback:", "\ud800", "a,b", "a@b"],
)
def test_malformed_session_ids(api, sid):
    assert_problem(api.save(api.user(), sid, ended_by="user"), 400, "client_session_id")


BAD_FIELDS = [
    ("client_session_id", [None, 7, True, [], {}, ["x"]]),
    ("conversation_id", ["", 7, True, [], {}, "x" * 257, "a\u0007b", "a\nb", "\u007f"]),
    ("ended_by", ["", "agent", "USER", 7, True, [], {}]),
    ("agent_id", [7, True, [], {}]),
    (
        "ended_ago_ms",
        ["", "5", True, [], {}, -1, 7 * DAY_MS + 1, 0.5, 1e300, -0.5, 10**30],
    ),
]


@pytest.mark.parametrize("field,value", [(f, v) for f, values in BAD_FIELDS for v in values])
def test_mistyped_fields_are_named(api, lab, field, value):
    user, sid = api.user(), new_sid()
    body = {"client_session_id": sid, "ended_by": "user", **{field: value}}
    assert_problem(raw_save(api, user, body), 400, field)
    assert session_row(lab, sid) is None
    assert api.poll(user, sid).status_code == 404, "a refused save is no fact"


@pytest.mark.parametrize("field", ["conversation_id", "ended_by", "agent_id", "ended_ago_ms"])
def test_null_is_absent(api, lab, field):
    user, sid = api.user(), new_sid()
    ok(raw_save(api, user, {"client_session_id": sid, field: None}))
    assert session_row(lab, sid)["status"] == "started"


def test_a_missing_session_id_is_named(api):
    assert_problem(raw_save(api, api.user(), {}), 400, "client_session_id")
    assert_problem(raw_save(api, api.user(), {"ended_by": "user"}), 400, "client_session_id")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b'"x"',
        b"null",
        b"7",
        b'{"client_session_id":"a"} x',
        b'{"client_session_id":"a",}',
        b'{"client_session_id":"a"}{}',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"{'client_session_id':'a'}",
        b'{"client_session_id":01}',
        b"\x00",
    ],
)
def test_bodies_that_are_no_json_object(api, body):
    assert_problem(raw_save(api, api.user(), body), 400)


def test_unknown_fields_are_ignored(api):
    sid = new_sid()
    ok(raw_save(api, api.user(), {"client_session_id": sid, "extra": {"deep": [1, None]}, "transcript": "…"}))


def test_field_names_are_compared_with_case(api):
    assert_problem(raw_save(api, api.user(), {"Client_Session_Id": new_sid()}), 400, "client_session_id")


def test_user_bodies_over_64_kib_are_413(api, lab):
    user, sid = api.user(), new_sid()
    frame = len(json.dumps({"client_session_id": sid, "pad": ""}))
    fits = {"client_session_id": sid, "pad": "x" * (65536 - frame)}
    ok(raw_save(api, user, fits))
    over = new_sid()
    answer = raw_save(api, user, {"client_session_id": over, "pad": "x" * (65537 - frame + len(sid) - len(over))})
    assert_problem(answer, 413)
    answer = raw_save(api, user, b"x" * 1_000_000)
    assert_problem(answer, 413)
    assert session_row(lab, over) is None


def test_a_chunked_body_over_64_kib_is_413(api, lab):
    connection = http.client.HTTPConnection("127.0.0.1", lab.nodes[0].port, timeout=20)
    headers = {"Authorization": f"Bearer {api.token(api.user())}", "Content-Type": "application/json"}
    try:
        connection.request(
            "POST", "/api/save-interview", body=(b"x" * 1000 for _ in range(200)), headers=headers, encode_chunked=True
        )
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # it may stop reading before we have finished writing
    finally:
        connection.close()
    assert api.poll(api.user(), new_sid()).status_code == 404, "the node lives"


def test_strong_and_weak_claims(api):
    """A weak claim doesn't keep a session out of the window; a strong one does."""
    for claim, status in [("room_123", "completed"), ("My Room é", "completed"), ("conv_x1", "ended_pending_webhook")]:
        user, sid = api.user(), new_sid()
        ok(api.save(user, sid, ended_by="user", conversation_id=claim + uuid.uuid4().hex if status[0] == "e" else claim))
        ok(api.webhook(api.payload(user=user)))
        assert ok(api.poll(user, sid)).json()["status"] == status, claim


def test_256_bytes_of_conversation_id(api):
    claim = uuid.uuid4().hex + "x" * (256 - 32)
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid, ended_by="user", conversation_id=claim))
    ok(api.webhook(api.payload(conversation_id=claim)))
    view = ok(api.poll(user, sid)).json()
    assert (view["status"], view["conversationId"]) == ("completed", claim)
    umlauts = "ä" * 128
    ok(api.save(user, new_sid(), conversation_id=umlauts))
    assert_problem(api.save(user, new_sid(), conversation_id=umlauts + "x"), 400, "conversation_id")


def test_linked_before_the_reply(api):
    """If the interview is already here, the first poll says so."""
    user, sid = api.user(), new_sid()
    payload = api.payload(user=user, session=sid)
    ok(api.webhook(payload, node=0))
    ok(api.save(user, sid, node=1, ended_by="user"))
    assert ok(api.poll(user, sid, node=0)).json()["status"] == "completed"


def test_more_than_a_bucket_holds_is_429(api, lab):
    """64 facts of one window; the user's others keep working, and nobody else notices."""
    user = api.user()
    sids = [f"{i:02}-{uuid.uuid4()}" for i in range(66)]
    answers = [api.save(user, sid, node=i % 2) for i, sid in enumerate(sids)]
    statuses = [a.status_code for a in answers]
    assert statuses[:64] == [200] * 64, statuses
    for answer in answers[64:]:
        assert_problem(answer, 429)
        assert int(answer.headers["Retry-After"]) >= 1
    assert session_row(lab, sids[65]) is None, "a refused save is no fact"
    assert api.poll(user, sids[65]).status_code == 404
    ok(api.save(user, sids[0], ended_by="user"))
    # a webhook is never refused for that
    cid = api.cid()
    ok(api.webhook(api.payload(conversation_id=cid, user=user, session=sids[0])))
    assert interview_row(lab, cid)["undecided"], "it waits undecided in the ledger"
    other = new_sid()
    ok(api.save(api.user(), other))


# ── polls ───────────────────────────────────────────────────────────────────


def test_the_poll_of_a_started_session(api):
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid))
    assert ok(api.poll(user, sid)).json() == {
        "interviewId": None,
        "conversationId": None,
        "status": "started",
        "evaluationStatus": None,
        "reason": None,
    }


def test_the_poll_of_a_completed_session(api, linked):
    user, sid, payload = linked
    cid = payload["data"]["conversation_id"]
    assert ok(api.poll(user, sid)).json() == {
        "interviewId": model.interview_id(cid),
        "conversationId": cid,
        "status": "completed",
        "evaluationStatus": "complete",
        "reason": None,
    }


def test_unknown_and_foreign_sessions_are_the_same_404(api):
    owner, stranger, sid = api.user(), api.user(), new_sid()
    ok(api.save(owner, sid))

    def shape(answer):
        body = assert_problem(answer, 404)
        body.pop("requestId")
        headers = {k: v for k, v in answer.headers.items() if k not in ("X-Request-Id", "Date")}
        return json.dumps(body).replace(sid, "SID").replace(unknown, "SID"), headers

    unknown = sid[:-4] + "zzzz"
    for node in (0, 1):
        assert shape(api.poll(stranger, sid, node=node)) == shape(api.poll(stranger, unknown, node=node))


@pytest.mark.parametrize("sid", ["x" * 129, "a%20b", "fallback:conv_1", "a%2Fb", "%E4", "a%0Ab"])
def test_a_poll_with_a_malformed_session_id(api, sid):
    assert_problem(api.poll(api.user(), sid), 400, "sessionId")


def test_nul_in_a_path_is_refused(api):
    """Wherever it stands: C would cut the path there."""
    sid = new_sid()
    user = api.user()
    ok(api.save(user, sid))
    for path in (f"/api/interviews/by-session/{sid}%00x", "/livez%00", "/%00", "/livez?x=%00"):
        assert_problem(api.request("GET", path, user=user), 400)


def test_a_session_id_is_decoded(api):
    user, sid = api.user(), f"a:{uuid.uuid4()}"
    ok(api.save(user, sid))
    ok(api.poll(user, sid.replace(":", "%3A").replace("a", "%61")))


def test_nothing_is_cached(api, linked):
    user, sid, _ = linked
    answer = ok(api.poll(user, sid))
    assert answer.headers["Cache-Control"] == "no-store"
    assert api.poll(user, sid, etag=answer.headers["ETag"]).headers["Cache-Control"] == "no-store"


def test_retry_after_until_it_is_final(api):
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid))
    assert 1 <= int(ok(api.poll(user, sid)).headers["Retry-After"]) <= 5
    ok(api.save(user, sid, ended_by="user"))
    waiting = ok(api.poll(user, sid))
    assert 1 <= int(waiting.headers["Retry-After"]) <= 5
    unchanged = api.poll(user, sid, etag=waiting.headers["ETag"])
    assert unchanged.status_code == 304 and 1 <= int(unchanged.headers["Retry-After"]) <= 5
    ok(api.webhook(api.payload(user=user, session=sid)))
    final = ok(api.poll(user, sid))
    assert final.json()["evaluationStatus"] == "complete"
    assert "Retry-After" not in final.headers


def test_etags_of_polls(api, lab):
    user, sid = api.user(), new_sid()
    tags = []
    cid = api.cid()
    for step in (
        lambda: api.save(user, sid),
        lambda: api.save(user, sid, conversation_id="room_1"),
        lambda: api.save(user, sid, ended_by="user"),
        lambda: api.webhook(api.payload(conversation_id=cid, user=user, session=sid)),
    ):
        ok(step())
        both = [ok(api.poll(user, sid, node=node)).headers["ETag"] for node in (0, 1)]
        assert both[0] == both[1], "the nodes' ETags differ"
        assert re.match(r'^(W/)?"[^"]+"$', both[0])
        tags.append(both[0])
    assert len(set(tags)) == 4, "each of these steps changes one of the five fields"
    lab.flush_redis()
    assert ok(api.poll(user, sid)).headers["ETag"] == tags[-1], "the ledger tells another ETag than Redis"
    ok(api.save(user, sid, ended_by="user"))
    assert ok(api.poll(user, sid)).headers["ETag"] == tags[-1]


def test_if_none_match(api, linked):
    user, sid, _ = linked
    tag = ok(api.poll(user, sid)).headers["ETag"]
    opaque = tag.removeprefix("W/")
    for condition in (tag, opaque, "W/" + opaque, f'"x", {opaque}', f'"x",W/{opaque} , "y"', "*", f'"a,b", {opaque}'):
        answer = api.poll(user, sid, etag=condition)
        assert answer.status_code == 304, condition
        assert answer.content == b"" and answer.headers["ETag"].removeprefix("W/") == opaque
        assert "X-Request-Id" in answer.headers
    for condition in ('"x"', opaque.strip('"'), f'"x{opaque[1:]}', "", '"x", "y"', opaque.upper() + "x"):
        assert api.poll(user, sid, etag=condition).status_code == 200, condition
    # it still asks who is asking
    assert api.poll(api.user(), sid, etag="*").status_code == 404
    assert api.request("GET", f"/api/interviews/by-session/{sid}", headers={"If-None-Match": "*"}).status_code == 401


def test_a_session_whose_webhook_never_comes_has_failed(api):
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid, ended_by="user", ended_ago_ms=2 * 60 * MINUTE_MS))
    for node in (0, 1):
        answer = ok(api.poll(user, sid, node=node))
        assert answer.json()["status"] == "failed"
        assert answer.json()["reason"] == "webhook_never_arrived"
        assert "Retry-After" not in answer.headers, "failed is final"
    # … and if it comes after all, the session is completed
    payload = api.payload(user=user, session=sid, start=time.time() - 2 * 3600 - 60)
    ok(api.webhook(payload))
    assert ok(api.poll(user, sid)).json()["status"] == "completed"


def test_deadlines_are_computed_on_reading(api, lab):
    user, sid, open_sid = api.user(), new_sid(), new_sid()
    with lab.node(webhook_deadline_secs=1, longest_call_secs=2) as hasty:
        ok(api.save(user, sid, node=hasty, ended_by="user"))
        ok(api.save(user, open_sid, node=hasty))
        first = ok(api.poll(user, sid, node=hasty))
        assert first.json()["status"] == "ended_pending_webhook"
        time.sleep(1.3)
        later = api.poll(user, sid, node=hasty, etag=first.headers["ETag"])
        assert later.status_code == 200 and later.json()["reason"] == "webhook_never_arrived"
        # without an end: the start, the longest call, the deadline
        assert ok(api.poll(user, open_sid, node=hasty)).json()["status"] == "started"
        eventually(
            lambda: api.poll(user, open_sid, node=hasty).json()["status"] == "failed", 5, "the open session to fail"
        )
        assert ok(api.poll(user, sid, node=0)).json()["status"] == "ended_pending_webhook", "another node's patience"


# ── results ─────────────────────────────────────────────────────────────────


def test_results(api, linked):
    user, sid, payload = linked
    data = payload["data"]
    answer = ok(api.results(user, model.interview_id(data["conversation_id"])))
    body = answer.json()
    interview, evaluation = body["interview"], body["evaluation"]
    assert interview["id"] == model.interview_id(data["conversation_id"])
    assert interview["conversationId"] == data["conversation_id"]
    assert interview["agentId"] == data["agent_id"]
    assert interview["sessionId"] == sid
    assert interview["status"] == "completed"
    start = data["metadata"]["start_time_unix_secs"]
    assert seconds(interview["startedAt"]) == start
    assert seconds(interview["endedAt"]) == start + 60
    assert interview["durationSecs"] == 60
    assert interview["summary"] == data["analysis"]["transcript_summary"]
    assert [(t["role"], t["message"], t["timeInCallSecs"]) for t in interview["transcript"]] == [
        (t["role"], t["message"], t["time_in_call_secs"]) for t in data["transcript"]
    ]
    assert evaluation["status"] == "complete" and evaluation["reason"] is None
    assert abs(seconds(evaluation["completedAt"]) - time.time()) < 60
    text = json.dumps(evaluation["result"])
    for criterion in data["analysis"]["evaluation_criteria_results"].values():
        assert json.dumps(criterion["rationale"]) in text
    for collected in data["analysis"]["data_collection_results"].values():
        assert json.dumps(collected["rationale"]) in text
    assert json.dumps(data["analysis"]["transcript_summary"]) in text
    assert isinstance(body["metadata"], dict)


def test_results_are_the_owners_and_the_services(api, lab, linked):
    user, _, payload = linked
    interview = model.interview_id(payload["data"]["conversation_id"])
    path = f"/api/interviews/{interview}/results"
    assert_problem(api.results(api.user(), interview), 404)
    assert_problem(api.results(user, str(uuid.uuid4())), 404)
    service = api.request("GET", path, headers={"Authorization": f"Bearer {lab.service_token}"})
    assert ok(service).json() == ok(api.results(user, interview)).json()
    assert_problem(api.request("GET", path), 401)


@pytest.mark.parametrize("interview", ["x", "1234", "not-a-uuid", "0" * 36, "%7B" + "0" * 36])
def test_an_interview_id_that_is_no_uuid(api, interview):
    assert_problem(api.results(api.user(), interview), 400, "id")


def test_an_interview_id_in_capitals(api, linked):
    user, _, payload = linked
    ok(api.results(user, model.interview_id(payload["data"]["conversation_id"]).upper()))


def test_etags_of_results(api, linked):
    user, _, payload = linked
    interview = model.interview_id(payload["data"]["conversation_id"])
    tags = {ok(api.results(user, interview, node=node)).headers["ETag"] for node in (0, 1)}
    assert len(tags) == 1, tags
    tag = tags.pop()
    answer = api.results(user, interview, etag=f'"x", {tag}')
    assert answer.status_code == 304 and answer.content == b"" and answer.headers["ETag"] == tag
    assert api.results(api.user(), interview, etag=tag).status_code == 404
    payload["event_timestamp"] = int(payload["event_timestamp"]) + 5
    payload["data"]["transcript"] = payload["data"]["transcript"][:1]
    ok(api.webhook(payload))
    changed = api.results(user, interview, etag=tag)
    assert changed.status_code == 200 and len(changed.json()["interview"]["transcript"]) == 1


def test_an_id_that_a_poll_has_named_is_never_404(api, linked, lab):
    user, sid, _ = linked
    for _ in range(3):
        interview = ok(api.poll(user, sid)).json()["interviewId"]
        ok(api.results(user, interview, node=1))
        lab.flush_redis()


def test_results_of_a_conversation_without_anything(api):
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid, ended_by="user"))
    payload = api.payload(user=user, session=sid, transcript=None, metadata=None, analysis=None)
    ok(api.webhook(payload))
    body = ok(api.results(user, model.interview_id(payload["data"]["conversation_id"]))).json()
    assert body["interview"]["transcript"] in ([], None)
    assert body["interview"]["summary"] is None and body["interview"]["durationSecs"] is None
    assert body["evaluation"]["status"] == "failed" and body["evaluation"]["reason"] == "no_analysis"
    assert body["evaluation"]["result"] is None
    assert body["metadata"] == {}


# ── problems, request ids, unknown routes ───────────────────────────────────


def test_unknown_routes_and_methods(api):
    user = api.user()
    assert_problem(api.request("GET", "/nowhere", user=user), 404)
    assert_problem(api.request("GET", "/api/interviews", user=user), 404)
    for method, path in (
        ("GET", "/api/save-interview"),
        ("DELETE", "/api/save-interview"),
        ("POST", f"/api/interviews/by-session/{new_sid()}"),
        ("GET", "/webhooks/elevenlabs"),
        ("PATCH", "/webhooks/elevenlabs"),
    ):
        answer = api.request(method, path, user=user)
        assert answer.status_code in (404, 405), f"{method} {path}: {answer.status_code}"
        assert_problem(answer, answer.status_code)
        if answer.status_code == 405:
            assert answer.headers["Allow"]


def test_every_answer_has_a_request_id(api):
    user, seen = api.user(), set()
    for answer in (
        api.save(user, new_sid()),
        api.poll(user, new_sid()),
        api.request("GET", "/nowhere"),
        api.request("POST", "/api/save-interview"),
        api.request("GET", "/livez"),
    ):
        assert re.match(r"^[A-Za-z0-9._-]{1,64}$", answer.headers["X-Request-Id"])
        seen.add(answer.headers["X-Request-Id"])
    assert len(seen) == 5
    given = api.request("GET", "/nowhere", headers={"X-Request-Id": "mine-1.2_3"})
    assert assert_problem(given, 404)["requestId"] == "mine-1.2_3"
    for bad in ("x" * 65, "a b", "a\"b", "<script>"):
        answer = api.request("GET", "/nowhere", headers={"X-Request-Id": bad})
        assert answer.headers["X-Request-Id"] != bad


def test_tokens_in_a_query_are_no_tokens(api):
    user = api.user()
    path = f"/api/interviews/by-session/{new_sid()}?access_token={api.token(user)}&token={api.token(user)}"
    assert_problem(api.request("GET", path), 401)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /api/save-interview HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        b"POST /api/save-interview HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/save-interview HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\n{}",
        b"GET /livez HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / \r\n\r\n",
    ],
)
def test_malformed_http_is_refused_and_the_node_lives(api, lab, request_bytes):
    with socket.create_connection(("127.0.0.1", lab.nodes[0].port), timeout=5) as connection:
        try:
            connection.sendall(request_bytes)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except OSError:  # refused so early that the rest could not even be sent
            answer = b""
    status = int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.") else None
    assert status is None or 400 <= status < 500, answer[:300]
    assert api.request("GET", "/livez").status_code == 200


def test_a_pipelined_request_on_a_parked_one(api, lab):
    """Two saves in one packet: both are answered, in order, and the node lives."""
    sids = [new_sid(), new_sid()]
    token = api.token(api.user())
    packet = b""
    for sid in sids:
        body = json.dumps({"client_session_id": sid}).encode()
        packet += (
            f"POST /api/save-interview HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
    with socket.create_connection(("127.0.0.1", lab.nodes[0].port), timeout=10) as connection:
        connection.sendall(packet)
        answer = b""
        while answer.count(b'{"success"') < 2:
            more = connection.recv(65536)
            if not more:
                break
            answer += more
    assert answer.count(b"HTTP/1.1 200") == 2, answer
    assert session_row(lab, sids[1])


def test_a_client_that_goes_away(api, lab):
    """Its save is kept all the same, and the node lives."""
    sids = [new_sid() for _ in range(20)]
    for sid in sids:
        body = json.dumps({"client_session_id": sid}).encode()
        with socket.create_connection(("127.0.0.1", lab.nodes[0].port), timeout=10) as connection:
            connection.sendall(
                (
                    f"POST /api/save-interview HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {api.token()}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n"
                ).encode()
                + body
            )
    assert api.request("GET", "/livez").status_code == 200
    ok(api.save(api.user(), new_sid()))


# ── probes ──────────────────────────────────────────────────────────────────


def test_probes_on_both_ports(api, lab):
    node = lab.nodes[0]
    for base in (node.url, node.admin_url):
        for page in ("/livez", "/readyz"):
            assert api.session.get(base + page, timeout=10).status_code == 200, base + page
    assert api.session.get(node.admin_url + "/metrics", timeout=10).status_code == 200
    assert_problem(api.session.get(node.url + "/metrics", timeout=10), 404)
    assert api.session.get(node.admin_url + "/api/evaluations", timeout=10).status_code == 404


def test_a_conflict_is_counted(api, lab):
    def conflicts():
        text = api.session.get(lab.nodes[0].admin_url + "/metrics", timeout=10).text
        return float(re.search(r"^debrief_link_conflicts_total (\S+)$", text, re.M).group(1))

    victim, sid, before = api.user(), new_sid(), conflicts()
    ok(api.save(victim, sid))
    ok(api.webhook(api.payload(user=api.user(), session=sid)))
    assert conflicts() == before + 1


def test_a_store_that_is_away(api, lab):
    """Redis away: answers come at once, 503 with Retry-After or from the ledger; /livez stays 200."""
    user, sid = api.user(), new_sid()
    node = lab.new_node(redis_url="redis://127.0.0.1:9/0")
    node.start(ready=False)
    try:
        for send in (
            lambda: api.poll(user, sid, node=node),
            lambda: api.save(user, sid, node=node),
            lambda: api.webhook(api.payload(user=user), node=node),
        ):
            began = time.monotonic()
            answer = send()
            assert time.monotonic() - began < 2.5, "it waited"
            assert answer.status_code in (200, 404, 503), answer.text
            if answer.status_code == 503:
                assert_problem(answer, 503)
                assert int(answer.headers["Retry-After"]) >= 1
        assert api.request("GET", "/livez", node).status_code == 200
        ready = api.request("GET", "/readyz", node)
        assert ready.status_code == 503 and "redis" in ready.text.lower()
    finally:
        node.stop()


def test_a_ledger_that_is_away(api, lab):
    user, sid = api.user(), new_sid()
    node = lab.new_node(database_url="postgresql://nobody@127.0.0.1:9/none")
    node.start(ready=False)
    try:
        for send, statuses in (
            (lambda: api.poll(user, sid, node=node), (503,)),  # a 404 only if the ledger confirmed it
            (lambda: api.save(user, sid, node=node), (200, 503)),
            (lambda: api.webhook(api.payload(user=user), node=node), (200, 503)),
            (lambda: api.results(user, str(uuid.uuid4()), node=node), (503,)),
        ):
            began = time.monotonic()
            answer = send()
            assert time.monotonic() - began < 4, "it waited"
            assert answer.status_code in statuses, answer.text
            if answer.status_code == 503:
                assert_problem(answer, 503)
                assert int(answer.headers["Retry-After"]) >= 1
        assert api.request("GET", "/livez", node).status_code == 200
        ready = api.request("GET", "/readyz", node)
        assert ready.status_code == 503 and ("ledger" in ready.text.lower() or "postgres" in ready.text.lower())
    finally:
        node.stop()


def test_a_node_finds_its_stores_again(api, lab):
    user, sid = api.user(), new_sid()
    ok(api.save(user, sid, ended_by="user"))
    lab.restart_redis(kill=True)
    lab.restart_postgres(kill=True)
    ok(api.webhook(api.payload(user=user, session=sid)))
    assert ok(api.poll(user, sid)).json()["status"] == "completed"


def test_nothing_secret_is_logged(api, lab, linked):
    user, _, payload = linked
    token = api.token(user)
    api.request("GET", f"/api/interviews/by-session/{new_sid()}", user=user)
    text = lab.nodes[0].log_text() + lab.nodes[1].log_text()
    assert text, "the nodes have no log"
    for secret in (token, lab.secret, lab.jwt_secret, lab.service_token, "Bearer ey"):
        assert secret not in text
    for turn in payload["data"]["transcript"]:
        if turn["message"] and len(turn["message"]) > 20:
            assert turn["message"] not in text
