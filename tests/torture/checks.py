"""What must hold at the end, and what must have held all along. Each check yields its complaints."""

import collections
import json
from concurrent.futures import ThreadPoolExecutor

import model
from conftest import Api
from history import Calm
from stories import ledger_differences
from support import rows

CLOCK_MS = 3           # roundings, and two clocks read one after another
REMEMBERED_SECS = 1    # 250 ms, by NONE_MS in src/broker/session_cache.c; the machine may be busy
ANSWER_SECS = 15       # request_timeout_ms is 10 s; the machine may be busy
FINAL = {"save": (200, 409), "webhook": (200,)}


def told_in(body):
    content = json.loads(body)
    return {**content, "event_timestamp": int(content["event_timestamp"])}


def named_session(body):
    client = body["data"]["conversation_initiation_client_data"] or {}
    return client.get("dynamic_variables", {}).get("client_session_id")


class Checks:
    def __init__(self, world, plan, history):
        self.world, self.plan, self.history, self.lab = world, plan, history, world.lab
        self.calm = history.calm()
        self.counts = collections.Counter()
        self.tries = {kind: collections.defaultdict(list) for kind in ("save", "webhook")}
        for event in history.of("save"):
            self.tries["save"][event["fields"]["client_session_id"]].append(event)
        for event in history.of("webhook"):
            self.tries["webhook"][event["cid"]].append(event)
        self.bodies = {send.number: told_in(send.body) for send in plan.sends if send.kind == "webhook"}

        self.judged = {send.cid for send in plan.sends
                       if send.kind == "webhook" and self.bodies[send.number]["data"]["analysis"]}

    def run(self):
        problems, self.sessions, self.links = ledger_differences(self.lab, *self._everything())
        steps = (self.answers, self.kept_sessions, self.kept_conversations, self.linked_once, self.nothing_left,
                 self.privacy, self.known, self.visible, self.promised_results, self.etags, self.settled_polls)
        for step in steps:
            problems += [f"{step.__name__.replace('_', ' ')}: {complaint}" for complaint in step()]
        return problems

    def _everything(self):
        users = [user for users, _, _ in self.plan.groups for user in users]
        return users, self.plan.sids, self.plan.cids

    # What was answered

    def answers(self):
        """Only statuses that may be, each in time; 503 says when to come again."""
        hurts = [event for event in self.history.of("disturbance") if event["what"].endswith("-node")]
        allowed = {"save": (200, 409, 429, 503), "webhook": (200, 429, 503), "poll": (200, 304, 404, 429, 503),
                   "results": (200, 304, 404, 429, 503)}
        for event in self.history.of(*allowed):
            words = f"{event['kind']} at {event['at']:.2f} via node {event['node']}"
            ended = event["at"] + event["took"]
            hurt = any(hurt["victim"] == f"node-{event['node']}" and hurt["at"] <= ended and event["opened"] <= hurt["until"]
                       for hurt in hurts)
            if event["status"] is not None and event["status"] not in allowed[event["kind"]]:
                yield f"{words}: {event['status']} {event.get('answer')}"
            if event["status"] == 409 and not event["may_conflict"]:
                yield f"{words}: 409 for what nobody else has: {event['fields']} {event['answer']}"
            if event["status"] == 503 and not event["retry_after"]:
                yield f"{words}: 503 without Retry-After"
            if event["took"] > ANSWER_SECS and not hurt:
                yield f"{words}: {event['status'] or event['error']} after {event['took']:.1f} s"
            if event["status"] is None and not hurt:
                yield f"{words}: no answer from a node that was up: {event['error']}"

    # What the ledger has

    def kept_sessions(self):
        found = {row["sid"]: row for row in rows(
            self.lab,
            "SELECT client_session_id AS sid, user_id::text AS user, debrief_ms(started_at) AS started,"
            " debrief_ms(client_ended_at) AS ended, ended_by, claimed_conversation_id AS claim,"
            " claimed_agent_id AS agent FROM interview_sessions WHERE client_session_id = ANY (%s)", self.plan.sids)}
        for sid, tries in self.tries["save"].items():
            accepted = [event for event in tries if event["status"] == 200]
            row = found.get(sid)
            if row is None:
                if accepted:
                    yield f"{sid}: answered 200 at {accepted[0]['at']:.2f} and not in the ledger"
                continue
            self.counts["sessions"] += bool(accepted)
            if all(event["status"] == 409 for event in tries):
                yield f"{sid}: never answered but by 409, and in the ledger: {row}"
            if row["user"] != tries[0]["user"]:
                yield f"{sid}: is {row['user']}'s, should be {tries[0]['user']}'s"
            yield from self._kept_facts(sid, row, tries, accepted)

    def _kept_facts(self, sid, row, tries, accepted):
        """Each the earliest word: between the first that was sent and the first that was answered."""
        def span(events, sent_minus, answered_minus):
            return (min(self.history.wall_ms(e["at"]) - sent_minus(e) for e in events) - CLOCK_MS,
                    min((self.history.wall_ms(e["at"] + e["took"]) - answered_minus(e) for e in events
                         if e["status"] == 200), default=None))

        def ago(event):
            return event["fields"]["ended_ago_ms"]
        starts = [event for event in tries if "ended_by" not in event["fields"] and event["status"] != 409]
        ends = [event for event in tries if "ended_by" in event["fields"] and event["status"] != 409]
        claims = [event for event in tries if "conversation_id" in event["fields"] and event["status"] != 409]
        yield from self._within(f"{sid} ended", row["ended"], *(span(ends, ago, ago) if ends else (None, None)))
        first, last = span(starts, lambda e: 0, lambda e: 0) if starts else (None, None)
        if row["started"] is None and last is not None and row["ended"] is not None and row["ended"] < last + CLOCK_MS:
            pass  # a start that was heard of after the end is none
        else:
            yield from self._within(f"{sid} started", row["started"], first, last)
        if any(event in accepted for event in claims) and row["claim"] is None:
            yield f"{sid}: its claim was answered 200 and is not in the ledger"
        if row["claim"] is not None and row["claim"] not in [event["fields"]["conversation_id"] for event in claims]:
            yield f"{sid}: claims {row['claim']}, which nobody said"

    @staticmethod
    def _within(what, value, first, last):
        if first is None:
            if value is not None:
                yield f"{what}: {value}, and nobody said so"
        elif value is None:
            if last is not None:
                yield f"{what}: answered 200 and not in the ledger"
        elif value < first or (last is not None and value > last + CLOCK_MS):
            yield f"{what}: {value}, should lie between {first:.0f} and {last and round(last)}"

    def kept_conversations(self):
        found = {row["cid"]: row for row in rows(
            self.lab,
            "SELECT conversation_id AS cid, id::text, event_timestamp AS event, agent_id AS agent, transcript,"
            " debrief_ms(received_at) AS received, debrief_ms(started_at) AS started, claimed_session_id AS sid,"
            " claimed_user_id::text AS user FROM interviews WHERE conversation_id = ANY (%s)", self.plan.cids)}
        for cid, tries in self.tries["webhook"].items():
            accepted = [event for event in tries if event["status"] == 200]
            row = found.get(cid)
            if row is None:
                if accepted:
                    yield f"{cid}: answered 200 at {accepted[0]['at']:.2f} and not in the ledger"
                continue
            self.counts["conversations"] += bool(accepted)
            # who tells their own times is not matched by the receipt, and need not have the very first
            last = min((self.history.wall_ms(e["at"] + e["took"]) for e in accepted if row["started"] is None), default=None)
            yield from self._within(f"{cid} received", row["received"],
                                    min(self.history.wall_ms(event["at"]) for event in tries) - CLOCK_MS, last)
            newest = max((self.bodies[event["number"]]["event_timestamp"] for event in accepted), default=0)
            if row["event"] < newest:
                yield f"{cid}: has the content of {row['event']}, and that of {newest} was answered 200"
            yield from self._content(cid, row, tries)

    def _content(self, cid, row, tries):
        told = [self.bodies[e["number"]] for e in tries if self.bodies[e["number"]]["event_timestamp"] == row["event"]]
        if row["id"] != model.interview_id(cid):
            yield f"{cid}: its interview is {row['id']}"
        if not told:
            yield f"{cid}: has content of {row['event']}, which nobody sent"
        elif row["transcript"] != told[0]["data"]["transcript"] or row["agent"] != told[0]["data"]["agent_id"]:
            yield f"{cid}: transcript or agent are not those of the webhook"

    def linked_once(self):
        for column in ("conversation_id", "interview_id", "client_session_id"):
            for row in rows(self.lab, f"SELECT {column} AS id, count(*) FROM interview_sessions WHERE {column} IS NOT NULL"
                            " GROUP BY 1 HAVING count(*) > 1"):
                yield f"{column} {row['id']} is in {row['count']} sessions"
        for row in rows(self.lab, "SELECT s.client_session_id AS sid, s.conversation_id AS cid FROM interview_sessions s"
                        " LEFT JOIN interviews i ON i.id = s.interview_id"
                        " WHERE s.conversation_id IS DISTINCT FROM i.conversation_id OR s.user_id IS DISTINCT FROM"
                        " COALESCE(i.user_id, s.user_id)"):
            yield f"{row['sid']} is linked to {row['cid']}, its interview to another conversation or user"

    def nothing_left(self):
        for table in ("interviews", "interview_sessions"):
            for row in rows(self.lab, f"SELECT count(*) FROM {table} WHERE undecided HAVING count(*) > 0"):
                yield f"{row['count']} undecided rows in {table}"
        for row in rows(self.lab, "SELECT count(*) FROM rejected_facts HAVING count(*) > 0"):
            yield f"{row['count']} rejected facts"
        for number, length in self.world.journals().items():
            yield f"{length} entries in the journal of partition {number}"

    # What polls said

    def _may_own(self, cid):
        """Everybody whose conversation it can ever have been."""
        owners = set()
        for body in (self.bodies[event["number"]] for event in self.tries["webhook"].get(cid, [])):
            if body["data"]["user_id"]:
                return {body["data"]["user_id"]}
            owners |= {event["user"] for event in self.tries["save"].get(named_session(body), [])}
        for tries in self.tries["save"].values():
            owners |= {event["user"] for event in tries if event["fields"].get("conversation_id") == cid}
        return owners

    def privacy(self):
        """Nobody sees another's conversation, nor another's session."""
        owners = {cid: self._may_own(cid) for cid in self.plan.cids}
        for event in self.history.of("poll"):
            self.counts["polls"] += 1
            if event["stranger"]:
                if event["status"] in (200, 304):
                    yield f"{event['user']} was shown {event['sid']} of another: {event}"
            elif event["status"] == 200 and event["answer"]["interviewId"]:
                cid = event["answer"]["conversationId"]
                if event["answer"]["interviewId"] != model.interview_id(cid) or event["user"] not in owners.get(cid, ()):
                    yield f"{event['user']} was shown {cid} at {event['at']:.2f} in {event['sid']}"

    def _blind(self, event):
        """A node that has started since Redis was last to be had knows nothing of journals; balancers don't ask it."""
        at, node = event["at"] + event["took"], event["node"]
        hurts = self.history.of("disturbance")
        away = [hurt for hurt in hurts if hurt["victim"] in ("redis", f"link-{node}-redis")
                and hurt["at"] <= at <= hurt["until"] + 2]
        starts = [hurt["until"] for hurt in hurts if hurt["victim"] == f"node-{node}" and hurt["at"] <= at]
        return any(start >= hurt["at"] - 1.5 for hurt in away for start in starts)

    def known(self):
        """A session that was answered 200 is never again unknown. A worker that remembers it as unknown hears of it
        from Redis; if the save was taken by one without Redis, not before that has found Redis again."""
        since = {}
        for sid, tries in self.tries["save"].items():
            accepted = [event["at"] + event["took"] for event in tries if event["status"] == 200]
            if accepted:
                since[sid] = min(accepted)
        for event in self.history.of("poll"):
            if not event["stranger"] and event["status"] == 404 and event["at"] > since.get(event["sid"], event["at"]) \
                    and not self._blind(event) \
                    and not (event["at"] < since[event["sid"]] + Calm.MARGIN_SECS
                             and not self.calm(event["at"] - REMEMBERED_SECS, event["at"])):
                yield (f"poll of {event['sid']} at {event['at']:.2f} via node {event['node']}: 404, its save was"
                       f" answered 200 at {since[event['sid']]:.2f}")

    def _certain(self):
        """{sid: cid} of links that nothing else could ever have taken the place of."""
        named = collections.Counter(named_session(self.bodies[tries[0]["number"]]) for tries in self.tries["webhook"].values())
        alone = {sids[0] for _, sids, cids in self.plan.groups if len(sids) == 1 and len(cids) == 1}
        return {link.sid: cid for cid, link in self.links.items()
                if link.sid and (link.sid in alone or (link.evidence == "session_id" and named[link.sid] == 1))}

    def visible(self):
        """Once a webhook and a save have been answered 200 in normal running, every poll shows their link,
        from whichever store it comes. What a poll has shown, no later one in normal running takes back."""
        certain = self._certain()
        since, shown, ended = {}, {}, {}
        for sid, cid in certain.items():
            both = [[e["at"] + e["took"] for e in tries if e["status"] == 200 and self.calm(e["at"], e["at"] + e["took"])]
                    for tries in (self.tries["webhook"][cid], self.tries["save"][sid])]
            if all(both):
                since[sid] = max(min(times) for times in both)
        for sid, tries in self.tries["save"].items():
            ended[sid] = min((e["at"] + e["took"] for e in tries if e["status"] == 200 and "ended_by" in e["fields"]
                              and self.calm(e["at"], e["at"] + e["took"])), default=float("inf"))
        tags = {}
        for event in sorted(self.history.of("poll"), key=lambda poll: poll["at"]):
            sid = event["sid"]
            if event["stranger"] or event["status"] not in (200, 304):
                continue
            answer = tags.setdefault((sid, event["etag"]), event.get("answer"))
            words = f"poll of {sid} at {event['at']:.2f} via node {event['node']}"
            calm = self.calm(event["at"], event["at"] + event["took"])
            if answer is None:
                continue
            if calm and answer["status"] == "started" and event["at"] > ended.get(sid, event["at"]):
                yield f"{words}: started, its end was answered 200 at {ended[sid]:.2f}"
            if answer["conversationId"] == certain.get(sid) and answer["interviewId"]:
                shown.setdefault(sid, event["at"] + event["took"])
                self.counts["calm polls of results"] += calm
            elif sid in certain:
                if calm and event["at"] > shown.get(sid, event["at"]):
                    yield f"{words}: {answer}, at {shown[sid]:.2f} it had been {certain[sid]}"
                if event["at"] > since.get(sid, event["at"]):
                    yield f"{words}: {answer}, both were answered 200 by {since[sid]:.2f}"

    def promised_results(self):
        """An interview that a poll has named can be read."""
        for event in self.history.of("results"):
            self.counts["results"] += event["status"] == 200
            if event["status"] == 404 and not self._blind(event):
                moved = any(link.user != event["user"] for cid, link in self.links.items()
                            if model.interview_id(cid) == event["interview"])
                if not moved:
                    yield f"results of {event['interview']} at {event['at']:.2f} via node {event['node']}: 404"
            elif event["status"] == 200 and model.interview_id(event["answer"]["conversationId"]) != event["interview"]:
                yield f"results of {event['interview']} are of {event['answer']['conversationId']}"

    def etags(self):
        """One tag, one representation, whatever node and store it came from."""
        tags, answers = {}, {}
        for event in self.history.of("poll"):
            if event["status"] == 200:
                text = json.dumps(event["answer"], sort_keys=True)
                if tags.setdefault((event["sid"], event["etag"]), text) != text:
                    yield f"{event['sid']}: the tag {event['etag']} stands for {text} and {tags[event['sid'], event['etag']]}"
                if answers.setdefault((event["sid"], text), event["etag"]) != event["etag"]:
                    yield f"{event['sid']}: {text} has the tags {event['etag']} and {answers[event['sid'], text]}"

    # Polls now that all is settled

    def settled_polls(self):
        yield from self._poll_all("", range(len(self.lab.nodes)))
        if not self.world.journals():
            self.lab.flush_redis()
            yield from self._poll_all(" after Redis was emptied", range(len(self.lab.nodes)))
        self.lab.redis_server.stop()
        yield from self._poll_all(" without Redis", (0,))
        self.lab.redis_server.start()
        self.lab.wait_ready()

    def _poll_all(self, when, nodes):
        api, tags = Api(self.lab), self.__dict__.setdefault("final_tags", {})

        def ask(session, node):
            return session, node, api.poll(session.user, session.sid, node=node)
        by_sid = {link.sid: link for link in self.links.values() if link.sid}
        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(ask, session, node) for session in self.sessions.values() for node in nodes]
            for session, node, answer in (job.result() for job in jobs):
                mine = [by_sid[session.sid]] if session.sid in by_sid else []
                should = model.poll_view(session, {link.cid: link for link in mine})
                body = answer.json()
                if mine and mine[0].cid in self.judged:
                    should["evaluationStatus"] = "complete"
                if answer.status_code != 200 or {name: body.get(name) for name in should} != should:
                    yield f"poll of {session.sid} via node {node}{when}: {answer.status_code} {body}, should be {should}"
                elif tags.setdefault(session.sid, answer.headers["ETag"]) != answer.headers["ETag"]:
                    yield f"poll of {session.sid} via node {node}{when}: another tag for the same"
