"""The results page: what it shows while it waits, and whatever comes of it."""
import time
import uuid

import requests
from visitor import eventually


def conversation_of(page, visitor):
    return [c for c in page.simulator.conversations.values() if c.user_id == visitor.user][-1]


def test_a_webhook_that_takes_its_time(page, visit):
    visitor = visit(page)
    visitor.start(webhook="after-5s")  # one second here
    visitor.end()
    visitor.shown("Saving your interview…")
    visitor.heading("Your feedback")
    for heading in ("Criteria", "What we noted", "Transcript"):
        assert heading in visitor.text("h2")
    scores = visitor.one(".scores").get_attribute("aria-label")
    assert scores.startswith("Scores: ") and "Communication" in scores and " of 5" in scores
    assert "Years of experience" in visitor.text(".collected")
    assert visitor.driver.title == "Your feedback – Debrief"


def test_progress_is_seen_from_the_second_second_on(page, visit):
    visitor = visit(page)
    visitor.start(webhook="never")
    visitor.end()
    visitor.heading("Saving your interview…")
    assert visitor.text(".steps .done").startswith("Interview")
    assert visitor.text(".steps .current").startswith("Transcript")
    seconds = [int(visitor.text(".seconds").split()[0])]
    eventually(lambda: (now := int(visitor.text(".seconds").split()[0])) > seconds[0] and now >= 2, "the seconds to count")
    assert "on its way" in visitor.text(".waited")


def test_a_webhook_that_comes_twice(page, visit, ledger):
    visitor = visit(page)
    visitor.start(webhook="twice")
    visitor.end()
    visitor.heading("Your feedback")
    cid = conversation_of(page, visitor).id
    eventually(lambda: [d.status for d in page.simulator.courier.deliveries if d.conversation_id == cid] == [200, 200],
               "both deliveries")
    visitor.reload()
    visitor.heading("Your feedback")
    assert len(ledger("SELECT 1 FROM interviews WHERE conversation_id = %s", cid)) == 1


def test_too_late_a_retry_and_a_reload_in_the_middle(site, visit):
    # The proportions of the real thing: the page waits 60 s, the webhook comes after 70 s.
    page = site(config={"findTimeoutSecs": 2}, simulator_options={"delay_scale": 0.07})
    visitor = visit(page)
    visitor.start(webhook="after-70s")
    visitor.say("Patience, they say.")
    visitor.end()
    ended = time.monotonic()
    visitor.heading("This takes longer than usual")
    assert time.monotonic() - ended > 1.9
    assert "It may still come" in visitor.text("[role=alert]")
    visitor.click(".trouble button")
    visitor.shown("Saving your interview…")
    visitor.reload()
    visitor.shown("Saving your interview…")
    eventually(lambda: visitor.heading() != "Saving your interview…", "an end of the second wait")
    if visitor.heading() != "Your feedback":
        visitor.click(".trouble button")
    visitor.heading("Your feedback")
    assert "Patience, they say." in visitor.text(".transcript")


def test_a_webhook_that_never_comes(site, visit):
    page = site(webhook_deadline_secs=3)
    visitor = visit(page)
    visitor.start(webhook="never")
    visitor.end()
    visitor.heading("This interview has no result", timeout=40)
    assert "never sent the transcript" in visitor.text()
    assert "webhook_never_arrived" in visitor.text(".trouble")
    # It comes after all.
    page.simulator.send(conversation_of(page, visitor).id).wait()
    visitor.click(".trouble button")
    visitor.heading("Your feedback")


def test_an_evaluation_that_failed(page, visit):
    visitor = visit(page)
    visitor.start(webhook="evaluation-failed")
    visitor.say("Will you rate me?")
    visitor.end()
    visitor.heading("Your transcript")
    assert "There is no feedback on this interview." in visitor.text()
    assert "no_analysis" in visitor.text(".notice")
    assert "Will you rate me?" in visitor.text(".transcript")


def test_an_evaluation_that_is_made_elsewhere(site, visit, lab):
    page = site(evaluator="external", config={"evaluationTimeoutSecs": 2})
    visitor = visit(page)
    visitor.start()
    visitor.say("Read this first.")
    visitor.end()
    visitor.shown("Generating your feedback…")
    visitor.heading("This takes longer than usual")
    assert "Your transcript is here" in visitor.text("[role=alert]")
    assert "Read this first." in visitor.text(".transcript")
    visitor.click(".trouble button")

    service = {"Authorization": f"Bearer {lab.service_token}"}
    [pending] = requests.get(f"{page.node.url}/api/evaluations?status=pending", headers=service, timeout=30).json()["evaluations"]
    done = requests.put(f"{page.node.url}/api/interviews/{pending['interviewId']}/evaluation", headers=service, timeout=30,
                        json={"status": "complete", "result": {"overallImpression": "Clear and calm", "score": 4}})
    assert done.status_code == 200
    eventually(lambda: visitor.heading() != "Generating your feedback…", "an end of the wait")
    if visitor.heading() != "Your feedback":
        visitor.click(".trouble button")
    visitor.heading("Your feedback")
    assert "Overall impression\nClear and calm" in visitor.text(".collected")


def test_a_session_that_nobody_knows(site, visit):
    page = site(config={"findTimeoutSecs": 2})
    visitor = visit(page, path="/results?sessionId=never-heard-of")
    visitor.heading("We don’t know this interview")
    visitor.one(".trouble button")


def test_a_sign_in_that_has_expired(page, visit):
    visitor = visit(page)
    visitor.script("sessionStorage.setItem('debrief.web.token', sessionStorage.getItem('debrief.web.token') + 'x')")
    visitor.driver.get(f"{page.node.url}/results?sessionId=whatever")
    visitor.heading("Please sign in again")
    visitor.click(".trouble button")
    visitor.heading("Sign in")


def test_two_tabs_of_one_user_end_at_the_same_moment(page, visit, ledger):
    visitor = visit(page)
    tabs = {visitor.driver.current_window_handle: "first", visitor.new_tab(): "second"}
    sids = {}
    for tab, name in tabs.items():
        visitor.switch(tab)
        sids[tab] = visitor.start(hide_conversation_id=True)
        visitor.say(f"I speak in the {name} tab.")
    # One moment, set a little ahead.
    moment = visitor.script("return Date.now()") + 1500
    for tab in tabs:
        visitor.switch(tab)
        visitor.script("setTimeout(() => document.querySelector('button.danger').click(), arguments[0] - Date.now())", moment)
    for tab, name in tabs.items():
        visitor.switch(tab)
        visitor.heading("Your feedback")
        assert sids[tab] in visitor.address
        assert f"I speak in the {name} tab." in visitor.text(".transcript")
    ends = ledger("SELECT extract(epoch FROM client_ended_at) AS at FROM interview_sessions"
                  " WHERE client_session_id = ANY (%s)", list(sids.values()))
    assert abs(ends[0]["at"] - ends[1]["at"]) < 0.5


def test_a_second_user_on_the_same_browser(page, visit, ledger):
    visitor = visit(page)
    first = visitor.user
    sid = visitor.start()
    visitor.say("This is private.")
    # The first one's save can't be sent, and stays in the browser.
    visitor.block("*/api/save-interview*")
    visitor.end()
    visitor.shown("Saving your interview…")
    visitor.click("header button")
    visitor.heading("Sign in")
    visitor.block()
    assert list(visitor.stored("debrief.save.")) == [f"debrief.save.{sid}"]

    second = str(uuid.uuid4())
    visitor.go(user=second)
    visitor.heading("Your practice interview")
    assert visitor.all(".earlier") == []
    own = visitor.start()
    visitor.say("This is mine.")
    visitor.end()
    visitor.heading("Your feedback")
    assert own != sid
    assert "This is mine." in visitor.text(".transcript") and "This is private." not in visitor.text()
    owners = ledger("SELECT user_id::text AS owner FROM interview_sessions WHERE client_session_id = ANY (%s)"
                    " ORDER BY client_session_id = %s", [sid, own], own)
    assert [row["owner"] for row in owners] == [first, second]
    assert list(visitor.stored("debrief.save.")) == [f"debrief.save.{sid}"]

    # The first one's address shows the second one nothing.
    visitor.driver.get(f"{page.node.url}/results?sessionId={sid}")
    visitor.heading("Saving your interview…")
    time.sleep(1)
    assert "This is private." not in visitor.text()

    # The first one is back, and with them what had waited.
    visitor.go(user=first)
    eventually(lambda: visitor.stored("debrief.save.") == {}, "the first one's save to be sent")
    visitor.click(".earlier a")
    visitor.heading("Your feedback")
    assert "This is private." in visitor.text(".transcript")
