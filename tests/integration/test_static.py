"""The web application under web_root: which files are served, how, and which never."""

import gzip
import hashlib
import http.client
import os
import socket

import pytest

from support import assert_problem, run_debrief, told
from test_cli import good_options

INDEX = b"<!doctype html><title>Debrief</title><script type=module src=/assets/index-BkJ2aP9x.js></script>"
SCRIPT = b"console.log('debrief');\n" * 400
SECRET = b"not for the web"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
IMMUTABLE = "public, max-age=31536000, immutable"
LARGE = 12 * 1024 * 1024


def write(path, content, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def fill(site):
    site.mkdir()
    write(site / "index.html", INDEX)
    write(site / "config.json", b'{"api": ""}')
    write(site / "assets" / "index-BkJ2aP9x.js", SCRIPT)
    write(site / "assets" / "index-BkJ2aP9x.js.gz", gzip.compress(SCRIPT))
    write(site / "assets" / "plain.css", b"a { color: red }")
    write(site / "a b" / "é%2e.txt", b"named oddly")
    write(site / ".env", SECRET)
    write(site / ".well-known" / "x", SECRET)
    write(site / "assets" / ".hidden.js", SECRET)
    write(site / "api" / "file.txt", SECRET)
    write(site / "webhooks" / "index.html", SECRET)
    write(site / "private.txt", SECRET, mode=0o000)
    write(site.parent / "secret.txt", SECRET)
    (site / "out.txt").symlink_to("../secret.txt")
    (site / "absolute.txt").symlink_to(site.parent / "secret.txt")
    (site / "in.html").symlink_to("index.html")
    (site / "up").symlink_to("..")
    os.mkfifo(site / "fifo")
    return site


@pytest.fixture(scope="module")
def directory(shared_scratch):
    directory = shared_scratch.directory("static", mode=0o755)
    fill(directory / "one")
    (directory / "current").symlink_to("one")
    return directory


@pytest.fixture(scope="module")
def site(directory):
    return directory / "one"


@pytest.fixture(scope="module")
def node(lab, directory):
    with lab.node(web_root=directory / "current", web_connect_src="http://127.0.0.1:9,wss://*.example.org") as node:
        yield node


@pytest.fixture
def get(api, node):
    def get(path, **headers):
        return api.request("GET", path, node, headers=headers)

    return get


def raw(node, target, method="GET", headers=None):
    """(status, headers, body) of a target sent byte by byte as it is."""
    lines = [b"%s %s HTTP/1.1" % (method.encode(), target), b"Host: a", b"Connection: close"]
    lines += [f"{name}: {value}".encode() for name, value in (headers or {}).items()]
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as connection:
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        return answer.status, answer.headers, answer.read()


def assert_guarded(answer):
    """What every file carries."""
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self' http://127.0.0.1:9 wss://*.example.org"
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert answer.headers["X-Request-Id"]


# ── what is served ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "content", "kind", "caching"),
    [
        ("/", INDEX, "text/html; charset=utf-8", "no-cache"),
        ("/index.html", INDEX, "text/html; charset=utf-8", "no-cache"),
        ("/?token=x", INDEX, "text/html; charset=utf-8", "no-cache"),
        ("/config.json", b'{"api": ""}', "application/json", "no-cache"),
        ("/assets/index-BkJ2aP9x.js", SCRIPT, "text/javascript; charset=utf-8", IMMUTABLE),
        ("/%61ssets/plain.css", b"a { color: red }", "text/css; charset=utf-8", "no-cache"),
        ("/a%20b/%C3%A9%252e.txt", b"named oddly", "text/plain; charset=utf-8", "no-cache"),
    ],
)
def test_files(api, node, get, path, content, kind, caching):
    answer = get(path)
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Cache-Control"] == caching
    assert_guarded(answer)
    head = api.request("HEAD", path, node)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control", "Content-Security-Policy"):
        assert head.headers[name] == answer.headers[name], name
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/config.json", "/assets/index-BkJ2aP9x.js"])
def test_what_the_browser_has_is_not_sent_again(get, path):
    first = get(path)
    etag = first.headers["ETag"]
    assert etag.startswith('"') and etag.endswith('"') and len(etag) > 16, "a strong one"
    for given in (etag, f'"other", W/{etag}', "*"):
        again = get(path, **{"If-None-Match": given})
        assert (again.status_code, again.content) == (304, b""), given
        assert again.headers["ETag"] == etag and again.headers["Cache-Control"] == first.headers["Cache-Control"]
        assert_guarded(again)
    assert get(path, **{"If-None-Match": '"other"'}).status_code == 200


def test_tags_are_of_the_content(lab, api, directory, get):
    """Not of times and inodes: another node's copy, made at another time, has the same."""
    copy = directory / "copy"
    fill(copy)
    os.utime(copy / "index.html", (1, 1))
    with lab.node(web_root=copy) as other:
        assert api.request("GET", "/", other).headers["ETag"] == get("/").headers["ETag"]
        content = INDEX.replace(b"BkJ2aP9x", b"C0mpl3te")
        write(copy / "index.html", content)
        os.utime(copy / "index.html", (1, 1))
        changed = api.request("GET", "/", other)
        assert changed.content == content and changed.headers["ETag"] != get("/").headers["ETag"]


def test_compressed_beside_it(site, get, api, node):
    path = "/assets/index-BkJ2aP9x.js"
    plain = get(path, **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers and "Accept-Encoding" in plain.headers["Vary"]
    packed = get(path, **{"Accept-Encoding": "br;q=1.0, GZIP;q=0.5"})
    assert packed.headers["Content-Encoding"] == "gzip" and packed.content == SCRIPT
    assert int(packed.headers["Content-Length"]) < len(SCRIPT) / 4
    assert packed.headers["Content-Type"] == plain.headers["Content-Type"]
    assert packed.headers["ETag"] != plain.headers["ETag"], "another representation"
    assert "Accept-Encoding" in packed.headers["Vary"]
    for refusing in ("gzip;q=0", "gzip; q=0.000, br", "identity", "xgzip"):
        assert "Content-Encoding" not in get(path, **{"Accept-Encoding": refusing}).headers, refusing
    assert "Content-Encoding" not in get("/assets/plain.css", **{"Accept-Encoding": "gzip"}).headers
    packed_file = site / "assets" / "index-BkJ2aP9x.js.gz"
    try:
        os.utime(packed_file, (1, 1))
        stale = get(path, **{"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in stale.headers, "older than its file: of another file"
        assert stale.content == SCRIPT
    finally:
        os.utime(packed_file)


@pytest.mark.parametrize("path", ["/results?sessionId=s-1", "/results", "/a/b/c", "/results/", "/assets/gone-BkJ2aP9y.js"])
def test_paths_of_the_application_get_its_page(get, path):
    if path.endswith("/"):
        assert_problem(get(path, **HTML), 404)  # relative names in the page would break there
        return
    page = get(path, **HTML)
    assert (page.status_code, page.content) == (200, INDEX)
    assert page.headers["Cache-Control"] == "no-cache", "whatever the path looks like"
    for accept in ("*/*", "application/json", "text/html;q=0", "image/png"):
        assert_problem(get(path, Accept=accept), 404)


# ── what isn't ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/file.txt", "/%61pi/file.txt", "/api/nowhere", "/webhooks",
                                  "/webhooks/index.html", "/webhooks/nowhere"])
def test_programs_get_no_page(get, path):
    answer = get(path, **HTML)
    assert_problem(answer, 404)
    assert SECRET not in answer.content


@pytest.mark.parametrize(
    "target",
    [
        b"/.env", b"/%2eenv", b"/.well-known/x", b"/assets/.hidden.js", b"/assets/%2Ehidden.js",
        b"/../secret.txt", b"/assets/../../secret.txt", b"/%2e%2e/secret.txt", b"/%2e%2e%2fsecret.txt",
        b"/..%2fsecret.txt", b"/..%5csecret.txt", b"/..\\secret.txt", b"/assets%2f..%2f..%2fsecret.txt",
        b"/%252e%252e/secret.txt", b"/%252e%252e%252fsecret.txt", b"/..%252fsecret.txt", b"/.%2e/secret.txt",
        b"/%c0%ae%c0%ae/secret.txt", b"//secret.txt", b"/./index.html", b"/assets/./plain.css", b"/assets//plain.css",
        b"//etc/passwd", b"/%2fetc%2fpasswd", b"/assets%2fplain.css", b"/assets/", b"/assets", b"/a%20b", b"/fifo",
        b"/out.txt", b"/absolute.txt", b"/in.html", b"/up/secret.txt", b"/up/one/index.html", b"/private.txt",
        b"/index.html/", b"/index.html/x", b"/index.html%0a", b"/index.html%7f", b"/gone.txt",
        b"/" + b"a/" * 900 + b"x", b"/" + b"a" * 1000,
    ],
)
def test_never_served(node, target):
    status, headers, body = raw(node, target)
    # what a proxy may read otherwise is refused before anything is looked for
    assert status == (400 if b"\\" in target or target.startswith(b"//") else 404), body
    assert headers["Content-Type"] == "application/problem+json"
    # even for a page nothing but the index may come out
    status, _, body = raw(node, target, headers=HTML)
    assert status in (200, 400, 404) and SECRET not in body
    assert status in (400, 404) or body == INDEX


@pytest.mark.parametrize("target", [b"/index.html%00", b"/%00", b"/index.html%00.txt", b"/a%zz", b"/a%4"])
def test_malformed_targets(node, target):
    assert raw(node, target)[0] == 400


def test_nul_in_a_target(node):
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as connection:
        connection.sendall(b"GET /index.html\0.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert INDEX not in answer and (answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")))


def test_other_methods(api, node):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("/", "/index.html", "/assets/plain.css"):
            answer = api.request(method, path, node, headers=HTML, data=b"x")
            assert_problem(answer, 405)
            assert {word.strip() for word in answer.headers["Allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}
        assert_problem(api.request(method, "/results", node, headers=HTML), 404)
        assert_problem(api.request(method, "/api/nowhere", node, headers=HTML), 404)
    options = api.request("OPTIONS", "/index.html", node)
    assert options.status_code == 204 and "GET" in options.headers["Allow"]


def test_routes_come_first(api, node):
    assert api.request("GET", "/livez", node, headers=HTML).text == "ok\n"
    assert_problem(api.request("GET", "/api/save-interview", node, headers=HTML), 405)
    assert_problem(api.request("GET", "/api/interviews/by-session/x", node, headers=HTML), 401)


# ── files come, change and go ───────────────────────────────────────────────


def test_a_new_release_takes_the_place_of_the_old(directory, get):
    """As deployments do it: the root is a link that is exchanged."""
    two = fill(directory / "two")
    write(two / "index.html", b"<p>two")
    before = get("/")
    (directory / "next").symlink_to("two")
    try:
        os.replace(directory / "next", directory / "current")
        after = get("/", **{"If-None-Match": before.headers["ETag"]})
        assert (after.status_code, after.content) == (200, b"<p>two")
    finally:
        (directory / "next").symlink_to("one")
        os.replace(directory / "next", directory / "current")
    assert get("/").content == before.content


def test_files_go(site, get):
    write(site / "short-lived.txt", b"1")
    assert get("/short-lived.txt").content == b"1"
    write(site / "short-lived.txt", b"2")
    assert get("/short-lived.txt").content == b"2"
    (site / "short-lived.txt").unlink()
    assert_problem(get("/short-lived.txt"), 404)
    os.rename(site / "index.html", site / "index.away")
    try:
        assert_problem(get("/", **HTML), 404)
    finally:
        os.rename(site / "index.away", site / "index.html")


def test_an_empty_file(site, get):
    write(site / "empty.txt", b"")
    answer = get("/empty.txt")
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "0")


@pytest.fixture
def large(site):
    path = site / "large.bin"
    content = bytes(range(251)) * (LARGE // 251)
    write(path, content)
    yield path, content
    path.unlink()


def test_a_large_file(large, get, api, node):
    _, content = large
    for _ in range(2):  # twice over one connection: its end is found
        answer = get("/large.bin")
        assert hashlib.sha256(answer.content).digest() == hashlib.sha256(content).digest()
        assert answer.headers["Content-Type"] == "application/octet-stream"
    assert get("/large.bin", **{"If-None-Match": answer.headers["ETag"]}).status_code == 304
    head = api.request("HEAD", "/large.bin", node)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(content)))


def test_slow_readers_hold_up_nobody(large, node, api):
    """Many at once, each taking its time; the node neither waits for them nor keeps copies for them."""
    _, content = large
    readers = []
    before = resident_bytes(node)
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", node.port), timeout=60)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        connection.sendall(b"GET /large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        readers.append(connection)
    for connection in readers:
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    for _ in range(20):
        assert api.request("GET", "/livez", node).status_code == 200
    assert resident_bytes(node) - before < 3 * LARGE, "20 copies would be 20 times that"
    for connection in readers[1:]:
        connection.close()
    received = readers[0].makefile("rb").read()
    readers[0].close()
    assert received.endswith(content[-100_000:])


def resident_bytes(node):
    with open(f"/proc/{node.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_file_that_shrinks_under_its_reader(large, node, api):
    """The reader sees its connection end early; the node lives."""
    path, content = large
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        connection.sendall(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        os.truncate(path, 1000)
        total = 0
        while data := connection.recv(65536):
            total += len(data)
    assert total < len(content)
    assert api.request("GET", "/livez", node).status_code == 200


# ── configuration ───────────────────────────────────────────────────────────


def test_without_web_root_there_is_nothing(api):
    for method in ("GET", "POST"):
        assert_problem(api.request(method, "/", headers=HTML), 404)
    assert_problem(api.request("GET", "/index.html", headers=HTML), 404)
    assert api.request("OPTIONS", "/").status_code == 404


def test_a_root_that_cannot_be_served_is_named(lab, tmp_path):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "file", b"")
    for path, reason in (
        (tmp_path / "missing", "No such file"),
        (tmp_path / "file", "Not a directory"),
        (tmp_path / "empty", "index.html"),
    ):
        for command in ("check-config", "serve"):
            done = run_debrief(lab, command, options=good_options(web_root=path), timeout=30)
            assert done.returncode == 1, told(done)
            lines = [line for line in done.stderr.splitlines() if "web_root" in line]
            assert len(lines) == 1 and str(path) in lines[0] and reason in lines[0], told(done)


def test_connect_sources_are_checked(lab):
    for source in ("*", "https:", "'unsafe-eval'", "https://a.example/path", "https://a.example;script-src *", "https://*",
                   "data:", "https://A.example"):
        done = run_debrief(lab, "check-config", options=good_options(web_connect_src=source))
        assert done.returncode == 1 and "web_connect_src" in done.stderr, f"{source}: {told(done)}"
    done = run_debrief(lab, "check-config", options=good_options(web_connect_src="https://a.example:8443, wss://*.b.example"))
    assert done.returncode == 0, told(done)


def test_connect_sources_have_a_default(lab, api, directory):
    with lab.node(web_root=directory / "one") as node:
        policy = api.request("GET", "/", node).headers["Content-Security-Policy"]
    assert policy.endswith("connect-src 'self' https://*.elevenlabs.io wss://*.elevenlabs.io")
