"""What will happen: a pure function of the seed. The same seed, length and number of users make the
same interviews and the same disturbances, at the same times."""

import random
import uuid
from dataclasses import dataclass, field
from typing import Optional

from simulator import Conversation, webhook
from stories import story

AGENT = "agent_test"

# Disturbances and how often each lies in the deck that the schedule is dealt from. With several
# victims, one is drawn for each.
DECK = {
    "kill-node": 4, "term-node": 1, "freeze-node": 1,
    "kill-redis": 3, "term-redis": 1, "freeze-redis": 1, "cut-redis": 1, "read-only-redis": 1,
    "kill-postgres": 3, "term-postgres": 1, "freeze-postgres": 1, "cut-postgres": 1,
    "link-drop": 1, "link-stall": 2, "link-half-close": 1, "link-refuse": 2, "link-delay": 1, "link-cut-reply": 2,
    "flush-redis": 3, "older-redis": 2, "flush-scripts": 1,
}
STORES = ("redis", "postgres")


@dataclass
class Send:
    """A save or a webhook: sent at `at`, repeated until it is answered for good."""

    at: float
    kind: str
    number: int = 0
    user: Optional[str] = None
    sid: Optional[str] = None
    fields: dict = field(default_factory=dict)
    ended_ago_ms: Optional[int] = None  # at `at`; grows while it is repeated, as in a browser's queue
    cid: Optional[str] = None
    body: Optional[bytes] = None
    may_conflict: bool = False


@dataclass
class Watch:
    """Somebody who polls this session from `at` on, every so often."""

    at: float
    user: str
    sid: str
    every: float
    stranger: bool = False


@dataclass
class Disturbance:
    at: float
    kind: str
    victim: str
    secs: float


class Plan:
    def __init__(self, seed, secs, users, base):
        """`base` is the wall clock's time of the beginning: calls lie before it."""
        self.seed, self.secs, self.base = seed, secs, base
        self.sends, self.watches, self.groups = [], [], []
        self.users = []
        rng = random.Random(f"plan-{seed}")
        made = 0
        while made < users:
            if rng.random() < 0.3:
                self._entangled(random.Random(rng.random()))
                made += 2
            else:
                self._candidate(random.Random(rng.random()))
                made += 1
        self._strangers(random.Random(f"strangers-{seed}"))
        self.sends.sort(key=lambda send: send.at)
        for number, send in enumerate(self.sends):
            send.number = number
        self.disturbances = schedule(random.Random(f"chaos-{seed}"), secs)

    @property
    def sids(self):
        return [sid for _, sids, _ in self.groups for sid in sids]

    @property
    def cids(self):
        return [cid for _, _, cids in self.groups for cid in cids]

    def _save(self, at, user, sid, fields, ended_ago_ms=None, may_conflict=False):
        self.sends.append(Send(max(0.0, at), "save", user=user, sid=sid, fields=fields, ended_ago_ms=ended_ago_ms,
                               may_conflict=may_conflict))

    def _webhook(self, at, cid, body):
        self.sends.append(Send(max(0.0, at), "webhook", cid=cid, body=body))

    def _watch(self, rng, at, user, sid, stranger=False):
        self.watches.append(Watch(max(0.0, at), user, sid, rng.uniform(0.15, 0.9), stranger))

    def _candidate(self, rng):
        """One user with one to three interviews, as browsers and the provider tell of them."""
        user = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        self.users.append(user)
        uniq = f"{rng.getrandbits(48):012x}"
        sids, cids = [], []
        for number in range(rng.choice((1, 1, 2, 3))):
            sid, cid = f"b{number}-{uniq}", f"conv_b{number}{uniq}"
            sids.append(sid)
            cids.append(cid)
            self._interview(rng, user, sid, cid)
        self.groups.append(([user], sids, cids))

    def _interview(self, rng, user, sid, cid):
        end = rng.uniform(0.5, self.secs - 0.5)
        ago = rng.choice((0, 0, rng.randrange(1_000, 500_000)))  # queued in the browser until now
        how = rng.choice(("names", "names", "claims", "claims", "window", "nobody"))
        claim = {"claims": cid, "names": rng.choice((None, cid)), "window": rng.choice((None, f"room_{sid}"))}.get(how)
        extra = {"agent_id": AGENT} if rng.random() < 0.3 else {}
        if claim:
            extra["conversation_id"] = claim
        start = rng.random() < 0.8
        if start:
            at = end - rng.uniform(0.2, 4.0)
            self._save(at, user, sid, extra if rng.random() < 0.5 else {})
        for repeat in range(rng.choice((1, 1, 1, 2, 3))):
            at = end + repeat * rng.uniform(0.1, 2.0)
            self._save(at, user, sid, {**extra, "ended_by": rng.choice(("user", "disconnect"))},
                       ended_ago_ms=ago + round((at - end) * 1000))
        if how != "nobody":
            self._deliveries(rng, user, sid, cid, how, end, self.base + end - ago / 1000)
        self._watch(rng, end - rng.uniform(0.0, 3.0), user, sid)

    def _deliveries(self, rng, user, sid, cid, how, end, ended):
        """Early or late, mostly once; sometimes there is a newer word on the same conversation."""
        variables = {"user_id": user, "client_session_id": sid} if how == "names" else {}
        duration = rng.randrange(30, 900)
        named = user if how in ("names", "window") or rng.random() < 0.5 else None
        size = rng.choice((None, None, 8_000, 40_000, 200_000))
        at = end + rng.choice((rng.uniform(-3.0, 0.0), rng.uniform(0.0, 1.0), rng.uniform(0.0, 6.0)))
        versions = rng.choice((1, 1, 1, 2))
        shape = "minimal" if how == "claims" and rng.random() < 0.3 else "full"
        for version in range(versions):
            conversation = Conversation(
                id=cid, agent_id=AGENT, user_id=named, start=ended - duration + rng.uniform(-20, 20), duration=duration,
                turns=rng.randrange(1, 12), size=size, dynamic_variables=variables, seed=rng.random())
            body = webhook(conversation, shape, event_timestamp=int(ended) + 2 + version * 30)
            for _ in range(rng.choice((1, 1, 2, 3))):
                self._webhook(at + rng.uniform(0.0, 2.5), cid, body)

    def _entangled(self, rng):
        """Two users whose sessions and conversations get into each other's way."""
        told = story(rng, ids=rng, now=self.base)
        begin = rng.uniform(0.0, max(0.5, self.secs - 4.0))
        owners = {}
        for step in told.steps:
            at = begin + rng.uniform(0.0, 3.0)
            if step.body is not None:
                self._webhook(at, step.cid, step.body)
                continue
            fields = dict(step.fields)
            owners[step.sid] = step.user
            self._save(at, step.user, step.sid, fields, ended_ago_ms=fields.pop("ended_ago_ms", None), may_conflict=True)
        for sid, user in owners.items():
            self._watch(rng, begin + rng.uniform(0.0, 2.0), user, sid)
        self.users += told.users
        self.groups.append((told.users, told.sids, told.cids))

    def _strangers(self, rng):
        """Now and then somebody asks for another's session."""
        for watch in rng.sample(self.watches, len(self.watches) // 10):
            self._watch(rng, watch.at, rng.choice([user for user in self.users if user != watch.user]), watch.sid, True)


def schedule(rng, secs):
    """Disturbances, some of them overlapping, but never two of one victim."""
    found, deck = [], []
    free_at = {}
    at = 0.5
    while at < secs - 0.5:
        if not deck:
            deck = [kind for kind, count in DECK.items() for _ in range(count)]
            rng.shuffle(deck)
        kind = deck.pop()
        victim = victim_of(rng, kind)
        length = 0.0 if kind in ("flush-redis", "flush-scripts", "cut-redis", "cut-postgres") else \
            rng.choice((rng.uniform(0.05, 0.5), rng.uniform(0.5, 3.0)))
        if kind.startswith("freeze-"):
            length = min(length, 2.5)
        begin = max(at, free_at.get(victim, 0.0))
        if begin < secs - 0.5:
            found.append(Disturbance(round(begin, 3), kind, victim, round(length, 3)))
            free_at[victim] = begin + length + 0.5
        at += rng.uniform(0.1, 1.3) if rng.random() < 0.9 else rng.uniform(4.0, 8.0)  # a while in peace
    return sorted(found, key=lambda disturbance: disturbance.at)


def victim_of(rng, kind):
    if kind.startswith("link-"):
        return f"link-{rng.randrange(2)}-{rng.choice(STORES)}"
    if kind.endswith("-node"):
        return f"node-{rng.randrange(2)}"
    return "postgres" if kind.endswith("-postgres") else "redis"
