"""The provider's own SDK in the browser, against a stand-in for the provider."""
import pytest
from agent import GREETING, Agent
from visitor import eventually


@pytest.fixture
def agent_page(site):
    """(page, agent): the application with an agent configured."""
    page = site(config={"agentId": "agent_browser"})
    with Agent(page.simulator) as agent:
        # Known only now; the node has to allow it before the page may connect.
        page.node.options["web_connect_src"] = [agent.origin]
        page.node.stop()
        page.node.start()
        page.configure(agentOrigin=agent.origin)
        yield page, agent


def begin(visitor, agent):
    visitor.click("form .primary")
    visitor.sees(GREETING)
    return agent.connections[-1]


def test_the_sdk_is_loaded_when_a_call_is_made(agent_page, visit):
    page, agent = agent_page
    visitor = visit(page)
    assert "simulated" not in visitor.text()
    assert visitor.sent(contains="elevenlabs") == []
    connection = begin(visitor, agent)
    assert visitor.sent(contains="/assets/elevenlabs-") != []
    sid = visitor.session()
    assert "agent_id=agent_browser" in connection.path
    assert connection.initiation["user_id"] == visitor.user
    variables = connection.initiation["dynamic_variables"]
    assert (variables["client_session_id"], variables["user_id"]) == (sid, visitor.user)
    # The microphone is on, through worklets that our own server sends.
    eventually(lambda: connection.audio_chunks > 3, "sound")
    visitor.click("button[aria-pressed]")
    assert visitor.one("button[aria-pressed]").text == "Unmute"
    visitor.say("Typed, not spoken.")
    visitor.end()
    visitor.heading("Your feedback")
    assert "Typed, not spoken." in visitor.text(".transcript") and GREETING in visitor.text(".transcript")
    [end] = visitor.ends_sent()
    assert end.pop("ended_ago_ms", 0) < 1000
    assert end == {"client_session_id": sid, "ended_by": "user", "conversation_id": connection.conversation.id,
                   "agent_id": "agent_browser"}


def test_the_provider_ends_the_call(agent_page, visit):
    page, agent = agent_page
    visitor = visit(page)
    connection = begin(visitor, agent)
    connection.hang_up()
    visitor.heading("Your feedback")
    assert [end["ended_by"] for end in visitor.ends_sent()] == ["disconnect"]


def test_the_provider_cannot_be_reached(site, visit):
    page = site(config={"agentId": "agent_browser", "agentOrigin": "ws://127.0.0.1:9"})
    visitor = visit(page)
    visitor.click("form .primary")
    visitor.heading("The interview could not begin")
    visitor.click("main a")
    visitor.heading("Your practice interview")
