"""Long polls: held until there is news, on every node; whoever leaves or is sent away frees its place."""

import http.client
import json
import signal
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import assert_problem, eventually, ok

# The machine is shared: what takes milliseconds may take some more.
SOON_SECS = 1.0


def sid_of():
    return f"wait-{uuid.uuid4()}"


def wait(api, user, sid, secs, etag=None, node=0, prefer=None, query=None, token=None):
    """(seconds it took, answer)"""
    path = f"/api/interviews/by-session/{sid}" + (f"?{query}" if query else "")
    headers = {}
    if prefer is None and query is None:
        prefer = f"wait={secs}"
    if prefer is not None:
        headers["Prefer"] = prefer
    if etag is not None:
        headers["If-None-Match"] = etag
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    began = time.monotonic()
    answer = api.request("GET", path, node, user, headers)
    return time.monotonic() - began, answer


@pytest.fixture
def pool():
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.mark.parametrize("node", (0, 1))
def test_a_webhook_wakes_it_on_every_node(api, lab, pool, node):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid, ended_by="user"))
    etag = ok(api.poll(user, sid, node)).headers["ETag"]
    held = pool.submit(wait, api, user, sid, 30, etag, node)
    time.sleep(0.3)
    assert not held.done()
    ok(api.webhook(api.payload(user=user, session=sid), node=1 - node))
    sent = time.monotonic()
    took, answer = held.result(30)
    assert time.monotonic() - sent < SOON_SECS
    assert ok(answer).json()["status"] == "completed" and answer.headers["ETag"] != etag
    assert answer.headers["Preference-Applied"] == "wait=30"
    assert "Retry-After" not in answer.headers


def test_without_an_etag_it_waits_for_the_end(api, lab, pool):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    held = pool.submit(wait, api, user, sid, 30)
    ok(api.save(user, sid, ended_by="user"))  # news, and not the end
    time.sleep(0.3)
    assert not held.done()
    ok(api.webhook(api.payload(user=user, session=sid)))
    assert ok(held.result(30)[1]).json()["evaluationStatus"] == "complete"
    took, answer = wait(api, user, sid, 30)
    assert took < SOON_SECS and ok(answer).json()["status"] == "completed"


def test_with_an_etag_every_change_is_news(api, lab, pool):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    etag = ok(api.poll(user, sid)).headers["ETag"]
    held = pool.submit(wait, api, user, sid, 30, etag)
    time.sleep(0.2)
    ok(api.save(user, sid, node=1, ended_by="user"))
    took, answer = held.result(30)
    assert ok(answer).json()["status"] == "ended_pending_webhook"
    took, answer = wait(api, user, sid, 30, '"another"')
    assert took < SOON_SECS and answer.status_code == 200
    took, answer = wait(api, user, sid, 1, f'W/{answer.headers["ETag"]}, "x"')
    assert answer.status_code == 304 and took >= 1


def test_an_evaluation_wakes_it(api, lab, pool):
    nodes = [lab.new_node(evaluator="external") for _ in range(2)]
    try:
        for node in nodes:
            node.start()
        user, sid = api.user(), sid_of()
        ok(api.save(user, sid, nodes[0], ended_by="user"))
        ok(api.webhook(api.payload(user=user, session=sid), nodes[0]))
        pending = ok(api.poll(user, sid, nodes[0])).json()
        assert pending["evaluationStatus"] == "pending"
        held = [pool.submit(wait, api, user, sid, 30, node=node) for node in nodes]
        time.sleep(0.3)
        assert not any(one.done() for one in held)
        ok(api.request("PUT", f"/api/interviews/{pending['interviewId']}/evaluation", nodes[1],
                       headers={"Authorization": f"Bearer {lab.service_token}"},
                       json={"status": "complete", "result": {"score": 4}}))
        for one in held:
            assert ok(one.result(30)[1]).json()["evaluationStatus"] == "complete"
    finally:
        for node in nodes:
            node.stop()


def test_an_unknown_session_is_waited_for(api, lab, pool):
    user, sid = api.user(), sid_of()
    held = [pool.submit(wait, api, user, sid, 30, '"none"', node) for node in (0, 1)]
    time.sleep(0.3)
    assert not any(one.done() for one in held)
    ok(api.save(user, sid))
    for one in held:
        assert ok(one.result(30)[1]).json()["status"] == "started"
    took, answer = wait(api, user, sid_of(), 1)
    assert_problem(answer, 404)
    assert took >= 1 and answer.headers["Preference-Applied"] == "wait=1"


def test_anothers_session_is_as_good_as_none(api, lab, pool):
    owner, other, sid = api.user(), api.user(), sid_of()
    held = pool.submit(wait, api, other, sid, 2, '"none"')
    ok(api.save(owner, sid))
    took, answer = held.result(30)
    assert answer.status_code == 404 and took >= 2


def test_nothing_new_is_304_or_the_unchanged_200(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    first = ok(api.poll(user, sid))
    took, answer = wait(api, user, sid, 1, first.headers["ETag"])
    assert answer.status_code == 304 and 1 <= took < 1 + SOON_SECS
    assert answer.headers["ETag"] == first.headers["ETag"] and not answer.content
    took, answer = wait(api, user, sid, 1)
    assert answer.status_code == 200 and took >= 1 and answer.content == first.content
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("prefer, query, applied", [
    ("wait=1", None, "wait=1"),
    ("respond-async, WAIT = 1; x=y", None, "wait=1"),
    ('foo="a, wait=9", wait="1"', None, "wait=1"),
    ("wait=1, wait=50", None, "wait=1"),
    (None, "wait=1", "wait=1"),
    (None, "a=b&wait=1", "wait=1"),
    ("wait=1", "wait=50", "wait=1"),
    ("wait=soon", "wait=1", "wait=1"),
    ("wait", None, None),
    ("wait=-1", None, None),
    ("wait=1.5", None, None),
    ("wait=0", None, None),
    ("waiter=1", None, None),
    ("wait=99999999999999999999", None, None),
    (None, "wait=", None),
    (None, "wait=1s", None),
])
def test_what_counts_as_a_wish(api, lab, prefer, query, applied):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    etag = ok(api.poll(user, sid)).headers["ETag"]
    took, answer = wait(api, user, sid, 1, etag, prefer=prefer, query=query)
    assert answer.status_code == 304
    assert answer.headers.get("Preference-Applied") == applied
    assert (took >= 1) == (applied is not None)
    assert ("Retry-After" in answer.headers) == (applied is None)


def test_a_wish_is_bounded(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(api.payload(user=user, session=sid)))
    took, answer = wait(api, user, sid, 3600)
    assert ok(answer).headers["Preference-Applied"] == "wait=55" and took < SOON_SECS


def test_it_ends_with_the_token(api, lab):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    token = api.token(user, exp=int(time.time()) + 2)
    took, answer = wait(api, None, sid, 30, token=token)
    assert answer.status_code == 200 and took < 2 + SOON_SECS
    assert answer.headers["Preference-Applied"] in ("wait=1", "wait=2")
    late = api.token(user, exp=int(time.time()) - 5)  # within the leeway
    took, answer = wait(api, None, sid, 30, token=late)
    assert answer.status_code == 200 and took < SOON_SECS and "Preference-Applied" not in answer.headers


def test_a_deadline_that_passes_is_news(api, lab, pool):
    node = lab.new_node(webhook_deadline_secs=2)
    node.start()
    try:
        user, sid = api.user(), sid_of()
        ok(api.save(user, sid, node, ended_by="user"))
        etag = ok(api.poll(user, sid, node)).headers["ETag"]
        took, answer = wait(api, user, sid, 30, etag, node)
        assert ok(answer).json()["reason"] == "webhook_never_arrived" and took < 5
    finally:
        node.stop()


def open_wait(node, token, sid, secs=50, extra=b"", etag=None):
    """A raw connection with a long poll on it."""
    connection = socket.create_connection(("127.0.0.1", node.port), timeout=60)
    condition = f"If-None-Match: {etag}\r\n" if etag else ""
    connection.sendall(
        f"GET /api/interviews/by-session/{sid} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"{condition}Prefer: wait={secs}\r\n\r\n".encode() + extra)
    return connection


def waiters(node):
    for line in http_get(node.admin_port, "/metrics").splitlines():
        if line.startswith('debrief_parked_clients{kind="wait"} '):
            return int(float(line.split()[1]))
    raise AssertionError("no metric debrief_parked_clients")


def http_get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def test_who_leaves_frees_its_place(api, lab):
    user, sid, node = api.user(), sid_of(), lab.nodes[0]
    ok(api.save(user, sid))
    before = waiters(node)
    held = [open_wait(node, api.token(user), sid) for _ in range(20)]
    eventually(lambda: waiters(node) == before + 20, what="20 to wait")
    for one in held[:10]:
        one.close()
    for one in held[10:15]:  # reset
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        one.close()
    eventually(lambda: waiters(node) == before + 5, 5, "15 to have left")
    talker = open_wait(node, api.token(user), sid)
    eventually(lambda: waiters(node) == before + 6, 5, "one more to wait")
    talker.sendall(b"GET /livez HT")
    time.sleep(0.1)
    assert waiters(node) == before + 6
    talker.close()
    eventually(lambda: waiters(node) == before + 5, 5, "the one that went on talking to have left")
    # who closes only its sending half is still answered
    held[15].shutdown(socket.SHUT_WR)
    assert held[15].recv(65536).startswith(b"HTTP/1.1 200 ")
    for one in held[16:]:
        one.close()
    eventually(lambda: waiters(node) == before, 5, "all to have left")


def test_what_is_sent_behind_a_long_poll_waits_its_turn(api, lab):
    """Bytes on a parked connection once made the library end the process."""
    user, sid, node = api.user(), sid_of(), lab.nodes[0]
    ok(api.save(user, sid))
    connection = open_wait(node, api.token(user), sid, 30, extra=b"G")
    time.sleep(0.2)
    connection.sendall(b"ET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    time.sleep(0.2)
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(api.payload(user=user, session=sid)))
    answer = b""
    while chunk := connection.recv(65536):
        answer += chunk
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.endswith(b"ok\n"), answer


def test_sigterm_answers_who_waits_and_spreads_them(api, lab):
    node = lab.new_node()
    node.start()
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    etag = ok(api.poll(user, sid)).headers["ETag"]
    held = [open_wait(node, api.token(user), sid, etag=etag) for _ in range(50)]
    eventually(lambda: waiters(node) == 50, what="50 to wait")
    ends = []

    def read(one):
        answer = one.recv(65536)
        ends.append(time.monotonic())
        assert answer.startswith(b"HTTP/1.1 304 "), answer[:200]
        assert b"Connection: close" in answer
        assert one.recv(1) == b""
    threads = [threading.Thread(target=read, args=(one,)) for one in held]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    node.signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    assert len(ends) == 50, "not all were answered"
    assert max(ends) - began < 5
    assert max(ends) - min(ends) > 0.2, "all were sent away at once"
    assert node.stop() == 0


def test_many_wait_for_many(api, lab, pool):
    """Each is woken by its own change alone."""
    user = api.user()
    sids = [sid_of() for _ in range(10)]
    for sid in sids:
        ok(api.save(user, sid))
    etags = {sid: ok(api.poll(user, sid)).headers["ETag"] for sid in sids}
    held = {sid: pool.submit(wait, api, user, sid, 3, etags[sid], number % 2) for number, sid in enumerate(sids)}
    time.sleep(0.5)
    ok(api.save(user, sids[3], ended_by="user"))
    assert held[sids[3]].result(30)[1].status_code == 200
    for sid in sids:
        if sid != sids[3]:
            assert held[sid].result(30)[1].status_code == 304


def test_waits_go_on_while_redis_is_away(api, lab, pool):
    """They look into the ledger now and then; what another node told only the ledger is seen."""
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    etag = ok(api.poll(user, sid)).headers["ETag"]
    held = [pool.submit(wait, api, user, sid, 50, etag, node) for node in (0, 1)]
    time.sleep(0.3)
    lab.redis_server.kill()
    time.sleep(0.5)
    assert not any(one.done() for one in held)
    eventually(lambda: api.save(user, sid, ended_by="user").status_code == 200, 30, "a 200 without Redis")
    for one in held:
        assert ok(one.result(60)[1]).json()["status"] == "ended_pending_webhook"


def test_waits_survive_a_restart_of_redis(api, lab, pool):
    user, sid = api.user(), sid_of()
    ok(api.save(user, sid))
    etag = ok(api.poll(user, sid)).headers["ETag"]
    held = [pool.submit(wait, api, user, sid, 50, etag, node) for node in (0, 1)]
    time.sleep(0.3)
    lab.redis_server.kill()
    lab.redis_server.start()
    lab.wait_ready()
    assert not any(one.done() for one in held)
    ok(api.save(user, sid, ended_by="user"))
    for one in held:
        assert ok(one.result(60)[1]).json()["status"] == "ended_pending_webhook"


def test_one_query_for_all_who_ask_at_once(api, lab):
    """Without Redis: polls of one session share their reads of the ledger."""
    node = lab.new_node(redis_url="redis://127.0.0.1:9/0", workers=1)
    node.start(ready=False)
    try:
        eventually(lambda: json.loads(http_get(node.port, "/readyz"))["ledger"] == "up", what="the ledger")
        user, sid = api.user(), sid_of()
        ok(api.save(user, sid))
        count = 200
        lab.postgres_server.pause()  # who asks now stands together
        connections = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", node.port), timeout=30)
            one.sendall(f"GET /api/interviews/by-session/{sid} HTTP/1.1\r\nHost: x\r\n"
                        f"Authorization: Bearer {api.token(user)}\r\n\r\n".encode())
            connections.append(one)
        time.sleep(0.5)
        lab.postgres_server.resume()
        for one in connections:
            assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
            one.close()
        reads = next(float(line.split()[1]) for line in http_get(node.admin_port, "/metrics").splitlines()
                     if line.startswith("debrief_session_reads_total "))
        assert reads <= 10, f"{reads} reads for {count} polls"
    finally:
        lab.postgres_server.resume()
        node.stop()
