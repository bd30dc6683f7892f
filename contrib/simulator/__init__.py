"""Plays ElevenLabs Agents towards Debrief: conversations, signed webhooks, the pull API.

    python3 contrib/simulator --webhook-url http://127.0.0.1:8080/webhooks/elevenlabs --secret wsec_…

or, in a program:

    with Simulator(webhook_url, secret) as simulator:
        call = simulator.hold(user_id=user, dynamic_variables={"client_session_id": sid})
        simulator.send(call.id, delay=5).wait()

Needs the standard library only. A given seed makes the same conversations.
"""
from .call import BEHAVIOURS
from .conversation import Conversation, SHAPES, conversation_id, webhook
from .delivery import Courier, Delivery
from .service import Simulator
from .signature import HEADER, sign, signature

__all__ = ["BEHAVIOURS", "Conversation", "Courier", "Delivery", "HEADER", "SHAPES", "Simulator", "conversation_id", "sign",
           "signature", "webhook"]
