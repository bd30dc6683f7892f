"""CPU time of processes: unlike rates, it hardly depends on what else the machine does."""
import os
import pathlib

TICK = os.sysconf("SC_CLK_TCK")


def spent(server):
    """Seconds that a server has used so far, with its children: those that live and those that were waited for."""
    ticks = 0
    for number, pid in enumerate(server.family()):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += sum(int(word) for word in (fields[11:15] if number == 0 else fields[11:13]))
    return ticks / TICK


class Meter:
    """Collects, over rounds, what some servers spend on each of the things counted."""

    def __init__(self, **servers):
        self.servers = servers
        self.each_us = {name: [] for name in servers}

    def start(self):
        self.before = {name: spent(server) for name, server in self.servers.items()}

    def stop(self, count):
        for name, server in self.servers.items():
            self.each_us[name].append((spent(server) - self.before[name]) * 1e6 / count)

    def clear(self):
        """What was spent so far doesn't count."""
        for values in self.each_us.values():
            values.clear()

    def total_us(self):
        """Of all servers together, a round."""
        return [sum(values) for values in zip(*self.each_us.values())]

    def around(self, measure):
        """The same measurement, metered; its result tells how much there was."""
        def metered():
            self.start()
            result = measure()
            self.stop(result.requests)
            return result
        return metered

    def report(self, benchmark, who):
        for name, values in self.each_us.items():
            benchmark.add(f"{who}: CPU of {name}", values, "µs each")
