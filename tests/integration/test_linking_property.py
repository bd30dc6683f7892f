"""Random stories over two nodes against the brute-force model.

A story is a list of saves, webhooks, repeats, flushes of Redis and looks at the state, each
step through either node. Whatever the order, polls (through both nodes), the views in Redis
and the ledger must say what the model says of the facts that were accepted.

Times lie on a grid of ten seconds whose distances all differ (a Golomb ruler), except where a
tie is wanted: conversations may share a time to the millisecond, because theirs are the
provider's. The last comparison reads the real stamps of saves back from the ledger's facts.

HYPOTHESIS_PROFILE = quick | default | ci | long | find chooses how many stories are told; `ci` tells the
same ones each time, `find` stops at the first failure without looking for a shorter story.
"""

import hashlib
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Optional

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

import model
from model import Save, Webhook

PROFILE = {
    "quick": {"max_examples": 20},
    "default": {"max_examples": 80},
    "ci": {"max_examples": 80, "derandomize": True},
    "long": {"max_examples": 1500},
    "find": {"max_examples": 300, "phases": [Phase.generate]},
}[os.environ.get("HYPOTHESIS_PROFILE", "default")]
STORY_SETTINGS = settings(
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    **PROFILE,
)

GRID_SECS = 10
RULER = (0, 2, 6, 24, 29, 40, 43, 55, 68, 75, 76, 85)  # no distance is 60: nothing lies at the window's edge
TOLERANCE_MS = 3000  # between our clock before or after a call and the stamp made during it
SETTLE_SECS = 0.5

# Bytewise order differs from any dictionary's.
SID_FORMS = ("b{}", "B{}", "_{}", "a.{}")
CID_FORMS = ("conv_b{}", "conv_B{}", "conv_9{}", "room_{}")


@dataclass(frozen=True)
class Content:
    """What one webhook says of a conversation."""

    mark: Optional[int]  # when the call ended, in grid steps before the story began; None: not said
    duration: int
    agent: str
    user: Optional[int]
    session: object  # index of a session, "unknown", "malformed" or None


@dataclass(frozen=True)
class Story:
    users: int
    sessions: tuple  # of (owner, (mark, mark))
    conversations: tuple  # of tuples of Content: versions of the same conversation
    steps: tuple


@dataclass(frozen=True)
class SaveStep:
    node: int
    session: int
    intruder: bool  # the other user says it
    mark: Optional[int]  # which of the session's two ends; None: a start
    claim: object  # index of a conversation, "strong", "weak" or None
    agent: Optional[str]


@dataclass(frozen=True)
class HookStep:
    node: int
    conversation: int
    version: int


@dataclass(frozen=True)
class FlushStep:
    pass


@dataclass(frozen=True)
class LookStep:
    pass


@st.composite
def stories(draw):
    users = draw(st.sampled_from([1, 2, 2]))
    ruler = draw(st.permutations(RULER))
    sessions = tuple(
        (draw(st.integers(0, users - 1)), (ruler[2 * i], ruler[2 * i + 1])) for i in range(draw(st.integers(1, 4)))
    )
    # Each story has its theme: what is named and what is claimed in it. Without one, claims and names
    # would hide the window, and nothing would compete for one session or one conversation.
    count = draw(st.integers(1, 4))
    named_users = draw(st.sampled_from((tuple(range(users)), (None, *range(users)), (None,))))
    every = tuple(range(len(sessions)))
    named_sessions = draw(
        st.sampled_from(((None,), (None, *every), (None, 0), (None, None, *every, "unknown", "malformed")))
    )
    some = tuple(range(min(2, count)))
    claims = draw(
        st.sampled_from(((None,), (None, "weak"), (None, *some), (None, None, *range(count), "strong", "weak")))
    )
    agents = draw(st.sampled_from(((None,), (None, "a"), (None, "a", "b"))))
    marks = draw(st.sampled_from((RULER, (*ruler[:3], None), (ruler[0], ruler[-1]))))
    contents = st.builds(
        Content,
        mark=st.sampled_from(marks),
        duration=st.sampled_from((3, 7)),
        agent=st.sampled_from([agent for agent in agents if agent] or ["a"]),
        user=st.sampled_from(named_users),
        session=st.sampled_from(named_sessions),
    )
    versions = st.one_of(st.lists(contents, min_size=1, max_size=1), st.lists(contents, min_size=1, max_size=2))
    conversations = tuple(tuple(draw(versions)) for _ in range(count))
    node = st.integers(0, 1)
    saves = st.builds(
        SaveStep,
        node=node,
        session=st.integers(0, len(sessions) - 1),
        intruder=st.sampled_from((False, False, False, False, True)) if users == 2 else st.just(False),
        mark=st.sampled_from((None, 0, 0, 1)),
        claim=st.sampled_from(claims),
        agent=st.sampled_from(agents),
    )
    hooks = st.integers(0, len(conversations) - 1).flatmap(
        lambda c: st.builds(
            HookStep, node=node, conversation=st.just(c), version=st.integers(0, len(conversations[c]) - 1)
        )
    )
    step = st.sampled_from((saves, saves, saves, hooks, hooks, hooks, st.just(FlushStep()), st.just(LookStep())))
    length = draw(st.sampled_from((1, 6, 8, 10, 12)))
    steps = tuple(draw(st.lists(step.flatmap(lambda s: s), min_size=length, max_size=16)))
    return Story(users, sessions, conversations, steps)


def now_ms():
    return time.time_ns() // 1_000_000


@dataclass
class World:
    """One story as it is being told: fresh ids, the facts so far, and a readable history."""

    lab: object
    api: object
    story: Story
    uniq: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    facts: list = field(default_factory=list)
    history: list = field(default_factory=list)
    views_seen: int = 0

    def __post_init__(self):
        self.base_secs = int(time.time())
        self.users = sorted(self.api.user() for _ in range(self.story.users))
        self.sids = [SID_FORMS[i].format(self.uniq) for i in range(len(self.story.sessions))]
        self.cids = [CID_FORMS[i].format(self.uniq) for i in range(len(self.story.conversations))]
        names = {u: f"user{i}" for i, u in enumerate(self.users)}
        names.update({s: f"S{i}" for i, s in enumerate(self.sids)})
        names.update({c: f"C{i}" for i, c in enumerate(self.cids)})
        names.update({model.interview_id(c): f"interview of C{i}" for i, c in enumerate(self.cids)})
        self.names = names
        self.note("names: " + ", ".join(f"{name} = {id_}" for id_, name in names.items()))

    # telling

    def note(self, line):
        self.history.append(f"{len(self.history):3}  {line}")

    def fail(self, problem):
        text = problem
        for id_, name in self.names.items():
            text = text.replace(id_, name)
        pytest.fail("\n".join([text, "", "history:", *self.history]), pytrace=False)

    def at_ms(self, mark):
        return (self.base_secs - mark * GRID_SECS) * 1000

    def claimed_id(self, claim):
        if isinstance(claim, int):
            return self.cids[claim]
        return {"strong": f"conv_x{self.uniq}", "weak": f"room x {self.uniq}", None: None}[claim]

    def save(self, step):
        owner, marks = self.story.sessions[step.session]
        user = self.users[1 - owner if step.intruder else owner]
        fields = {}
        ended = None
        claim = self.claimed_id(step.claim)
        stamp = now_ms()
        if step.mark is not None:
            ended = self.at_ms(marks[step.mark])
            fields["ended_by"] = "user"
            fields["ended_ago_ms"] = max(0, stamp - ended)
        if claim is not None:
            fields["conversation_id"] = claim
        if step.agent is not None:
            fields["agent_id"] = step.agent
        fact = Save(user, self.sids[step.session], stamp, ended, fields.get("ended_by"), claim, step.agent)
        refused = model.refuses(self.facts, fact)
        answer = self.api.save(user, fact.sid, node=step.node, **fields)
        what = "start" if ended is None else f"end {(self.base_secs * 1000 - ended) // 1000} s ago"
        self.note(
            f"node{step.node} save S{step.session} by {self.names[user]}: {what},"
            f" claim {self.names.get(claim, claim)}, agent {step.agent} -> {answer.status_code}"
        )
        expected = 200 if refused is None else 409
        if answer.status_code != expected:
            self.fail(f"this save should be {expected} ({refused}), was {answer.status_code}: {answer.text}")
        if answer.status_code == 200:
            self.facts.append(fact)

    def hook(self, step):
        content = self.story.conversations[step.conversation][step.version]
        cid = self.cids[step.conversation]
        user = None if content.user is None else self.users[content.user]
        sid = {"unknown": f"unknown-{self.uniq}", "malformed": f"not a sid {self.uniq}", None: None}.get(
            content.session, None
        )
        if isinstance(content.session, int):
            sid = self.sids[content.session]
        payload = self.api.payload(conversation_id=cid, user=user, session=sid, agent=content.agent, turns=1)
        started = None
        if content.mark is None:
            payload["data"]["metadata"] = None
        else:
            started = self.at_ms(content.mark) - content.duration * 1000
            payload["data"]["metadata"]["start_time_unix_secs"] = started // 1000
            payload["data"]["metadata"]["call_duration_secs"] = content.duration
        payload["event_timestamp"] = self.base_secs + step.version
        body = json.dumps(payload).encode()
        fact = Webhook(
            cid=cid,
            stamp=now_ms(),
            agent=content.agent,
            started=started,
            duration=None if started is None else content.duration * 1000,
            user=user,
            sid=sid,
            event=payload["event_timestamp"],
            digest=hashlib.sha256(body).hexdigest(),
        )
        answer = self.api.webhook(body, node=step.node)
        when = "no times" if content.mark is None else f"ended {content.mark * GRID_SECS} s ago after {content.duration} s"
        self.note(
            f"node{step.node} webhook C{step.conversation}.{step.version}: {when}, agent {content.agent},"
            f" user {self.names.get(user)}, session {self.names.get(sid, sid)} -> {answer.status_code}"
        )
        if answer.status_code != 200:
            self.fail(f"a signed webhook was answered {answer.status_code}: {answer.text}")
        self.facts.append(fact)

    def flush(self):
        self.lab.flush_redis()
        self.note("FLUSHALL")

    # looking

    def rows(self, query, *args):
        with self.lab.pg.cursor() as cursor:
            cursor.execute(query, args)
            names = [c.name for c in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    def ledger_facts(self, problems):
        """Checks the fact columns against what was said; returns the facts with their real stamps."""
        sessions, conversations = model.merge(self.facts)
        ms = "floor(extract(epoch FROM {}) * 1000)::bigint".format
        session_rows = {
            row["sid"]: row
            for row in self.rows(
                f"SELECT client_session_id AS sid, user_id::text AS user, {ms('started_at')} AS started,"
                f" {ms('client_ended_at')} AS ended, claimed_conversation_id AS claim, ended_by"
                " FROM interview_sessions WHERE client_session_id = ANY (%s)",
                list(sessions),
            )
        }
        conversation_rows = {
            row["cid"]: row
            for row in self.rows(
                f"SELECT conversation_id AS cid, agent_id AS agent, claimed_user_id::text AS user,"
                f" claimed_session_id AS sid, {ms('started_at')} AS started, {ms('ended_at')} AS ended,"
                f" {ms('received_at')} AS received FROM interviews WHERE conversation_id = ANY (%s)",
                list(conversations),
            )
        }

        def compare(what, name, found, expected, tolerance=None):
            if tolerance is not None and None not in (found, expected):
                if abs(found - expected) <= tolerance:
                    return
                found, expected = f"{found} ({found - expected:+} ms)", expected
            if found != expected:
                problems.append(f"ledger fact: {what}.{name} is {found}, should be {expected}")

        session_times, conversation_times = {}, {}
        for sid, session in sessions.items():
            row = session_rows.get(sid)
            if row is None:
                problems.append(f"ledger fact: no row for {sid}")
                session_times[sid] = (session.started, session.ended)
                continue
            for name in ("user", "claim", "ended_by"):
                compare(sid, name, row[name], getattr(session, name))
            compare(sid, "client_ended_at", row["ended"], session.ended, TOLERANCE_MS)
            if session.ended is None:
                compare(sid, "started_at", row["started"], session.started, TOLERANCE_MS)
                session_times[sid] = (row["started"] or session.started, None)
            else:
                session_times[sid] = (None, row["ended"] or session.ended)
        for cid, conversation in conversations.items():
            row = conversation_rows.get(cid)
            if row is None:
                problems.append(f"ledger fact: no row for {cid}")
                conversation_times[cid] = (conversation.started, conversation.ended)
                continue
            for name in ("agent", "user", "sid"):
                compare(cid, name, row[name], getattr(conversation, name))
            first = min(f.stamp for f in self.facts if isinstance(f, Webhook) and f.cid == cid)
            compare(cid, "received_at", row["received"], first, TOLERANCE_MS)
            times = tuple(row["received"] if row[n] is None else row[n] for n in ("started", "ended"))
            for name, found, expected in zip(
                ("started_at", "ended_at"), times, (conversation.started, conversation.ended)
            ):
                compare(cid, name, found, expected, TOLERANCE_MS)
            conversation_times[cid] = times
        return model.with_times(sessions, conversations, session_times, conversation_times)

    def look_at_ledger(self, sessions, links, problems):
        expected = {}
        for session in sessions.values():
            expected[session.sid] = (session.user, None, None)
        for found in links.values():
            if found.sid:
                expected[found.sid] = (found.user, found.cid, found.evidence)
            elif found.user:
                expected["fallback:" + found.cid] = (found.user, found.cid, "any")
        rows = self.rows(
            "SELECT s.client_session_id AS sid, s.user_id::text AS user, s.conversation_id AS cid, s.evidence,"
            " s.interview_id::text AS interview, s.status"
            " FROM interview_sessions s WHERE s.user_id::text = ANY (%s) OR s.conversation_id = ANY (%s)",
            self.users,
            self.cids,
        )
        for row in rows:
            if row["sid"] not in expected:
                problems.append(f"ledger: a row too many: {row}")
                continue
            user, cid, evidence = expected.pop(row["sid"])
            if evidence == "any":
                evidence = row["evidence"]
            found = (row["user"], row["cid"], row["evidence"], row["interview"])
            should = (user, cid, evidence, model.interview_id(cid) if cid else None)
            if found != should:
                problems.append(f"ledger: {row['sid']} has {found}, should have {should}")
            if cid and row["status"] != "completed":
                problems.append(f"ledger: {row['sid']} is linked, but its status is {row['status']}")
        for sid, should in expected.items():
            problems.append(f"ledger: no row {sid}, which should hold {should}")
        for row in self.rows(
            "SELECT conversation_id AS cid, user_id::text AS user, undecided FROM interviews"
            " WHERE conversation_id = ANY (%s)",
            self.cids,
        ):
            should = links[row["cid"]].user if row["cid"] in links else "nothing: it was never told"
            if row["user"] != should:
                problems.append(f"ledger: interviews.user_id of {row['cid']} is {row['user']}, should be {should}")
            if row["user"] and row["undecided"]:
                problems.append(f"ledger: {row['cid']} was decided and is still marked undecided")

    def look_at_redis(self, sessions, links, problems):
        for session in sessions.values():
            key = "debrief:{p%d}:user:%s" % (model.partition(session.user), session.user)
            text = self.lab.redis.hget(key, "v:" + session.sid)
            if text is None:
                continue
            self.views_seen += 1
            found, should = json.loads(text), model.poll_view(session, links)
            fits = found["interviewId"] == should["interviewId"] and (
                found["conversationId"] == should["conversationId"]
                or (should["interviewId"] is None and found["conversationId"] is None)
            )
            if not fits:
                problems.append(f"redis: the view of {session.sid} is {text}, should be {should}")

    def look_at_polls(self, sessions, links, problems):
        for session in sessions.values():
            should = model.poll_view(session, links)
            etags = set()
            for node in (0, 1):
                answer = self.api.poll(session.user, session.sid, node=node)
                if answer.status_code != 200:
                    problems.append(f"poll of {session.sid} via node{node}: {answer.status_code} {answer.text}")
                    continue
                view = answer.json()
                found = {name: view[name] for name in should}
                if found != should:
                    problems.append(f"poll of {session.sid} via node{node} says {found}, should say {should}")
                wanted = "complete" if should["interviewId"] else None
                if view["evaluationStatus"] != wanted:
                    problems.append(f"poll of {session.sid}: evaluationStatus {view['evaluationStatus']}, not {wanted}")
                etags.add(answer.headers.get("ETag"))
            if len(etags) > 1:
                problems.append(f"poll of {session.sid}: the nodes give different ETags {etags}")
            for stranger in set(self.users) - {session.user}:
                answer = self.api.poll(stranger, session.sid, node=1)
                if answer.status_code != 404:
                    problems.append(f"poll of {session.sid} by another user: {answer.status_code}")
        for sid in set(self.sids) - set(sessions):
            answer = self.api.poll(self.users[0], sid, node=0)
            if answer.status_code != 404:
                problems.append(f"poll of {sid}, which was never saved: {answer.status_code} {answer.text}")
        for found in links.values():
            for user in self.users:
                answer = self.api.results(user, model.interview_id(found.cid), node=0)
                should = 200 if user == found.user else 404
                if answer.status_code != should:
                    problems.append(f"results of {found.cid} for {user}: {answer.status_code}, should be {should}")

    def differences(self):
        problems = []
        sessions, conversations = self.ledger_facts(problems)
        links = model.link(sessions, conversations)
        self.look_at_redis(sessions, links, problems)
        self.look_at_polls(sessions, links, problems)
        self.look_at_ledger(sessions, links, problems)
        return problems, links

    def look(self):
        problems, links = self.differences()
        self.note("look: " + ("as the model says" if not problems else f"{len(problems)} differences"))
        if not problems:
            return
        time.sleep(SETTLE_SECS)
        later, _ = self.differences()
        verdict = f"still so after {SETTLE_SECS} s" if later else f"gone after {SETTLE_SECS} s: right, but too late"
        linked = [
            f"  {l.cid}: user {l.user}, session {l.sid}, evidence {l.evidence}" for _, l in sorted(links.items())
        ]
        self.fail("\n".join([f"differences from the model ({verdict}):", *problems, "", "the model's links:", *linked]))


def tell(lab, api, story):
    world = World(lab, api, story)
    for step in story.steps:
        if isinstance(step, SaveStep):
            world.save(step)
        elif isinstance(step, HookStep):
            world.hook(step)
        elif isinstance(step, FlushStep):
            world.flush()
        else:
            world.look()
    world.look()
    return world


def test_links_equal_the_model_whatever_the_order(lab, api):
    views_seen = 0

    @STORY_SETTINGS
    @given(stories())
    def any_story(story):
        nonlocal views_seen
        views_seen += tell(lab, api, story).views_seen

    any_story()
    assert views_seen > 0, "no view was ever found in Redis: this test looks in the wrong place"
