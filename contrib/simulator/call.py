"""A call while it goes on: its line, how it ends, and what follows its end.

The line is the provider's connection to the browser. Whoever loses it without a word (a
closed tab, a cut network) is noticed after a moment, and the call ends by itself.
"""
import threading

# What a webhook does after the end, by the names in which it is chosen: the delay in
# seconds, how many more are sent, whether the analysis went well. None: nothing is sent.
BEHAVIOURS = {
    "at-once": {},
    "after-5s": {"delay": 5.0},
    "after-70s": {"delay": 70.0},
    "twice": {"duplicates": 1},
    "never": None,
    "evaluation-failed": {"analysis": False},
}
REASONS = ("user", "agent", "error")
LOST_SECS = 1.5


def check_behaviour(name):
    if name is not None and name not in BEHAVIOURS:
        raise ValueError(f"unknown webhook behaviour {name!r}; one of {', '.join(BEHAVIOURS)}")
    return name


class Call:
    """`end` is called once, with the reason and the behaviour, from any thread."""

    def __init__(self, end, webhook=None):
        self.webhook = check_behaviour(webhook)
        self.reason = None       # why it ended
        self.followed_by = None  # the behaviour that was in force then
        self._end = end
        self._changed = threading.Condition()
        self._lines = 0
        self._timer = None

    @property
    def over(self):
        return self.reason is not None

    def finish(self, reason, webhook=None):
        """Ends it unless it is over already."""
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r}; one of {', '.join(REASONS)}")
        check_behaviour(webhook)
        with self._changed:
            if self.over:
                return
            self.followed_by = webhook or self.webhook
            self._end(self.followed_by)
            self.reason = reason
            self._changed.notify_all()

    def wait_over(self, timeout):
        with self._changed:
            return self._changed.wait_for(lambda: self.over, timeout)

    def open_line(self):
        with self._changed:
            self._lines += 1

    def lose_line(self):
        with self._changed:
            self._lines -= 1
            if self._lines or self.over:
                return
            self._timer = threading.Timer(LOST_SECS, self._notice)
            self._timer.daemon = True
            self._timer.start()

    def _notice(self):
        with self._changed:
            lost = not self._lines
        if lost:
            self.finish("error")

    def abandon(self):
        """The simulator goes down: nothing follows."""
        with self._changed:
            self.reason = self.reason or "error"
            self._changed.notify_all()
            if self._timer is not None:
                self._timer.cancel()
