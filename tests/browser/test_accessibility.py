"""No state of the application has anything that axe-core objects to; and it needs no mouse."""
import pathlib

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from visitor import eventually

AXE = pathlib.Path(__file__).resolve().parents[2] / "contrib" / "node_modules" / "axe-core" / "axe.min.js"
LOOKS = [("light", 1100, 900, False), ("dark", 1100, 900, False), ("light", 360, 740, True), ("dark", 360, 740, True)]


def check(visitor):
    """In each look; a page that can't be scrolled sideways on a phone."""
    source = AXE.read_text()
    for look in LOOKS:
        visitor.appearance(*look)
        visitor.script(source)
        found = visitor.driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document, { resultTypes: ['violations'] }).then((r) => done(r.violations), (e) => done([{ id: String(e) }]))")
        told = [(rule["id"], rule.get("help"), [node["html"] for node in rule.get("nodes", [])][:3]) for rule in found]
        assert not told, f"{visitor.heading()}, {look}: {told}"
        assert visitor.script("return document.documentElement.scrollWidth <= innerWidth"), f"{visitor.heading()}, {look}"
    visitor.appearance()


def test_before_during_and_after_an_interview(page, visit):
    visitor = visit(page)
    check(visitor)
    visitor.choose("other")
    visitor.one("#other-role").send_keys("Lighthouse keeper")
    visitor.start(webhook="after-70s")
    visitor.say("I like it quiet.")
    check(visitor)
    visitor.end()
    visitor.heading("Saving your interview…")
    check(visitor)
    [conversation] = [c for c in page.simulator.conversations.values() if c.user_id == visitor.user]
    page.simulator.send(conversation.id).wait()
    visitor.heading("Your feedback")
    check(visitor)
    visitor.click("footer a")
    visitor.heading("Your practice interview")
    visitor.one(".earlier a")
    check(visitor)
    visitor.click("header button")
    visitor.heading("Sign in")
    check(visitor)


@pytest.mark.parametrize("webhook, config, heading", [
    ("never", {"findTimeoutSecs": 1}, "This takes longer than usual"),
    ("never", {}, "This interview has no result"),
    ("evaluation-failed", {}, "Your transcript"),
])
def test_when_things_go_wrong(site, visit, webhook, config, heading):
    page = site(config=config, webhook_deadline_secs=2)
    visitor = visit(page)
    visitor.start(webhook=webhook)
    visitor.end()
    visitor.heading(heading, timeout=40)
    check(visitor)


def test_the_keyboard_is_enough(page, visit):
    visitor = visit(page)

    def press(*keys):
        ActionChains(visitor.driver).send_keys(*keys).perform()

    def tab_to(selector, limit=30):
        for _ in range(limit):
            press(Keys.TAB)
            focused = visitor.driver.switch_to.active_element
            if visitor.script("return arguments[0].matches(arguments[1])", focused, selector):
                return focused
        raise AssertionError(f"{selector} can't be reached")
    # A new page begins at its heading.
    assert visitor.driver.switch_to.active_element.tag_name == "h1"
    tab_to("input[name=role]")
    press(Keys.ARROW_RIGHT)
    assert visitor.text(".chip:has(:checked)") == "Data analyst"
    tab_to("input[name=webhook]")
    press(Keys.ARROW_LEFT)
    assert visitor.one("input[name=webhook]:checked").get_attribute("value") == "at-once"
    tab_to("button.primary")
    press(Keys.ENTER)
    visitor.one("#answer")
    visitor.one(".talk .agent")
    tab_to("#answer")
    press("Without a mouse.", Keys.ENTER)
    eventually(lambda: visitor.all(".talk .user"), "the answer to be said")
    tab_to("button.danger")
    press(Keys.ENTER)
    visitor.heading("Your feedback")
    assert "Without a mouse." in visitor.text(".transcript")
    assert visitor.driver.switch_to.active_element.tag_name == "h1"
    tab_to("footer a")
    press(Keys.ENTER)
    visitor.heading("Your practice interview")


def test_a_screen_reader_is_told(page, visit):
    visitor = visit(page)
    visitor.start(webhook="after-5s")
    status = visitor.one(".call-status")
    assert status.get_attribute("role") == "status" and status.text
    log = visitor.one(".talk")
    assert (log.get_attribute("role"), log.get_attribute("aria-label")) == ("log", "Conversation")
    # The same live region from the first word to the last, or nothing would be read.
    visitor.end()
    visitor.shown("Saving your interview…")
    visitor.script("window.__status = document.querySelector('.page > [role=status]')")
    visitor.heading("Your feedback")
    assert visitor.script("return window.__status.isConnected && window.__status.textContent") == "Your feedback"
