"""Somebody with a browser."""
import json
import os
import time
import uuid

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

TIMEOUT_SECS = 30
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1100,900",
             "--disable-background-networking", "--disable-component-update", "--no-first-run",
             "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


# Notes every heading with the moment at which it was shown: some are there for milliseconds.
WATCH_HEADINGS = """
window.__headings = [];
new MutationObserver(() => {
    const text = document.querySelector("h1")?.textContent;
    if (text && text !== window.__headings.at(-1)?.text) window.__headings.push({ text, at: Date.now() / 1000 });
}).observe(document, { childList: true, characterData: true, subtree: true });
"""


def eventually(condition, what, timeout=TIMEOUT_SECS):
    """Polls until condition() is true; its value."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = condition()
        except StaleElementReferenceException:
            value = None
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
        time.sleep(0.02)


def open_browser(scratch):
    """What it leaves in its temporary directory goes to `scratch`."""
    options = webdriver.ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = Service("/usr/bin/chromedriver", env={**os.environ, "TMPDIR": str(scratch)})
    return webdriver.Chrome(options=options, service=service)


class Visitor:
    def __init__(self, driver, page, user=None, path="/"):
        self.driver = driver
        self.requests = []
        self.page = page
        self.watch_tab()
        self.user = user or str(uuid.uuid4())
        self.go(path)

    def leave(self):
        """Leaves the browser as it would be new: one empty tab, nothing stored."""
        for tab in self.driver.window_handles[1:]:
            self.switch(tab)
            self.close_tab()
        last = self.driver.window_handles[0]
        self.switch(last)
        self.driver.switch_to.new_window("tab")
        fresh = self.driver.current_window_handle
        self.switch(last)
        self.close_tab()
        self.switch(fresh)
        self.cdp("Storage.clearDataForOrigin", origin=self.page.node.url, storageTypes="all")
        for log in ("performance", "browser"):
            self.driver.get_log(log)

    def watch_tab(self):
        self.cdp("Network.enable")
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=WATCH_HEADINGS)

    # Where we are

    def go(self, path="/", user=None):
        """Opens a page by a link with a ready token in it, of this user or of another one."""
        self.user = user or self.user
        self.driver.get("about:blank")  # an address that differs in its fragment alone loads nothing
        self.driver.get(self.page.url(self.user, path))
        self.heading()

    def new_tab(self, path="/"):
        self.driver.switch_to.new_window("tab")
        self.watch_tab()
        self.go(path)
        return self.driver.current_window_handle

    def switch(self, tab):
        self.driver.switch_to.window(tab)

    def reload(self):
        self.driver.refresh()

    @property
    def address(self):
        return self.driver.current_url

    # What there is to see

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector, timeout=TIMEOUT_SECS):
        return eventually(lambda: self.all(selector), f"{selector} in\n{self.text()}", timeout)[0]

    def text(self, selector="body"):
        return "\n".join(element.text for element in self.all(selector))

    def heading(self, wanted=None, timeout=TIMEOUT_SECS):
        """Waits for the page's heading, or for one that says this."""
        def found():
            texts = [element.text for element in self.all("h1")]
            return texts and (wanted is None or wanted in texts[0]) and texts[0]
        try:
            return eventually(found, f"the heading {wanted!r}", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is\n{self.text()}\n{self.driver.get_log('browser')}") from None

    def shown(self, wanted):
        """Waits until this heading is or has been there since the page was loaded; when it came, in seconds since 1970."""
        def found():
            return [heading["at"] for heading in self.script("return window.__headings") if wanted in heading["text"]]
        return eventually(found, f"the heading {wanted!r} to have been shown")[-1]

    def sees(self, words, timeout=TIMEOUT_SECS):
        eventually(lambda: words in self.text(), f"{words!r} on the page", timeout)

    def stored(self, prefix):
        """What localStorage holds under keys that begin so."""
        return self.script("return Object.fromEntries(Object.entries(localStorage).filter(([k]) => k.startsWith(arguments[0])))",
                           prefix)

    # What there is to do

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def click(self, selector):
        self.one(selector).click()

    def choose(self, value):
        element = self.one(f"input[value='{value}']")
        self.script("arguments[0].click()", element)

    def start(self, webhook="at-once", hide_conversation_id=False):
        """From the first page into an interview; its session id."""
        self.choose(webhook)
        if hide_conversation_id:
            self.click("input[type=checkbox]")
        self.click("form .primary")
        self.one("#answer")
        self.one(".talk .agent")
        return self.session()

    def session(self):
        """The newest of this user's that the page has kept."""
        kept = self.stored(f"debrief.web.session.{self.user}.").values()
        return max((json.loads(text) for text in kept), key=lambda session: session["startedAt"])["sessionId"]

    def say(self, text):
        before = len(self.all(".talk .user"))
        self.one("#answer").send_keys(text, Keys.ENTER)
        eventually(lambda: len(self.all(".talk .user")) > before, f"{text!r} to be said")

    def end(self):
        self.click("button.danger")

    def close_tab(self):
        self.driver.close()

    def crash(self):
        """The page's process dies, without a word to the page. The tab must be left then."""
        tab = self.driver.current_window_handle
        other = self.new_tab("/")
        self.switch(tab)
        try:
            self.cdp("Page.crash")
        except WebDriverException:
            pass  # which is what it says when it has worked
        self.switch(other)

    def network(self, on):
        self.cdp("Network.emulateNetworkConditions", offline=not on, latency=0, downloadThroughput=-1,
                 uploadThroughput=-1)

    def block(self, *patterns):
        """Requests to these addresses fail as if there were no network; none: no more."""
        self.cdp("Network.setBlockedURLs", urls=list(patterns))

    def appearance(self, scheme="light", width=1100, height=900, mobile=False):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    # What went over the wire

    def sent(self, method=None, contains=""):
        """[(method, url, body or None, seconds since 1970)] of the requests of this tab so far."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                request = message["params"]["request"]
                body = json.loads(request["postData"]) if "postData" in request else None
                self.requests.append((request["method"], request["url"], body, message["params"]["wallTime"]))
        return [request for request in self.requests if method in (None, request[0]) and contains in request[1]]

    def ends_sent(self):
        return [body for _, _, body, _ in self.sent("POST", "/api/save-interview") if body and "ended_by" in body]
