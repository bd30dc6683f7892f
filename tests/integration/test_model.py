"""The model itself: cases worked out by hand, and symmetries that any pure function of facts has."""

import itertools
import random
import uuid

import pytest
from hypothesis import given, settings, strategies as st

from model import (
    WINDOW_MS,
    Save,
    Webhook,
    distance,
    interview_id,
    link,
    link_user,
    may_match,
    merge,
    partition,
    poll_view,
    refuses,
)

ANA = "aaaaaaaa-0000-4000-8000-000000000001"
BEN = "bbbbbbbb-0000-4000-8000-000000000002"
T0 = 1_792_000_000_000
S = 1000


def started(sid, at=0, user=ANA, **more):
    return Save(user=user, sid=sid, stamp=T0 + at * S, **more)


def ended(sid, at=0, user=ANA, stamp=None, **more):
    return Save(user=user, sid=sid, stamp=T0 + (at if stamp is None else stamp) * S, ended=T0 + at * S, **more)


def held(cid, end=0, duration=60, agent="a", stamp=None, **more):
    """A conversation that ended at `end`, by the provider's own clock."""
    return Webhook(
        cid=cid,
        stamp=T0 + (end if stamp is None else stamp) * S,
        agent=agent,
        started=T0 + (end - duration) * S,
        duration=duration * S,
        **more,
    )


def links_of(*facts, **settings_):
    return {cid: (l.user, l.sid, l.evidence) for cid, l in link(*merge(facts), **settings_).items()}


def test_nothing_follows_from_nothing():
    assert links_of() == {}


def test_a_conversation_without_user_waits():
    assert links_of(ended("s"), held("conv_1")) == {"conv_1": (None, None, None)}


def test_a_named_session_is_linked_by_its_id():
    assert links_of(ended("s"), held("conv_1", sid="s")) == {"conv_1": (ANA, "s", "session_id")}


def test_a_named_session_is_linked_however_far_away():
    assert links_of(ended("s"), held("conv_1", end=90_000, sid="s", agent="z")) == {
        "conv_1": (ANA, "s", "session_id")
    }


def test_a_named_user_decides_alone():
    facts = [ended("s", user=BEN), held("conv_1", sid="s", user=ANA)]
    assert links_of(*facts) == {"conv_1": (ANA, None, None)}


def test_a_named_user_decides_before_a_claim():
    facts = [ended("s", user=BEN, claim="conv_1"), held("conv_1", user=ANA)]
    assert links_of(*facts) == {"conv_1": (ANA, None, None)}


def test_a_user_that_is_not_a_uuid_is_no_user():
    assert links_of(ended("s"), held("conv_1", user="candidate-8c1f")) == {"conv_1": (None, None, None)}


def test_a_session_name_that_is_malformed_is_no_name():
    for sid in ("", "a b", "fallback:x", "x" * 129, "é", "s\n"):
        assert links_of(ended("s"), held("conv_1", user=ANA, sid=sid)) == {"conv_1": (ANA, "s", "window")}


def test_a_named_session_that_nobody_knows_keeps_out_of_the_window():
    assert links_of(ended("s"), held("conv_1", user=ANA, sid="other")) == {"conv_1": (ANA, None, None)}


def test_a_named_session_of_another_user_is_ignored_but_keeps_out_of_the_window():
    facts = [ended("s"), ended("victim", user=BEN), held("conv_1", user=ANA, sid="victim")]
    assert links_of(*facts) == {"conv_1": (ANA, None, None)}


def test_a_claim_links_a_conversation_that_named_an_unknown_session():
    facts = [ended("s", claim="conv_1"), held("conv_1", user=ANA, sid="other")]
    assert links_of(*facts) == {"conv_1": (ANA, "s", "conversation_id")}


def test_several_conversations_name_one_session():
    near, far = held("conv_near", end=1, sid="s"), held("conv_far", end=100, sid="s")
    assert links_of(ended("s"), near, far)["conv_near"] == (ANA, "s", "session_id")
    assert links_of(ended("s", claim="conv_far"), near, far) == {
        "conv_near": (ANA, None, None),
        "conv_far": (ANA, "s", "session_id"),
    }
    # equally near: the smaller id, bytewise ("B" < "a")
    assert links_of(ended("s"), held("conv_a", end=5, sid="s"), held("conv_B", end=-5, sid="s")) == {
        "conv_B": (ANA, "s", "session_id"),
        "conv_a": (ANA, None, None),
    }


def test_the_loser_of_a_session_is_still_claimed_by_another():
    facts = [
        ended("s1"),
        ended("s2", claim="conv_far"),
        held("conv_near", end=1, sid="s1"),
        held("conv_far", end=100, sid="s1"),
    ]
    assert links_of(*facts) == {
        "conv_near": (ANA, "s1", "session_id"),
        "conv_far": (ANA, "s2", "conversation_id"),
    }


def test_a_session_that_was_named_does_not_get_what_it_claims_too():
    facts = [ended("s", claim="conv_1"), held("conv_1", user=ANA), held("conv_2", sid="s", end=500)]
    assert links_of(*facts) == {"conv_1": (ANA, None, None), "conv_2": (ANA, "s", "session_id")}


def test_the_nearer_of_two_claims_wins():
    facts = [ended("s1", at=50, claim="conv_1"), ended("s2", at=3, claim="conv_1"), held("conv_1")]
    assert links_of(*facts) == {"conv_1": (ANA, "s2", "conversation_id")}
    facts = [ended("b", at=3, claim="conv_1"), ended("B", at=-3, claim="conv_1"), held("conv_1")]
    assert links_of(*facts) == {"conv_1": (ANA, "B", "conversation_id")}


def test_two_users_claim_one_conversation():
    facts = [ended("s1", user=BEN, stamp=10, claim="conv_1"), ended("s2", stamp=20, claim="conv_1"), held("conv_1")]
    assert links_of(*facts) == {"conv_1": (BEN, "s1", "conversation_id")}
    # an earlier claim from outside the window is no claim to it
    far = [ended("s1", at=-700, user=BEN, stamp=10, claim="conv_1"), *facts[1:]]
    assert links_of(*far) == {"conv_1": (ANA, "s2", "conversation_id")}


def test_claim_unowned_off_leaves_it_without_user():
    facts = [ended("s", claim="conv_1"), held("conv_1")]
    assert links_of(*facts, claim_unowned=False) == {"conv_1": (None, None, None)}
    named = [ended("s", claim="conv_1"), held("conv_1", user=ANA)]
    assert links_of(*named, claim_unowned=False) == {"conv_1": (ANA, "s", "conversation_id")}


def test_a_claim_of_its_own_user_needs_no_window():
    facts = [ended("s", at=-9000, claim="conv_1"), held("conv_1", user=ANA)]
    assert links_of(*facts) == {"conv_1": (ANA, "s", "conversation_id")}


def test_the_first_claim_stays():
    facts = [
        started("s", claim="conv_1"),
        ended("s", at=20, claim="conv_2"),
        held("conv_1", end=300, user=ANA),
        held("conv_2", end=20, user=ANA),
    ]
    assert links_of(*facts)["conv_1"] == (ANA, "s", "conversation_id")


def test_window_needs_the_agent_and_the_distance():
    for at, agent, linked in [
        (600, "a", True),
        (601, "a", False),
        (-600, "a", True),
        (-601, "a", False),
        (0, "b", False),
        (0, None, True),
    ]:
        facts = [ended("s", at=at, agent=agent), held("conv_1", user=ANA)]
        assert links_of(*facts) == {"conv_1": (ANA, "s", "window") if linked else (ANA, None, None)}, (at, agent)


def test_window_of_zero_is_off():
    assert links_of(ended("s"), held("conv_1", user=ANA), window_ms=0) == {"conv_1": (ANA, None, None)}


def test_strong_claims_keep_out_of_the_window_and_weak_ones_do_not():
    hook = held("conv_1", user=ANA)
    assert links_of(ended("s", claim="conv_2"), hook) == {"conv_1": (ANA, None, None)}
    for weak in ("room_17", "conv_", "conv_a-b", "CONV_1", "conv_1\n"):
        assert links_of(ended("s", claim=weak), hook) == {"conv_1": (ANA, "s", "window")}, weak
    assert links_of(ended("s", claim="room_1"), held("room_1", end=9000, user=ANA)) == {
        "room_1": (ANA, "s", "conversation_id")
    }


def test_a_session_that_has_not_ended_is_measured_by_its_start():
    facts = [started("s", at=0), held("conv_1", end=10_000, duration=10_000, user=ANA)]
    assert links_of(*facts) == {"conv_1": (ANA, "s", "window")}
    assert links_of(*facts, ended("s", at=10)) == {"conv_1": (ANA, None, None)}


def test_without_the_providers_times_the_receipt_counts():
    bare = Webhook(cid="conv_1", stamp=T0, agent="a", user=ANA)
    assert links_of(ended("s", at=-600), bare) == {"conv_1": (ANA, "s", "window")}
    assert links_of(ended("s", at=-601), bare) == {"conv_1": (ANA, None, None)}
    # a start without a duration: the end is the receipt
    half = Webhook(cid="conv_1", stamp=T0, agent="a", user=ANA, started=T0 - 9000 * S)
    assert links_of(ended("s", at=-600), half) == {"conv_1": (ANA, "s", "window")}
    # received twice: the earlier receipt
    again = Webhook(cid="conv_1", stamp=T0 + 5000 * S, agent="a", user=ANA)
    assert links_of(ended("s", at=-600), bare, again) == {"conv_1": (ANA, "s", "window")}


def test_the_closest_pair_is_joined_first():
    # 1 ─ x is the closest; 2 would have liked x too and gets y
    facts = [ended("1", at=0), ended("2", at=30), held("conv_x", end=10, user=ANA), held("conv_y", end=-90, user=ANA)]
    assert links_of(*facts) == {"conv_x": (ANA, "1", "window"), "conv_y": (ANA, "2", "window")}


def test_equal_distances_go_to_the_smaller_ids():
    facts = [ended("b", at=10), ended("B", at=-10), held("conv_1", user=ANA)]
    assert links_of(*facts) == {"conv_1": (ANA, "B", "window")}
    facts = [ended("s"), held("conv_b", end=10, user=ANA), held("conv_B", end=-10, user=ANA)]
    assert links_of(*facts) == {"conv_B": (ANA, "s", "window"), "conv_b": (ANA, None, None)}
    # the session's id decides before the conversation's
    facts = [ended("1"), ended("2"), held("conv_2", user=ANA), held("conv_1", user=ANA)]
    assert links_of(*facts) == {"conv_1": (ANA, "1", "window"), "conv_2": (ANA, "2", "window")}


def test_stronger_evidence_moves_a_link():
    by_window = [ended("s1", at=0), ended("s2", at=100), held("conv_1", user=ANA)]
    assert links_of(*by_window) == {"conv_1": (ANA, "s1", "window")}
    assert links_of(*by_window, ended("s2", at=100, claim="conv_1")) == {"conv_1": (ANA, "s2", "conversation_id")}
    later = held("conv_1", user=ANA, sid="s1", event=1)
    assert links_of(*by_window, ended("s2", at=100, claim="conv_1"), later) == {"conv_1": (ANA, "s1", "session_id")}


def test_the_greater_webhook_counts_whole():
    old = held("conv_1", user=ANA, event=5, digest="ff")
    new = held("conv_1", sid="s", event=6, digest="00")
    assert links_of(old, new, ended("s", user=BEN)) == {"conv_1": (BEN, "s", "session_id")}
    final = held("conv_1", user=ANA, event=1, final=True)
    unfinished = held("conv_1", user=BEN, event=9, final=False)
    assert links_of(final, unfinished) == {"conv_1": (ANA, None, None)}


def test_the_earliest_end_wins_and_a_later_start_vanishes():
    sessions, _ = merge([ended("s", at=30, stamp=30, ended_by="user"), ended("s", at=20, stamp=50, ended_by="disconnect")])
    assert (sessions["s"].ended, sessions["s"].ended_by, sessions["s"].started) == (T0 + 20 * S, "disconnect", None)
    sessions, _ = merge([started("s", at=40), ended("s", at=20)])
    assert sessions["s"].started is None
    sessions, _ = merge([started("s", at=10), started("s", at=5), ended("s", at=20)])
    assert sessions["s"].started == T0 + 5 * S


def test_refusals():
    facts = [ended("s", user=BEN, claim="conv_1"), held("conv_1")]
    assert refuses(facts, started("s")) == "session"
    assert refuses(facts, started("mine", claim="conv_1")) == "conversation"
    assert refuses(facts, started("mine", claim="conv_2")) is None
    assert refuses(facts[:1], started("mine", claim="conv_1")) is None, "an unknown id may be claimed by two"
    assert refuses(facts, started("s", user=BEN, claim="conv_1")) is None


def test_poll_views():
    sessions, conversations = merge([ended("s", claim="room_1"), started("t"), ended("u"), held("conv_1", sid="u")])
    links = link(sessions, conversations)
    assert poll_view(sessions["s"], links) == {
        "interviewId": None,
        "conversationId": "room_1",
        "status": "ended_pending_webhook",
    }
    assert poll_view(sessions["t"], links)["status"] == "started"
    assert poll_view(sessions["u"], links) == {
        "interviewId": interview_id("conv_1"),
        "conversationId": "conv_1",
        "status": "completed",
    }


def test_known_values():
    name_space = uuid.uuid5(uuid.NAMESPACE_URL, "debrief.interview.elevenlabs")
    assert interview_id("conv_1") == str(uuid.uuid5(name_space, "conv_1"))
    # FNV-1a, 64 bits: the offset basis for no bytes, and the published value for "a"
    assert partition("", 2**64) == 0xCBF29CE484222325
    assert partition("a", 2**64) == 0xAF63DC4C8601EC8C


# ── symmetries ──────────────────────────────────────────────────────────────

SIDS = ["b", "B", "_1", "Z.9"]
CIDS = ["conv_b", "conv_B", "conv_9", "room_1"]
MARKS = st.sampled_from([0, 0, 10, -10, 20, 90, 300, 599, 600, 601, 900])


def unique_stamps(facts):
    """Redis stamps one thing at a time; the order of the list is the order of arrival."""
    return [
        Save(**{**vars(f), "stamp": T0 + i}) if isinstance(f, Save) else Webhook(**{**vars(f), "stamp": T0 + i})
        for i, f in enumerate(facts)
    ]


@st.composite
def fact_lists(draw):
    # one owner a session: what a second user says of it is refused and never a fact
    owners = {sid: draw(st.sampled_from([ANA, ANA, BEN])) for sid in SIDS}

    @st.composite
    def saves(draw_):
        sid = draw_(st.sampled_from(SIDS))
        mark = draw_(st.none() | MARKS)
        return Save(
            user=owners[sid],
            sid=sid,
            stamp=0,
            ended=None if mark is None else T0 + mark * S,
            claim=draw_(st.none() | st.sampled_from([*CIDS, "room_x", "conv_x"])),
            agent=draw_(st.sampled_from([None, None, "a", "b"])),
        )

    @st.composite
    def hooks(draw_):
        mark = draw_(st.none() | MARKS)
        return Webhook(
            cid=draw_(st.sampled_from(CIDS)),
            stamp=0,
            agent=draw_(st.sampled_from("ab")),
            started=None if mark is None else T0 + mark * S,
            duration=draw_(st.sampled_from([None, 0, 60 * S])),
            user=draw_(st.sampled_from([None, ANA, ANA, BEN])),
            sid=draw_(st.sampled_from([None, None, "nobody", *SIDS])),
            event=draw_(st.integers(0, 2)),
            digest=draw_(st.text("0f", min_size=3, max_size=3)),
        )

    return unique_stamps(draw(st.lists(saves() | hooks(), max_size=14)))


@settings(max_examples=300, deadline=None)
@given(fact_lists(), st.randoms(use_true_random=False))
def test_the_order_in_which_facts_are_read_does_not_matter(facts, rng):
    shuffled = facts[:]
    rng.shuffle(shuffled)
    # webhooks of equal rank are byte-identical in life; here they may differ
    ranks = [(f.cid, f.rank) for f in facts if isinstance(f, Webhook)]
    if len(set(ranks)) < len(ranks):
        return
    assert link(*merge(facts)) == link(*merge(shuffled))


@settings(max_examples=200, deadline=None)
@given(fact_lists(), st.randoms(use_true_random=False))
def test_repeats_do_not_matter(facts, rng):
    repeats = facts + [rng.choice(facts) for _ in range(5)] if facts else []
    assert link(*merge(facts)) == link(*merge(repeats))


@settings(max_examples=200, deadline=None)
@given(fact_lists())
def test_links_are_one_to_one_and_within_one_user(facts):
    sessions, conversations = merge(facts)
    links = link(sessions, conversations)
    assert set(links) == set(conversations)
    linked = [l.sid for l in links.values() if l.sid]
    assert len(linked) == len(set(linked))
    for found in links.values():
        if found.sid:
            assert sessions[found.sid].user == found.user
        assert (found.sid is None) == (found.evidence is None)


@settings(max_examples=200, deadline=None)
@given(fact_lists())
def test_trying_every_matching_equals_taking_the_closest_pair_first(facts):
    sessions, conversations = merge(facts)
    own_sessions = [s for s in sessions.values() if s.user == ANA]
    every = list(conversations.values())
    found = link_user(ANA, own_sessions, every, WINDOW_MS)
    by_window = {cid: sid for cid, (sid, evidence) in found.items() if evidence == "window"}
    other_sids = {sid for sid, evidence in found.values() if evidence != "window"}
    other_cids = set(found) - set(by_window)
    greedy = {}
    pairs = sorted(
        (distance(s, c), s.sid.encode(), c.cid.encode())
        for s, c in itertools.product(own_sessions, every)
        if s.sid not in other_sids and c.cid not in other_cids and may_match(s, c, WINDOW_MS)
    )
    for _, sid, cid in pairs:
        if cid.decode() not in greedy and sid.decode() not in greedy.values():
            greedy[cid.decode()] = sid.decode()
    assert by_window == greedy


@settings(max_examples=100, deadline=None)
@given(fact_lists())
def test_moving_all_times_changes_nothing(facts):
    def moved(fact, by):
        changes = {"stamp": fact.stamp + by}
        for name in ("ended", "started"):
            if getattr(fact, name, None) is not None:
                changes[name] = getattr(fact, name) + by
        return type(fact)(**{**vars(fact), **changes})

    assert link(*merge(facts)) == link(*merge([moved(f, 86_400_000) for f in facts]))


@settings(max_examples=100, deadline=None)
@given(fact_lists())
def test_the_two_users_are_interchangeable(facts):
    swap = {ANA: BEN, BEN: ANA, None: None}
    mirrored = [type(f)(**{**vars(f), "user": swap[f.user]}) for f in facts]
    expected = {
        cid: (swap[l.user], l.sid, l.evidence) for cid, l in link(*merge(facts)).items()
    }
    assert {cid: (l.user, l.sid, l.evidence) for cid, l in link(*merge(mirrored)).items()} == expected


def test_bounded_work():
    """4 × 4 is what the property test asks for: the model must stay quick there."""
    rng = random.Random(1)
    facts = [ended(f"s{i}", at=rng.randrange(600)) for i in range(4)]
    facts += [held(f"conv_{i}", end=rng.randrange(600), user=ANA) for i in range(4)]
    assert sum(1 for l in link(*merge(unique_stamps(facts))).values() if l.sid) == 4


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
