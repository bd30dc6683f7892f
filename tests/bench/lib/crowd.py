"""Fills a lab's Redis with sessions: made from one that the product itself has just saved, whose keys are read
back and written again under other ids, as mass insertion through redis-cli."""
import random
import re
import subprocess
import uuid

from lab import LabError, wait_for

from .bench import save

KEY = re.compile(r"^debrief:\{p(\d+)\}:(\w+):(.+)$")


def fnv(word):
    value = 0xcbf29ce484222325
    for byte in word.encode():
        value = ((value ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    return value


def redis_cli(lab, *words, **options):
    redis = lab.redis_server
    return subprocess.run(["redis-cli", "-h", "127.0.0.1", "-p", str(redis.port), "--no-auth-warning", "-a", redis.password,
                           *(str(word) for word in words)], check=True, capture_output=True, **options).stdout


class Example:
    """What one saved session left in Redis."""

    def __init__(self, lab, user, sid):
        self.user, self.sid = user, sid
        self.hashes = {}
        self.ttl_ms = None
        for key in redis_cli(lab, "--scan", text=True).split():
            form = KEY.match(key)
            if form is None or form.group(3) not in (user, sid):
                continue
            if fnv(form.group(3)) % 64 != int(form.group(1)):
                raise LabError(f"{key} lies in another partition than this benchmark computes")
            kind = redis_cli(lab, "TYPE", key, text=True).strip()
            if kind != "hash":
                raise LabError(f"{key} is a {kind}: this benchmark only knows hashes")
            flat = redis_cli(lab, "HGETALL", key, text=True).splitlines()
            self.hashes[form.group(2)] = (form.group(3) == user, flat)
            self.ttl_ms = int(redis_cli(lab, "PTTL", key, text=True))
        if set(self.hashes) < {"user", "sid"}:
            raise LabError(f"a saved session left only {sorted(self.hashes)} in Redis")

    def commands(self, user, sid):
        """Redis protocol that makes the same of other ids."""
        out = []
        for kind, (by_user, flat) in self.hashes.items():
            name = user if by_user else sid
            key = f"debrief:{{p{fnv(name) % 64}}}:{kind}:{name}"
            words = [word.replace(self.user, user).replace(self.sid, sid) for word in flat]
            out.append(protocol("HSET", key, *words))
            if self.ttl_ms > 0:
                out.append(protocol("PEXPIRE", key, str(self.ttl_ms)))
        return b"".join(out)


def protocol(*words):
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def used_memory(lab):
    return int(re.search(rb"used_memory:(\d+)", lab.redis_server.call("INFO", "memory")).group(1))


def fill(lab, count, sample):
    """Fills Redis; returns bytes a session and (user, sid) of some that are there."""
    user, sid = str(uuid.uuid4()), "growth-" + uuid.uuid4().hex
    save(lab, lab.nodes[0].port, user, sid)
    example = Example(lab, user, sid)
    known, rng = [], random.Random(1)
    wanted = set(rng.sample(range(count), min(sample, count)))
    before = used_memory(lab)
    # without the log while it is filled: it would take longer to write than the benchmark
    redis_cli(lab, "CONFIG", "SET", "appendonly", "no")
    redis = lab.redis_server
    pipe = subprocess.Popen(["redis-cli", "-h", "127.0.0.1", "-p", str(redis.port), "--no-auth-warning", "-a", redis.password,
                             "--pipe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for number in range(count):
        person = (str(uuid.UUID(int=rng.getrandbits(128))), "growth-%032x" % rng.getrandbits(128))
        if number in wanted:
            known.append(person)
        pipe.stdin.write(example.commands(*person))
    out, _ = pipe.communicate(timeout=600)
    if pipe.returncode != 0 or b"errors: 0" not in out:
        raise LabError(f"redis-cli --pipe: {out!r}")
    each = (used_memory(lab) - before) / count
    redis_cli(lab, "CONFIG", "SET", "appendonly", "yes")
    wait_for(lambda: b"aof_rewrite_in_progress:0" in lab.redis_server.call("INFO", "persistence"),
             "Redis to have written its log", 300, 0.2)
    return each, known
