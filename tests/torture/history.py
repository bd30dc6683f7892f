"""What happened: every request with its answer, every disturbance, as JSON lines."""

import json
import threading
import time


class History:
    def __init__(self, path):
        self.path = path
        self.began = time.monotonic()
        self.began_wall = time.time()
        self.events = []
        self._lock = threading.Lock()
        self._file = open(path, "w", encoding="utf-8")

    def now(self):
        """Seconds since the beginning, as everything in the history counts."""
        return time.monotonic() - self.began

    def wall_ms(self, at):
        """The wall clock of that moment, in milliseconds."""
        return (self.began_wall + at) * 1000

    def add(self, kind, **event):
        event = {"kind": kind, **event}
        line = json.dumps(event, ensure_ascii=False)
        with self._lock:
            self.events.append(event)
            self._file.write(line + "\n")
        return event

    def of(self, *kinds):
        with self._lock:
            return [event for event in self.events if event["kind"] in kinds]

    def close(self):
        with self._lock:
            self._file.close()

    def calm(self):
        return Calm(self.of("disturbance"))


class Calm:
    """Whether nothing was disturbed at some time, nor shortly before."""

    MARGIN_SECS = 3.0

    def __init__(self, disturbances):
        self.spans = [(event["at"], event["until"] + self.MARGIN_SECS) for event in disturbances]

    def __call__(self, began, ended):
        return all(ended < first or last < began for first, last in self.spans)
