"""Decisions as rows (sql/0007_links.sql) do to the ledger what debrief_apply_decisions() does to it, whatever it holds:
random states, random decisions, both ways in transactions that are rolled back."""

import contextlib
import json
import os
import random
import uuid

import psycopg2
import pytest

ROUNDS = 600 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 200
SESSIONS = ("SELECT client_session_id, user_id::text, conversation_id, interview_id::text, evidence, agent_id, ended_at, status,"
            " linked_at IS NULL, linked_at = '2026-01-01Z' FROM interview_sessions WHERE left(client_session_id, 2) = 'd-'"
            " OR left(client_session_id, 11) = 'fallback:d-' ORDER BY 1")
INTERVIEWS = ("SELECT conversation_id, user_id::text, owner_epoch, undecided FROM interviews WHERE left(conversation_id, 2) = 'd-'"
              " ORDER BY 1")
CHANGES = ("SELECT s.client_session_id, c.conversation_id, change, c.evidence FROM link_changes c JOIN interview_sessions s"
           " ON s.id = session_id WHERE left(s.client_session_id, 2) = 'd-' ORDER BY 1, 2, 3, 4")


@pytest.fixture
def cursor(lab):
    with contextlib.closing(psycopg2.connect(lab.postgres_server.url)) as connection, connection.cursor() as cursor:
        yield cursor
        connection.rollback()


class State:
    """Users, their sessions, and conversations; some of them linked, some held by nobody."""

    def __init__(self, cursor, rng):
        self.cursor, self.rng = cursor, rng
        self.users = sorted(str(uuid.uuid4()) for _ in range(3))
        self.sids = {user: [f"d-s{n}{k}" for k in range(rng.randint(0, 3))] for n, user in enumerate(self.users)}
        self.links = {} # of sessions
        self.cids = [f"d-c{k}" for k in range(rng.randint(1, 6))]
        for user in self.users:
            cursor.execute("INSERT INTO profiles (id, links_revision) VALUES (%s, %s)", (user, rng.choice((5, 10, 15))))
        for cid in self.cids:
            cursor.execute(
                "INSERT INTO interviews (id, conversation_id, agent_id, body_hash, failure_reason, ended_at, user_id, owner_epoch,"
                " undecided) VALUES (gen_random_uuid(), %s, %s, %s, %s, %s, %s, %s, %s)",
                (cid, rng.choice(("", "agent")), rng.choice("ab"), rng.choice((None, None, "gone wrong")),
                 rng.choice((None, "2026-02-02Z")), rng.choice((None, *self.users)), rng.choice((0, 1, 2)),
                 rng.random() < 0.6))
        for user in self.users:
            for sid in self.sids[user]:
                cursor.execute(
                    "INSERT INTO interview_sessions (user_id, client_session_id, claimed_agent_id, client_ended_at, status)"
                    " VALUES (%s, %s, %s, %s, 'started')", (user, sid, rng.choice((None, "claimed")), rng.choice((None, "2026-03-03Z"))))
        self.link_some()

    def link_some(self):
        rng = self.rng
        free = [(user, sid) for user in self.users for sid in self.sids[user]]
        rng.shuffle(free)
        for cid in self.cids:
            way = rng.random()
            if way < 0.3 and free:
                user, sid = free.pop()
                self.links[sid] = cid, rng.choice(("window", "session_id"))
                self.cursor.execute(
                    "UPDATE interview_sessions s SET conversation_id = i.conversation_id, interview_id = i.id, evidence = %s,"
                    " linked_at = '2026-01-01Z', ended_at = %s, status = 'completed' FROM interviews i"
                    " WHERE s.client_session_id = %s AND i.conversation_id = %s",
                    (self.links[sid][1], rng.choice(("2026-02-02Z", "2026-03-03Z")), sid, cid))
                self.cursor.execute("UPDATE interviews SET user_id = %s WHERE conversation_id = %s", (rng.choice((user, user, None)), cid))
            elif way < 0.5:
                self.cursor.execute(
                    "INSERT INTO interview_sessions (user_id, client_session_id, conversation_id, interview_id, status, linked_at)"
                    " SELECT %s, 'fallback:' || conversation_id, conversation_id, id, 'completed', '2026-01-01Z' FROM interviews"
                    " WHERE conversation_id = %s", (rng.choice(self.users), cid))

    def decision(self, user):
        """What is linked mostly stays so."""
        rng = self.rng
        calm = rng.random() < 0.5 # nothing that has to be made or taken away
        cids = [cid for cid in (*self.cids, "d-unknown") if rng.random() < (0.1 if cid == "d-unknown" else 0.4)]
        free, sessions = list(cids), []
        rng.shuffle(free)
        for sid in (*self.sids[user], *(["d-none"] if rng.random() < 0.2 else [])):
            cid, evidence = self.links.get(sid, (None, None))
            if cid in free and rng.random() < 0.7:
                free.remove(cid)
                sessions.append({"sid": sid, "cid": cid, "evidence": rng.choice((evidence, evidence, "conversation_id"))})
            elif free and rng.random() < 0.6:
                sessions.append({"sid": sid, "cid": free.pop(), "evidence": rng.choice(("window", "session_id"))})
            elif rng.random() < 0.4:
                sessions.append({"sid": sid})
        if calm:
            cids = [session["cid"] for session in sessions if "cid" in session]
        conversations = [{"cid": cid, "hash": rng.choice("ab"), "epoch": rng.choice((1, 2, 2, 3)),
                          **({"own": 1} if rng.random() < 0.7 else {})} for cid in cids]
        gone = [{"cid": cid, "epoch": rng.choice((1, 2, 3))} for cid in self.cids if cid not in cids and rng.random() < 0.1]
        return {"sessions": sessions, "conversations": conversations, "gone": gone}


def rows_of(place, user, revision, decision):
    """As src/broker/ledger_params.c makes them."""
    rows = [[place, user, revision, None, c["cid"], None, c["hash"], c["epoch"], "own" in c, None]
            for c in decision["conversations"]]
    for session in decision["sessions"]:
        row = next((row for row in rows if row[4] and row[4] == session.get("cid")), None)
        if row:
            row[3], row[5] = session["sid"], session["evidence"]
        else:
            rows.append([place, user, revision, session["sid"], None, None, None, None, None, None])
    rows += [[place, user, revision, None, g["cid"], None, None, g["epoch"], False, None] for g in decision["gone"]]
    rows = rows or [[place, user, revision, *[None] * 7]]
    rows[len(rows) // 2][9] = json.dumps(decision) # in one of them
    return rows


def outcome(cursor, query, params):
    """What came of it, and what it said; and all is as it was again."""
    cursor.execute(query, params)
    said = sorted((member, revision, sorted(words.split())) for member, revision, words in cursor.fetchall())
    state = []
    for look in (SESSIONS, INTERVIEWS, CHANGES):
        cursor.execute(look)
        state.append(cursor.fetchall())
    cursor.execute("ROLLBACK TO state")
    return said, state


def whole(cursor, decisions):
    users, revisions, texts = zip(*[(user, revision, json.dumps(decision)) for user, revision, decision in decisions])
    return outcome(cursor, "SELECT * FROM debrief_apply_decisions(%s::uuid[], %s::bigint[], %s::jsonb[])",
                   (list(users), list(revisions), list(texts)))


def in_rows(cursor, decisions):
    rows = [row for n, told in enumerate(decisions) for row in rows_of(n + 1, *told)]
    for user, revision, _ in decisions: # sql/lock_user.sql
        cursor.execute("UPDATE profiles SET links_revision = GREATEST(links_revision, %s) WHERE id = %s", (revision, user))
    return outcome(
        cursor, "SELECT * FROM debrief_apply_links(%s::bigint[], %s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::text[],"
        " %s::text[], %s::bigint[], %s::boolean[], %s::text[])", [list(column) for column in zip(*rows)])


def test_rows_do_what_decisions_do(cursor):
    changed = 0
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        cursor.execute("SAVEPOINT clean")
        state = State(cursor, rng)
        decisions = [(user, 10, state.decision(user)) for user in state.users if rng.random() < 0.7]
        cursor.execute("SAVEPOINT state")
        if decisions:
            told = whole(cursor, decisions)
            assert in_rows(cursor, decisions) == told, f"seed {seed}: {decisions}"
            changed += any(words for _, _, words in told[0])
        cursor.execute("ROLLBACK TO clean")
    assert changed > ROUNDS / 3


def test_simple_ones_need_no_other_way(cursor):
    """What is linked anew, or stays, is done at once: the decision whole is not even looked at."""
    cursor.execute("SAVEPOINT clean")
    state = State(cursor, random.Random(1))
    user = state.users[0]
    cursor.execute("INSERT INTO interview_sessions (user_id, client_session_id) VALUES (%s, 'd-new')", (user,))
    cursor.execute("INSERT INTO interviews (id, conversation_id, body_hash) VALUES (gen_random_uuid(), 'd-fresh', 'a')")
    cursor.execute("SAVEPOINT state")
    decision = {"sessions": [{"sid": "d-new", "cid": "d-fresh", "evidence": "session_id"}],
                "conversations": [{"cid": "d-fresh", "hash": "a", "epoch": 1, "own": 1}], "gone": []}
    rows = rows_of(1, user, 20, decision)
    rows[0][9] = "no JSON"
    cursor.execute("UPDATE profiles SET links_revision = 20 WHERE id = %s", (user,))
    apply = ("SELECT * FROM debrief_apply_links(%s::bigint[], %s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::text[],"
             " %s::text[], %s::bigint[], %s::boolean[], %s::text[])")
    for words in ("session_id", ""): # the second time, it is so already
        cursor.execute(apply, [list(column) for column in zip(*rows)])
        assert [(member, revision, said.strip()) for member, revision, said in cursor.fetchall()] == [(1, 20, words)]
    cursor.execute("SELECT conversation_id, evidence, status FROM interview_sessions WHERE client_session_id = 'd-new'")
    assert cursor.fetchall() == [("d-fresh", "session_id", "completed")]
