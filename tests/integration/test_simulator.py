"""The simulator on its own: what it sends and answers is what the provider does."""
import http.server
import json
import threading
import time

import pytest
import requests

from lab import wait_for
from simulator import BEHAVIOURS, HEADER, SHAPES, Conversation, Simulator, sign, signature, webhook
from simulator.delivery import RETRY_DELAYS

SECRET = "wsec_" + "ab" * 32


class Receiver:
    """A webhook endpoint that answers as told and keeps what came."""

    def __init__(self):
        self.statuses = []  # of the next answers; then 200
        self.requests = []  # (time, headers, body)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b"".join(iter(self.chunk, b""))
                else:
                    body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((time.monotonic(), dict(self.headers), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def chunk(self):
                body = self.rfile.read(int(self.rfile.readline(), 16))
                self.rfile.readline()
                return body

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/webhooks/elevenlabs"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def simulator(receiver):
    with Simulator(receiver.url, SECRET, seed=7, retry_scale=0.0005) as simulator:
        yield simulator


def get(simulator, path, key=None, **query):
    return requests.get(simulator.url + path, params=query, timeout=10,
                        headers={"xi-api-key": simulator.api_key if key is None else key})


def verified(request):
    """The envelope of a request whose signature holds."""
    _, headers, body = request
    fields = dict(part.split("=", 1) for part in headers[HEADER].split(","))
    assert fields["v0"] == signature(SECRET, body, fields["t"])
    return json.loads(body)


def test_signature_known_answer():
    secret = "wsec_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    body = (b'{"type":"post_call_transcription","event_timestamp":1739537297,"data":{"agent_id":"agent_x",'
            b'"conversation_id":"conv_abc","status":"done"}}')
    expected = "t=1739537297,v0=ee8b15966d88296cac344a7b8b9eef239ce353e13ac2c9cd85420e4fcfd33b1c"
    assert sign(secret, body, 1739537297) == expected


def test_same_seed_same_bytes():
    def make(seed):
        return webhook(Conversation(seed=seed, start=1792000000, duration=600, user_id="u"))
    assert make(3) == make(3)
    assert make(3) != make(4)


@pytest.mark.parametrize("size", [10_000, 40_000, 1_500_000])
def test_bodies_are_about_as_large_as_wished(size):
    assert abs(len(webhook(Conversation(seed=1, duration=1800, size=size))) - size) < 0.1 * size


def test_a_transcript_is_an_interview():
    turns = Conversation(seed=1, start=0, duration=600, turns=20).data()["transcript"]
    assert [turn["role"] for turn in turns] == ["agent", "user"] * 10
    seconds = [turn["time_in_call_secs"] for turn in turns]
    assert seconds == sorted(seconds) and 0 <= seconds[0] and seconds[-1] < 600
    assert all(turn["message"] for turn in turns)


def test_webhook_is_signed_and_full(simulator, receiver):
    call = simulator.hold(user_id="user-1", dynamic_variables={"client_session_id": "s1"}, duration=90)
    assert simulator.send(call.id).wait() == 200
    envelope = verified(receiver.requests[0])
    data = envelope["data"]
    assert envelope["type"] == "post_call_transcription"
    assert data["conversation_id"] == call.id and data["status"] == "done"
    assert data["metadata"]["call_duration_secs"] == 90
    assert data["metadata"]["start_time_unix_secs"] + 90 <= envelope["event_timestamp"]
    client = data["conversation_initiation_client_data"]
    assert client["user_id"] == data["user_id"] == "user-1"
    assert client["dynamic_variables"]["client_session_id"] == "s1"


def test_without_user_nothing_of_the_user_is_left(simulator, receiver):
    call = simulator.hold(user_id="user-1", dynamic_variables={"client_session_id": "session-1"})
    simulator.send(call.id, with_user=False).wait()
    assert b"user-1" not in receiver.requests[0][2] and b"session-1" not in receiver.requests[0][2]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_arrives_whole(simulator, receiver, shape):
    call = simulator.hold()
    assert simulator.send(call.id, shape=shape).wait() == 200
    envelope = verified(receiver.requests[0])
    assert envelope["data"]["conversation_id"] == call.id
    chunked = receiver.requests[0][1].get("Transfer-Encoding") == "chunked"
    assert chunked == (shape == "post_call_audio")
    if shape == "minimal":
        assert {envelope["data"][name] for name in ("transcript", "metadata", "analysis", "user_id")} == {None}


def test_delay_and_duplicates(simulator, receiver):
    call = simulator.hold()
    began = time.monotonic()
    simulator.send(call.id, delay=0.3, duplicates=2)
    wait_for(lambda: len(receiver.requests) == 3, "three webhooks")
    assert receiver.requests[0][0] - began >= 0.3
    assert len({(headers[HEADER], body) for _, headers, body in receiver.requests}) == 1


def test_out_of_order(simulator, receiver):
    ids = [simulator.hold().id for _ in range(5)]
    for delivery in simulator.send_all(ids, order="reversed"):
        delivery.wait()
    assert sorted(verified(request)["data"]["conversation_id"] for request in receiver.requests) == sorted(ids)
    assert [delivery.conversation_id for delivery in simulator.courier.deliveries] == ids[::-1]


def test_our_own_trouble_is_retried_with_growing_delays(simulator, receiver):
    receiver.statuses = [503, 500, 429]
    assert simulator.send(simulator.hold().id).wait() == 200
    assert [attempt.status for attempt in simulator.courier.deliveries[0].attempts] == [503, 500, 429, 200]
    times = [at for at, _, _ in receiver.requests]
    for index, gap in enumerate(later - earlier for earlier, later in zip(times, times[1:])):
        assert gap >= RETRY_DELAYS[index] * 0.0005
    assert len({body for _, _, body in receiver.requests}) == 1


def test_it_gives_up_at_last(simulator, receiver):
    receiver.statuses = [503] * 20
    assert simulator.send(simulator.hold().id).wait() == 503
    assert len(receiver.requests) == 1 + len(RETRY_DELAYS)


@pytest.mark.parametrize("status", [204, 400, 401, 404])
def test_other_answers_are_final(simulator, receiver, status):
    receiver.statuses = [status]
    assert simulator.send(simulator.hold().id).wait() == status
    assert len(receiver.requests) == 1


def test_only_transcriptions_are_retried(simulator, receiver):
    receiver.statuses = [503]
    assert simulator.send(simulator.hold().id, shape="call_initiation_failure").wait() == 503


def test_nobody_there_is_retried():
    with Simulator("http://127.0.0.1:9/", SECRET, serve=False, retry_scale=0.0001) as simulator:
        delivery = simulator.send(simulator.hold().id)
        assert delivery.wait() == 0
        assert len(delivery.attempts) == 1 + len(RETRY_DELAYS)


def test_pull_api_needs_its_key(simulator):
    call = simulator.hold()
    path = f"/v1/convai/conversations/{call.id}"
    assert get(simulator, path, key="wrong").status_code == 401
    assert get(simulator, path).status_code == 200
    assert get(simulator, "/v1/convai/conversations/conv_nobody").status_code == 404


def test_pull_api_tells_what_the_webhook_tells(simulator, receiver):
    call = simulator.hold(user_id="u")
    simulator.send(call.id).wait()
    assert get(simulator, f"/v1/convai/conversations/{call.id}").json() == verified(receiver.requests[0])["data"]


def test_a_conversation_goes_on_until_it_ends(simulator):
    call = simulator.begin(start=int(time.time()) - 5)
    path = f"/v1/convai/conversations/{call.id}"
    assert get(simulator, path).json()["status"] == "in-progress"
    simulator.end(call.id)
    assert get(simulator, path).json()["status"] == "done"


def test_list_filters_and_hides(simulator):
    first = simulator.hold(agent_id="agent_a", user_id="u1", start=1000, dynamic_variables={"client_session_id": "s1"})
    second = simulator.hold(agent_id="agent_a", user_id="u2", start=2000, dynamic_variables={"attempt": 2})
    simulator.hold(agent_id="agent_b", user_id="u1", start=3000)

    def ids(**query):
        return [row["conversation_id"] for row in
                get(simulator, "/v1/convai/conversations", **query).json()["conversations"]]

    assert ids(agent_id="agent_a") == [second.id, first.id]
    assert ids(agent_id="agent_a", user_id="u1") == [first.id]
    assert ids(call_start_after_unix=1500, call_start_before_unix=2500) == [second.id]
    assert ids(dynamic_variable_params="client_session_id:eq:s1") == [first.id]
    assert ids(dynamic_variable_params="attempt:eq:2") == [second.id]
    text = get(simulator, "/v1/convai/conversations").text
    assert '"u1"' not in text and "client_session_id" not in text


def test_list_pages(simulator):
    ids = {simulator.hold(start=5000 + n // 3).id for n in range(25)}
    seen, cursor = [], None
    while True:
        page = get(simulator, "/v1/convai/conversations", page_size=10, **({"cursor": cursor} if cursor else {})).json()
        seen += [row["conversation_id"] for row in page["conversations"]]
        cursor = page["next_cursor"]
        assert page["has_more"] == (cursor is not None)
        if cursor is None:
            break
    assert len(seen) == 25 and set(seen) == ids
    assert get(simulator, "/v1/convai/conversations", page_size=101).status_code == 422


def test_minted_ids_are_taken_up(simulator):
    answer = get(simulator, "/v1/convai/conversation/token", agent_id="agent_m").json()
    assert answer["token"] and answer["conversation_id"].startswith("conv_")
    url = get(simulator, "/v1/convai/conversation/get-signed-url", agent_id="agent_m", include_conversation_id="true")
    assert "conversation_id=conv_" in url.json()["signed_url"]
    call = simulator.begin(id=answer["conversation_id"], user_id="u")
    assert call.id == answer["conversation_id"] and call.agent_id == "agent_m"


def test_it_is_played_by_hand(simulator, receiver):
    base = simulator.url + "/sim"
    begun = requests.post(base + "/conversations", json={"agent_id": "agent_x", "user_id": "u", "start": 1792000000},
                          timeout=10)
    assert begun.status_code == 201 and begun.headers["Access-Control-Allow-Origin"] == "*"
    id = begun.json()["conversation_id"]
    ended = requests.post(f"{base}/conversations/{id}/end", json={"duration": 30}, timeout=10)
    assert ended.json() == {"conversation_id": id, "status": "done", "duration": 30}
    sent = requests.post(f"{base}/conversations/{id}/webhook", json={"duplicates": 1}, timeout=10)
    assert sent.status_code == 202
    wait_for(lambda: len(receiver.requests) == 2, "both webhooks")
    wait_for(lambda: all(d["settled"] for d in requests.get(base + "/deliveries", timeout=10).json()["deliveries"]),
             "settled deliveries")
    assert requests.post(f"{base}/conversations/{id}/end", json={"nonsense": 1}, timeout=10).status_code == 422
    assert requests.post(f"{base}/conversations/conv_x/end", json={}, timeout=10).status_code == 404
    assert requests.options(base + "/conversations", timeout=10).status_code == 204


# ── as the browser's application plays it ───────────────────────────────────

PAGE = {"Origin": "http://127.0.0.1:18080"}


def control(simulator, *path, method="POST", status=200, headers=None, **fields):
    url = "/".join([simulator.url, "sim/conversations", *path])
    answer = requests.request(method, url, json=fields, headers={**PAGE, **(headers or {})}, timeout=10)
    assert answer.status_code == status, answer.text
    return answer.json()


def begin(simulator, **fields):
    return control(simulator, status=201, **fields)["conversation_id"]


def arrived(receiver, count):
    wait_for(lambda: len(receiver.requests) == count, f"{count} webhooks")
    return [verified(request) for request in receiver.requests]


@pytest.fixture
def quick(receiver):
    """Delays of chosen behaviours are fiftieths of themselves."""
    with Simulator(receiver.url, SECRET, seed=7, retry_scale=0.0005, delay_scale=0.02) as simulator:
        yield simulator


@pytest.mark.parametrize("at_start", [True, False])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_behaviours_of_the_webhook(quick, receiver, behaviour, at_start):
    variables = {"client_session_id": "s1", "user_id": "u1", "role": "glass blower", "resume": "I blow glass."}
    id = begin(quick, user_id="u1", dynamic_variables=variables, **({"webhook": behaviour} if at_start else {}))
    assert receiver.requests == []
    began = time.monotonic()
    for _ in range(3):  # the first one counts
        control(quick, id, "end", **({} if at_start else {"webhook": behaviour}))
    if behaviour == "never":
        other = begin(quick, webhook="at-once")
        control(quick, other, "end")
        assert [told["data"]["conversation_id"] for told in arrived(receiver, 1)] == [other]
        assert len(quick.courier.deliveries) == 1
        return
    told = arrived(receiver, 2 if behaviour == "twice" else 1)
    waited = {"after-5s": 0.1, "after-70s": 1.4}.get(behaviour, 0)
    assert receiver.requests[0][0] - began >= waited
    assert len(quick.courier.deliveries) == len(told)
    assert len({body for _, _, body in receiver.requests}) == 1
    data = told[0]["data"]
    client = data["conversation_initiation_client_data"]
    assert client["user_id"] == "u1" and variables.items() <= client["dynamic_variables"].items()
    assert (data["analysis"] is None) == (behaviour == "evaluation-failed")
    assert "glass blower" in data["transcript"][0]["message"]


def test_an_unknown_behaviour_is_refused(simulator):
    control(simulator, status=422, webhook="perhaps")
    id = begin(simulator)
    control(simulator, id, "end", status=422, webhook="perhaps")
    control(simulator, id, "hangup", status=422, reason="perhaps")
    assert simulator.conversations[id].status == "in-progress"


def test_what_was_said_is_the_transcript(simulator, receiver):
    id = begin(simulator, webhook="at-once")
    assert control(simulator, id, "turns", role="agent", message="Why glass?") == {"turns": 1}
    assert control(simulator, id, "turns", role="user", message="It's «hot».") == {"turns": 2}
    for wrong in ({"role": "system", "message": "x"}, {"role": "user", "message": ""}, {"role": "user", "message": None},
                  {"role": "user", "message": "x" * 5000}):
        control(simulator, id, "turns", status=422, **wrong)
    control(simulator, id, "end")
    control(simulator, id, "turns", status=422, role="user", message="too late")
    turns = arrived(receiver, 1)[0]["data"]["transcript"]
    assert [(turn["role"], turn["message"]) for turn in turns] == [("agent", "Why glass?"), ("user", "It's «hot».")]
    assert all(turn["time_in_call_secs"] in (0, 1, 2, 3) for turn in turns)


def open_line(simulator, id):
    line = requests.get(f"{simulator.url}/sim/conversations/{id}/line", headers=PAGE, stream=True, timeout=10)
    assert line.status_code == 200 and line.headers["Content-Type"] == "text/event-stream"
    assert line.headers["Access-Control-Allow-Origin"] == PAGE["Origin"]
    return line


def events(line):
    return [part.decode() for part in line.iter_lines() if part and not part.startswith(b":")]


@pytest.mark.parametrize(("verb", "fields", "reason"), [
    ("end", {}, "user"), ("hangup", {}, "agent"), ("hangup", {"reason": "error"}, "error")])
def test_the_line_tells_how_it_ended(simulator, receiver, verb, fields, reason):
    id = begin(simulator, webhook="at-once")
    with open_line(simulator, id) as line:
        control(simulator, id, verb, **fields)
        assert events(line) == ["event: disconnect", f'data: {{"reason": "{reason}"}}']
    arrived(receiver, 1)
    again = requests.get(f"{simulator.url}/sim/conversations/{id}/line", headers=PAGE, timeout=10)
    assert (again.status_code, again.content) == (204, b"")


def test_a_lost_line_ends_the_call(simulator, receiver):
    """A closed tab says nothing; the provider notices."""
    id = begin(simulator, webhook="twice")
    open_line(simulator, id).close()
    assert {told["data"]["conversation_id"] for told in arrived(receiver, 2)} == {id}
    assert simulator.calls[id].reason == "error"


def test_a_line_that_comes_back_in_time_is_the_same_call(simulator, receiver):
    id = begin(simulator, webhook="at-once")
    first = open_line(simulator, id)
    second = open_line(simulator, id)
    first.close()
    other = begin(simulator, webhook="at-once")
    open_line(simulator, other).close()  # lost after `first`: when this one is noticed, that one would have been
    assert arrived(receiver, 1)[0]["data"]["conversation_id"] == other
    assert not simulator.calls[id].over
    control(simulator, id, "end")
    assert events(second)[0] == "event: disconnect"
    arrived(receiver, 2)


def test_pages_of_other_origins(receiver):
    with Simulator(receiver.url, SECRET, origins=[PAGE["Origin"]]) as simulator:
        url = simulator.url + "/sim/conversations"
        for origin, status in ((PAGE["Origin"], 201), (None, 201), ("http://evil.example", 403), ("null", 403)):
            headers = {"Origin": origin} if origin else {}
            answer = requests.post(url, data="{}", headers={**headers, "Content-Type": "text/plain"}, timeout=10)
            assert answer.status_code == status, origin
            preflight = requests.options(url, headers=headers, timeout=10)
            allowed = [preflight.headers.get("Access-Control-Allow-Origin"), answer.headers.get("Access-Control-Allow-Origin")]
            assert allowed == ([None] * 2 if status == 403 else [origin or "*"] * 2)
            assert ("Access-Control-Allow-Headers" in preflight.headers) == (status == 201)
            assert "Origin" in answer.headers["Vary"]
