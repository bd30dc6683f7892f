"""What several test files share: looking into the ledger, problems, running the binary."""

import os
import signal
import subprocess
import time

import model
from lab.node import environment, sanitizer_environment


def rows(lab, query, *args):
    """The rows of a query as dicts."""
    with lab.pg.cursor() as cursor:
        cursor.execute(query, args)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def session_row(lab, sid):
    found = rows(
        lab,
        "SELECT *, user_id::text AS owner, interview_id::text AS interview FROM interview_sessions"
        " WHERE client_session_id = %s",
        sid,
    )
    return found[0] if found else None


def interview_row(lab, cid):
    found = rows(lab, "SELECT *, user_id::text AS owner FROM interviews WHERE conversation_id = %s", cid)
    return found[0] if found else None


def sessions_of(lab, user):
    """{sid: (conversation id, evidence)} of a user, as the ledger has it."""
    return {
        row["client_session_id"]: (row["conversation_id"], row["evidence"])
        for row in rows(lab, "SELECT * FROM interview_sessions WHERE user_id = %s", user)
    }


def eventually(condition, timeout=10.0, what="it to become true"):
    """Polls until condition() is true; its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}; the last value was {value!r}"
        time.sleep(0.02)


def stop_postgres(lab):
    """All nodes know it; lab.mend() brings it back."""
    lab.pg.close()
    # every process of it: a backend that outlives the first for a moment still commits
    lab.postgres_server.signal(signal.SIGKILL, family=True)
    lab.postgres_server.kill()
    for node in lab.nodes:
        eventually(lambda: not node.sees("ledger"), 20, "the nodes to see that Postgres is away")


def ok(answer):
    assert answer.status_code == 200, f"{answer.status_code}: {answer.text[:500]}"
    return answer


def assert_problem(answer, status, field=None, says=None):
    """A problem document (RFC 9457) of that status, naming that field."""
    assert answer.status_code == status, f"{answer.status_code}, should be {status}: {answer.text[:500]}"
    kind = answer.headers.get("Content-Type", "")
    assert kind.split(";")[0] == "application/problem+json", f"{status} is served as {kind!r}: {answer.text[:200]}"
    body = answer.json()
    for name in ("type", "title", "status", "detail", "requestId"):
        assert name in body, f"the problem has no {name}: {body}"
    assert body["status"] == status
    assert body["requestId"] == answer.headers["X-Request-Id"]
    if field is not None:
        named = body.get("field") == field or field in body["detail"]
        assert named, f"the problem does not name {field}: {body}"
    if says is not None:
        assert says in body["detail"], f"the problem does not say {says!r}: {body}"
    return body


def run_debrief(lab, *words, env=None, options=None, timeout=60):
    """Runs a subcommand with nothing in its environment but `options` (by name) and `env`."""
    content = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **sanitizer_environment()}
    content.update(environment(options or {}))
    content.update(env or {})
    return subprocess.run(
        [str(lab.binary), *[str(word) for word in words]],
        env=content,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def told(done):
    """A finished process for an assertion's message."""
    return f"exit status {done.returncode}\n--- stdout\n{done.stdout[-3000:]}\n--- stderr\n{done.stderr[-3000:]}"


def facts_in_ledger(lab, sids, cids):
    """The facts of these sessions and conversations as the ledger keeps them, for the model."""
    ms = "floor(extract(epoch FROM {}) * 1000)::bigint".format
    sessions = rows(
        lab,
        f"SELECT client_session_id AS sid, user_id::text AS user, COALESCE(claimed_agent_id, '') AS agent,"
        f" {ms('started_at')} AS started, {ms('client_ended_at')} AS ended, ended_by,"
        f" claimed_conversation_id AS claim, {ms('claimed_at')} AS claim_stamp"
        " FROM interview_sessions WHERE client_session_id = ANY (%s)",
        list(sids),
    )
    conversations = rows(
        lab,
        f"SELECT conversation_id AS cid, agent_id AS agent, {ms('COALESCE(started_at, received_at)')} AS started,"
        f" {ms('COALESCE(ended_at, received_at)')} AS ended, claimed_user_id::text AS user, claimed_session_id AS sid"
        " FROM interviews WHERE conversation_id = ANY (%s)",
        list(cids),
    )
    return (
        {row["sid"]: model.Session(**row) for row in sessions},
        {row["cid"]: model.Conversation(**row) for row in conversations},
    )


def journal_length(lab):
    """Entries that the ledger has not taken yet."""
    return sum(lab.redis.xlen(key) for key in lab.redis.scan_iter("debrief:{p*}:journal", count=1000))
