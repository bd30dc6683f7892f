"""Webhooks of about 40 KB, signed beforehand."""
import hashlib
import hmac
import time
import uuid

from simulator import Conversation, conversation_id, webhook

BYTES = 40_000
CALL_SECS = 600
# In the template, the places of the conversation's, the user's and the session's id.
MARKERS = {"c": "\1c\1", "u": "\1u\1", "s": "\1s\1"}


class Template:
    def __init__(self):
        self.now = int(time.time())
        call = Conversation(id="conv_CCCC", user_id="UUUU", duration=CALL_SECS, start=self.now - CALL_SECS, size=BYTES,
                            seed=1, dynamic_variables={"user_id": "UUUU", "client_session_id": "SSSS"})
        self.text = webhook(call).decode()
        for plain, marker in (("conv_CCCC", "c"), ("UUUU", "u"), ("SSSS", "s")):
            self.text = self.text.replace(plain, MARKERS[marker])

    def fill(self, ids):
        body = self.text
        for marker, value in ids.items():
            body = body.replace(MARKERS[marker], value)
        return body.encode()

    def sign(self, secret, body):
        mac = hmac.new(secret.encode(), f"{self.now}.".encode() + body, hashlib.sha256).hexdigest()
        return f"t={self.now},v0={mac}"


def signed_webhook(lab, user, sid):
    """(headers, body)"""
    template = Template()
    body = template.fill({"c": conversation_id(), "u": user, "s": sid})
    return {"Content-Type": "application/json", "ElevenLabs-Signature": template.sign(lab.secret, body)}, body


class Batch:
    """Webhooks in a file for load/pace.c, each of a user and a session of its own (`people`)."""

    def __init__(self, bench, lab, count):
        template = Template()
        name = uuid.uuid4().hex[:12]
        self.count = count
        self.listing = bench.scratch.path / f"webhooks-{name}"
        self.people = []
        with open(self.listing, "wb") as out:
            for number in range(count):
                ids = {"c": conversation_id(), "u": str(uuid.uuid4()), "s": f"bench-{name}-{number}"}
                body = template.fill(ids)
                header = f"ElevenLabs-Signature: {template.sign(lab.secret, body)}"
                out.write(f"POST\t/webhooks/elevenlabs\t-\t{header}\t".encode() + body + b"\n")
                self.people.append((ids["u"], ids["s"]))
        self.bytes = len(body)
