"""The log: one line a request that says what is needed to follow it, and nothing that is secret."""
import json
import re
import shlex
import signal

import pytest

from support import eventually, ok

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def logfmt(line):
    return dict(word.split("=", 1) for word in shlex.split(line))


def lines_of(node, request_id):
    return [line for line in node.log_text().splitlines() if f"request_id={request_id}" in line
            or f'"request_id":"{request_id}"' in line]


def request_line(node, answer):
    found = eventually(lambda: lines_of(node, answer.headers["X-Request-Id"]), what="a line in the log")
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def node(api, lab):
    """A node that logs every poll."""
    with lab.node(log_sample=1) as node:
        yield node


@pytest.fixture
def json_node(api, lab):
    with lab.node(log_sample=1, log_format="json") as node:
        yield node


def interview(api, node):
    user, sid, cid = api.user(), "log-" + api.user(), api.cid()
    ok(api.save(user, sid, node, ended_by="user"))
    return sid, cid, ok(api.webhook(api.payload(cid, user=user, session=sid), node)), user


def test_a_webhook_says_what_it_was_linked_to(api, node):
    sid, cid, answer, _ = interview(api, node)
    line = logfmt(request_line(node, answer))
    assert line["event"] == "request" and line["level"] == "info"
    assert (line["status"], line["route"]) == ("200", "/webhooks/elevenlabs")
    assert line["type"] == "post_call_transcription"
    assert (line["session"], line["conversation"], line["evidence"]) == (sid, cid, "session_id")
    assert re.fullmatch(r"\d+\.\d{3}", line["duration_ms"])
    assert line["peer"] == "127.0.0.1"


def test_a_save_says_what_it_was_linked_to(api, node):
    """The webhook was first, and names the conversation alone; the save claims it."""
    user, sid, cid = api.user(), "log-" + api.user(), api.cid()
    ok(api.webhook(api.payload(cid, user=user, agent="a", start=1700000000), node))
    line = logfmt(request_line(node, ok(api.save(user, sid, node, ended_by="user", conversation_id=cid))))
    assert (line["session"], line["conversation"], line["evidence"]) == (sid, cid, "conversation_id")
    assert line["user"] == user


def test_json(api, json_node):
    sid, cid, answer, _ = interview(api, json_node)
    line = json.loads(request_line(json_node, answer))
    assert line["event"] == "request" and line["status"] == 200 and 0 < line["duration_ms"] < 60000
    assert (line["session"], line["conversation"], line["evidence"]) == (sid, cid, "session_id")


def test_every_line_is_json(api, json_node):
    interview(api, json_node)
    assert api.request("GET", "/%22%5c\t", json_node, headers={"X-Request-Id": 'not "usable"'}).status_code in (400, 404)
    assert api.save(api.user(), 'quote" \\ ünd', json_node).status_code == 400
    for line in json_node.log_text().splitlines():
        if line.startswith("debrief: "):
            continue  # the configuration's warnings, before there is a log
        content = json.loads(line)
        assert content["ts"] and content["level"] and content["event"], line


def test_traceparent_is_taken_over(api, node):
    for given, taken in ((f"00-{TRACE}-{PARENT}-01", True), (f"00-{TRACE}-{PARENT}", False),
                         (f"00-{TRACE.upper()}-{PARENT}-01", False), (f"00-{'0' * 32}-{PARENT}-01", False)):
        answer = api.request("GET", "/api/interviews/by-session/x", node, api.user(), {"traceparent": given})
        line = logfmt(request_line(node, answer))
        assert (line.get("trace_id"), line.get("parent_id")) == ((TRACE, PARENT) if taken else (None, None)), given


def test_polls_are_sampled_and_errors_are_not(api, lab):
    with lab.node(log_sample=1000, workers=1) as node:
        user, sid = api.user(), "sample-" + api.user()
        ok(api.save(user, sid, node))
        polls = [ok(api.poll(user, sid, node)) for _ in range(20)]
        missed = api.poll(user, "nobodys", node)
        assert missed.status_code == 404
        request_line(node, missed)
        assert sum(bool(lines_of(node, each.headers["X-Request-Id"])) for each in polls) <= 1


def test_the_level_changes_by_signal(api, lab):
    with lab.node(log_sample=1) as node:
        def changes():
            return [line.rsplit("=", 1)[1] for line in node.log_text().splitlines() if "event=log_level" in line]

        def shift(number, level):
            before = changes()
            node.signal(number)
            eventually(lambda: len(changes()) > len(before), what="the signal to be taken")
            assert changes()[-1] == level

        shift(signal.SIGUSR2, "warn")
        silent = ok(api.request("GET", "/livez", node))
        shift(signal.SIGUSR2, "error")
        shift(signal.SIGUSR2, "error")
        shift(signal.SIGUSR1, "warn")
        shift(signal.SIGUSR1, "info")
        heard = ok(api.request("GET", "/livez", node))
        request_line(node, heard)
        assert not lines_of(node, silent.headers["X-Request-Id"])
        shift(signal.SIGUSR1, "debug")
        shift(signal.SIGUSR1, "debug")
        node.reload()
        eventually(lambda: "event=reloaded" in node.log_text(), what="the reload")
        shift(signal.SIGUSR2, "warn")  # so it was back at info


def test_no_secret_and_no_transcript(api, lab, node):
    user, sid, token = api.user(), "secret-" + api.user(), api.token()
    payload = api.payload(user=user, session=sid)
    payload["data"]["transcript"][0]["message"] = "my-most-private-words"
    node.signal(signal.SIGUSR1)
    ok(api.webhook(payload, node))
    api.webhook(payload, node, secret="wsec_wrong")
    api.request("GET", "/api/interviews/by-session/x", node, headers={"Authorization": f"Bearer {token}"})
    api.request("GET", "/api/interviews/by-session/x", node, headers={"Authorization": f"Bearer {token}x"})
    text = node.log_text()
    for word in ("my-most-private-words", token, lab.secret, lab.jwt_secret, lab.service_token,
                 lab.redis_server.password):
        assert word not in text, word
