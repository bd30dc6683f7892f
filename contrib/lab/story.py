"""One interview, as a browser would hold it: what contrib/demo --once plays."""
import json
import textwrap
import time
import urllib.error
import urllib.request
import uuid

from .page import mint_token
from .process import LabError

WEBHOOK_DELAY_SECS = 5
INTERVIEW_SECS = 480
POLL_SECS = 0.5
STORY_TIMEOUT_SECS = 60


class Story:
    """A browser's view of one interview."""

    def __init__(self, lab, simulator):
        self.lab = lab
        self.node = lab.nodes[0]
        self.simulator = simulator
        self.user = str(uuid.uuid4())
        self.session = "demo-" + uuid.uuid4().hex[:12]
        self.token = None
        self.began = time.monotonic()

    def tell(self, text):
        print(f"  {time.monotonic() - self.began:5.1f} s  {text}", flush=True)

    def mint(self):
        self.token = mint_token(self.lab, self.node, self.user)

    def call(self, method, path, body=None, etag=None):
        """(status, headers, JSON or None)"""
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        if etag is not None:
            headers["If-None-Match"] = etag
        request = urllib.request.Request(self.node.url + path, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.headers, json.load(response)
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, error.headers, json.loads(text) if text else None

    def expect(self, method, path, body=None):
        status, _, answer = self.call(method, path, body)
        if status != 200:
            raise LabError(f"{method} {path}: {status} {answer}")
        return answer

    def play(self):
        self.began = time.monotonic()
        call = self.simulator.begin(
            user_id=self.user, start=time.time() - INTERVIEW_SECS, turns=10,
            dynamic_variables={"user_id": self.user, "client_session_id": self.session})
        self.expect("POST", "/api/save-interview", {"client_session_id": self.session})
        self.tell(f"browser: the interview has started, session {self.session}")
        self.expect("POST", "/api/save-interview", {"client_session_id": self.session, "ended_by": "user"})
        self.tell("browser: the interview has ended; saved without a conversation id")
        self.simulator.end(call.id)
        delivery = self.simulator.send(call.id, delay=WEBHOOK_DELAY_SECS)
        self.tell(f"provider: will send its webhook in {WEBHOOK_DELAY_SECS} s, for {call.id}")
        final = self.poll_until_final(delivery)
        if (final["status"], final["evaluationStatus"]) != ("completed", "complete"):
            raise LabError(f"the session ended as {final}")
        if final["conversationId"] != call.id:
            raise LabError(f"the session was joined to {final['conversationId']}, not to {call.id}")
        return final["interviewId"]

    def poll_until_final(self, delivery):
        """Polls with If-None-Match; tells what changes. A webhook that is refused ends it."""
        path = f"/api/interviews/by-session/{self.session}"
        etag, unchanged, answer = None, 0, None
        deadline = time.monotonic() + STORY_TIMEOUT_SECS
        while time.monotonic() < deadline:
            if delivery.done.is_set() and delivery.status != 200:
                raise LabError(f"the webhook was answered {delivery.status}")
            status, headers, body = self.call("GET", path, etag=etag)
            if status == 304:
                unchanged += 1
            elif status != 200:
                raise LabError(f"GET {path}: {status} {body}")
            else:
                if unchanged:
                    self.tell(f"browser: polled {unchanged} times, 304 Not Modified")
                    unchanged = 0
                etag, answer = headers["ETag"], body
                self.tell(f"browser: polled, 200: {answer['status']}, evaluation {answer['evaluationStatus']}")
                if answer["status"] == "failed" or answer["evaluationStatus"] in ("complete", "failed"):
                    return answer
            time.sleep(POLL_SECS)
        raise LabError(f"no result after {STORY_TIMEOUT_SECS} s; last poll: {answer}")

    def show(self, interview):
        """Prints transcript and evaluation."""
        results = self.expect("GET", f"/api/interviews/{interview}/results")
        told, evaluation = results["interview"], results["evaluation"]
        print(f"\nTranscript of {interview}, {told['durationSecs']} s\n")
        for turn in told["transcript"]:
            minutes, seconds = divmod(turn["timeInCallSecs"], 60)
            print(textwrap.fill(turn["message"] or "", 92, initial_indent=f"  {minutes}:{seconds:02}  "
                                f"{'candidate' if turn['role'] == 'user' else 'agent':>9}  ",
                                subsequent_indent=" " * 19))
        print(f"\nEvaluation: {evaluation['status']}\n")
        print(textwrap.indent(json.dumps(evaluation["result"], indent=2, ensure_ascii=False), "  "))
        if not told["transcript"] or evaluation["result"] is None:
            raise LabError("the results lack a transcript or an evaluation")
