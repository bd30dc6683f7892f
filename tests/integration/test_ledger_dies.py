"""Postgres dies, or freezes, at each moment of a save: the journal takes what the ledger didn't."""

import contextlib
import threading
import time

import psycopg2
import pytest

from lab.proxy import Proxy
from support import eventually, journal_length, ok, rows, session_row

GATES = {"insert": 471101, "update": 471102}
# A moment must be reached within the patience, and a frozen ledger costs it.
OPTIONS = {"workers": 1, "ledger_patience_ms": 5000, "request_timeout_ms": 30000}


@pytest.fixture
def proxied(lab):
    """(a node, what lies between it and Postgres)"""
    proxy = Proxy(lab.postgres_server.port)
    try:
        with lab.node(database_url=proxy.through(lab.postgres_server.url), **OPTIONS) as node:
            yield node, proxy
            proxy.mend()
    finally:
        proxy.close()


class Gates:
    """Stops that a session's row comes to in Postgres: before it is inserted, and before it is updated."""

    def __init__(self, lab, sid):
        self.lab = lab
        self.keeper = psycopg2.connect(lab.postgres_server.url)
        self.keeper.autocommit = True
        self.cursor = self.keeper.cursor()
        self.cursor.execute(
            "CREATE OR REPLACE FUNCTION stop_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_advisory_xact_lock(TG_ARGV[0]::bigint); RETURN NEW; END $$")
        for event, key in GATES.items():
            self.cursor.execute(f"SELECT pg_advisory_lock({key})")
            self.cursor.execute(
                f"CREATE TRIGGER stop_{event} BEFORE {event} ON interview_sessions FOR EACH ROW"
                f" WHEN (NEW.client_session_id = '{sid}') EXECUTE FUNCTION stop_at_gate('{key}')")

    def wait(self, event):
        eventually(lambda: rows(self.lab, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                                " AND objid = %s", GATES[event]), 20, f"the {event} to be reached")

    def open(self, event):
        self.cursor.execute(f"SELECT pg_advisory_unlock({GATES[event]})")

    def close(self):
        self.keeper.close()
        with self.lab.pg.cursor() as cursor:
            for event in GATES:
                cursor.execute(f"DROP TRIGGER stop_{event} ON interview_sessions")


@contextlib.contextmanager
def reads_held(lab):
    """Whoever reads sessions waits. Enters once that is so, which may be when a write has ended."""
    holder = psycopg2.connect(lab.postgres_server.url)
    held = threading.Event()

    def hold():
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE interview_sessions IN ACCESS EXCLUSIVE MODE")
        held.set()
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        eventually(lambda: held.is_set() or rows(lab, "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"),
                   20, "the table's lock to be asked for")
        yield held
    finally:
        held.wait(30)
        thread.join(30)
        holder.close()


def wait_for_reader(lab, proxy):
    eventually(lambda: rows(lab, "SELECT 1 FROM pg_locks WHERE mode = 'AccessShareLock' AND NOT granted"
                            " AND relation = 'interview_sessions'::regclass"), 20, "a read to wait")


def first_read(lab, proxy, gates, end):
    """Redis has nothing, and asks."""
    with reads_held(lab) as held:
        assert held.wait(20)
        yield
        wait_for_reader(lab, proxy)
        end()


def first_write(lab, proxy, gates, end):
    yield
    gates.wait("insert")
    end()


def read_again(lab, proxy, gates, end):
    """Committed; but Redis was emptied meanwhile, and asks again."""
    yield
    gates.wait("insert")
    lab.redis.flushall()
    with reads_held(lab) as held:
        gates.open("insert")
        assert held.wait(20)
        wait_for_reader(lab, proxy)
        end()


def write_again(lab, proxy, gates, end):
    """Committed; but Redis was emptied meanwhile, and it is decided anew."""
    yield
    gates.wait("insert")
    lab.redis.flushall()
    gates.open("insert")
    gates.wait("update")
    end()


@pytest.mark.parametrize("end", ["refuse", "stall"])
@pytest.mark.parametrize("moment", [first_read, first_write, read_again, write_again])
def test_a_save_is_journaled_whenever_the_ledger_ends(api, lab, proxied, moment, end):
    node, proxy = proxied
    user, sid = api.user(), f"ledger-dies-{api.cid()}"
    gates = Gates(lab, sid)
    answers = []
    saving = threading.Thread(target=lambda: answers.append(api.save(user, sid, node, ended_by="user")))
    try:
        lab.redis.flushall()
        steps = moment(lab, proxy, gates, getattr(proxy, end))
        next(steps)
        saving.start()
        next(steps, None)
        saving.join(60)
        assert answers, "the save was not answered"
        ok(answers[0])
        began = time.monotonic()
        assert ok(api.poll(user, sid, node)).json()["status"] == "ended_pending_webhook"
        assert time.monotonic() - began < 4, "a poll waited for the ledger although Redis knew the session"
    finally:
        gates.close()
        proxy.mend()
    eventually(lambda: node.sees("ledger"), 20, "the node to see the ledger again")
    eventually(lambda: journal_length(lab) == 0, 60, "the journals to be swept")
    payload = api.payload(user=user, session=sid)
    ok(api.webhook(payload))
    assert ok(api.poll(user, sid, node)).json()["conversationId"] == payload["data"]["conversation_id"]
    assert session_row(lab, sid)["conversation_id"] == payload["data"]["conversation_id"]
