"""Server-sent events: each change once, to the final one; ends, heartbeats, and who comes back."""

import json
import signal
import socket
import threading
import time
import uuid

import pytest
import requests

from support import assert_problem, eventually, ok
from test_long_poll import http_get


def sid_of():
    return f"events-{uuid.uuid4()}"


class Stream:
    """A stream of events, read in a thread."""

    def __init__(self, api, user, sid, node=0, token=None, **headers):
        self.began = time.monotonic()
        self.answer = api.request(
            "GET", f"/api/interviews/by-session/{sid}/events", node, user,
            {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}, stream=True, timeout=60)
        self.events, self.comments, self.retry, self.ended_after = [], 0, None, None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        event = {}
        try:
            for raw in self.answer.iter_lines(chunk_size=1):
                line = raw.decode()
                if line == "":
                    if "data" in event:
                        self.events.append((event["id"], json.loads(event["data"])))
                    event = {}
                elif line.startswith(":"):
                    self.comments += 1
                else:
                    name, _, value = line.partition(": ")
                    if name == "retry":
                        self.retry = int(value)
                    event[name] = value
        except requests.RequestException:
            pass  # cut off: close()
        finally:
            self.ended_after = time.monotonic() - self.began

    def states(self):
        return [data["status"] for _, data in self.events]

    def end(self, timeout=20):
        self.thread.join(timeout)
        assert not self.thread.is_alive(), f"the stream goes on; it has sent {self.states()}"

    def close(self):
        self.answer.raw._fp.fp.raw._sock.shutdown(socket.SHUT_RDWR)
        self.answer.close()


def streams(node):
    for line in http_get(node.admin_port, "/metrics").splitlines():
        if line.startswith('debrief_parked_clients{kind="stream"} '):
            return int(float(line.split()[1]))
    raise AssertionError("no metric debrief_parked_clients")


@pytest.mark.parametrize("node", (0, 1))
def test_each_change_is_an_event_and_the_final_one_the_last(api, lab, node):
    user, sid = api.user(), sid_of()
    stream = Stream(api, user, sid, node)
    assert stream.answer.status_code == 200
    assert stream.answer.headers["Content-Type"] == "text/event-stream"
    assert stream.answer.headers["X-Accel-Buffering"] == "no"
    assert stream.answer.headers["Cache-Control"] == "no-store"
    ok(api.save(user, sid))
    eventually(lambda: stream.states() == ["started"], what="the first event")
    ok(api.save(user, sid, ended_by="user"))
    eventually(lambda: len(stream.events) == 2, what="the second")
    ok(api.webhook(api.payload(user=user, session=sid)))
    stream.end()
    assert stream.states() == ["started", "ended_pending_webhook", "completed"]
    final = ok(api.poll(user, sid))
    assert stream.events[-1] == (final.headers["ETag"], final.json())
    assert len({identifier for identifier, _ in stream.events}) == 3


def test_what_the_client_has_is_not_sent_again(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    etag = ok(api.poll(user, sid)).headers["ETag"]
    stream = Stream(api, user, sid, **{"Last-Event-ID": etag})
    ok(api.save(user, sid, ended_by="user"))
    eventually(lambda: stream.states() == ["ended_pending_webhook"], what="the change alone")
    ok(api.webhook(api.payload(user=user, session=sid)))
    stream.end()
    last = stream.events[-1][0]
    path = f"/api/interviews/by-session/{sid}/events"
    done = api.request("GET", path, user=user, headers={"Last-Event-ID": last})
    assert done.status_code == 204 and not done.content
    again = Stream(api, user, sid, **{"Last-Event-ID": etag})
    again.end()
    assert again.states() == ["completed"]


def test_problems_come_before_the_stream(api, lab):
    user = api.user()
    path = "/api/interviews/by-session/{}/events"
    assert_problem(api.request("GET", path.format("a b"), user=user), 400, "sessionId")
    assert_problem(api.request("GET", path.format(sid_of())), 401)
    head = api.request("HEAD", path.format(sid_of()), user=user)
    assert head.status_code == 200 and head.headers["Content-Type"] == "text/event-stream"


def test_another_user_sees_nothing(api, lab):
    owner, other, sid = api.user(), api.user(), sid_of()
    stream = Stream(api, None, sid, token=api.token(other, exp=int(time.time()) + 3))
    ok(api.save(owner, sid))
    stream.end()
    assert stream.events == []


def test_heartbeats_and_the_end_of_the_token(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    stream = Stream(api, None, sid, token=api.token(user, exp=int(time.time()) + 12))
    stream.end(30)
    assert stream.states() == ["started"] and stream.comments >= 1
    assert 10 < stream.ended_after < 15


def test_a_stream_outlives_the_timeouts_of_connections(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    stream = Stream(api, user, sid)
    time.sleep(35)
    ok(api.save(user, sid, ended_by="user"))
    eventually(lambda: stream.states() == ["started", "ended_pending_webhook"], what="the event")
    assert stream.comments >= 3
    stream.close()


def test_who_leaves_frees_its_place(api, lab):
    user, sid, node = api.user(), sid_of(), lab.nodes[0]
    ok(api.save(user, sid))
    before = streams(node)
    held = [Stream(api, user, sid) for _ in range(10)]
    eventually(lambda: streams(node) == before + 10, what="10 streams")
    for one in held:
        one.close()
    eventually(lambda: streams(node) == before, 5, "all to have left")
    assert ok(api.poll(user, sid)).json()["status"] == "started"


def test_a_connection_goes_on_behind_a_stream(api, lab):
    user, sid, node = api.user(), sid_of(), lab.nodes[0]
    ok(api.save(user, sid, ended_by="user"))
    connection = socket.create_connection(("127.0.0.1", node.port), timeout=30)
    connection.sendall(f"GET /api/interviews/by-session/{sid}/events HTTP/1.1\r\nHost: x\r\n"
                       f"Authorization: Bearer {api.token(user)}\r\n\r\n".encode())
    assert b"ended_pending_webhook" in connection.recv(65536) + connection.recv(65536)
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    ok(api.webhook(api.payload(user=user, session=sid)))
    rest = b""
    while chunk := connection.recv(65536):
        rest += chunk
    assert b"completed" in rest and b"\r\n0\r\n\r\nHTTP/1.1 200 OK" in rest and rest.endswith(b"ok\n")


def test_sigterm_ends_streams_and_tells_them_when_to_come_back(api, lab):
    node = lab.new_node()
    node.start()
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    held = [Stream(api, user, sid, node) for _ in range(10)]
    eventually(lambda: streams(node) == 10, what="10 streams")
    node.signal(signal.SIGTERM)
    for one in held:
        one.end()
        assert one.states() == ["started"] and 0 < one.retry <= 1000
    assert len({one.retry for one in held}) > 1
    assert node.stop() == 0


def test_streams_go_on_while_redis_is_away(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    held = [Stream(api, user, sid, node) for node in (0, 1)]
    eventually(lambda: all(one.states() == ["started"] for one in held), what="the first event")
    lab.redis_server.kill()
    eventually(lambda: api.save(user, sid, ended_by="user").status_code == 200, 30, "a 200 without Redis")
    for one in held:
        eventually(lambda: one.states() == ["started", "ended_pending_webhook"], 20, "the change")
        one.close()
