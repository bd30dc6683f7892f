"""Carries webhooks as the provider does: late, again, and with its retries."""
import dataclasses
import heapq
import http.client
import itertools
import threading
import time
import urllib.parse

# After one another, in seconds. Only bodies of one type are retried.
RETRY_DELAYS = (0, 30, 120, 480, 1800)
PENDING_MAX = 100


@dataclasses.dataclass
class Attempt:
    at: float      # time.time()
    status: int    # 0 if there was no answer
    error: str = ""


@dataclasses.dataclass
class Delivery:
    """One webhook on its way. wait() returns the last status; 0 if nobody answered."""
    id: int
    conversation_id: str
    body: bytes
    headers: dict
    chunked: bool = False
    retried: bool = False
    attempts: list = dataclasses.field(default_factory=list)
    dropped: bool = False
    done: threading.Event = dataclasses.field(default_factory=threading.Event)

    @property
    def status(self):
        return self.attempts[-1].status if self.attempts else 0

    def wait(self, timeout=60):
        if not self.done.wait(timeout):
            raise TimeoutError(f"webhook {self.id} was not settled within {timeout:g} s")
        return self.status

    def report(self):
        return {"id": self.id, "conversation_id": self.conversation_id, "settled": self.done.is_set(),
                "dropped": self.dropped, "status": self.status,
                "attempts": [dataclasses.asdict(attempt) for attempt in self.attempts]}


class Courier:
    """Sends deliveries when they are due, from a few threads.

    `retry_scale` multiplies the provider's delays (0.001 makes its 40 minutes 2.4 s);
    None turns retries off, as they are at the provider until somebody turns them on.
    """

    def __init__(self, url, retry_scale=1.0, threads=8, timeout=30):
        self.target = urllib.parse.urlsplit(url)
        self.retry_scale = retry_scale
        self.timeout = timeout
        self._due = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self._changed = threading.Condition()
        self._closed = False
        self._retrying = 0
        self.deliveries = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, conversation_id, body, headers, delay=0.0, chunked=False, retried=False):
        delivery = Delivery(next(self._ids), conversation_id, body, headers, chunked, retried)
        with self._changed:
            self.deliveries.append(delivery)
            self._push(delivery, delay)
        return delivery

    def _push(self, delivery, delay):
        heapq.heappush(self._due, (time.monotonic() + delay, next(self._order), delivery))
        self._changed.notify()

    def _take(self):
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None

    def _work(self):
        while (delivery := self._take()) is not None:
            attempt = self._attempt(delivery)
            with self._changed:
                if delivery.attempts and delivery.retried:
                    self._retrying -= 1
                delivery.attempts.append(attempt)
                if not self._retry(delivery, attempt.status):
                    delivery.done.set()

    def _retry(self, delivery, status):
        """Only exactly 200 is success; of the rest only our own trouble is tried again."""
        again = status == 0 or status in (408, 429) or status >= 500
        count = len(delivery.attempts)
        if not (again and delivery.retried and self.retry_scale is not None and count <= len(RETRY_DELAYS)):
            return False
        if self._retrying >= PENDING_MAX:
            delivery.dropped = True
            return False
        self._retrying += 1
        self._push(delivery, RETRY_DELAYS[count - 1] * self.retry_scale)
        return True

    def _attempt(self, delivery):
        kind = http.client.HTTPSConnection if self.target.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.target.hostname, self.target.port, timeout=self.timeout)
        path = (self.target.path or "/") + (f"?{self.target.query}" if self.target.query else "")
        try:
            body = _pieces(delivery.body) if delivery.chunked else delivery.body
            connection.request("POST", path, body=body, headers=delivery.headers, encode_chunked=delivery.chunked)
            response = connection.getresponse()
            response.read()
            return Attempt(time.time(), response.status)
        except (OSError, http.client.HTTPException) as error:
            return Attempt(time.time(), 0, f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def close(self):
        """Ends the threads; what was still to be sent stays unsent and is settled."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(5)
        for _, _, delivery in self._due:
            delivery.done.set()


def _pieces(body, size=16_384):
    for start in range(0, len(body), size):
        yield body[start:start + size]
