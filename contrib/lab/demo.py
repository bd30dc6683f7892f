"""The demo's story; contrib/demo starts it."""
import argparse
import json
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from lab import Lab, LabError, default_binary  # noqa: E402
from lab.node import environment, sanitizer_environment  # noqa: E402
from lab.process import tail  # noqa: E402
from simulator import Simulator  # noqa: E402

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
        """The token comes from `debrief token`, as a developer would get one."""
        env = {**sanitizer_environment(), **environment(self.node.options)}
        done = subprocess.run([self.lab.binary, "token", "--user", self.user, "--ttl", "86400"], env=env,
                              capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise LabError(f"debrief token failed: {done.stderr.strip()}")
        self.token = done.stdout.split()[-1]

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


def invite(story, interview):
    node, simulator = story.node, story.simulator
    print(f"""
Everything stays up until Ctrl-C. Debrief: {node.url}, admin: {node.admin_url}, simulated provider: {simulator.url}

  TOKEN={story.token}
  curl -i -H "Authorization: Bearer $TOKEN" {node.url}/api/interviews/by-session/{story.session}
  curl -s -H "Authorization: Bearer $TOKEN" {node.url}/api/interviews/{interview}/results
  curl -s {node.url}/readyz

Another interview, by hand: save its end, then let the provider hold it and send its webhook

  curl -s -H "Authorization: Bearer $TOKEN" {node.url}/api/save-interview \\
    --json '{{"client_session_id": "by-hand", "ended_by": "user"}}'
  CALL=$(curl -s {simulator.url}/sim/conversations \\
    --json '{{"user_id": "{story.user}", "duration": 60,
         "dynamic_variables": {{"user_id": "{story.user}", "client_session_id": "by-hand"}}}}' |
    sed 's/.*"conversation_id": "\\([^"]*\\)".*/\\1/')
  curl -s {simulator.url}/sim/conversations/$CALL/webhook --json '{{"delay": 2, "duplicates": 1}}'
  curl -s -H "Authorization: Bearer $TOKEN" {node.url}/api/interviews/by-session/by-hand
""", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="contrib/demo", description="One interview, from its start to its results.")
    parser.add_argument("--once", action="store_true", help="end after the story instead of staying up")
    parser.add_argument("--binary", default=default_binary(), metavar="PATH", help="use this debrief; no setup")
    chosen = parser.parse_args()

    def interrupt(*_):
        raise KeyboardInterrupt
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)

    began = time.monotonic()

    def progress(line):
        print(f"  {time.monotonic() - began:5.1f} s  {line}", flush=True)

    try:
        print("\nThe servers\n", flush=True)
        with Lab(chosen.binary, options={"workers": 2, "environment": "development"}, progress=progress) as lab:
            webhooks = lab.nodes[0].url + "/webhooks/elevenlabs"
            with Simulator(webhooks, lab.secret, retry_scale=0.001) as simulator:
                progress(f"the simulated provider listens on {simulator.url}")
                story = Story(lab, simulator)
                print("\nThe story\n", flush=True)
                try:
                    story.mint()
                    interview = story.play()
                    story.show(interview)
                except (LabError, OSError, KeyError, TypeError) as error:
                    raise LabError(f"{error}\n{lab.nodes[0].name} said last:\n{tail(lab.nodes[0].log)}") from error
                if not chosen.once:
                    invite(story, interview)
                    threading.Event().wait()
    except KeyboardInterrupt:
        print("\nAll down again.", flush=True)
        return 0
    except (LabError, OSError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr, flush=True)
        return 1
    if chosen.once:
        print("\nThe story came to its end; all down again.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
