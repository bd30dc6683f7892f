"""A brute-force model of linking: doc/ and design, "Linking: a pure function of the facts".

It knows nothing of Redis or Postgres and shares no idea with the implementation: facts are
merged from the raw things that were said, and window links are found by trying every
possible matching and keeping the one that nobody would want to leave.
"""

import itertools
import re
import uuid
from dataclasses import dataclass, replace
from typing import Optional

WINDOW_MS = 600_000
NAME_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "debrief.interview.elevenlabs")

STRONG = re.compile(r"^conv_[A-Za-z0-9]+\Z")
SID = re.compile(r"^(?!fallback:)[A-Za-z0-9._:-]{1,128}\Z")
UUID = re.compile(r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")


def interview_id(cid):
    return str(uuid.uuid5(NAME_SPACE, cid))


def partition(user, partitions=64):
    """The partition of a user: FNV-1a, 64 bits, of the id's text."""
    value = 0xCBF29CE484222325
    for byte in str(user).encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value % partitions


def bytewise(text):
    return text.encode()


@dataclass(frozen=True)
class Save:
    """A save that was answered 200. `ended` is the end it told, None for a start."""

    user: str
    sid: str
    stamp: int
    ended: Optional[int] = None
    ended_by: Optional[str] = None
    claim: Optional[str] = None
    agent: Optional[str] = None


@dataclass(frozen=True)
class Webhook:
    """A webhook that was answered 200."""

    cid: str
    stamp: int
    agent: str = ""
    started: Optional[int] = None
    duration: Optional[int] = None
    user: Optional[str] = None
    sid: Optional[str] = None
    final: bool = True
    event: int = 0
    digest: str = ""

    @property
    def rank(self):
        return (self.final, self.event, self.digest)


@dataclass(frozen=True)
class Session:
    sid: str
    user: str
    agent: str
    started: Optional[int]
    ended: Optional[int]
    ended_by: Optional[str]
    claim: Optional[str]
    claim_stamp: Optional[int]

    @property
    def strong_claim(self):
        return self.claim if self.claim and STRONG.match(self.claim) else None


@dataclass(frozen=True)
class Conversation:
    cid: str
    agent: str
    started: int
    ended: int
    user: Optional[str]
    sid: Optional[str]


@dataclass(frozen=True)
class Link:
    cid: str
    sid: Optional[str]
    user: Optional[str]
    evidence: Optional[str]


def merge_session(saves):
    """One session out of everything its owner said about it."""
    saves = sorted(saves, key=lambda s: s.stamp)
    owner = saves[0].user
    saves = [s for s in saves if s.user == owner]
    claims = [s for s in saves if s.claim is not None]
    agents = [s.agent for s in saves if s.agent]
    starts = [s.stamp for s in saves if s.ended is None]
    ends = sorted((s for s in saves if s.ended is not None), key=lambda s: (s.ended, s.stamp))
    ended = ends[0].ended if ends else None
    started = min(starts) if starts else None
    if started is not None and ended is not None and started > ended:
        started = None
    return Session(
        sid=saves[0].sid,
        user=owner,
        agent=agents[0] if agents else "",
        started=started,
        ended=ended,
        ended_by=ends[0].ended_by if ends else None,
        claim=claims[0].claim if claims else None,
        claim_stamp=claims[0].stamp if claims else None,
    )


def merge_conversation(webhooks):
    """One conversation: the content of the greatest webhook, received at the earliest."""
    content = max(webhooks, key=lambda w: w.rank)
    received = min(w.stamp for w in webhooks)
    started, ended = content.started, None
    if started is not None and content.duration is not None:
        ended = started + content.duration
    return Conversation(
        cid=content.cid,
        agent=content.agent,
        started=received if started is None else started,
        ended=received if ended is None else ended,
        user=content.user.lower() if content.user and UUID.match(content.user) else None,
        sid=content.sid if content.sid is not None and SID.match(content.sid) else None,
    )


def merge(facts):
    """facts: Save and Webhook in any order → ({sid: Session}, {cid: Conversation})."""
    saves, webhooks = {}, {}
    for fact in facts:
        if isinstance(fact, Save):
            saves.setdefault(fact.sid, []).append(fact)
        else:
            webhooks.setdefault(fact.cid, []).append(fact)
    return (
        {sid: merge_session(all_) for sid, all_ in saves.items()},
        {cid: merge_conversation(all_) for cid, all_ in webhooks.items()},
    )


def distance(session, conversation):
    if session.ended is not None:
        return abs(session.ended - conversation.ended)
    return abs(session.started - conversation.started)


def owner(conversation, sessions, window_ms=WINDOW_MS, claim_unowned=True):
    if conversation.user:
        return conversation.user
    named = sessions.get(conversation.sid)
    if named:
        return named.user
    if not claim_unowned:
        return None
    claimants = [
        s for s in sessions.values() if s.claim == conversation.cid and distance(s, conversation) <= window_ms
    ]
    if not claimants:
        return None
    return min(claimants, key=lambda s: (s.claim_stamp, bytewise(s.sid))).user


def may_match(session, conversation, window_ms):
    """Whether the window may join these two, nothing else being known of them."""
    return (
        window_ms > 0
        and conversation.sid is None
        and session.agent in ("", conversation.agent)
        and session.strong_claim in (None, conversation.cid)
        and distance(session, conversation) <= window_ms
    )


def matchings(sessions, conversations, allowed):
    """Every way to pair some sessions with some conversations, as dicts sid → cid."""
    if not sessions:
        yield {}
        return
    first, rest = sessions[0], sessions[1:]
    yield from matchings(rest, conversations, allowed)
    for conversation in conversations:
        if allowed(first, conversation):
            others = [c for c in conversations if c is not conversation]
            for matching in matchings(rest, others, allowed):
                yield {first.sid: conversation.cid, **matching}


def stable(matching, sessions, conversations, allowed):
    """No allowed pair is nearer than what both of its members have."""

    def key(session, conversation):
        return (distance(session, conversation), bytewise(session.sid), bytewise(conversation.cid))

    by_sid = {s.sid: s for s in sessions}
    by_cid = {c.cid: c for c in conversations}
    of_session = {sid: key(by_sid[sid], by_cid[cid]) for sid, cid in matching.items()}
    of_conversation = {cid: of_session[sid] for sid, cid in matching.items()}
    for session, conversation in itertools.product(sessions, conversations):
        if not allowed(session, conversation):
            continue
        pair = key(session, conversation)
        content_session = session.sid in of_session and of_session[session.sid] <= pair
        content_conversation = conversation.cid in of_conversation and of_conversation[conversation.cid] <= pair
        if not content_session and not content_conversation:
            return False
    return True


def link_user(user, sessions, conversations, window_ms):
    """sessions, conversations: those of this user. → {cid: (sid, evidence)}"""
    links, taken = {}, set()

    named = {}
    for conversation in conversations:
        if conversation.sid in {s.sid for s in sessions}:
            named.setdefault(conversation.sid, []).append(conversation)
    for session in sessions:
        if session.sid in named:
            winner = min(
                named[session.sid],
                key=lambda c, s=session: (s.claim != c.cid, distance(s, c), bytewise(c.cid)),
            )
            links[winner.cid] = (session.sid, "session_id")
            taken.add(session.sid)

    for conversation in conversations:
        claimants = [s for s in sessions if s.claim == conversation.cid and s.sid not in taken]
        if conversation.cid not in links and claimants:
            winner = min(claimants, key=lambda s, c=conversation: (distance(s, c), bytewise(s.sid)))
            links[conversation.cid] = (winner.sid, "conversation_id")
            taken.add(winner.sid)

    rest_sessions = [s for s in sessions if s.sid not in taken]
    rest_conversations = [c for c in conversations if c.cid not in links]

    def allowed(session, conversation):
        return may_match(session, conversation, window_ms)

    found = [
        m
        for m in matchings(rest_sessions, rest_conversations, allowed)
        if stable(m, rest_sessions, rest_conversations, allowed)
    ]
    assert len(found) == 1, f"the stable matching of {user} is not unique: {found}"
    links.update({cid: (sid, "window") for sid, cid in found[0].items()})
    return links


def link(sessions, conversations, window_ms=WINDOW_MS, claim_unowned=True):
    """Merged facts → {cid: Link}, one for each conversation."""
    owners = {c.cid: owner(c, sessions, window_ms, claim_unowned) for c in conversations.values()}
    links = {}
    for user in set(owners.values()) - {None}:
        own_sessions = [s for s in sessions.values() if s.user == user]
        own = [c for c in conversations.values() if owners[c.cid] == user]
        found = link_user(user, own_sessions, own, window_ms)
        for conversation in own:
            sid, evidence = found.get(conversation.cid, (None, None))
            links[conversation.cid] = Link(conversation.cid, sid, user, evidence)
    for cid, user in owners.items():
        if user is None:
            links[cid] = Link(cid, None, None, None)
    return links


def refuses(facts, save, window_ms=WINDOW_MS, claim_unowned=True):
    """Whether a save is a 409 at this moment, and why: "session", "conversation" or None."""
    sessions, conversations = merge(facts)
    session = sessions.get(save.sid)
    if session and session.user != save.user:
        return "session"
    conversation = conversations.get(save.claim)
    if conversation and owner(conversation, sessions, window_ms, claim_unowned) not in (None, save.user):
        return "conversation"
    return None


def poll_view(session, links):
    """What a poll of this session says, deadlines apart."""
    linked = next((l for l in links.values() if l.sid == session.sid), None)
    if linked:
        return {
            "interviewId": interview_id(linked.cid),
            "conversationId": linked.cid,
            "status": "completed",
        }
    return {
        "interviewId": None,
        "conversationId": session.claim,
        "status": "started" if session.ended is None else "ended_pending_webhook",
    }


def with_times(sessions, conversations, session_times, conversation_times):
    """The same facts with the stamps that were really given: sid → (started, ended), cid → (started, ended)."""
    return (
        {
            sid: replace(s, started=session_times[sid][0], ended=session_times[sid][1])
            for sid, s in sessions.items()
        },
        {
            cid: replace(c, started=conversation_times[cid][0], ended=conversation_times[cid][1])
            for cid, c in conversations.items()
        },
    )
