"""The provider's webhook signature."""
import hashlib
import hmac
import time

HEADER = "ElevenLabs-Signature"


def signature(secret, body, timestamp):
    """v0: HMAC-SHA256 over "<t>.<raw body>", the whole secret being the key."""
    message = str(timestamp).encode() + b"." + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def sign(secret, body, timestamp=None):
    """The header's value for a body; signed now unless a timestamp is given."""
    if timestamp is None:
        timestamp = int(time.time())
    return f"t={timestamp},v0={signature(secret, body, timestamp)}"
