"""The actor who kills, freezes and cuts, by the plan's schedule."""

import collections
import shutil
import signal
import threading
import time

from lab.process import LabError, wait_for
from world import PARTITIONS

# Atomically: whoever journals does it in a script, so nothing comes in between.
FLUSH_IF_JOURNALS_ARE_EMPTY = f"""
for number = 0, {PARTITIONS - 1} do
	if redis.call('XLEN', 'debrief:{{p' .. number .. '}}:journal') > 0 then return 0 end
end
redis.call('FLUSHALL')
return 1
"""
LATE_SECS = 6  # a disturbance whose victim is still busy with the last one is left out after this
FLUSH_PATIENCE_SECS = 4


class Chaos:
    def __init__(self, world, plan, history):
        self.world, self.plan, self.history = world, plan, history
        self.counts = collections.Counter()
        self.left_out = collections.Counter()
        self.problems = []
        self._threads = []
        self._conductor = threading.Thread(target=self._conduct, daemon=True)

    def start(self):
        self._conductor.start()

    def finish(self):
        """Waits until all is over, and heals what still hurts."""
        self._conductor.join()
        for thread in self._threads:
            thread.join(120)
            if thread.is_alive():
                raise LabError(f"{thread.name} has not come to its end")
        for proxy in self.world.links.values():
            proxy.mend()
        lab = self.world.lab
        if lab.redis_server.call("ROLE") is None:
            raise LabError("Redis does not answer although all is over")
        lab.connect_pg()
        lab.wait_ready(60)

    def _conduct(self):
        for disturbance in self.plan.disturbances:
            time.sleep(max(0.0, disturbance.at - self.history.now()))
            thread = threading.Thread(target=self._disturb, args=(disturbance,), daemon=True,
                                      name=f"{disturbance.kind} {disturbance.victim}")
            self._threads.append(thread)
            thread.start()

    def _disturb(self, disturbance):
        lock = self.world.lock(disturbance.victim)
        if not lock.acquire(timeout=LATE_SECS):
            self.left_out[disturbance.kind] += 1
            return
        at, note = self.history.now(), ""
        try:
            act = getattr(self, "_" + disturbance.kind.replace("-", "_"))
            note = act(disturbance, self.world) or ""
        except (LabError, OSError) as error:
            self.problems.append(f"{disturbance.kind} {disturbance.victim} at {at:.2f}: {error}")
            note = str(error)
        finally:
            lock.release()
        if note == "left out":
            self.left_out[disturbance.kind] += 1
        else:
            self.counts[disturbance.kind] += 1
        self.history.add("disturbance", what=disturbance.kind, victim=disturbance.victim, planned=disturbance.at,
                         at=round(at, 4), until=round(self.history.now(), 4), note=note)

    # Nodes

    def _start_node(self, node):
        """A node may start while a store is away; if it won't, whoever runs it starts it again."""
        def started():
            try:
                return node.start(ready=False)
            except LabError:
                return None
        wait_for(started, f"{node.name} to start", 60, 0.2)

    def _kill_node(self, disturbance, world):
        node = world.server(disturbance.victim)
        node.kill()
        time.sleep(disturbance.secs)
        self._start_node(node)

    def _term_node(self, disturbance, world):
        node = world.server(disturbance.victim)
        try:
            node.stop()
        finally:
            time.sleep(disturbance.secs)
            self._start_node(node)

    def _freeze(self, disturbance, world):
        server = world.server(disturbance.victim)
        server.pause()
        time.sleep(disturbance.secs)
        server.resume()

    _freeze_node = _freeze_postgres = _freeze

    def _freeze_redis(self, disturbance, world):
        """An fsync that was under way sleeps as well, and meanwhile Redis puts off writing what it answers: whoever killed
        it then would lose that, as doc/guarantees.md says. The next disturbance comes when it has been written."""
        self._freeze(disturbance, world)

        def has_written():
            said = world.lab.redis_server.call("INFO", "persistence") or b""
            return b"aof_pending_bio_fsync:0" in said and b"aof_buffer_length:0" in said
        wait_for(has_written, "Redis to have written its log", 20, 0.01)

    # Stores

    def _kill_redis(self, disturbance, world):
        redis = world.lab.redis_server
        redis.kill()
        time.sleep(disturbance.secs)
        redis.start()

    def _term(self, disturbance, world):
        server = world.server(disturbance.victim)
        server.stop()
        time.sleep(disturbance.secs)
        server.start()

    _term_redis = _term_postgres = _term

    def _kill_postgres(self, disturbance, world):
        """The postmaster alone, as a mistaken hand would, or every process of it, as a machine."""
        postgres = world.lab.postgres_server
        every = round(disturbance.secs * 1000) % 2 == 0
        postgres.signal(signal.SIGKILL, family=every)
        postgres.process.wait()
        time.sleep(disturbance.secs)
        postgres.start()
        return "every process" if every else "the postmaster"

    def _cut_redis(self, disturbance, world):
        for kind in ("normal", "pubsub"):
            world.lab.redis_server.call("CLIENT", "KILL", "TYPE", kind)

    def _cut_postgres(self, disturbance, world):
        world.lab.postgres_server.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                      " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")

    def _read_only_redis(self, disturbance, world):
        """A replica of nobody, then a primary again, with another replication id."""
        redis = world.lab.redis_server
        redis.call("REPLICAOF", "127.0.0.1", "1")
        time.sleep(disturbance.secs)
        wait_for(lambda: redis.call("REPLICAOF", "NO", "ONE") == b"OK", "Redis to be a primary again")

    def _flush_redis(self, disturbance, world):
        """Only an empty journal may be lost: whatever it holds is nowhere else."""
        give_up = time.monotonic() + FLUSH_PATIENCE_SECS
        while world.lab.redis_server.call("EVAL", FLUSH_IF_JOURNALS_ARE_EMPTY, 0) != b"1":
            if time.monotonic() > give_up:
                return "left out"
            time.sleep(0.01)

    def _older_redis(self, disturbance, world):
        """Redis comes back as it was a while ago, as a replica that lagged. What it held of the journal
        then has been struck since: it is applied once more. At the kill the journal is empty."""
        redis = world.lab.redis_server
        now, then = redis.directory / "appendonlydir", redis.directory / "older"
        shutil.rmtree(then, ignore_errors=True)
        shutil.copytree(now, then, copy_function=shutil.copyfile)
        time.sleep(disturbance.secs)
        give_up = time.monotonic() + FLUSH_PATIENCE_SECS
        while True:
            redis.call("CLIENT", "PAUSE", 5000, "WRITE")
            if not world.journals():
                break
            redis.call("CLIENT", "UNPAUSE")
            if time.monotonic() > give_up:
                return "left out"
            time.sleep(0.01)
        killed = self.history.now()
        redis.kill()
        shutil.rmtree(now)
        then.rename(now)
        for path in (now, *now.iterdir()):
            if redis.user is not None:
                shutil.chown(path, redis.user.pw_uid, redis.user.pw_gid)
        redis.start()
        return f"killed at {killed:.2f}"

    def _flush_scripts(self, disturbance, world):
        world.lab.redis_server.call("SCRIPT", "FLUSH")

    # Lines between a node and a store

    def _hold(self, disturbance, world, act):
        link = world.link(disturbance.victim)
        act(link)
        time.sleep(disturbance.secs)
        link.mend()

    def _link_drop(self, disturbance, world):
        world.link(disturbance.victim).drop()

    def _link_half_close(self, disturbance, world):
        world.link(disturbance.victim).half_close()

    def _link_stall(self, disturbance, world):
        self._hold(disturbance, world, lambda link: link.stall())

    def _link_refuse(self, disturbance, world):
        self._hold(disturbance, world, lambda link: link.refuse())

    def _link_delay(self, disturbance, world):
        self._hold(disturbance, world, lambda link: setattr(link, "delay_ms", 30))

    def _link_cut_reply(self, disturbance, world):
        self._hold(disturbance, world, lambda link: link.cut_reply())
