"""Random stories of two users, four sessions and four conversations that get into each other's way, and
how what polls and the ledger say of them differs from the model."""

import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Optional

import model
from simulator import Conversation, webhook
from support import facts_in_ledger, rows


@dataclass
class Step:
    """A save (it has a sid) or a webhook (it has a body), to be sent to that node."""

    words: str
    node: int
    user: Optional[str] = None
    sid: Optional[str] = None
    fields: dict = field(default_factory=dict)
    cid: Optional[str] = None
    body: Optional[bytes] = None

    def send(self, api):
        if self.body is not None:
            return api.webhook(self.body, node=self.node)
        return api.save(self.user, self.sid, node=self.node, **self.fields)


@dataclass
class Story:
    users: list
    sids: list
    cids: list
    steps: list
    names: dict  # id → a short name for reports

    def named(self, text):
        for identifier, name in self.names.items():
            text = text.replace(identifier, name)
        return text


def story(rng, ids=None, now=None):
    """The plot is `rng`'s alone; the ids are fresh unless `ids` is a generator for them, too."""
    ids = ids or random.SystemRandom()
    uniq = f"{ids.getrandbits(48):012x}"
    users = [str(uuid.UUID(int=ids.getrandbits(128), version=4)) for _ in range(2)]
    sids = [f"s{i}-{uniq}" for i in range(4)]
    cids = [f"conv_{i}{uniq}" for i in range(4)]
    owners = {sid: rng.choice(users) for sid in sids}
    names = {**{u: f"user{i}" for i, u in enumerate(users)}, **{s: f"S{i}" for i, s in enumerate(sids)}}
    names.update({c: f"C{i}" for i, c in enumerate(cids)})
    ends = {sid: 10_000 + 70_000 * rng.randrange(8) for sid in sids}
    now = int(time.time() if now is None else now)
    steps = []
    for sid in sids:
        for _ in range(rng.choice((1, 2, 3))):
            fields = {}
            if rng.random() < 0.7:
                fields.update(ended_by="user", ended_ago_ms=ends[sid])
            if rng.random() < 0.5:
                fields["conversation_id"] = rng.choice([*cids, f"room_{uniq}"])
            node = rng.randrange(2)
            words = f"node{node} save {names[sid]} of {names[owners[sid]]} {fields}"
            steps.append(Step(words, node, user=owners[sid], sid=sid, fields=fields))
    for cid in cids:
        user, session = rng.choice([None, None, *users]), rng.choice([None, None, *sids, f"unknown-{uniq}"])
        variables = {"user_id": user, "client_session_id": session}
        conversation = Conversation(
            id=cid, agent_id="agent_test", user_id=user, start=now - 70 * rng.randrange(8) - 60, duration=60, turns=1,
            dynamic_variables={name: value for name, value in variables.items() if value}, seed=rng.random())
        body = webhook(conversation)
        for _ in range(rng.choice((1, 1, 2))):
            node = rng.randrange(2)
            words = f"node{node} webhook {names[cid]}: user {names.get(user)}, session {names.get(session, session)}"
            steps.append(Step(words, node, cid=cid, body=body))
    rng.shuffle(steps)
    return Story(users, sids, cids, steps, names)


def ledger_differences(lab, users, sids, cids):
    """(problems, sessions, links): the links are the model's, of the facts that the ledger has."""
    sessions, conversations = facts_in_ledger(lab, sids, cids)
    links = model.link(sessions, conversations)
    problems = []
    expected = {s.sid: (s.user, None, None) for s in sessions.values()}
    for found in links.values():
        if found.sid:
            expected[found.sid] = (found.user, found.cid, found.evidence)
        elif found.user:
            expected["fallback:" + found.cid] = (found.user, found.cid, None)
    for row in rows(
        lab,
        "SELECT client_session_id AS sid, user_id::text AS user, conversation_id AS cid, evidence FROM interview_sessions"
        " WHERE user_id::text = ANY (%s) OR conversation_id = ANY (%s)",
        users,
        cids,
    ):
        found, should = (row["user"], row["cid"], row["evidence"]), expected.pop(row["sid"], "no such row")
        if found != should:
            problems.append(f"ledger: {row['sid']} has {found}, should have {should}")
    problems += [f"ledger: no row {sid}, which should hold {should}" for sid, should in expected.items()]
    for row in rows(
        lab,
        "SELECT conversation_id AS cid, user_id::text AS user, undecided FROM interviews WHERE conversation_id = ANY (%s)",
        cids,
    ):
        if row["user"] != links[row["cid"]].user:
            problems.append(f"ledger: {row['cid']} is of {row['user']}, should be of {links[row['cid']].user}")
        if row["user"] and row["undecided"]:
            problems.append(f"ledger: {row['cid']} is marked undecided")
    return problems, sessions, links


def differences(api, lab, users, sids, cids):
    problems, sessions, links = ledger_differences(lab, users, sids, cids)
    for session in sessions.values():
        should = model.poll_view(session, links)
        for node in (0, 1):
            answer = api.poll(session.user, session.sid, node=node)
            found = {name: answer.json().get(name) for name in should}
            if answer.status_code != 200 or found != should:
                problems.append(f"poll of {session.sid} via node{node}: {answer.status_code} {found}, should be {should}")
    return problems
