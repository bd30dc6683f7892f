"""Framing: whatever a proxy could read otherwise is refused before anybody acts on it."""
import json
import time

import pytest
from raw import Raw
from support import session_row

GET = "GET /livez HTTP/1.1\r\n"
HOST = "Host: a\r\n"
POST = "POST /api/save-interview HTTP/1.1\r\n" + HOST
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"

FAULTS = {
    "no host": GET + "\r\n",
    "two hosts": GET + HOST + "Host: b\r\n\r\n",
    "the same host twice": GET + HOST + HOST + "\r\n",
    "empty host": GET + "Host:\r\n\r\n",
    "host with a space": GET + "Host: a b\r\n\r\n",
    "host with a path": GET + "Host: a/b\r\n\r\n",
    "empty header name": GET + HOST + ": x\r\n\r\n",
    "header name with a space": GET + HOST + "A b: x\r\n\r\n",
    "space before the colon": POST + "Content-Length : 2\r\n\r\n{}",
    "no colon": GET + HOST + "Nothing\r\n\r\n",
    "folded header": GET + HOST + "A: b\r\n c\r\n\r\n",
    "folded first header": GET + " " + HOST + "\r\n",
    "bare line feed after the request line": "GET /livez HTTP/1.1\n" + HOST + "\r\n",
    "bare line feed after a header": GET + "Host: a\nA: b\r\n\r\n",
    "bare line feed at the end": GET + HOST + "\n",
    "carriage return within": GET + HOST + "A: b\rC: d\r\n\r\n",
    "NUL in a header": GET + HOST + "A: b\0c\r\n\r\n",
    "control character in a header": GET + HOST + "A: b\x01\r\n\r\n",
    "DEL in a header": GET + HOST + "A: b\x7f\r\n\r\n",
    "NUL in the target": "GET /livez\0 HTTP/1.1\r\n" + HOST + "\r\n",
    "two Content-Length": POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "the same Content-Length twice": POST + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of Content-Length": POST + "Content-Length: 2, 2\r\n\r\n{}",
    "signed Content-Length": POST + "Content-Length: +2\r\n\r\n{}",
    "negative Content-Length": POST + "Content-Length: -2\r\n\r\n{}",
    "hexadecimal Content-Length": POST + "Content-Length: 0x2\r\n\r\n{}",
    "octal Content-Length": POST + "Content-Length: 02\r\n\r\n{}",
    "huge Content-Length": POST + "Content-Length: 18446744073709551618\r\n\r\n{}",
    "Content-Length and chunked": POST + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and Content-Length": POST + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another encoding": POST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "unknown encoding": POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": "POST /api/save-interview HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "0x in a chunk size": CHUNKED + "0x2\r\n{}\r\n0\r\n\r\n",
    "sign in a chunk size": CHUNKED + "+2\r\n{}\r\n0\r\n\r\n",
    "space behind a chunk size": CHUNKED + "2 \r\n{}\r\n0\r\n\r\n",
    "chunk extension": CHUNKED + "2;a=b\r\n{}\r\n0\r\n\r\n",
    "bare line feed in a chunk size": CHUNKED + "2\n{}\r\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + "2\r\n{}x\r\n0\r\n\r\n",
    "empty line for a chunk size": CHUNKED + "\r\n2\r\n{}\r\n0\r\n\r\n",
    "a trailer": CHUNKED + "2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n",
    "a body with HEAD": "HEAD /livez HTTP/1.1\r\n" + HOST + "Content-Length: 2\r\n\r\n{}",
    "a body with an unknown method": "BREW /livez HTTP/1.1\r\n" + HOST + "Content-Length: 2\r\n\r\n{}",
    "absolute target": "GET http://a/livez HTTP/1.1\r\n" + HOST + "\r\n",
    "absolute target of another host": "GET http://b/livez HTTP/1.1\r\n" + HOST + "\r\n",
    "target with an authority": "GET //b:x/livez HTTP/1.1\r\n" + HOST + "\r\n",
    "target without a slash": "GET livez HTTP/1.1\r\n" + HOST + "\r\n",
    "target with a fragment": "GET /livez#a HTTP/1.1\r\n" + HOST + "\r\n",
    "target that is not ASCII": "GET /livez\xe4 HTTP/1.1\r\n" + HOST + "\r\n",
    "CONNECT": "CONNECT a:80 HTTP/1.1\r\n" + HOST + "\r\n",
    "spaces in the request line": "GET  /livez HTTP/1.1\r\n" + HOST + "\r\n",
    "space behind the version": "GET /livez HTTP/1.1 \r\n" + HOST + "\r\n",
    "tab in the request line": "GET\t/livez HTTP/1.1\r\n" + HOST + "\r\n",
    "HTTP/1.2": "GET /livez HTTP/1.2\r\n" + HOST + "\r\n",
    "HTTP/0.9": "GET /livez\r\n\r\n",
    "an empty line before": "\r\n" + GET + HOST + "\r\n",
    "a TLS hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
SECOND = GET + HOST + "X-Request-Id: second\r\n\r\n"


@pytest.mark.parametrize("name", FAULTS)
def test_refused_with_400_and_the_end(lab, name):
    """One problem document, then the end: what stood behind is nobody's request."""
    with Raw(lab.nodes[0]) as client:
        client.send(FAULTS[name], SECOND)
        reply = client.reply(head=name.endswith("HEAD"))
        assert reply.status == 400
        if not name.endswith("HEAD"):
            assert reply.problem()["detail"]
        assert reply.headers["connection"] == "close"
        assert client.ended()


@pytest.mark.parametrize("name", FAULTS)
def test_the_same_in_pieces(lab, name):
    with Raw(lab.nodes[0]) as client:
        fault = FAULTS[name]
        try:
            for i in range(0, len(fault), 5):
                client.send(fault[i:i + 5])
                time.sleep(0.0005)  # to give pieces a chance to stay pieces; none is needed
            client.send(SECOND)
        except OSError:
            pass  # it was refused before we had said it all
        reply = client.reply(head=name.endswith("HEAD"))
        assert reply is None or reply.status == 400
        assert client.ended()


@pytest.mark.parametrize("name", FAULTS)
def test_behind_a_good_request(lab, name):
    """The good one is answered, the other is not, and nothing comes of it."""
    with Raw(lab.nodes[0]) as client:
        client.send(GET + HOST + "X-Request-Id: first\r\n\r\n" + FAULTS[name] + SECOND)
        reply = client.reply()
        assert (reply.status, reply.headers["x-request-id"]) == (200, "first")
        reply = client.reply(head=name.endswith("HEAD"))
        assert reply is None or reply.status == 400
        assert client.ended()


def test_headers_too_large(lab):
    for head, status in (
        (GET + HOST + "A: " + "b" * 20_000 + "\r\n\r\n", 431),
        (GET + HOST + "A: b\r\n" * 200 + "\r\n", 431),
        ("GET /" + "a" * 20_000 + " HTTP/1.1\r\n" + HOST + "\r\n", 414),
    ):
        with Raw(lab.nodes[0]) as client:
            client.send(head)
            reply = client.reply()
            assert reply.status == status
            assert reply.problem()
            assert client.ended()


def test_an_expectation_that_nobody_meets(lab):
    with Raw(lab.nodes[0]) as client:
        client.send(POST + "Content-Length: 2\r\nExpect: the-unexpected\r\n\r\n")
        assert client.reply().status == 417


def test_bodies_that_are_announced(lab):
    """Whether or not the client waits for 100, and whatever of the body comes with the head: each request has its
    own reply, and the next one comes behind it."""
    head = POST + "Content-Length: 40000\r\nExpect: 100-continue\r\nX-Request-Id: r%d\r\n\r\n"
    body = "x" * 40_000
    with Raw(lab.nodes[0]) as client:
        for number in range(100):
            if number % 4 == 0:
                client.send(head % number)
                assert client.reply().status == 100
                client.send(body)
            elif number % 4 == 1:
                client.send(head % number, body)
            elif number % 4 == 2:
                client.send(head % number + body[:1], body[1:])
            else:
                client.send(head % number + body)
            reply = client.reply()
            if reply.status == 100:
                reply = client.reply()
            assert (reply.status, reply.headers["x-request-id"]) == (401, f"r{number}")


def test_what_is_odd_but_clear_is_taken(api, lab):
    """White space around values, names in any case, HTTP/1.0, an empty value, several in one packet."""
    with Raw(lab.nodes[0]) as client:
        client.send(
            GET + "hOsT:a\r\nX-Empty:\r\nX-Request-Id:\t one \t\r\n\r\n" + GET + HOST + "X-Request-Id: two\r\n\r\n"
            "HEAD /livez HTTP/1.1\r\n" + HOST + "X-Request-Id: three\r\n\r\n"
        )
        assert client.reply().headers["x-request-id"] == "one"
        assert client.reply().headers["x-request-id"] == "two"
        assert client.reply(head=True).headers["x-request-id"] == "three"
        client.send("GET /livez HTTP/1.0\r\n\r\n")
        assert client.reply().status == 200
        assert client.ended()


def test_a_request_byte_by_byte(api, lab):
    sid = "bytes-" + api.cid()[5:15]
    body = json.dumps({"client_session_id": sid})
    for framing in (
        f"Content-Length: {len(body)}\r\n\r\n{body}",
        f"Transfer-Encoding: chunked\r\n\r\n{5:x}\r\n{body[:5]}\r\n{len(body) - 5:X}\r\n{body[5:]}\r\n0\r\n\r\n",
    ):
        with Raw(lab.nodes[0]) as client:
            for byte in POST + f"Authorization: Bearer {api.token(api.user())}\r\n" + framing:
                client.send(byte)
            assert client.reply().status in (200, 409)  # 409: the second is another user's
    assert session_row(lab, sid)


def test_behind_a_request_that_waits(api, lab):
    """While a save waits for a store that has stopped, more comes on its connection: none of it
    disturbs it, and a good request has its turn."""
    token = api.token(api.user())

    def save(sid):
        body = json.dumps({"client_session_id": sid})
        return POST + f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    sids = [f"waits-{number}-{api.cid()[5:15]}" for number in range(3)]
    with Raw(lab.nodes[0]) as good, Raw(lab.nodes[0]) as bad, Raw(lab.nodes[0]) as flood:
        lab.postgres_server.pause()
        try:
            for client, sid in zip((good, bad, flood), sids):
                client.send(save(sid))
            time.sleep(0.3)  # longer than a save takes: now they wait, or they never will
            good.send(SECOND)
            bad.send(FAULTS["two hosts"])
            flood.socket.setblocking(False)
            sent = 0
            try:
                while sent < 50_000_000:
                    sent += flood.socket.send(SECOND.encode() * 1000)
            except BlockingIOError:
                pass
            flood.socket.settimeout(20)
            assert sent < 50_000_000, "it reads all that comes while a request waits"
        finally:
            lab.postgres_server.resume()
        assert good.reply().status == 200
        assert good.reply().headers["x-request-id"] == "second"
        assert bad.reply().status == 200
        second = bad.reply()
        assert second is None or second.status == 400
        assert bad.ended()
        assert flood.reply().status == 200
        assert flood.reply().headers["x-request-id"] == "second"
    assert api.request("GET", "/livez").status_code == 200
