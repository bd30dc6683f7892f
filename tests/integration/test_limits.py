"""Deadlines, caps and rates. Loopback is a trusted proxy by default, which no limit by
address holds for; nodes here trust nobody, or speak for others."""
import json
import re
import time
import urllib.request

import pytest
from raw import Raw
from simulator import HEADER, sign
from support import assert_problem, eventually, ok

HOST = "Host: a\r\n"
GET = "GET /livez HTTP/1.1\r\n" + HOST
NOBODY = "none"
SAVE = "POST /api/save-interview HTTP/1.1\r\n" + HOST
WEBHOOK = "POST /webhooks/elevenlabs HTTP/1.1\r\n" + HOST


def status_of(node, request):
    with Raw(node) as client:
        return client.send(request).reply().status


# ── deadlines ───────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def hasty(lab):
    with lab.node(header_timeout_secs=1, body_timeout_secs=2) as node:
        yield node


def test_headers_that_trickle(hasty):
    """A byte now and then wins no time."""
    with Raw(hasty) as client:
        client.send("GET /livez HTTP/1.1\r\nX: ")
        assert 0.5 < client.trickle(b"a", every=0.1, limit=15) < 10
        reply = client.reply()
        assert reply.status == 408
        assert reply.problem()


def test_a_client_that_says_nothing(hasty):
    with Raw(hasty) as client:
        began = time.monotonic()
        assert client.ended()
        assert 0.5 < time.monotonic() - began < 10


def test_later_headers_have_the_same_deadline(hasty):
    with Raw(hasty) as client:
        assert client.send(GET + "\r\n").reply().status == 200
        time.sleep(1.5)  # between requests it may rest for longer than headers may take
        assert not client.has_news()
        client.send("GET /li")
        assert 0.5 < client.trickle(b"v", every=0.1, limit=15) < 10
        assert client.reply().status == 408


@pytest.mark.parametrize("framing", ["Content-Length: 50000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nC350\r\n"])
def test_a_body_that_trickles(hasty, framing):
    with Raw(hasty) as client:
        client.send(SAVE + framing)
        assert 1.5 < client.trickle(b"a", every=0.1, limit=20) < 15
        reply = client.reply()
        assert reply.status == 408
        assert reply.problem()


def test_chunks_that_trickle(hasty):
    with Raw(hasty) as client:
        client.send(SAVE + "Transfer-Encoding: chunked\r\n\r\n")
        assert 1.5 < client.trickle(b"1\r\na\r\n", every=0.1, limit=20) < 15
        assert client.reply().status == 408


# ── bodies ──────────────────────────────────────────────────────────────────


def signature(lab, secret=None, age=0):
    return f"{HEADER}: {sign(secret or lab.secret, b'x', int(time.time()) - age)}\r\n"


def test_a_large_body_needs_a_signature_header(lab):
    """Told at the end of the headers: not one byte of a body was sent."""
    large = "Content-Length: 100000\r\n\r\n"
    for head, status in (
        (WEBHOOK + large, 401),
        (WEBHOOK + f"{HEADER}: nonsense\r\n" + large, 401),
        (WEBHOOK + signature(lab, age=4000) + large, 401),
        (WEBHOOK + signature(lab, age=-400) + large, 401),
        (WEBHOOK + signature(lab) + "Content-Length: 33554433\r\n\r\n", 413),
        (SAVE + large, 413),
        (SAVE + signature(lab) + large, 413),
        ("POST /webhooks/elevenlabs2 HTTP/1.1\r\n" + HOST + signature(lab) + large, 413),
        (SAVE + "Expect: 100-continue\r\n" + large, 413),
    ):
        with Raw(lab.nodes[0]) as client:
            reply = client.send(head).reply()
            assert reply.status == status, head
            problem = reply.problem()
            if status == 401:
                assert problem["field"] == HEADER
            assert client.ended()


def test_a_large_body_with_one_is_read_first(lab):
    """A stranger's signature has the right form, so only its body tells; the header may stand anywhere."""
    for head in (
        WEBHOOK + signature(lab, "wsec_of_a_stranger") + "Content-Length: 100000\r\n\r\n",
        WEBHOOK + "Content-Length: 100000\r\n" + signature(lab, "wsec_of_a_stranger") + "\r\n",
        WEBHOOK.replace(" HTTP", "?a=b HTTP") + "Content-Length: 100000\r\n" + signature(lab, "wsec_x") + "\r\n",
    ):
        with Raw(lab.nodes[0]) as client:
            client.send(head + "Expect: 100-continue\r\n\r\n" if head.endswith("\r\n\r\n\r\n") else head)
            client.send("a" * 99_999)
            time.sleep(0.1)
            assert not client.has_news()
            reply = client.send("a").reply()
            assert reply.status == 401


def test_a_chunked_body_needs_it_from_64_kib_on(lab):
    chunk = "8000\r\n" + "a" * 0x8000 + "\r\n"
    for path, status in ((WEBHOOK, 401), (SAVE, 413)):
        with Raw(lab.nodes[0]) as client:
            client.send(path + "Transfer-Encoding: chunked\r\n\r\n", chunk, chunk, "1\r\n")
            assert client.reply().status == status
            assert client.ended()


def test_many_large_bodies(api, lab):
    """Beyond the budget large ones are told to come again; small ones are not concerned."""
    with lab.node(body_buffer_max=2 << 20, workers=1) as node:
        half = WEBHOOK + signature(lab) + "Content-Length: 1000001\r\n\r\n" + "a" * 1_000_000
        clients = [Raw(node).send(half) for _ in range(3)]
        # Whose bytes come last.
        refused = eventually(lambda: [client for client in clients if client.has_news()], what="one to be refused")
        assert len(refused) == 1
        reply = refused[0].reply()
        assert reply.status == 503
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.problem()
        ok(api.save(api.user(), "small-" + api.cid()[5:15], node=node))
        for client in clients:
            if client is refused[0]:
                client.close()
                continue
            assert client.send("a").reply().status == 401
            client.close()
        conversation = api.payload(turns=2000)
        assert 500_000 < len(json.dumps(conversation)) < 1_900_000
        ok(api.webhook(conversation, node=node))


# ── connections ─────────────────────────────────────────────────────────────


def test_connections_of_one_address(lab):
    with lab.node(connections_per_address_max=5, trusted_proxies=NOBODY, workers=1) as node:
        # The probes that waited for the node may still count.
        clients = eventually(lambda: five(node), what="five places")
        with Raw(node) as sixth:
            reply = sixth.reply()
            assert reply is None or reply.status == 429
            assert sixth.ended()
        clients.pop().close()
        eventually(lambda: served(node), what="the place to be free again")
        for client in clients:
            client.close()


def five(node):
    clients = [Raw(node) for _ in range(5)]
    for client in clients:
        reply = client.send(GET + "\r\n").reply()
        if reply is None or reply.status != 200:
            for other in clients:
                other.close()
            return None
    return clients


def served(node):
    with Raw(node) as client:
        try:
            reply = client.send(GET + "\r\n").reply()
        except OSError:
            return False
        return reply is not None and reply.status == 200


def test_trusted_proxies_may_have_more(lab):
    with lab.node(connections_per_address_max=2, workers=1) as node:
        clients = [Raw(node) for _ in range(20)]
        assert all(client.send(GET + "\r\n").reply().status == 200 for client in clients)
        for client in clients:
            client.close()


def test_when_all_places_are_taken(lab):
    """Idle ones make room; whoever comes waits, and is not refused."""
    with lab.node(connections_max=16, workers=1) as node:
        clients = [Raw(node) for _ in range(14)]
        for client in clients:
            assert client.send(GET + "\r\n").reply().status == 200
        for _ in range(10):
            clients.append(Raw(node, timeout=30).send(GET + "\r\n"))
        for client in clients[14:]:
            assert client.reply().status == 200
        for client in clients:
            client.close()


def test_when_descriptors_run_out(lab, tmp_path):
    """It waits for one to be free instead of burning the processor, and goes on."""
    few = tmp_path / "few-descriptors"
    few.write_text(f'#!/bin/sh\nulimit -n 100\nexec {lab.binary} "$@"\n')
    few.chmod(0o755)
    node = lab.new_node(workers=1)
    node.binary = few
    node.start()
    try:
        clients = [Raw(node) for _ in range(120)]
        eventually(lambda: "accept_failed" in node.log_text(), what="accept to fail")
        before = cpu_secs(node.process.pid)
        time.sleep(1)
        assert cpu_secs(node.process.pid) - before < 0.5
        assert node.log_text().count("accept_failed") < 60
        for client in clients:
            client.close()
        eventually(lambda: served(node), what="it to answer again")
    finally:
        node.stop()


def test_bytes_behind_a_request_that_waits(api, lab):
    """They wake nobody until it is its turn, nor does a client that goes; each is served afterwards."""
    body = json.dumps({"client_session_id": f"behind-{api.cid()[5:]}"})
    save = SAVE + f"Authorization: Bearer {api.token(api.user())}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with lab.node(workers=1) as node, Raw(node) as client, Raw(node) as leaver:
        for connection in (client, leaver):  # with a request before it, of which the loop knows the socket already
            assert connection.send(save).reply().status == 200
        lab.postgres_server.pause()
        try:
            client.send(save)
            leaver.send(save)
            time.sleep(0.1)
            client.send(GET + "\r\n")
            leaver.close()
            before = cpu_secs(node.process.pid)
            time.sleep(0.6)
            assert cpu_secs(node.process.pid) - before < 0.2
        finally:
            lab.postgres_server.resume()
        assert client.reply().status == 200
        assert client.reply().status == 200
        assert client.send(GET + "\r\n").reply().status == 200


def cpu_secs(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


# ── places to wait ──────────────────────────────────────────────────────────


def waiting(api, node, user, count):
    token = api.token(user)
    return [
        Raw(node, timeout=40).send(
            f"GET /api/interviews/by-session/none?wait=30 HTTP/1.1\r\n{HOST}Authorization: Bearer {token}\r\n\r\n")
        for _ in range(count)
    ]


def test_places_to_wait(api, lab):
    """Who finds none is answered at once, like a poll that doesn't ask to wait."""
    with lab.node(parked_max=6, parked_per_user_max=4, workers=1) as node:
        user, other = api.user(), api.user()
        clients = waiting(api, node, user, 4)
        eventually(lambda: parked(node) == 4, what="four to wait")
        for answer in (api.request("GET", "/api/interviews/by-session/none?wait=30", node=node, user=user),
                       api.poll(user, "none", node=node)):
            assert answer.status_code == 404
            assert "Preference-Applied" not in answer.headers
        assert_too_many(api.request("GET", "/api/interviews/by-session/none/events", node=node, user=user))
        others = waiting(api, node, other, 2)
        eventually(lambda: parked(node) == 6, what="six to wait")
        answer = api.request("GET", "/api/interviews/by-session/none?wait=30", node=node, user=other)
        assert answer.status_code == 404
        clients.pop().close()
        eventually(lambda: parked(node) == 5, what="a place to be free")
        others += waiting(api, node, other, 1)
        eventually(lambda: parked(node) == 6, what="it to be taken")
        for client in clients + others:
            client.close()
        eventually(lambda: parked(node) == 0, what="all to have left")


def gauge(node, name):
    page = urllib.request.urlopen(node.admin_url + "/metrics", timeout=20).read().decode()
    return float(re.search(rf"^{re.escape(name)} (\S+)", page, re.M).group(1))


def parked(node):
    return gauge(node, 'debrief_parked_clients{kind="wait"}')


def test_load_is_measured(lab):
    with lab.node(workers=1) as node:
        clients = [Raw(node).send(SAVE + "Content-Length: 1000\r\n\r\n" + "a" * 900) for _ in range(3)]
        eventually(lambda: gauge(node, "debrief_http_connections") >= 3, what="the connections to be counted")
        eventually(lambda: gauge(node, "debrief_http_held_bytes") >= 2700, what="their bytes to be counted")
        for client in clients:
            client.close()
        eventually(lambda: gauge(node, "debrief_http_held_bytes") < 100, what="the bytes to be gone")


# ── rates ───────────────────────────────────────────────────────────────────


def assert_too_many(answer):
    assert_problem(answer, 429)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    return True


def until(status, ask, most):
    """How many came before the first of that status."""
    for count in range(most):
        if ask() == status:
            return count
    raise AssertionError(f"none of {most} requests was answered {status}")


def until_limited(ask, most):
    """How many were let through before the first 429."""
    return until(429, lambda: checked_status(ask()), most)


def checked_status(answer):
    if answer.status_code == 429:
        assert_too_many(answer)
    return answer.status_code


def soon_limited(drain, ask):
    """Both take from one bucket: when it is empty the other is refused. It fills up while we ask, so
    that on a slow machine it may take several tries; a bucket of its own would last for all of them."""
    for _ in range(3):
        until_limited(drain, 1000)
        if ask().status_code == 429:
            return
    raise AssertionError("it was never limited")


def probe(api, node, **headers):
    return api.request("GET", "/livez", node=node, headers={key.replace("_", "-"): value for key, value in headers.items()})


def test_requests_of_one_address(api, lab):
    with lab.node(rate_limit_address_per_sec=5, trusted_proxies=NOBODY, workers=1) as node:
        eventually(lambda: probe(api, node).status_code == 200)
        until_limited(lambda: probe(api, node), 1000)
        # What a stranger says of himself is not believed.
        until_limited(lambda: probe(api, node, X_Forwarded_For="198.51.100.1"), 1000)
        # The provider's webhooks are told by their signature.
        for _ in range(30):
            assert api.webhook({"type": "x"}, node=node, secret="wsec_wrong").status_code == 401
        eventually(lambda: probe(api, node).status_code == 200, what="the bucket to fill up again")


def test_a_proxy_is_not_one_client(api, lab):
    with lab.node(rate_limit_address_per_sec=2, trusted_proxies="127.0.0.0/8, 10.0.0.0/8", workers=1) as node:
        for _ in range(50):
            assert probe(api, node).status_code == 200, "the proxy's own requests are not limited"
        assert until_limited(lambda: probe(api, node, X_Forwarded_For="198.51.100.1"), 100) >= 4
        # The nearest hop that isn't trusted counts; what stands before it anybody can write.
        for same in ("203.0.113.9, 198.51.100.1", "198.51.100.1, 10.1.2.3", "198.51.100.1:4711"):
            soon_limited(lambda: probe(api, node, X_Forwarded_For="198.51.100.1"),
                         lambda same=same: probe(api, node, X_Forwarded_For=same))
        assert "client=198.51.100.1" in node.log_text()
        for other in ("198.51.100.2", "198.51.100.1, 198.51.100.3", "2001:db8::1", "[2001:db8:0:1::1]:80"):
            assert probe(api, node, X_Forwarded_For=other).status_code == 200, other
        # IPv6: one /64 is one client.
        numbers = iter(range(2, 1000))
        until_limited(lambda: probe(api, node, X_Forwarded_For=f"2001:db8::{next(numbers):x}"), 100)
        several = GET + "X-Forwarded-For: 203.0.113.10\r\nX-Forwarded-For: 198.51.100.4\r\n\r\n"  # one list
        assert until(429, lambda: status_of(node, several), 100) >= 4
        assert status_of(node, several.replace("198.51.100.4", "198.51.100.5")) == 200


def test_requests_of_one_user(api, lab):
    with lab.node(rate_limit_user_per_sec=5, workers=1) as node:
        user, other = api.user(), api.user()
        assert until_limited(lambda: api.poll(user, "none", node=node), 1000) >= 10
        soon_limited(lambda: api.poll(user, "none", node=node), lambda: api.save(user, "none", node=node))
        assert api.poll(other, "none", node=node).status_code == 404
        assert probe(api, node).status_code == 200
        eventually(lambda: api.poll(user, "none", node=node).status_code == 404, what="the bucket to fill up again")


def test_refused_tokens(api, lab):
    with lab.node(rate_limit_bad_token_per_sec=1, trusted_proxies="127.0.0.0/8", workers=1) as node:
        known, bad = api.token(), api.token(exp=1)

        def ask(token, client):
            return api.request("GET", "/api/interviews/by-session/none", node=node,
                               headers={"Authorization": f"Bearer {token}", "X-Forwarded-For": client})

        assert ask(known, "198.51.100.1").status_code == 404
        assert until_limited(lambda: ask(bad, "198.51.100.1"), 100) >= 5
        assert ask(known, "198.51.100.1").status_code == 404, "a token that is known stays good"
        soon_limited(lambda: ask(bad, "198.51.100.1"), lambda: ask(api.token(), "198.51.100.1"))
        assert ask(api.token(), "198.51.100.2").status_code == 404
        assert ask(bad, "198.51.100.2").status_code == 401
        eventually(lambda: ask(bad, "198.51.100.1").status_code == 401, what="the bucket to fill up again")
        for _ in range(30):
            bare = api.request("GET", "/api/interviews/by-session/none", node=node,
                               headers={"X-Forwarded-For": "198.51.100.3"})
            assert bare.status_code == 401, "no token is not a bad one"


def test_by_default_nobody_is_limited_on_loopback(api, lab):
    user = api.user()
    for _ in range(300):
        assert api.poll(user, "none").status_code == 404
    assert api.request("GET", "/livez", headers={"X-Forwarded-For": "198.51.100.1"}).status_code == 200
