"""Browsers, the provider and those who wait: a few threads send what is due, and repeat it as they would."""

import collections
import heapq
import http.client
import itertools
import json
import random
import socket
import threading

from conftest import Api
from simulator import HEADER, sign

TIMEOUT_SECS = 25
THREADS = 40


class Clients:
    def __init__(self, world, plan, history):
        self.world, self.plan, self.history = world, plan, history
        self.lab = world.lab
        self.tokens = {user: Api(self.lab).token(user) for user in plan.users}
        self.statuses = collections.Counter()
        self.left = len(plan.sends)  # saves and webhooks without their final answer
        self._due, self._order = [], itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._local = threading.local()
        for send in plan.sends:
            self._push(send.at, self._send, send, 0, None)
        for number, watch in enumerate(plan.watches):
            self._push(watch.at, self._watch, watch, random.Random(f"{plan.seed}-{number}"), {})
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(THREADS)]

    def start(self):
        for thread in self._threads:
            thread.start()

    def close(self):
        """Nothing new is sent; waits for what is under way."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(TIMEOUT_SECS + 5)

    # The agenda

    def _push(self, at, *task):
        with self._changed:
            heapq.heappush(self._due, (at, next(self._order), task))
            self._changed.notify()

    def _take(self):
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - self.history.now() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None

    def _work(self):
        while (task := self._take()) is not None:
            function, *arguments = task
            function(*arguments)

    # One request

    def _connection(self, node):
        connections = self._local.__dict__.setdefault("connections", {})
        if node not in connections:
            connections[node] = http.client.HTTPConnection("127.0.0.1", self.lab.nodes[node].port, timeout=TIMEOUT_SECS)
        return connections[node]

    def request(self, node, method, path, headers, body=None):
        """An event's worth of what happened: opened (the connection), at, took, status (None: no answer),
        answer, error."""
        connection = self._connection(node)
        at, outcome = self.history.now(), {"status": None}
        if connection.sock is None:
            connection.opened = round(at, 4)
        try:
            connection.request(method, path, body=body, headers=headers)
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            response = connection.getresponse()
            content = response.read()
            outcome = {"status": response.status, "etag": response.headers.get("ETag"),
                       "retry_after": response.headers.get("Retry-After")}
            if content:
                outcome["answer"] = json.loads(content)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            outcome = {"status": None, "error": f"{type(error).__name__}: {error}"}
        took = self.history.now() - at
        self.statuses[outcome["status"]] += 1
        return {"node": node, "opened": connection.opened, "at": round(at, 4), "took": round(took, 4), **outcome}

    # Saves and webhooks

    def _send(self, send, tries, first_at):
        first_at = self.history.now() if first_at is None else first_at
        node = (send.number + tries) % 2
        if send.kind == "save":
            outcome = self._save(send, tries, node, first_at)
        else:
            outcome = self.request(node, "POST", "/webhooks/elevenlabs", body=send.body, headers={
                "Content-Type": "application/json", HEADER: sign(self.lab.secret, send.body)})
            self.history.add("webhook", number=send.number, tries=tries, cid=send.cid, bytes=len(send.body), **outcome)
        if outcome["status"] in (None, 408, 429) or outcome["status"] >= 500:
            pause = random.Random(f"{self.plan.seed}-{send.number}-{tries}").uniform(0.05, 0.3 + 0.1 * min(tries, 12))
            self._push(self.history.now() + pause, self._send, send, tries + 1, first_at)
            return
        with self._changed:
            self.left -= 1

    def _save(self, send, tries, node, first_at):
        fields = {"client_session_id": send.sid, **send.fields}
        if send.ended_ago_ms is not None:
            waited_ms = (self.history.now() - first_at) * 1000 if tries else 0
            fields["ended_ago_ms"] = send.ended_ago_ms + int(waited_ms)
        outcome = self.request(node, "POST", "/api/save-interview", body=json.dumps(fields), headers={
            "Content-Type": "application/json", "Authorization": f"Bearer {self.tokens[send.user]}"})
        self.history.add("save", number=send.number, tries=tries, user=send.user, fields=fields,
                         may_conflict=send.may_conflict, **outcome)
        return outcome

    # Polls and results

    def _watch(self, watch, rng, seen):
        node, etag = rng.randrange(2), seen.get("etag")
        if node == seen.get("silent"):  # as a load balancer would, for a moment
            node = 1 - node
        headers = {"Authorization": f"Bearer {self.tokens[watch.user]}"}
        if etag and rng.random() < 0.7:
            headers["If-None-Match"] = etag
        outcome = self.request(node, "GET", f"/api/interviews/by-session/{watch.sid}", headers)
        self.history.add("poll", user=watch.user, sid=watch.sid, stranger=watch.stranger,
                         condition=headers.get("If-None-Match"), **outcome)
        seen["silent"] = node if outcome["status"] is None else None
        if outcome["status"] == 200:
            seen["etag"] = outcome["etag"]
            interview = outcome["answer"].get("interviewId")
            if interview and (interview not in seen or rng.random() < 0.05):
                seen[interview] = True
                self._results(watch, interview, rng.randrange(2))
        self._push(self.history.now() + watch.every * rng.uniform(0.5, 1.5), self._watch, watch, rng, seen)

    def _results(self, watch, interview, node):
        outcome = self.request(node, "GET", f"/api/interviews/{interview}/results",
                               {"Authorization": f"Bearer {self.tokens[watch.user]}"})
        answer = outcome.pop("answer", {})
        if outcome["status"] == 200:
            outcome["answer"] = {"conversationId": answer["interview"]["conversationId"],
                                 "sessionId": answer["interview"]["sessionId"],
                                 "turns": len(answer["interview"]["transcript"] or [])}
        else:
            outcome["answer"] = answer
        self.history.add("results", user=watch.user, sid=watch.sid, interview=interview, **outcome)
