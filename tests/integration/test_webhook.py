"""POST /webhooks/elevenlabs: signatures, the provider's payloads, and everything that could be
wrong with them. A signed body with a type and a conversation id is never refused for its content."""

import copy
import hashlib
import hmac
import http.client
import itertools
import json
import pathlib
import re
import time
import uuid

import pytest

import model
from support import assert_problem, eventually, interview_row, ok, rows, session_row

PAYLOADS = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "payloads"
HEADER = "ElevenLabs-Signature"
MIB = 1024 * 1024


def new_sid():
    return f"s-{uuid.uuid4()}"


def mac(secret, t, body):
    return hmac.new(secret.encode(), f"{t}.".encode() + body, hashlib.sha256).hexdigest()


def results_by_service(api, lab, cid):
    return api.request(
        "GET",
        f"/api/interviews/{model.interview_id(cid)}/results",
        headers={"Authorization": f"Bearer {lab.service_token}"},
    )


def fixture(name):
    return json.loads((PAYLOADS / name).read_text())


def compact(payload):
    return json.dumps(payload).encode()


# ── signatures ──────────────────────────────────────────────────────────────


def test_the_known_answer():
    """What this file computes is what the vendor's SDKs compute."""
    secret = "wsec_" + "0123456789abcdef" * 4
    body = (
        b'{"type":"post_call_transcription","event_timestamp":1739537297,'
        b'"data":{"agent_id":"agent_x","conversation_id":"conv_abc","status":"done"}}'
    )
    assert mac(secret, 1739537297, body) == "ee8b15966d88296cac344a7b8b9eef239ce353e13ac2c9cd85420e4fcfd33b1c"


def send_signed(api, header, body, node=0):
    headers = {HEADER: header} if header is not None else {}
    return api.request("POST", "/webhooks/elevenlabs", node, headers=headers, data=body)


def test_forms_of_the_header(api, lab):
    body, t = compact(api.payload()), int(time.time())
    good, bad = mac(lab.secret, t, body), "0" * 64
    zero = mac(lab.secret, f"0{t}", body)
    for header in (
        f"t={t},v0={good}",
        f"v0={good},t={t}",
        f"t={t},v0={bad},v0={good}",
        f"t={t},v0={good},v0={bad}",
        f"t={t},v1=x,v0={good},other",
        f"t=0{t},v0={zero}",  # the MAC covers t as it was sent
    ):
        assert send_signed(api, header, body).status_code == 200, header
    for header in (
        None,
        "",
        "t=,v0=",
        f"t={t}",
        f"v0={good}",
        f"t={t},v0=",
        f"t={t},v0={bad}",
        f"t={t},v0={good[:-1]}",
        f"t={t},v0={good}0",
        f"t={t}, v0={good}",
        f"t={t};v0={good}",
        f"t={t},v1={good}",
        f"t={t},V0={good}",
        f"t={t},v0 = {good}",
        f"t={t + 1},v0={good}",
        f"t=+{t},v0={good}",
        f"t=-{t},v0={good}",
        f"t={t}.0,v0={good}",
        f"t=0x{t:x},v0={good}",
        f"t={t}x,v0={good}",
        f"t={'9' * 40},v0={good}",
        f"t=,v0={mac(lab.secret, '', body)}",
        f"t=now,v0={mac(lab.secret, 'now', body)}",
        good,
        f"sha256={good}",
        "," * 500,
        "t=" * 500,
        f"t={t}," + f"v0={bad}," * 200,
    ):
        answer = send_signed(api, header, body)
        assert answer.status_code == 401, f"{header}: {answer.status_code}"
    assert_problem(send_signed(api, "t=1,v0=x", body), 401)


def test_what_is_signed(api, lab):
    body, t = compact(api.payload()), int(time.time())
    for why, header in {
        "another secret": f"t={t},v0={mac('wsec_' + 'f' * 64, t, body)}",
        "the secret without its prefix": f"t={t},v0={mac(lab.secret.removeprefix('wsec_'), t, body)}",
        "an empty secret": f"t={t},v0={mac('', t, body)}",
        "the body alone": f"t={t},v0={hmac.new(lab.secret.encode(), body, hashlib.sha256).hexdigest()}",
        "another body": f"t={t},v0={mac(lab.secret, t, body + b' ')}",
        "a hash without key": f"t={t},v0={hashlib.sha256(f'{t}.'.encode() + body).hexdigest()}",
    }.items():
        assert send_signed(api, header, body).status_code == 401, why
    # every byte counts, white space too
    spaced = json.dumps(api.payload(), indent=3).encode() + b"\n"
    assert send_signed(api, f"t={t},v0={mac(lab.secret, t, spaced)}", spaced).status_code == 200
    assert send_signed(api, f"t={t},v0={mac(lab.secret, t, spaced)}", spaced.strip()).status_code == 401


def test_both_ends_of_the_window(api, lab):
    now = int(time.time())
    for offset, status in ((-3600 + 20, 200), (-3600 - 20, 401), (300 - 20, 200), (300 + 20, 401)):
        answer = api.webhook(api.payload(), timestamp=now + offset)
        assert answer.status_code == status, f"signed {offset} s from now: {answer.status_code}"
    with lab.node(signature_tolerance_secs=60) as strict:
        for offset, status in ((-40, 200), (-80, 401), (280, 200), (320, 401)):
            answer = api.webhook(api.payload(), node=strict, timestamp=now + offset)
            assert answer.status_code == status, f"tolerance 60 s, signed {offset} s from now: {answer.status_code}"


def test_several_secrets_while_rotating(api, lab):
    old, new = "wsec_" + "a" * 64, "wsec_" + "b" * 64
    with lab.node(elevenlabs_webhook_secret=f"{old}, {new}") as node:
        for secret in (old, new):
            ok(api.webhook(api.payload(), node=node, secret=secret))
        assert api.webhook(api.payload(), node=node, secret=lab.secret).status_code == 401
        assert api.webhook(api.payload(), node=node, secret=f"{old}, {new}").status_code == 401


def test_an_unsigned_body_is_refused_before_it_is_parsed(api):
    """Not even that it is no JSON can be learnt without the secret."""
    bodies = [b"{", b"[" * 100_000, b"", b"\xff", b'{"type":1}', b"[" + b"1," * MIB + b"1]"]
    for body in bodies:
        for header in (None, f"t={int(time.time())},v0={'0' * 64}"):
            assert send_signed(api, header, body).status_code == 401, body[:20]


def test_a_refused_webhook_leaves_nothing(api, lab):
    payload = api.payload(user=api.user())
    assert api.webhook(payload, secret="wsec_wrong").status_code == 401
    assert interview_row(lab, payload["data"]["conversation_id"]) is None


def test_a_bearer_token_is_no_signature(api, lab):
    for token in (api.token(api.user()), lab.service_token):
        headers = {HEADER: None, "Authorization": f"Bearer {token}"}
        assert api.webhook(api.payload(), headers=headers).status_code == 401


# ── the provider's payloads ─────────────────────────────────────────────────


def test_the_payload_of_a_whole_call(api, lab):
    user, sid, cid = api.user(), new_sid(), api.cid()
    text = (PAYLOADS / "post_call_transcription.json").read_text()
    payload = json.loads(text.replace("conv_5701k5y60q87f088mtebx508wg7y", cid).replace("01JZ3YV8QK6T7S0M4E4Q7V3B2N", sid))
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(payload))
    view = ok(api.poll(user, sid)).json()
    assert (view["status"], view["evaluationStatus"], view["conversationId"]) == ("completed", "complete", cid)
    body = ok(api.results(user, view["interviewId"])).json()
    assert body["interview"]["durationSecs"] == 567
    assert [turn["message"] for turn in body["interview"]["transcript"]] == [
        "Hi Ana, ready to start?",
        "Yes — let's go.",
        None,
        None,
    ]
    assert "six years" in json.dumps(body["evaluation"]["result"])
    row = interview_row(lab, cid)
    assert row["claimed_user_id"] is None, '"candidate-8c1f" is none of our users'
    assert row["claimed_session_id"] == sid
    assert row["raw_body"] is None, "the documents beside it are whole"
    # what was stored is what was sent
    data = payload["data"]
    for name in ("transcript", "analysis", "metadata"):
        assert row[name] == data.pop(name)
    assert row["payload"] == data


def test_the_minimal_payload(api, lab):
    user, sid = api.user(), new_sid()
    payload = fixture("post_call_transcription.minimal.json")
    cid = payload["data"]["conversation_id"] = api.cid()
    ok(api.save(user, sid, ended_by="user", conversation_id=cid))
    ok(api.webhook(payload))
    view = ok(api.poll(user, sid)).json()
    assert view == {
        "interviewId": model.interview_id(cid),
        "conversationId": cid,
        "status": "completed",
        "evaluationStatus": "failed",
        "reason": "no_analysis",
    }
    assert interview_row(lab, cid)["event_timestamp"] == 1792000900, "event_timestamp may be a string"
    ok(api.results(user, view["interviewId"]))


def test_audio_is_kept_out_of_everything(api, lab):
    payload = fixture("post_call_audio.json")
    cid = payload["data"]["conversation_id"] = api.cid()
    ok(api.webhook(payload))
    payload["data"]["full_audio"] = "A" * (3 * MIB)
    ok(api.webhook(payload, chunked=True))
    assert interview_row(lab, cid) is None


def test_a_call_that_never_began(api, lab):
    user, sid = api.user(), new_sid()
    payload = fixture("call_initiation_failure.json")
    cid = payload["data"]["conversation_id"] = api.cid()
    ok(api.save(user, sid, conversation_id=cid))
    ok(api.webhook(payload))
    for node in (0, 1):
        answer = ok(api.poll(user, sid, node=node))
        assert answer.json() == {
            "interviewId": model.interview_id(cid),
            "conversationId": cid,
            "status": "failed",
            "evaluationStatus": "failed",
            "reason": "no-answer",
        }
        assert "Retry-After" not in answer.headers
    body = ok(api.results(user, model.interview_id(cid))).json()
    assert (body["interview"]["status"], body["evaluation"]["status"]) == ("failed", "failed")


def test_unknown_types_are_ignored(api, lab):
    for kind in ("post_call_future", "", "POST_CALL_TRANSCRIPTION", "x" * 10_000, "post_call_transcription\u0000"):
        payload = api.payload()
        payload["type"] = kind
        ok(api.webhook(payload))
        assert interview_row(lab, payload["data"]["conversation_id"]) is None, kind
    ok(api.webhook({"type": "ping"}))
    ok(api.webhook({"type": "future", "data": 7}))


def test_agents_outside_the_allow_list(api, lab):
    with lab.node(elevenlabs_agents="agent_a,agent_b") as node:
        for agent, kept in (("agent_a", True), ("agent_b", True), ("agent_c", False), ("Agent_a", False)):
            payload = api.payload(agent=agent)
            ok(api.webhook(payload, node=node))
            assert (interview_row(lab, payload["data"]["conversation_id"]) is not None) == kept, agent
        unsigned = api.webhook(api.payload(agent="agent_c"), node=node, secret="wsec_wrong")
        assert unsigned.status_code == 401


# ── what makes a body malformed ─────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"nonsense",
        b"{",
        b"[]",
        b"null",
        b'"post_call_transcription"',
        b"7",
        b"{}",
        b'{"type":null}',
        b'{"type":7}',
        b'{"type":["post_call_transcription"]}',
        b'{"Type":"post_call_transcription"}',
        b'{"type":"post_call_transcription"} {}',
        b'{"type":"post_call_transcription",}',
        b'{"type":"post_call_transcription"',
        b"{'type':'post_call_transcription'}",
        b'{"type":"post_call_transcription"}',
        b'{"type":"post_call_transcription","data":null}',
        b'{"type":"post_call_transcription","data":[]}',
        b'{"type":"post_call_transcription","data":"x"}',
        b'{"type":"post_call_transcription","data":{}}',
        b'{"type":"post_call_transcription","data":{"conversation_id":null}}',
        b'{"type":"post_call_transcription","data":{"conversation_id":""}}',
        b'{"type":"post_call_transcription","data":{"conversation_id":7}}',
        b'{"type":"post_call_transcription","data":{"conversation_id":{}}}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"\x00",
        b"\xef\xbb\xbf",
        b'{"type":"post_call_transcription","x":01}',
        b'{"type":"post_call_transcription","x":NaN}',
        b'{"type":"post_call_transcription","x":-Infinity}',
        b'{"type":"post_call_transcription","x":"\n"}',
        b'{"type":"post_call_transcription","x":"\\x41"}',
        b'{"type":"post_call_transcription","x":"\\u12"}',
    ],
    ids=lambda body: repr(body[:50]),
)
def test_bodies_without_a_type_or_a_conversation(api, body):
    assert_problem(api.webhook(body), 400)


def test_an_overlong_conversation_id(api):
    assert_problem(api.webhook(api.payload(conversation_id="conv_" + "x" * 252)), 400)
    ok(api.webhook(api.payload(conversation_id=uuid.uuid4().hex + "x" * 224)))


def test_bodies_over_the_limit_are_413(api, lab):
    with lab.node(webhook_body_max=100_000) as node:
        payload = api.payload()
        payload["data"]["pad"] = "x" * 120_000
        assert api.webhook(payload, node=node).status_code == 413
        payload["data"]["pad"] = "x" * 50_000
        ok(api.webhook(payload, node=node))
        payload["data"]["pad"] = "x" * 120_000
        try:
            assert api.webhook(payload, node=node, chunked=True).status_code == 413
        except OSError:
            pass  # it may stop reading before everything was sent


# ── hostile content ─────────────────────────────────────────────────────────

WRONG = [None, True, 7, -1.5, 10**40, "", "x", [], [[]], [None], {}, {"x": {}}, "\u0000", "\ud800", "2026-11-23"]
MISSING = object()


def places(value, path=()):
    """The path of every value inside a document."""
    if path:
        yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], path + (name,))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from places(value[index], path + (index,))


def changed(payload, path, value):
    result = copy.deepcopy(payload)
    spot = result
    for step in path[:-1]:
        spot = spot[step]
    if value is not MISSING:
        spot[path[-1]] = value
    else:
        del spot[path[-1]]
    return result


ALL_PAYLOADS = sorted(path.name for path in PAYLOADS.glob("*.json"))


def test_the_payloads_are_there():
    assert len(ALL_PAYLOADS) >= 4, f"the provider's payloads are missing from {PAYLOADS}"


@pytest.mark.parametrize("name", ALL_PAYLOADS)
def test_every_value_may_be_missing_null_or_of_a_wrong_type(api, lab, name):
    """Each place of each payload, each time with some of the wrong values."""
    payload = fixture(name)
    is_ignored = payload["type"] == "post_call_audio"
    wrongs = itertools.cycle(WRONG)
    sent = {}
    for number, path in enumerate(places(payload)):
        for value in (MISSING, None, next(wrongs), next(wrongs)):
            hostile = changed(payload, path, value)
            cid = None
            if isinstance(hostile.get("data"), dict) and path != ("data", "conversation_id"):
                cid = hostile["data"]["conversation_id"] = api.cid()
            answer = api.webhook(hostile, node=number % 2)
            where = "/".join(map(str, path)) + (" missing" if value is MISSING else f" = {value!r}")
            assert answer.status_code in (200, 400), f"{where}: {answer.status_code} {answer.text[:300]}"
            whole = isinstance(hostile.get("type"), str) and cid is not None
            if whole or is_ignored and path[0] == "data":
                assert answer.status_code == 200, f"{where}: {answer.status_code} {answer.text[:300]}"
            if whole and hostile["type"] in ("post_call_transcription", "call_initiation_failure"):
                sent[cid] = where
    for cid, where in list(sent.items())[::7]:
        answer = results_by_service(api, lab, cid)
        assert answer.status_code == 200, f"results of the one with {where}: {answer.status_code} {answer.text[:300]}"
        answer.json()
    assert rows(lab, "SELECT subject, error FROM rejected_facts WHERE subject = ANY (%s)", list(sent)) == []


@pytest.mark.parametrize("spot", ["message", "summary", "metadata", "payload", "name", "dynamic"])
@pytest.mark.parametrize(
    "evil", ["\\u0000", "\\ud800", "\\udc00", "\\ud800\\u0041", "\\udc00\\ud800", "\\u0000\\u0000"]
)
def test_nul_and_lone_surrogates_become_replacement_characters(api, lab, spot, evil):
    user, sid, cid = api.user(), new_sid(), api.cid()
    ok(api.save(user, sid, ended_by="user"))
    payload = api.payload(conversation_id=cid, user=user, session=sid)
    if spot == "message":
        payload["data"]["transcript"][0]["message"] = "a@EVIL@b"
    elif spot == "summary":
        payload["data"]["analysis"]["transcript_summary"] = "a@EVIL@b"
    elif spot == "metadata":
        payload["data"]["metadata"]["termination_reason"] = "a@EVIL@b"
    elif spot == "payload":
        payload["data"]["agent_name"] = "a@EVIL@b"
    elif spot == "name":
        payload["data"]["metadata"]["a@EVIL@b"] = 1
    else:
        payload["data"]["conversation_initiation_client_data"]["dynamic_variables"]["x"] = "a@EVIL@b"
    body = compact(payload).replace(b"@EVIL@", evil.encode())
    ok(api.webhook(body))
    answer = ok(api.results(user, model.interview_id(cid)))
    text = json.dumps(answer.json(), ensure_ascii=False)
    assert "\x00" not in text and not re.search("[\ud800-\udfff]", text)
    if spot in ("message", "summary"):
        assert "a\ufffd" in text, f"the loss shows as U+FFFD: {text[:300]}"
    row = interview_row(lab, cid)
    assert row["raw_body"] is not None and bytes(row["raw_body"]) == body, "what was lossy is kept as it came"


def test_surrogate_pairs_are_no_loss(api, lab):
    user, cid = api.user(), api.cid()
    payload = api.payload(conversation_id=cid, user=user)
    payload["data"]["transcript"][0]["message"] = "smile 😀 \u2028 ä \t \\ \" /"
    ok(api.webhook(payload))
    body = ok(api.results(user, model.interview_id(cid))).json()
    assert body["interview"]["transcript"][0]["message"] == "smile 😀 \u2028 ä \t \\ \" /"
    assert interview_row(lab, cid)["raw_body"] is None


def test_invalid_utf8_becomes_replacement_characters(api, lab):
    user = api.user()
    for evil in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80"):
        cid = api.cid()
        payload = api.payload(conversation_id=cid, user=user)
        payload["data"]["transcript"][0]["message"] = "a@EVIL@b"
        body = compact(payload).replace(b"@EVIL@", evil)
        ok(api.webhook(body))
        message = ok(api.results(user, model.interview_id(cid))).json()["interview"]["transcript"][0]["message"]
        assert message.startswith("a\ufffd") and message.endswith("b"), f"{evil!r} became {message!r}"
        assert bytes(interview_row(lab, cid)["raw_body"]) == body


@pytest.mark.parametrize(
    "number", ["1e999999", "-1e999999", "1e400", "1e-999999", "9" * 400, "0." + "1" * 500, "9" * 200_000, "1E+99999999999999999999"]
)
def test_numbers_out_of_range(api, lab, number):
    """In every place where a number is read, and where none is."""
    user, cid = api.user(), api.cid()
    for path in (
        ("event_timestamp",),
        ("data", "metadata", "start_time_unix_secs"),
        ("data", "metadata", "call_duration_secs"),
        ("data", "metadata", "cost"),
        ("data", "transcript", 0, "time_in_call_secs"),
        ("data", "analysis", "call_success_score"),
    ):
        payload = changed(api.payload(conversation_id=cid, user=user), path, "@NUMBER@")
        ok(api.webhook(compact(payload).replace(b'"@NUMBER@"', number.encode())))
        ok(api.results(user, model.interview_id(cid))).json()
        cid = api.cid()


@pytest.mark.parametrize(
    "field,value",
    [
        ("start_time_unix_secs", -1),
        ("start_time_unix_secs", 0),
        ("start_time_unix_secs", 2**31),
        ("start_time_unix_secs", 2**63),
        ("start_time_unix_secs", 253402300800),
        ("start_time_unix_secs", 9_000_000_000_000_000),
        ("start_time_unix_secs", 1792000000.9),
        ("start_time_unix_secs", "1792000000"),
        ("call_duration_secs", -60),
        ("call_duration_secs", 2**62),
        ("call_duration_secs", 1e18),
        ("call_duration_secs", 59.7),
    ],
)
def test_times_that_cannot_be(api, lab, field, value):
    user, cid = api.user(), api.cid()
    payload = api.payload(conversation_id=cid, user=user)
    payload["data"]["metadata"][field] = value
    ok(api.webhook(payload))
    body = ok(api.results(user, model.interview_id(cid))).json()
    for name in ("startedAt", "endedAt"):
        text = body["interview"][name]
        assert text is None or re.match(r"^\d{4}-\d\d-\d\dT", text), text
    ok(api.save(user, new_sid(), ended_by="user"))


@pytest.mark.parametrize("shape", ["array", "object", "mixed"])
@pytest.mark.parametrize("place", ["metadata", "transcript", "analysis", "payload", "envelope"])
def test_a_hundred_thousand_levels(api, lab, shape, place):
    depth = 100_000
    left, right = {
        "array": (b"[" * depth, b"]" * depth),
        "object": (b'{"a":' * depth + b"1", b"}" * depth),
        "mixed": (b'[{"a":' * (depth // 2) + b"1", b"}]" * (depth // 2)),
    }[shape]
    user, cid = api.user(), api.cid()
    payload = api.payload(conversation_id=cid, user=user)
    if place == "metadata":
        payload["data"]["metadata"]["deep"] = "@DEEP@"
    elif place == "transcript":
        payload["data"]["transcript"].append("@DEEP@")
    elif place == "analysis":
        payload["data"]["analysis"]["data_collection_results"]["deep"] = "@DEEP@"
    elif place == "payload":
        payload["data"]["deep"] = "@DEEP@"
    else:
        payload["deep"] = "@DEEP@"
    body = compact(payload).replace(b'"@DEEP@"', left + right)
    ok(api.webhook(body))
    ok(api.results(user, model.interview_id(cid))).json()


def test_repeated_members(api, lab):
    """Of equal names the last counts, in our reading and in jsonb alike."""
    user, sid, cid = api.user(), new_sid(), api.cid()
    body = compact(api.payload(conversation_id=cid, user=user, session=sid))
    other = api.cid()
    doubled = body.replace(
        f'"conversation_id": "{cid}"'.encode(), f'"conversation_id": "{other}", "conversation_id": "{cid}"'.encode(), 1
    )
    assert doubled != body
    ok(api.webhook(doubled))
    assert interview_row(lab, other) is None
    assert interview_row(lab, cid)["owner"] == user


def test_control_characters_in_a_conversation_id(api, lab):
    for evil in ("\\u0000", "\\u0001", "\\n", "\\u007f", "\\ud800", "\\u2028"):
        cid = "conv_" + uuid.uuid4().hex
        body = compact(api.payload(conversation_id=cid)).replace(cid.encode(), (cid + evil).encode())
        assert api.webhook(body).status_code in (200, 400), evil


def test_odd_dynamic_variables(api, lab):
    """Numbers, bools and null are in the provider's contract; anything else is not our trouble."""
    for name in ("user_id", "secret__user_id", "client_session_id", "session_id", "x"):
        for value in (7, 1.5, True, None, [], {}, "", " ", "x" * 100_000, "\u0000", "fallback:conv_1", "é", "a b"):
            payload = api.payload()
            payload["data"]["conversation_initiation_client_data"]["dynamic_variables"][name] = value
            ok(api.webhook(payload))
    for value in (None, 7, "x", [], {}, [{"user_id": 1}]):
        payload = api.payload()
        payload["data"]["conversation_initiation_client_data"]["dynamic_variables"] = value
        ok(api.webhook(payload))


# ── large and chunked ───────────────────────────────────────────────────────


def large_payload(api, size, **more):
    payload = api.payload(**more)
    turn = payload["data"]["transcript"][0]
    text = "Ünïcode “quotes”, \\ and / — " * 30
    count = size // (len(compact({**turn, "message": text})) + 2) + 1
    payload["data"]["transcript"] = [{**turn, "message": f"{i} {text}", "time_in_call_secs": i} for i in range(count)]
    return payload


@pytest.mark.parametrize("chunked", [False, True])
def test_a_webhook_of_1_5_mb_is_served_in_results(api, lab, chunked):
    user, sid = api.user(), new_sid()
    payload = large_payload(api, 1_500_000, user=user, session=sid)
    assert len(compact(payload)) > 1_500_000
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(payload, chunked=chunked))
    view = ok(api.poll(user, sid)).json()
    assert view["status"] == "completed"
    for node in (0, 1):
        body = ok(api.results(user, view["interviewId"], node=node)).json()
        assert [t["message"] for t in body["interview"]["transcript"]] == [
            t["message"] for t in payload["data"]["transcript"]
        ]


def test_a_transcript_of_5_mb(api, lab):
    user, sid = api.user(), new_sid()
    payload = large_payload(api, 5 * MIB, user=user, session=sid)
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(payload))
    view = ok(api.poll(user, sid)).json()
    assert view["status"] == "completed"
    body = ok(api.results(user, view["interviewId"])).json()
    assert len(body["interview"]["transcript"]) == len(payload["data"]["transcript"])


def test_5_mb_in_one_string_and_in_a_million_values(api):
    for filler in ("x" * (5 * MIB), [1] * 1_000_000, [[]] * 1_000_000, {str(i): None for i in range(200_000)}):
        payload = api.payload()
        payload["data"]["filler"] = filler
        ok(api.webhook(payload))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_chunks_of_any_size(api, lab, size):
    payload = api.payload(user=api.user())
    body = compact(payload)
    t = int(time.time())
    connection = http.client.HTTPConnection("127.0.0.1", lab.nodes[0].port, timeout=60)
    try:
        connection.request(
            "POST",
            "/webhooks/elevenlabs",
            body=(body[i : i + size] for i in range(0, len(body), size)),
            headers={HEADER: f"t={t},v0={mac(lab.secret, t, body)}"},
            encode_chunked=True,
        )
        assert connection.getresponse().status == 200
    finally:
        connection.close()
    assert interview_row(lab, payload["data"]["conversation_id"])


def test_the_content_type_does_not_matter(api):
    for kind in (None, "text/plain", "application/json; charset=utf-8", "application/x-www-form-urlencoded"):
        ok(api.webhook(api.payload(), headers={"Content-Type": kind}))


# ── duplicates and versions ─────────────────────────────────────────────────


def test_duplicates(api, lab):
    user, sid = api.user(), new_sid()
    payload = api.payload(user=user, session=sid)
    body, cid = compact(payload), payload["data"]["conversation_id"]
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(body))
    first, tag = interview_row(lab, cid), ok(api.poll(user, sid)).headers["ETag"]
    for node in (0, 1, 0, 1):
        ok(api.webhook(body, node=node))
    again = interview_row(lab, cid)
    assert {k: v for k, v in again.items() if k != "updated_at"} == {k: v for k, v in first.items() if k != "updated_at"}
    assert ok(api.poll(user, sid)).headers["ETag"] == tag
    assert len(rows(lab, "SELECT 1 FROM evaluations WHERE interview_id = %s", first["id"])) == 1
    assert len(rows(lab, "SELECT 1 FROM interview_sessions WHERE user_id = %s", user)) == 1


def test_the_greater_content_counts_in_any_order(api, lab):
    """Greater: final before unfinished, then event_timestamp, then the hash of the body."""
    user = api.user()
    base = int(time.time())

    def version(cid, status, event, summary):
        payload = api.payload(conversation_id=cid, user=user, status=status)
        payload["event_timestamp"] = event
        payload["data"]["analysis"]["transcript_summary"] = summary
        return payload

    for versions in itertools.permutations(
        [("processing", base + 9, "unfinished"), ("done", base, "older"), ("done", base + 5, "newest")]
    ):
        cid = api.cid()
        for i, (status, event, summary) in enumerate(versions):
            ok(api.webhook(version(cid, status, event, summary), node=i % 2))
        body = ok(api.results(user, model.interview_id(cid))).json()
        assert body["interview"]["summary"] == "newest", [v[2] for v in versions]
        assert "newest" in json.dumps(body["evaluation"]["result"]), [v[2] for v in versions]


# ── names ───────────────────────────────────────────────────────────────────


def named(api, cid, variables=None, data_user=None, client_user=None):
    payload = api.payload(conversation_id=cid)
    payload["data"]["user_id"] = data_user
    client = payload["data"]["conversation_initiation_client_data"]
    client["user_id"] = client_user
    client["dynamic_variables"] = variables or {}
    return payload


def test_where_a_user_is_named(api, lab):
    """The first UUID of dynamic user_id, secret__user_id, data.user_id, client data's user_id."""
    a, b, c, d = (api.user() for _ in range(4))
    for payload, owner in (
        (lambda cid: named(api, cid, {"user_id": a, "secret__user_id": b}, c, d), a),
        (lambda cid: named(api, cid, {"secret__user_id": b}, c, d), b),
        (lambda cid: named(api, cid, {}, c, d), c),
        (lambda cid: named(api, cid, {}, None, d), d),
        (lambda cid: named(api, cid, {"user_id": "candidate-8c1f"}, c, d), c),
        (lambda cid: named(api, cid, {"user_id": 7, "secret__user_id": None}, "x", d), d),
        (lambda cid: named(api, cid, {"user_id": a.upper()}), a),
        (lambda cid: named(api, cid, {"user_id": "{" + a + "}"}), None),
        (lambda cid: named(api, cid, {"User_Id": a}), None),
    ):
        cid = api.cid()
        ok(api.webhook(payload(cid)))
        assert interview_row(lab, cid)["owner"] == owner, payload(cid)["data"]


def test_where_a_session_is_named(api, lab):
    user = api.user()
    first, second = new_sid(), new_sid()
    for variables, sid in (
        ({"client_session_id": first}, first),
        ({"session_id": second}, second),
        ({"client_session_id": first, "session_id": second}, first),
        ({"client_session_id": "not a sid", "session_id": second}, second),
        ({"client_session_id": "fallback:conv_1"}, None),
        ({"client_session_id": 7}, None),
    ):
        cid = api.cid()
        ok(api.webhook(named(api, cid, {"user_id": user, **variables})))
        assert interview_row(lab, cid)["claimed_session_id"] == sid, variables


# ── the delay for demonstrations ────────────────────────────────────────────


def test_simulate_webhook_delay(api, lab):
    user, sid = api.user(), new_sid()
    with lab.node(simulate_webhook_delay_ms=800) as node:
        ok(api.save(user, sid, node=node, ended_by="user"))
        began = time.monotonic()
        ok(api.webhook(api.payload(user=user, session=sid), node=node))
        eventually(lambda: api.poll(user, sid, node=node).json()["status"] == "completed", 10, "the delayed webhook")
        assert time.monotonic() - began >= 0.75


def test_the_delay_is_refused_in_production(lab):
    from support import run_debrief, told

    options = {**lab.base_options(), "environment": "production", "simulate_webhook_delay_ms": 5}
    for command in ("check-config", "serve"):
        done = run_debrief(lab, command, options=options, timeout=20)
        assert done.returncode == 1, told(done)
        assert "simulate_webhook_delay_ms" in done.stderr.lower(), told(done)


def test_a_webhook_creates_its_user(api, lab):
    user = api.user()
    ok(api.webhook(api.payload(user=user)))
    assert rows(lab, "SELECT 1 FROM profiles WHERE id = %s", user)
    assert session_row(lab, new_sid()) is None
