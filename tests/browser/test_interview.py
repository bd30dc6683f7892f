"""The interview itself: its start, and every way in which it can end."""
import json

from visitor import eventually


def session_row(ledger, sid):
    rows = ledger("SELECT *, user_id::text AS owner FROM interview_sessions WHERE client_session_id = %s", sid)
    return rows[0] if rows else None


def saved_end(ledger, sid):
    return eventually(lambda: (row := session_row(ledger, sid)) and row["ended_by"] and row, f"the end of {sid}")


def test_the_start_is_registered_and_told_to_the_provider(page, visit, ledger):
    visitor = visit(page)
    assert "token" not in visitor.address and "#" not in visitor.address
    visitor.one("#resume").send_keys("Six years of payments.")
    visitor.choose("Data analyst")
    sid = visitor.start(webhook="never")
    row = eventually(lambda: session_row(ledger, sid), "the session in the ledger")
    assert (row["owner"], row["status"], row["ended_by"]) == (visitor.user, "started", None)
    [conversation] = [c for c in page.simulator.conversations.values() if c.user_id == visitor.user]
    assert conversation.dynamic_variables == {
        "client_session_id": sid, "user_id": visitor.user, "role": "Data analyst", "resume": "Six years of payments."}
    # Known to the page, as long as it lasts and after it.
    assert json.loads(visitor.stored("debrief.live.")[f"debrief.live.{sid}"])["conversationId"] == conversation.id


def test_a_resume_is_read_in_the_browser(page, visit, tmp_path):
    resume = tmp_path / "resume.txt"
    resume.write_text("Twelve years at sea. Überall zu Hause.", encoding="utf-8")
    visitor = visit(page)
    visitor.sent()
    visitor.one("input[type=file]").send_keys(str(resume))
    eventually(lambda: visitor.one("#resume").get_attribute("value") == resume.read_text("utf-8"), "the text to be read")
    assert visitor.sent("POST") == []
    visitor.start(webhook="never")
    [conversation] = [c for c in page.simulator.conversations.values() if c.user_id == visitor.user]
    assert conversation.dynamic_variables["resume"] == resume.read_text("utf-8")


def test_a_page_from_the_browsers_cache_knows_that_it_has_ended(page, visit):
    visitor = visit(page)
    visitor.start()
    visitor.script("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    visitor.script("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    visitor.heading("Your feedback")
    assert [end["ended_by"] for end in visitor.ends_sent()] == ["disconnect"]


def test_a_click_ends_it(page, visit, ledger):
    visitor = visit(page)
    sid = visitor.start()
    visitor.say("I am ready, thank you.")
    visitor.end()
    visitor.heading("Your feedback")
    assert "I am ready, thank you." in visitor.text(".transcript")
    row = saved_end(ledger, sid)
    assert (row["ended_by"], row["evidence"]) == ("user", "session_id")
    assert f"/results?sessionId={sid}&conversationId={row['conversation_id']}" in visitor.address
    # Once, though the line's end says so too.
    [end] = visitor.ends_sent()
    assert end["ended_by"] == "user" and end["conversation_id"] == row["conversation_id"]
    assert visitor.stored("debrief.save.") == {} and visitor.stored("debrief.live.") == {}


def test_the_interviewer_hangs_up(page, visit, ledger):
    visitor = visit(page)
    sid = visitor.start()
    row = eventually(lambda: session_row(ledger, sid), "the session in the ledger")
    [conversation] = [c for c in page.simulator.conversations.values() if c.user_id == visitor.user]
    page.simulator.end(conversation.id, reason="agent")
    visitor.heading("Your feedback")
    row = saved_end(ledger, sid)
    assert row["ended_by"] == "disconnect"
    assert [end["ended_by"] for end in visitor.ends_sent()] == ["disconnect"]


def test_a_closed_tab_ends_it(page, visit, ledger):
    visitor = visit(page)
    interview = visitor.driver.current_window_handle
    sid = visitor.start()
    visitor.say("My train leaves now.")
    other = visitor.new_tab()
    visitor.switch(interview)
    visitor.close_tab()
    visitor.switch(other)
    assert saved_end(ledger, sid)["ended_by"] == "disconnect"
    # The provider notices by itself, and the results are there when the person is.
    visitor.go()
    visitor.click(".earlier a")
    visitor.heading("Your feedback")
    assert "My train leaves now." in visitor.text(".transcript")
    assert sid in visitor.address


def test_a_cut_network_ends_it_and_the_save_waits(page, visit, ledger):
    visitor = visit(page)
    sid = visitor.start()
    visitor.say("Hello? Can you hear me?")
    visitor.network(False)
    visitor.shown("Saving your interview")
    visitor.sees("You are offline")
    [queued] = visitor.stored("debrief.save.").values()
    queued = json.loads(queued)
    assert (queued["sessionId"], queued["sub"], queued["endedBy"]) == (sid, visitor.user, "disconnect")
    assert session_row(ledger, sid)["ended_by"] is None
    visitor.network(True)
    visitor.heading("Your feedback")
    row = saved_end(ledger, sid)
    assert row["ended_by"] == "disconnect"
    # It ended when the network was cut, not when it came back.
    ended_ms = ledger("SELECT (extract(epoch FROM client_ended_at) * 1000)::bigint AS ms FROM interview_sessions"
                      " WHERE client_session_id = %s", sid)[0]["ms"]
    assert abs(ended_ms - queued["endedAt"]) < 500
    assert visitor.stored("debrief.save.") == {}
    assert "Can you hear me?" in visitor.text(".transcript")


def test_without_a_conversation_id(page, visit, ledger):
    visitor = visit(page)
    sid = visitor.start(hide_conversation_id=True)
    visitor.say("No id, no trouble.")
    visitor.end()
    visitor.heading("Your feedback")
    assert "No id, no trouble." in visitor.text(".transcript")
    [end] = visitor.ends_sent()
    assert "conversation_id" not in end
    assert visitor.address.endswith(f"/results?sessionId={sid}")
    assert saved_end(ledger, sid)["conversation_id"].startswith("conv_")


def test_a_reload_in_the_middle_ends_it_and_leads_to_the_results(page, visit, ledger):
    visitor = visit(page)
    sid = visitor.start()
    visitor.say("Oh, I pressed the wrong key.")
    visitor.reload()
    visitor.heading("Your feedback")
    assert sid in visitor.address
    assert saved_end(ledger, sid)["ended_by"] == "disconnect"


def test_a_crashed_page_is_made_good_by_the_next_one(page, visit, ledger):
    visitor = visit(page)
    sid = visitor.start()
    visitor.say("It went dark.")
    visitor.crash()
    # Not by a page that was there before; the next one finds it.
    visitor.go()
    visitor.sees("Your last interview was cut off")
    assert saved_end(ledger, sid)["ended_by"] == "disconnect"
    visitor.click(".notice a")
    visitor.heading("Your feedback")
    assert "It went dark." in visitor.text(".transcript")
