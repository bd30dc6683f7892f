"""CORS: what an application on another origin may send and read, and that no other may."""

import functools
import http.server
import json
import shutil
import signal
import threading
import uuid

import pytest

from lab.process import free_port, spawn
from support import assert_problem, eventually, ok

ORIGIN = "https://app.example"
LOCAL = "http://localhost:3000"
EXPOSED = {"etag", "retry-after", "preference-applied", "x-request-id"}
ALLOWED = {"authorization", "content-type", "if-none-match", "prefer", "last-event-id", "traceparent"}


def new_sid():
    return f"s-{uuid.uuid4()}"


def words(value):
    return {word.strip().lower() for word in value.split(",")}


def assert_cors(answer, origin=ORIGIN):
    assert answer.headers.get("Access-Control-Allow-Origin") == origin, f"{answer.status_code}: {answer.headers}"
    assert "origin" in words(answer.headers["Vary"])
    assert words(answer.headers["Access-Control-Expose-Headers"]) == EXPOSED
    assert "Access-Control-Allow-Credentials" not in answer.headers, "tokens are sent by hand, cookies not at all"


@pytest.fixture(scope="module")
def web_root(shared_scratch):
    directory = shared_scratch.directory("cors-site", mode=0o755)
    for name, text in (("index.html", "<!doctype html>"), ("data.json", "{}")):
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    return directory


@pytest.fixture(scope="module")
def node(lab, web_root):
    with lab.node(cors_origins=f"{ORIGIN},{LOCAL}", web_root=web_root) as node:
        yield node


@pytest.fixture
def send(api, node):
    """Sends as the application would, as a user unless `who` is given."""
    me = api.user()

    def send(method, path, who=me, more=None, origin=ORIGIN, **options):
        return api.request(method, path, node, who, {"Origin": origin, **(more or {})}, **options)

    send.me = me
    return send


# ── replies ─────────────────────────────────────────────────────────────────


def test_on_every_answer(api, lab, send):
    sid = new_sid()
    path = f"/api/interviews/by-session/{sid}"
    saved = send("POST", "/api/save-interview", json={"client_session_id": sid, "ended_by": "user"})
    ok(api.webhook(api.payload(user=send.me, session=sid)))
    poll = send("GET", path)
    results = f"/api/interviews/{poll.json()['interviewId']}/results"
    result = send("GET", results)
    for status, answer in (
        (200, saved),
        (200, poll),
        (200, result),
        (200, send("GET", "/livez")),
        (304, send("GET", path, more={"If-None-Match": poll.headers["ETag"]})),
        (304, send("GET", results, more={"If-None-Match": result.headers["ETag"]})),
        (400, send("POST", "/api/save-interview", json={})),
        (400, send("GET", "/api/interviews/nonsense/results")),
        (401, send("GET", path, who=None)),
        (401, send("GET", path, who=None, more={"Authorization": "Bearer nonsense"})),
        (404, send("GET", path + "x")),
        (404, send("GET", f"/api/interviews/{uuid.uuid4()}/results")),
        (404, send("GET", "/api/nowhere")),
        (405, send("DELETE", "/api/save-interview")),
        (409, send("POST", "/api/save-interview", who=api.user(), json={"client_session_id": sid})),
        (413, send("POST", "/api/save-interview", data=b"x" * 70_000)),
        (414, send("GET", "/" + "a" * 3000)),
        (401, send("POST", "/webhooks/elevenlabs", data=b"{}")),
    ):
        assert answer.status_code == status, answer.text
        assert_cors(answer)


def test_on_files(send):
    page = send("GET", "/", more={"Accept": "text/html"})
    for status, answer in (
        (200, page),
        (304, send("GET", "/", more={"If-None-Match": page.headers["ETag"]})),
        (200, send("HEAD", "/data.json")),
        (404, send("GET", "/gone.json")),
        (405, send("POST", "/data.json")),
        (204, send("OPTIONS", "/data.json")),
    ):
        assert answer.status_code == status, answer.text
        assert_cors(answer)


def test_while_stores_are_away(api, lab, send):
    """503 is an answer that the application has to read as well."""
    lab.redis_server.kill()
    lab.postgres_server.kill()
    try:
        path = f"/api/interviews/by-session/{new_sid()}"
        eventually(lambda: send("GET", path).status_code == 503, 30)
        answer = send("GET", path)
        assert_problem(answer, 503)
        assert_cors(answer)
        assert "Retry-After" in answer.headers
    finally:
        lab.redis_server.start()
        lab.postgres_server.start()
        lab.connect_pg()
        lab.mend()
        eventually(lambda: send("GET", "/readyz").status_code == 200, 30)


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.evil",
        "https://app.example:443",
        "http://app.example",
        "https://APP.example.",
        "https://App.example",
        "null",
        "https://app.example/",
        "*",
        "https://app.example, http://localhost:3000",
        "https://app.exampl",
        "http://localhost:30000",
    ],
)
def test_origins_are_exact(send, origin):
    for path in ("/api/nowhere", "/", "/livez"):
        answer = send("GET", path, origin=origin)
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")], origin
        assert "origin" in words(answer.headers.get("Vary", "")), "a cache must not mix origins up"


def test_each_origin_gets_itself(send, api, node):
    assert_cors(send("GET", "/api/nowhere", origin=LOCAL), LOCAL)
    assert_cors(send("GET", "/api/nowhere", origin=ORIGIN), ORIGIN)
    without = api.request("GET", "/livez", node)
    assert "Access-Control-Allow-Origin" not in without.headers and "origin" in words(without.headers["Vary"])


def test_nothing_without_configuration(api):
    for method in ("GET", "OPTIONS"):
        answer = api.request(method, "/livez", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "GET"})
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_a_reload_changes_them(lab, api, tmp_path):
    """cors_origins in a file, changed, SIGHUP."""
    config = tmp_path / "debrief.ini"
    config.write_text(f"cors_origins = {ORIGIN}\n")
    config.chmod(0o644)
    node = lab.new_node()
    node.port, node.admin_port = free_port(), free_port()
    node.process = spawn([node.binary, "serve", "--config", str(config)], node.log, env=node.env, user=node.user)
    try:
        eventually(node.answers, 30)

        def allowed(origin):
            return api.request("GET", "/livez", node, headers={"Origin": origin}).headers.get("Access-Control-Allow-Origin")

        assert (allowed(ORIGIN), allowed(LOCAL)) == (ORIGIN, None)
        config.write_text(f"cors_origins = {LOCAL}\n")
        node.process.send_signal(signal.SIGHUP)
        eventually(lambda: [allowed(LOCAL) for _ in range(20)] == [LOCAL] * 20, 30)
        assert allowed(ORIGIN) is None
    finally:
        node.stop()


# ── preflights ──────────────────────────────────────────────────────────────


def preflight(api, node, path, method, origin=ORIGIN, **more):
    return api.request(
        "OPTIONS", path, node,
        headers={"Origin": origin, "Access-Control-Request-Method": method,
                 "Access-Control-Request-Headers": "authorization,if-none-match", **more},
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/save-interview"),
        ("GET", "/api/interviews/by-session/s-1"),
        ("GET", "/api/interviews/by-session/s-1?wait=25"),
        ("GET", "/api/interviews/7c1f8f0c-3b5e-5d0f-9a7b-000000000000/results"),
        ("PUT", "/api/interviews/7c1f8f0c-3b5e-5d0f-9a7b-000000000000/evaluation"),
        ("GET", "/data.json"),
        ("GET", "/nowhere"),
    ],
)
def test_preflights(api, node, method, path):
    answer = preflight(api, node, path, method)
    assert (answer.status_code, answer.content) == (204, b""), f"{path}: {answer.status_code}"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert words(answer.headers["Access-Control-Allow-Headers"]) == ALLOWED
    assert method.lower() in words(answer.headers["Access-Control-Allow-Methods"])
    assert answer.headers["Access-Control-Max-Age"] == "7200"
    assert "origin" in words(answer.headers["Vary"])


def test_preflights_of_strangers_allow_nothing(api, node):
    for path in ("/api/save-interview", "/data.json", "/nowhere"):
        answer = preflight(api, node, path, "POST", origin="https://evil.example")
        assert answer.status_code == 204
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


# ── a real browser ──────────────────────────────────────────────────────────

# Runs on a page of another origin; what it could do and read comes back.
PROBE = """
const [api, token, sid, done] = arguments;
const told = {};
async function ask(name, path, options = {}) {
  const headers = {Authorization: `Bearer ${token}`, ...(options.headers || {})};
  try {
    const answer = await fetch(api + path, {cache: 'no-store', ...options, headers});
    const text = await answer.text();
    told[name] = {status: answer.status, etag: answer.headers.get('ETag'), id: answer.headers.get('X-Request-Id'), text};
  } catch (error) {
    told[name] = {error: String(error)};
  }
  return told[name];
}
const poll = `/api/interviews/by-session/${sid}`;
(async () => {
  const body = JSON.stringify({client_session_id: sid, ended_by: 'user'});
  await ask('save', '/api/save-interview', {method: 'POST', headers: {'Content-Type': 'application/json'}, body});
  await ask('keepalive', '/api/save-interview',
            {method: 'POST', keepalive: true, headers: {'Content-Type': 'application/json'}, body});
  const first = await ask('poll', poll);
  await ask('unchanged', poll, {headers: {'If-None-Match': first.etag}});
  await ask('prefer', poll, {headers: {Prefer: 'wait=1', 'Last-Event-ID': 'x', traceparent: '00-0-0-00'}});
  await ask('missing', poll + 'x');
  await ask('unauthorized', poll, {headers: {Authorization: 'Bearer x'}});
  await ask('invalid', '/api/save-interview', {method: 'POST', body: '{}'});
})().then(() => done(told), (error) => done({failed: String(error)}));
"""


@pytest.fixture(scope="module")
def browser():
    selenium = pytest.importorskip("selenium.webdriver")
    driver, binary = shutil.which("chromedriver"), shutil.which("chromium")
    if not driver or not binary:
        pytest.skip("neither Chromium nor its driver is here")
    options = selenium.ChromeOptions()
    options.binary_location = binary
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(word)
    service = __import__("selenium.webdriver.chrome.service", fromlist=["Service"]).Service(driver)
    browser = selenium.Chrome(service=service, options=options)
    browser.set_script_timeout(60)
    yield browser
    browser.quit()


@pytest.fixture
def other_origin(tmp_path):
    """The address of a page that Debrief doesn't serve."""
    (tmp_path / "index.html").write_text("<!doctype html><title>another origin</title>")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.func.log_message = lambda *arguments: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def probe(browser, page, api, node, user, sid):
    browser.get(page + "/index.html")
    return browser.execute_async_script(PROBE, node.url, api.token(user), sid)


def test_an_application_on_another_origin(browser, other_origin, lab, api):
    user, sid = api.user(), new_sid()
    with lab.node(cors_origins=other_origin) as node:
        told = probe(browser, other_origin, api, node, user, sid)
    assert {name: answer.get("status") for name, answer in told.items()} == {
        "save": 200, "keepalive": 200, "poll": 200, "unchanged": 304, "prefer": 200, "missing": 404,
        "unauthorized": 401, "invalid": 400}, told
    assert all(answer["id"] for answer in told.values()), "X-Request-Id can be read"
    assert told["poll"]["etag"] and json.loads(told["poll"]["text"])["status"] == "ended_pending_webhook"
    assert json.loads(told["invalid"]["text"])["requestId"] == told["invalid"]["id"]


def test_an_application_that_is_not_listed(browser, other_origin, lab, api):
    with lab.node(cors_origins="http://127.0.0.1:9") as node:
        told = probe(browser, other_origin, api, node, api.user(), new_sid())
    assert len(told) == 8 and all("error" in answer for answer in told.values()), told
