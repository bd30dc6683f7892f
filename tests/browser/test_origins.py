"""The application on an origin of its own: everything crosses origins, 304s and errors included."""
import functools
import http.server
import pathlib
import threading

import pytest
from lab.page import Page
from visitor import eventually


class Files(http.server.SimpleHTTPRequestHandler):
    """The built application, its index for every page."""

    def do_GET(self):
        if not pathlib.Path(self.translate_path(self.path)).is_file():
            self.path = "/index.html"
        super().do_GET()

    def log_message(self, *_):
        pass


class ElsewherePage(Page):
    """A page whose addresses are those of another server."""

    def __init__(self, page, origin):
        super().__init__(page.lab, page.node, page.simulator)
        self.elsewhere = origin

    def url(self, user=None, path="/"):
        return super().url(user, path).replace(self.node.url, self.elsewhere, 1)


@pytest.fixture
def elsewhere(site):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), None)
    origin = "http://127.0.0.1:%d" % server.server_address[1]
    page = site(cors_origins=origin, simulator_options={"origins": [origin], "delay_scale": 0.2})
    page.configure(api=page.node.url)
    server.RequestHandlerClass = functools.partial(Files, directory=page.node.options["web_root"])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield ElsewherePage(page, origin)
    server.shutdown()
    server.server_close()


def test_an_application_on_another_origin(elsewhere, visit):
    visitor = visit(elsewhere)
    assert visitor.address.startswith(elsewhere.elsewhere)
    sid = visitor.start(webhook="after-5s")
    visitor.say("From far away.")
    visitor.end()
    visitor.heading("Your feedback")
    assert "From far away." in visitor.text(".transcript")
    assert [url for _, url, _, _ in visitor.sent("POST", "/api/save-interview")][0].startswith(elsewhere.node.url)

    read = """
        const [url, headers, done] = arguments;
        const token = sessionStorage.getItem('debrief.web.token');
        fetch(url, { headers: { Authorization: `Bearer ${token}`, ...headers } }).then(
            (answer) => done([answer.status, answer.headers.get('ETag'), answer.headers.get('X-Request-Id')]),
            (error) => done([String(error)]));
    """
    poll = f"{elsewhere.node.url}/api/interviews/by-session/{sid}"
    status, etag, request_id = visitor.driver.execute_async_script(read, poll, {})
    assert status == 200 and etag and request_id
    for url, headers, wanted in ((poll, {"If-None-Match": etag, "Prefer": "wait=1"}, 304), (f"{poll}-not", {}, 404),
                                 (poll, {"Authorization": "Bearer x.y.z"}, 401), (f"{poll}%20", {}, 400)):
        status, _, request_id = visitor.driver.execute_async_script(read, url, headers)
        assert status == wanted and request_id


def test_a_closed_tab_on_another_origin(elsewhere, visit, ledger):
    visitor = visit(elsewhere)
    tab = visitor.driver.current_window_handle
    sid = visitor.start(webhook="never")
    other = visitor.new_tab()
    visitor.switch(tab)
    visitor.close_tab()
    visitor.switch(other)
    eventually(lambda: ledger("SELECT 1 FROM interview_sessions WHERE client_session_id = %s AND ended_by = 'disconnect'", sid),
               "the end in the ledger")
