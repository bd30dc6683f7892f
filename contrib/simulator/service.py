"""The simulated provider: its conversations, its webhooks, its listener."""
import random
import secrets
import threading

from .call import BEHAVIOURS, Call
from .conversation import AGENT, Conversation, conversation_id, webhook
from .delivery import Courier
from .server import make_server
from .signature import HEADER, sign


class Simulator:
    """`webhook_url` may be None: then it only answers the pull API.

    Every method may be called from any thread.
    """

    def __init__(self, webhook_url=None, secret=None, listen=("127.0.0.1", 0), api_key=None, retry_scale=1.0,
                 delay_scale=1.0, seed=None, serve=True, origins=None):
        """`origins`: pages of these alone may call /sim/…; None: of any.

        `retry_scale` and `delay_scale` multiply the provider's retries and the delays of
        chosen webhook behaviours.
        """
        if webhook_url is not None and not secret:
            raise ValueError("webhooks are signed: a secret is needed")
        self.secret = secret
        self.api_key = api_key or "sk_" + secrets.token_hex(16)
        self.rng = random.Random(seed) if seed is not None else random.Random()
        self.delay_scale = delay_scale
        self.origins = origins
        self.conversations = {}
        self.calls = {}
        self._lock = threading.RLock()
        self.courier = Courier(webhook_url, retry_scale) if webhook_url is not None else None
        self.server = make_server(self, listen) if serve else None
        self._thread = None

    @property
    def url(self):
        host, port = self.server.server_address[:2]
        return f"http://{host}:{port}"

    # Conversations

    def mint(self, agent_id=AGENT):
        """An id before anybody has spoken, as the token and signed-url calls give it."""
        with self._lock:
            conversation = Conversation(agent_id=agent_id, id=conversation_id(self.rng), seed=self.rng.random())
            conversation.initiated = False
            self.conversations[conversation.id] = conversation
            return conversation

    def begin(self, id=None, seed=None, webhook=None, **fields):
        """A conversation that goes on until it ends; fields as of Conversation.

        `webhook`: one of BEHAVIOURS, what follows its end unless that says otherwise.
        """
        with self._lock:
            known = self.conversations.get(id)
            if known is not None and known.initiated:
                raise KeyError(f"conversation {id} has begun already")
            if known is not None:
                fields.setdefault("agent_id", known.agent_id)
            conversation = Conversation(id=id or conversation_id(self.rng),
                                        seed=self.rng.random() if seed is None else seed, **fields)
            call = Call(lambda behaviour: self._follow_end(conversation, behaviour), webhook)
            self.calls[conversation.id] = call
            self.conversations[conversation.id] = conversation
            return conversation

    def tell(self, id, role, message):
        """A turn of a conversation that goes on; how many there are now."""
        conversation = self.conversations[id]
        if self.calls[id].over:
            raise ValueError("the conversation is over")
        conversation.tell(role, message)
        return len(conversation.told)

    def end(self, id, end=None, duration=None, webhook=None, reason="user"):
        """Ends it as somebody did: the first time counts. `webhook`: one of BEHAVIOURS."""
        conversation = self.conversations[id]
        if conversation.end is None and (end is not None or duration is not None):
            conversation.finish(end, duration)
        self.calls[id].finish(reason, webhook)
        return conversation

    def _follow_end(self, conversation, behaviour):
        if conversation.end is None:
            conversation.finish()
        how = BEHAVIOURS[behaviour] if behaviour is not None else None
        if how is None:
            return
        conversation.analysis = how.get("analysis", conversation.analysis)
        self.send(conversation.id, delay=how.get("delay", 0.0) * self.delay_scale, duplicates=how.get("duplicates", 0))

    def hold(self, duration=60, **fields):
        """A conversation that is over already: it ended now unless `start` says otherwise."""
        conversation = self.begin(**fields)
        if "start" not in fields:
            conversation.start -= int(duration)
        conversation.finish(duration=duration)
        return conversation

    # Webhooks

    def send(self, id, shape="full", delay=0.0, duplicates=0, with_user=True, chunked=None, secret=None,
             timestamp=None, end=None):
        """Sends the webhook of a conversation and returns the (last) delivery.

        `delay` seconds from now; `duplicates` more, byte-identical; audio is chunked, as
        it always is, others on request. `secret` and `timestamp` make wrong signatures.
        A conversation that goes on is told of as over: the webhook is early.
        """
        conversation = self.conversations[id]
        if conversation.end is None:
            conversation.finish(end)
        body = webhook(conversation, shape, with_user)
        headers = {"Content-Type": "application/json", HEADER: sign(secret or self.secret, body, timestamp)}
        if chunked is None:
            chunked = shape == "post_call_audio"
        retried = shape in ("full", "minimal")
        for _ in range(1 + duplicates):
            delivery = self.courier.submit(id, body, headers, delay, chunked, retried)
        return delivery

    def send_all(self, ids, order="shuffled", seed=None, **options):
        """The webhooks of several conversations: given, reversed or shuffled."""
        ids = list(ids)
        if order == "reversed":
            ids.reverse()
        elif order == "shuffled":
            (random.Random(seed) if seed is not None else self.rng).shuffle(ids)
        elif order != "given":
            raise ValueError(f"unknown order {order!r}")
        return [self.send(id, **options) for id in ids]

    # Life

    def start(self):
        if self.server is not None:
            self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05},
                                            daemon=True)
            self._thread.start()
        return self

    def stop(self):
        for call in list(self.calls.values()):
            call.abandon()
        if self._thread is not None:
            self.server.shutdown()
            self._thread.join()
        if self.server is not None:
            self.server.server_close()
        if self.courier is not None:
            self.courier.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()
