"""What waiting costs, and how soon it ends."""
from visitor import eventually

PARKED_SECS = 25
PROMPT_SECS = 0.3


def test_a_waiting_page_asks_once_in_25_s_and_shows_the_result_at_once(page, visit):
    visitor = visit(page)
    sid = visitor.start(webhook="never")
    visitor.end()
    visitor.heading("Saving your interview…")

    def polls():
        return [at for _, _, _, at in visitor.sent("GET", f"/by-session/{sid}")]
    def held_once():
        times = polls()
        return len(times) >= 3 and times[-1] - times[-2] >= PARKED_SECS - 1 and times
    times = eventually(held_once, "a request that was held, and the next", timeout=PARKED_SECS + 20)
    # One that is answered at once, perhaps one that the save of the end overtook, the held one, the next.
    assert len(times) <= 4

    [conversation] = [c for c in page.simulator.conversations.values() if c.user_id == visitor.user]
    delivery = page.simulator.send(conversation.id)
    assert delivery.wait() == 200
    shown = visitor.shown("Your feedback")
    assert shown - delivery.attempts[0].at < PROMPT_SECS
    assert len(polls()) <= len(times) + 1  # the held one was answered; all was there then


def test_what_is_loaded_is_small_and_has_no_voice_sdk(page, visit):
    visitor = visit(page)
    visitor.start()
    visitor.end()
    visitor.heading("Your feedback")
    scripts = visitor.script("return performance.getEntriesByType('resource').filter((e) => e.name.endsWith('.js'))"
                             ".map((e) => [e.name, e.encodedBodySize])")
    assert scripts and not any("elevenlabs" in name for name, _ in scripts)
    assert 0 < sum(size for _, size in scripts) < 100_000
    # Nobody else is asked for anything.
    assert {url.split("/")[2] for _, url, _, _ in visitor.sent() if url.startswith("http")} == {
        page.node.url.split("/")[2], page.simulator.url.split("/")[2]}
