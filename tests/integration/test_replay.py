"""`debrief replay`: stored webhooks once more, by today's reading and today's rules."""
import json
import time

import psycopg2

from support import interview_row, ok, rows, run_debrief, session_row, sessions_of, told


def replay(lab, *words, status=0, **options):
    done = run_debrief(lab, "replay", *words, options={**lab.base_options(), **options}, timeout=120)
    assert done.returncode == status, told(done)
    return done.stdout


def result(lab, *words, **options):
    return json.loads(replay(lab, "--json", *words, **options))


def linked(api, lab, **fields):
    user, sid, cid = api.user(), "replay-" + api.user(), api.cid()
    ok(api.save(user, sid, ended_by="user", **fields))
    ok(api.webhook(api.payload(cid, user=user, session=sid)))
    assert sessions_of(lab, user) == {sid: (cid, "session_id")}
    return user, sid, cid


def change(lab, statement, *args):
    with lab.pg.cursor() as cursor:
        cursor.execute(statement, args)


def test_what_is_right_stays(api, lab):
    user, sid, cid = linked(api, lab)
    other = api.cid()
    ok(api.webhook(api.payload(other, user=user, start=time.time() - 40000)))
    before = sessions_of(lab, user)
    found = result(lab, "--user", user)
    assert found == {"dryRun": False, "read": 2, "facts": [], "refused": found["refused"], "owners": [], "links": [],
                     "undecided": 0}
    assert sessions_of(lab, user) == before
    assert "0 links change" in replay(lab, "--conversation", cid)


def test_other_rules_link_otherwise(api, lab):
    """A wider window would link what lies 900 s apart; a dry run says so and changes nothing."""
    user, sid, cid = api.user(), "replay-" + api.user(), api.cid()
    ok(api.save(user, sid, ended_by="user", ended_ago_ms=900000))
    ok(api.webhook(api.payload(cid, user=user)))
    before = sessions_of(lab, user)
    found = result(lab, "--dry-run", "--user", user, match_window_secs=1200)
    assert found["links"] == [{"sid": sid, "was": None, "is": {"conversationId": cid, "evidence": "window"}}]
    assert found["dryRun"] is True
    assert f"link     session {sid}: nothing -> {cid} by window" in replay(lab, "--dry-run", "--user", user,
                                                                          match_window_secs=1200)
    assert result(lab, "--dry-run", "--user", user)["links"] == []
    assert sessions_of(lab, user) == before
    assert not session_row(lab, sid)["undecided"] and not interview_row(lab, cid)["undecided"]
    assert not lab.redis.keys("debrief:{replay}:*")


def test_links_that_are_wrong_are_made_right(api, lab):
    user, sid, cid = linked(api, lab)
    change(lab, "UPDATE interview_sessions SET conversation_id = NULL, interview_id = NULL, evidence = NULL"
                " WHERE client_session_id = %s", sid)
    wanted = [{"sid": sid, "was": None, "is": {"conversationId": cid, "evidence": "session_id"}}]
    assert result(lab, "--dry-run", "--conversation", cid)["links"] == wanted
    assert session_row(lab, sid)["conversation_id"] is None
    found = result(lab, "--conversation", cid)
    assert found["links"] == wanted and found["undecided"] == 0
    assert sessions_of(lab, user) == {sid: (cid, "session_id")}
    assert result(lab, "--conversation", cid)["links"] == []


def test_facts_are_read_again(api, lab):
    """What an older version failed to read out of a body is read now."""
    user, sid, cid = linked(api, lab)
    row = interview_row(lab, cid)
    change(lab, "UPDATE interviews SET claimed_session_id = NULL, ended_at = NULL WHERE conversation_id = %s", cid)
    found = result(lab, "--dry-run", "--conversation", cid)
    assert [fact["conversationId"] for fact in found["facts"]] == [cid]
    assert {each["fact"]: each["was"] for each in found["facts"][0]["changes"]} == {"named_session": None, "ended_ms": None}
    assert interview_row(lab, cid)["claimed_session_id"] is None
    text = replay(lab, "--conversation", cid)
    assert f"named_session - -> {sid}" in text and "1 say something else" in text
    again = interview_row(lab, cid)
    assert (again["claimed_session_id"], again["ended_at"]) == (sid, row["ended_at"])
    assert not again["undecided"]
    assert sessions_of(lab, user) == {sid: (cid, "session_id")}


def refuse(lab, kind, subject, fact):
    change(lab, "INSERT INTO rejected_facts (kind, subject, fact, sqlstate, error) VALUES (%s, %s, %s, '22000', 'once')",
           kind, subject, psycopg2.Binary(fact))


def test_refused_facts_are_tried_again(api, lab):
    user, sid, cid, bad = api.user(), "replay-" + api.user(), api.cid(), "bad-" + api.cid()
    heard = int(time.time() * 1000) - 5000
    payload = json.dumps(api.payload(cid, user=user, session=sid)).encode()
    refuse(lab, "conversation", cid, payload)
    refuse(lab, "session", sid, json.dumps({"sid": sid, "user": user, "heard_at": heard, "ended_at": heard,
                                            "ended_by": "user"}).encode())
    refuse(lab, "conversation", bad, b"{nonsense")
    refuse(lab, "session", bad, json.dumps({"sid": bad, "user": "nobody"}).encode())
    found = {(each["kind"], each["subject"]): each for each in result(lab, "--dry-run")["refused"]}
    assert found["conversation", cid]["taken"] and found["session", sid]["taken"]
    assert not found["conversation", bad]["taken"] and found["conversation", bad]["error"] == "JSON"
    assert not found["session", bad]["taken"] and "22P02" in found["session", bad]["error"]
    assert interview_row(lab, cid) is None
    # it says so when something stays undecided, such as what another test's full window left
    full = rows(lab, "SELECT FROM interviews WHERE undecided UNION ALL SELECT FROM interview_sessions WHERE undecided")
    result(lab, status=1 if full else 0)
    assert not interview_row(lab, cid)["undecided"]
    assert sessions_of(lab, user) == {sid: (cid, "session_id")}
    left = {row["subject"] for row in rows(lab, "SELECT subject FROM rejected_facts")}
    assert bad in left and not {cid, sid} & left
    change(lab, "DELETE FROM rejected_facts WHERE subject = %s", bad)


def test_owners_follow_the_rules(api, lab):
    """A claim on a conversation that names nobody counts only while claim_unowned is on."""
    user, sid, cid = api.user(), "replay-" + api.user(), api.cid()
    ok(api.webhook(api.payload(cid)))
    ok(api.save(user, sid, ended_by="user", conversation_id=cid))
    assert sessions_of(lab, user) == {sid: (cid, "conversation_id")}
    found = result(lab, "--dry-run", "--user", user, claim_unowned=False)
    assert found["links"] == [{"sid": sid, "was": {"conversationId": cid, "evidence": "conversation_id"}, "is": None}]
    change(lab, "UPDATE interview_sessions SET conversation_id = NULL, interview_id = NULL, evidence = NULL"
                " WHERE client_session_id = %s", sid)
    change(lab, "UPDATE interviews SET user_id = NULL WHERE conversation_id = %s", cid)
    assert result(lab, "--dry-run", "--conversation", cid)["owners"] == [{"conversationId": cid, "was": None, "is": user}]


def test_wrong_usage_and_stores_that_are_away(api, lab):
    assert run_debrief(lab, "replay", "--days", "0").returncode == 2
    assert run_debrief(lab, "replay", "--user", "me").returncode == 2
    assert "database_url" in run_debrief(lab, "replay").stderr
    done = run_debrief(lab, "replay", "--dry-run", options={**lab.base_options(), "redis_url": "redis://127.0.0.1:9/0"},
                       timeout=60)
    assert done.returncode == 1 and "redis" in done.stderr and not done.stdout, told(done)
