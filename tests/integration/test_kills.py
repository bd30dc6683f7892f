"""Stories told while nodes and Redis are killed. Senders repeat what was not answered; what was answered
200 must be in the ledger, decided, and just as the model says, once all are up again.

DEBRIEF_KILLS says how many stories (3)."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from stories import differences, story
from support import eventually, journal_length, rows

SEEDS = range(int(os.environ.get("DEBRIEF_KILLS", "3")))


def insist(call):
    """Sends until it is answered 200 or 409, as a provider and a browser's queue would."""
    give_up = time.monotonic() + 60
    while True:
        try:
            status = call().status_code
        except requests.RequestException:
            status = None
        if status in (200, 409):
            return status
        assert status in (None, 503), f"answered {status}"
        assert time.monotonic() < give_up, f"no 200 within a minute, at last {status}"
        time.sleep(0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_when_nodes_and_redis_die(api, lab, seed):
    rng = random.Random(seed)
    told = [story(random.Random(f"{seed}-{number}")) for number in range(8)]
    steps = [step for one in told for step in one.steps]
    rng.shuffle(steps)
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(insist, lambda s=step: s.send(api)) for step in steps]
        kills = 0
        while kills < 4 or not all(job.done() for job in jobs):
            victim = rng.choice([*lab.nodes, *lab.nodes, lab.redis_server])
            victim.kill()
            kills += 1
            time.sleep(rng.random() * 0.3)
            victim.start()
            if kills >= 4:
                break
        assert all(job.result(90) in (200, 409) for job in jobs)
    lab.wait_ready()
    cids = [cid for one in told for cid in one.cids]
    sids = [sid for one in told for sid in one.sids]
    # a node that has found Redis before Postgres journals what comes meanwhile
    eventually(
        lambda: journal_length(lab) == 0
        and not rows(lab, "SELECT 1 FROM interviews WHERE conversation_id = ANY (%s) AND undecided", cids)
        and not rows(lab, "SELECT 1 FROM interview_sessions WHERE client_session_id = ANY (%s) AND undecided", sids),
        20, "the sweeper to decide what was left")
    for one in told:
        text = one.named("\n".join(differences(api, lab, one.users, one.sids, one.cids)))
        assert not text, text
