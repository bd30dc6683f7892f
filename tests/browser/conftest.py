"""Fixtures: the web application on a node, with the simulator as its provider, and people
who visit it with Chromium.

The binary is DEBRIEF_BINARY, else build/src/debrief; the application is contrib/web/dist
(contrib/setup --web builds it).
"""
import contextlib
import json
import os
import pathlib
import sys
import tempfile

import psycopg2
import pytest
from selenium.common.exceptions import WebDriverException

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "contrib"))

from lab import Lab  # noqa: E402
from lab.page import open_page  # noqa: E402
from visitor import Visitor, open_browser  # noqa: E402


@pytest.fixture(scope="session")
def lab():
    """Redis and Postgres; nodes come with the pages."""
    lab = Lab(nodes=0, fsync=False, keep=bool(os.environ.get("DEBRIEF_KEEP_LAB")))
    lab.start()
    try:
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="session")
def ledger(lab):
    """ledger("SELECT …", …): the rows, as dicts."""
    connection = psycopg2.connect(lab.database_url)
    connection.autocommit = True

    def query(text, *arguments):
        with connection.cursor() as cursor:
            cursor.execute(text, arguments)
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]
    yield query
    connection.close()


@contextlib.contextmanager
def _site(lab, config=None, **options):
    """A page on a node of its own; `config` changes the application's config.json there."""
    with open_page(lab, **options) as page:
        def configure(**changes):
            path = pathlib.Path(page.node.options["web_root"]) / "config.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        page.configure = configure
        configure(**(config or {}))
        yield page


@pytest.fixture(scope="session")
def page(lab):
    """The application as it is shipped; its provider is five times as quick as it says."""
    with _site(lab, simulator_options={"delay_scale": 0.2}) as page:
        yield page


@pytest.fixture
def site(lab):
    """site(config={…}, webhook_deadline_secs=3, …): another one, with other options."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(_site(lab, **options))


@pytest.fixture(scope="session")
def scratch():
    with tempfile.TemporaryDirectory(prefix="debrief-browser-", ignore_cleanup_errors=True) as directory:
        yield directory


@pytest.fixture(scope="session")
def browsers(scratch):
    """Browsers that nobody uses just now; starting one takes longer than most tests."""
    idle = []
    yield idle
    for driver in idle:
        driver.quit()


@pytest.fixture
def visit(browsers, scratch):
    """visit(page): somebody with a browser of their own, signed in."""
    visitors = []

    def come(page, **options):
        driver = browsers.pop() if browsers else open_browser(scratch)
        visitors.append(Visitor(driver, page, **options))
        return visitors[-1]
    yield come
    for visitor in visitors:
        try:
            visitor.leave()
        except WebDriverException:
            visitor.driver.quit()  # after a test that broke it
        else:
            browsers.append(visitor.driver)
