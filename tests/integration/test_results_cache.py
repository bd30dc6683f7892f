"""Results that a worker has at hand: never another's, never old, compressed for who wants that."""

import gzip
import time
import uuid

import pytest

from support import eventually, ok
from test_long_poll import http_get


def interview(api, user, turns=40, **options):
    """An interview of that user; its id and what the provider said."""
    sid = f"results-{uuid.uuid4()}"
    payload = api.payload(user=user, session=sid, turns=turns, **options)
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(payload))
    return ok(api.poll(user, sid)).json()["interviewId"], payload


def get(api, user, interview_id, node=0, token=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    answer = api.request("GET", f"/api/interviews/{interview_id}/results", node, user, headers, stream=True)
    answer.body = answer.raw.read(decode_content=False)
    return answer


PLAIN = {"Accept_Encoding": "identity"}


def reads(node, result):
    return sum(float(line.split()[-1]) for line in http_get(node.admin_port, "/metrics").splitlines()
               if line.startswith(f'debrief_cache_reads_total{{cache="results",result="{result}"}}'))


def test_gzip_for_who_accepts_it(api, lab):
    user = api.user()
    interview_id, _ = interview(api, user)
    plain = get(api, user, interview_id, **PLAIN)
    packed = get(api, user, interview_id, Accept_Encoding="gzip, deflate")
    for answer in (plain, packed):
        assert answer.status_code == 200 and "Accept-Encoding" in answer.headers["Vary"]
        assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 2 and gzip.decompress(packed.body) == plain.body
    assert packed.headers["ETag"] == plain.headers["ETag"][:-1] + '-gzip"'
    for answer, options in ((plain, PLAIN), (packed, {"Accept_Encoding": "gzip"})):
        again = get(api, user, interview_id, If_None_Match=answer.headers["ETag"], **options)
        assert again.status_code == 304 and again.headers["ETag"] == answer.headers["ETag"] and not again.body
    # each tag is its own representation's
    assert get(api, user, interview_id, If_None_Match=packed.headers["ETag"], **PLAIN).status_code == 200
    head = api.request("HEAD", f"/api/interviews/{interview_id}/results", user=user,
                       headers={"Accept-Encoding": "gzip"})
    assert int(head.headers["Content-Length"]) == len(packed.body) and not head.content


@pytest.mark.parametrize("accepted, packed", [
    ("gzip", True), ("GZIP", True), ("br, gzip;q=0.5", True), ("*", True), ("gzip;q=1.000", True),
    ("gzip;q=0.001", True), ("identity;q=0, gzip", True),
    ("gzip;q=0", False), ("gzip;q=0.000, *", False), ("*;q=0", False), ("br", False), ("", False),
    ("identity, gzip;q=0.5", False), ("gzip;q=2", False), ("gzip;q=x", False), ("gzipped", False),
])
def test_what_counts_as_accepting(api, lab, accepted, packed):
    user = api.user()
    interview_id, _ = interview(api, user)
    answer = get(api, user, interview_id, Accept_Encoding=accepted)
    assert ("Content-Encoding" in answer.headers) == packed


def test_short_results_are_not_packed(api, lab):
    user = api.user()
    payload = api.payload(user=user)
    payload["data"].update(transcript=[], metadata={}, analysis=None)
    sid = f"results-{uuid.uuid4()}"
    payload["data"]["conversation_initiation_client_data"]["dynamic_variables"]["client_session_id"] = sid
    ok(api.save(user, sid, ended_by="user"))
    ok(api.webhook(payload))
    interview_id = ok(api.poll(user, sid)).json()["interviewId"]
    if interview_id is None:
        pytest.skip("this payload links to nothing")
    assert "Content-Encoding" not in get(api, user, interview_id, Accept_Encoding="gzip").headers


def test_nobody_is_shown_anothers(api, lab):
    owner, other = api.user(), api.user()
    interview_id, _ = interview(api, owner)
    for _ in range(3):
        assert get(api, owner, interview_id).status_code == 200
        assert get(api, other, interview_id).status_code == 404
        assert get(api, None, interview_id, token=lab.service_token).status_code == 200
        assert get(api, None, interview_id, token=api.token(other)).status_code == 404


def test_repeated_reads_take_the_long_columns_once(api, lab):
    user = api.user()
    node = lab.new_node(workers=1)
    node.start()
    try:
        interview_id, _ = interview(api, user)
        for _ in range(10):
            assert get(api, user, interview_id, node).status_code == 200
        assert reads(node, "miss") == 1 and reads(node, "hit") == 9
    finally:
        node.stop()


def test_a_later_version_is_shown_at_once_on_every_node(api, lab):
    user = api.user()
    interview_id, payload = interview(api, user)
    before = [get(api, user, interview_id, node, **PLAIN) for node in (0, 1, 0, 1)]
    assert len({answer.body for answer in before}) == 1
    for number in range(5):
        payload["event_timestamp"] += 10
        payload["data"]["transcript"][0]["message"] = f"version {number}"
        ok(api.webhook(payload, node=number % 2))
        for node in (0, 1):
            answer = get(api, user, interview_id, node, **PLAIN)
            assert f"version {number}".encode() in answer.body, f"node {node} shows an older version"
            packed = get(api, user, interview_id, node, Accept_Encoding="gzip")
            assert gzip.decompress(packed.body) == answer.body


def test_an_evaluation_is_shown_at_once_on_every_node(api, lab):
    nodes = [lab.new_node(evaluator="external") for _ in range(2)]
    try:
        for node in nodes:
            node.start()
        user, sid = api.user(), f"results-{uuid.uuid4()}"
        ok(api.save(user, sid, nodes[0], ended_by="user"))
        ok(api.webhook(api.payload(user=user, session=sid), nodes[0]))
        interview_id = ok(api.poll(user, sid, nodes[0])).json()["interviewId"]
        for node in nodes:
            assert ok(api.results(user, interview_id, node)).json()["evaluation"]["status"] == "pending"
        for score in (1, 2, 3):
            ok(api.request("PUT", f"/api/interviews/{interview_id}/evaluation", nodes[score % 2],
                           headers={"Authorization": f"Bearer {lab.service_token}"},
                           json={"status": "complete", "result": {"score": score}}))
            for node in nodes:
                assert ok(api.results(user, interview_id, node)).json()["evaluation"]["result"] == {"score": score}
    finally:
        for node in nodes:
            node.stop()


def test_an_overdue_evaluation_turns(api, lab):
    node = lab.new_node(evaluator="external", evaluation_deadline_secs=2)
    node.start()
    try:
        user, sid = api.user(), f"results-{uuid.uuid4()}"
        ok(api.save(user, sid, node, ended_by="user"))
        ok(api.webhook(api.payload(user=user, session=sid), node))
        interview_id = ok(api.poll(user, sid, node)).json()["interviewId"]
        first = ok(api.results(user, interview_id, node))
        assert first.json()["evaluation"]["status"] == "pending"
        turned = eventually(
            lambda: (r := ok(api.results(user, interview_id, node))).json()["evaluation"]["status"] == "failed" and r, 10)
        assert turned.json()["evaluation"]["reason"] == "evaluation_timeout"
        assert turned.headers["ETag"] != first.headers["ETag"]
    finally:
        node.stop()


def test_the_bytes_are_bounded(api, lab):
    node = lab.new_node(workers=1, result_cache_max="40000")
    node.start()
    try:
        user = api.user()
        interviews = [interview(api, user, turns=60, start=time.time() - 20000 * number)[0] for number in range(1, 9)]
        for interview_id in interviews * 2:
            assert get(api, user, interview_id, node, **PLAIN).status_code == 200
        assert reads(node, "miss") > len(interviews)
    finally:
        node.stop()


def test_large_results_arrive_whole(api, lab):
    user = api.user()
    interview_id, payload = interview(api, user, turns=8000)
    plain = get(api, user, interview_id, **PLAIN)
    assert len(plain.body) > 500_000
    packed = get(api, user, interview_id, Accept_Encoding="gzip")
    assert gzip.decompress(packed.body) == plain.body
    assert len(ok(api.results(user, interview_id)).json()["interview"]["transcript"]) == len(payload["data"]["transcript"])


def test_what_was_shown_is_shown_while_the_ledger_is_away(api, lab):
    owner, other = api.user(), api.user()
    node = lab.new_node(workers=1, request_timeout_ms=2000)
    node.start()
    try:
        interview_id, _ = interview(api, owner)
        unseen, _ = interview(api, owner, start=time.time() - 100000)
        before = get(api, owner, interview_id, node, **PLAIN)
        lab.postgres_server.kill()
        after = eventually(lambda: (r := get(api, owner, interview_id, node, **PLAIN)).status_code == 200 and r, 20)
        assert after.body == before.body
        assert get(api, other, interview_id, node).status_code == 404
        lab.redis_server.kill()
        assert eventually(lambda: get(api, owner, interview_id, node).status_code == 503, 20)
    finally:
        lab.mend()
        lab.connect_pg()
        node.stop()
