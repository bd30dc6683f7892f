"""`debrief status`: the node's own account of itself, for people and for programs."""
import json
import os
import pty
import subprocess
import time

from lab.node import environment, sanitizer_environment
from lab.process import free_port
from support import eventually, ok, run_debrief, told


def options(node):
    return {"admin_listen": f"127.0.0.1:{node.admin_port}"}


def busy(api):
    user, sid, cid = api.user(), "status-" + api.user(), api.cid()
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(api.payload(cid, user=user, session=sid)))
    ok(api.poll(user, sid))
    return cid


def test_once(api, lab):
    busy(api)
    done = run_debrief(lab, "status", "--once", options=options(lab.nodes[0]))
    assert done.returncode == 0, told(done)
    for word in (f"http://127.0.0.1:{lab.nodes[0].admin_port}  ready, up ", "redis up", "ledger up",
                 "/api/interviews/by-session/:sessionId", "/webhooks/elevenlabs", "accepted", "session_id", "bad_signature",
                 "missing", "journal", "of a processor"):
        assert word in done.stdout, done.stdout
    assert "\033" not in done.stdout
    assert done.stderr == ""


def test_json(api, lab):
    busy(api)
    done = run_debrief(lab, "status", "--once", "--json", options=options(lab.nodes[0]))
    assert done.returncode == 0, told(done)
    found = json.loads(done.stdout)
    assert found["ready"]["ready"] is True and found["error"] is None
    assert found["metrics"]['debrief_webhooks_total{type="post_call_transcription",result="accepted"}'] >= 1
    assert found["metrics"]["debrief_draining"] == 0


def test_a_store_that_is_away(api, lab):
    node = lab.new_node(redis_url="redis://127.0.0.1:9/0")
    node.start(ready=False)
    try:
        eventually(lambda: not node.answers("/readyz"), timeout=60)
        done = run_debrief(lab, "status", "--once", options=options(node))
        assert done.returncode == 0 and "not ready" in done.stdout and "redis away" in done.stdout, told(done)
    finally:
        node.stop()


def test_nobody_answers(lab, api):
    address = f"127.0.0.1:{free_port()}"
    done = run_debrief(lab, "status", "--once", options={"admin_listen": address})
    assert done.returncode == 1 and "could not connect" in done.stdout, told(done)
    done = run_debrief(lab, "status", "--once", "--json", "--url", f"http://{address}")
    assert done.returncode == 1 and json.loads(done.stdout)["error"] == "could not connect", told(done)
    assert run_debrief(lab, "status", "--interval", "0").returncode == 2
    # the public port has no metrics
    done = run_debrief(lab, "status", "--once", "--url", lab.nodes[0].url)
    assert done.returncode == 1 and "admin_listen" in done.stdout, told(done)


def watch(lab, node, stdout):
    env = {"PATH": os.environ["PATH"], **sanitizer_environment(), **environment(options(node))}
    return subprocess.Popen([str(lab.binary), "status", "--interval", "1"], env=env, stdout=stdout, stderr=subprocess.PIPE)


def read_until(fd, *words, timeout=60):
    text, deadline = "", time.monotonic() + timeout
    while not all(word in text for word in words):
        assert time.monotonic() < deadline, text
        text += os.read(fd, 65536).decode()
    return text


def test_it_refreshes_in_place_on_a_terminal(api, lab):
    busy(api)
    ours, theirs = pty.openpty()
    process = watch(lab, lab.nodes[0], theirs)
    try:
        first = read_until(ours, "of a processor")
        assert first.startswith("\033[H\033[J") and "\033[32mready\033[0m" in first and "\033[32mup\033[0m" in first
        read_until(ours, "\033[H\033[J", "of a processor")
    finally:
        process.terminate()
        process.communicate(timeout=30)
        os.close(theirs)
        os.close(ours)


def test_rates_are_those_since_the_last_refresh(api, lab):
    """Whatever came before: an idle node shows 0.0/s in its second table."""
    busy(api)
    with lab.node() as node:
        for _ in range(50):
            ok(api.request("GET", "/livez", node))
        process = watch(lab, node, subprocess.PIPE)
        try:
            text = read_until(process.stdout.fileno(), *["of a processor"])
            while text.count("of a processor") < 2:
                text += read_until(process.stdout.fileno(), "of a processor")
        finally:
            process.terminate()
            process.communicate(timeout=30)
    lines = [line.split() for line in text.splitlines() if line.strip().startswith("/livez")]
    assert float(lines[0][1]) > 0 and float(lines[1][1]) == 0, lines
    assert "\033" not in text
