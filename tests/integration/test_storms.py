"""Random stories told all at once: every step of a story is under way at the same time, through both
nodes. What a save gets (200 or 409) depends on who was first; whatever was accepted, polls and the
ledger must say what the model says of the facts in the ledger, as soon as the last one is answered.

DEBRIEF_STORMS says how many (20); DEBRIEF_STORM_SEED tells one of them again."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from stories import differences, story

SEEDS = range(int(os.environ.get("DEBRIEF_STORMS", "20")))
if "DEBRIEF_STORM_SEED" in os.environ:
    SEEDS = [int(os.environ["DEBRIEF_STORM_SEED"])]


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(12) as executor:
        yield executor


def tell_at_once(api, lab, pool, seed, flush):
    rng = random.Random(seed)
    told = story(rng)
    jobs = [(step.words, pool.submit(step.send, api)) for step in told.steps]
    if flush:
        time.sleep(rng.random() * 0.02)
        lab.flush_redis()
    answers = [(words, job.result(60).status_code) for words, job in jobs]
    history = [f"{words} -> {status}" for words, status in answers]
    wrong = [
        f"{words} -> {status}"
        for words, status in answers
        if status != 200 and not (status == 409 and " save " in words)
    ]
    problems = wrong or differences(api, lab, told.users, told.sids, told.cids)
    if not problems:
        return
    verdict = ""
    if not wrong:
        time.sleep(1.0)
        still = differences(api, lab, told.users, told.sids, told.cids)
        verdict = " (still so a second later)" if still else " (gone a second later)"
    text = "\n".join([f"DEBRIEF_STORM_SEED={seed}{verdict}:", *problems, "", "told at once:", *history])
    pytest.fail(told.named(text), pytrace=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_ends_as_the_model_says(api, lab, pool, seed):
    tell_at_once(api, lab, pool, seed, flush=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_with_a_flush_in_the_middle(api, lab, pool, seed):
    """Facts that are in Redis and on their way to the ledger when Redis forgets them. Naive: what
    hydrates in between reads a ledger without them, and takes that for the whole."""
    tell_at_once(api, lab, pool, seed, flush=True)
