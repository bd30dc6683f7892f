"""debrief migrate: an empty database, one that holds the older tables with data, and refusals."""

import datetime
import itertools
import json
import subprocess
import uuid

import psycopg2
import pytest

import model
from lab.proxy import Proxy
from support import eventually, run_debrief, told

UTC = datetime.timezone.utc
_names = itertools.count()


class Database:
    """A fresh database beside the lab's own."""

    def __init__(self, lab):
        self.lab = lab
        self.name = f"migrate_{next(_names)}"
        self.url = lab.postgres_server.create_database(self.name)
        self.connection = psycopg2.connect(self.url)
        self.connection.autocommit = True

    def sql(self, query, *args):
        with self.connection.cursor() as cursor:
            cursor.execute(query, args or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, query, *args):
        found = self.sql(query, *args)
        return found[0][0] if found else None

    def migrate(self, *words, **options):
        return run_debrief(self.lab, "migrate", *words, options={"database_url": self.url, **options})

    def migrated(self, *words, **options):
        done = self.migrate(*words, **options)
        assert done.returncode == 0, told(done)
        return done

    def tables(self):
        return {
            row[0] for row in self.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        }

    def column(self, table, column):
        """(type, nullable, default) of a column."""
        found = self.sql(
            "SELECT data_type, is_nullable = 'YES', column_default FROM information_schema.columns"
            " WHERE table_name = %s AND column_name = %s",
            table,
            column,
        )
        return found[0] if found else None

    def snapshot(self):
        """What the catalogue says of the schema, the record of migrations apart."""
        return (
            self.sql(
                "SELECT table_name, column_name, data_type, is_nullable, column_default"
                " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_migrations'"
                " ORDER BY 1, 2"
            ),
            self.sql(
                "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'schema_migrations'"
                " ORDER BY 1"
            ),
            self.sql(
                "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE connamespace = 'public'::regnamespace AND conname <> 'schema_migrations_pkey' ORDER BY 1, 2"
            ),
            self.sql("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"),
        )


@pytest.fixture
def database(lab, api):
    database = Database(lab)
    yield database
    database.connection.close()


# The tables as an application before Debrief had them.
OLDER = """
CREATE TABLE profiles (
	id uuid PRIMARY KEY,
	full_name varchar(200),
	created_at timestamp NOT NULL DEFAULT now()
);
CREATE TABLE interviews (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	user_id uuid NOT NULL REFERENCES profiles (id),
	agent_id varchar(64) NOT NULL,
	conversation_id varchar(128) NOT NULL UNIQUE,
	transcript jsonb NOT NULL,
	analysis json,
	metadata text,
	score numeric,
	created_at timestamp NOT NULL DEFAULT now(),
	updated_at timestamp
);
CREATE TABLE interview_sessions (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	user_id uuid NOT NULL REFERENCES profiles (id),
	agent_id varchar(64),
	client_session_id varchar(128) UNIQUE,
	conversation_id varchar(128) UNIQUE,
	interview_id uuid REFERENCES interviews (id),
	status varchar(32) DEFAULT 'started',
	ended_by varchar(32),
	started_at timestamp,
	ended_at timestamp,
	created_at timestamp NOT NULL DEFAULT now(),
	updated_at timestamp
);
CREATE INDEX my_own_index ON interview_sessions (created_at);
CREATE TABLE unrelated (at timestamp, note text);
INSERT INTO unrelated VALUES ('2026-01-02 03:04:05', 'leave me alone');
"""

ANA = "aaaaaaaa-0000-4000-8000-000000000001"
BEN = "bbbbbbbb-0000-4000-8000-000000000002"


@pytest.fixture
def older(database):
    """The older tables with two users, three interviews and four sessions."""
    database.sql(OLDER)
    database.sql("INSERT INTO profiles (id, full_name) VALUES (%s, 'Ana'), (%s, 'Ben')", ANA, BEN)
    for number, (user, cid, created) in enumerate(
        [(ANA, "conv_a1", "2026-03-01 10:00:00"), (ANA, "conv_a2", "2026-03-02 10:00:00"), (BEN, "conv_b1", "2026-07-01 10:00:00")]
    ):
        database.sql(
            "INSERT INTO interviews (id, user_id, agent_id, conversation_id, transcript, analysis, metadata, score,"
            " created_at) VALUES (%s, %s, 'agent_1', %s, %s, %s, %s, %s, %s)",
            str(uuid.UUID(int=number + 1)),
            user,
            cid,
            json.dumps([{"role": "user", "message": "Hi", "time_in_call_secs": 0}]),
            json.dumps({"transcript_summary": f"summary of {cid}", "call_successful": "success"}),
            json.dumps({"call_duration_secs": 60}) if number else "",
            number,
            created,
        )
    database.sql(
        "INSERT INTO interview_sessions (user_id, agent_id, client_session_id, conversation_id, interview_id, status,"
        " ended_by, started_at, ended_at, created_at) VALUES"
        " (%s, 'agent_1', 's-linked', 'conv_a1', %s, 'completed', 'user', '2026-03-01 09:50:00', '2026-03-01 09:59:00',"
        "  '2026-03-01 09:50:00'),"
        " (%s, NULL, 's-waiting', NULL, NULL, 'ended_pending_webhook', 'disconnect', NULL, '2026-03-02 11:00:00',"
        "  '2026-03-02 11:00:00'),"
        " (%s, 'agent_1', 's-open', NULL, NULL, 'started', NULL, '2026-07-01 12:00:00', NULL, '2026-07-01 12:00:00'),"
        " (%s, 'agent_1', 'fallback:conv_b1', 'conv_b1', %s, 'completed', NULL, NULL, NULL, '2026-07-01 10:00:00')",
        ANA,
        str(uuid.UUID(int=1)),
        ANA,
        BEN,
        BEN,
        str(uuid.UUID(int=3)),
    )
    return database


# ── an empty database ───────────────────────────────────────────────────────


def test_an_empty_database(database):
    done = database.migrated()
    assert "applied" in done.stdout, told(done)
    assert {
        "schema_migrations",
        "profiles",
        "interviews",
        "interview_sessions",
        "evaluations",
        "rejected_facts",
    } <= database.tables()
    assert database.column("interview_sessions", "agent_id")[1:] == (False, "''::text")
    assert database.column("interview_sessions", "started_at")[0] == "timestamp with time zone"
    assert database.column("interviews", "transcript")[0] == "json"
    assert database.column("interviews", "user_id")[1], "a conversation may have no user"
    compression = "SELECT attcompression FROM pg_attribute WHERE attrelid = 'interviews'::regclass AND attname = %s"
    for column in ("transcript", "analysis", "metadata", "payload"):
        assert database.value(compression, column) == "l", f"{column} is not compressed with lz4"
    versions = database.sql("SELECT version, applied_at FROM schema_migrations ORDER BY version")
    assert [v for v, _ in versions] == list(range(1, len(versions) + 1))


def test_constraints(database):
    database.migrated()
    database.sql("INSERT INTO profiles (id) VALUES (%s)", ANA)
    database.sql("INSERT INTO interviews (id, conversation_id) VALUES (%s, 'conv_1')", BEN)
    insert = "INSERT INTO interview_sessions (user_id, client_session_id, conversation_id, interview_id) VALUES (%s, %s, %s, %s)"
    database.sql(insert, ANA, "s1", "conv_1", BEN)
    for bad in ((ANA, "s1", None, None), (ANA, "s2", "conv_1", None)):
        with pytest.raises(psycopg2.errors.UniqueViolation):
            database.sql(insert, *bad)
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        database.sql(insert, BEN, "s3", None, None)
    database.sql(insert, ANA, "s4", None, None)
    database.sql(insert, ANA, "s5", None, None)
    database.sql("DELETE FROM interviews")
    assert database.value("SELECT interview_id FROM interview_sessions WHERE client_session_id = 's1'") is None
    database.sql("DELETE FROM profiles")
    assert database.sql("SELECT 1 FROM interview_sessions") == []


def test_twice_is_up_to_date(database):
    database.migrated()
    before = database.snapshot()
    done = database.migrated()
    assert "up to date" in done.stdout, told(done)
    assert database.snapshot() == before


def test_a_dry_run_changes_nothing(database):
    done = database.migrated("--dry-run")
    assert "0001" in done.stdout, told(done)
    assert database.tables() == set()
    database.migrated()
    assert "up to date" in database.migrated("--dry-run").stdout


def test_at_once_on_several_machines(lab, database):
    """An advisory lock: one does it, the others find it done."""
    from lab.node import environment, sanitizer_environment

    env = {"PATH": "/usr/bin:/bin", **sanitizer_environment(), **environment({"database_url": database.url})}
    jobs = [
        subprocess.Popen(
            [str(lab.binary), "migrate"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    said = [job.communicate(timeout=60) for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 4, said
    assert sum("up to date" in out for out, _ in said) == 3, said


# ── over older tables ───────────────────────────────────────────────────────


def test_older_tables_keep_their_data(older):
    older.migrated()
    assert older.sql("SELECT id::text, full_name FROM profiles ORDER BY full_name") == [(ANA, "Ana"), (BEN, "Ben")]
    found = older.sql("SELECT conversation_id, id::text, user_id::text, score FROM interviews ORDER BY conversation_id")
    assert found == [
        ("conv_a1", str(uuid.UUID(int=1)), ANA, 0),
        ("conv_a2", str(uuid.UUID(int=2)), ANA, 1),
        ("conv_b1", str(uuid.UUID(int=3)), BEN, 2),
    ]
    assert older.sql("SELECT at::text, note FROM unrelated") == [("2026-01-02 03:04:05", "leave me alone")]
    assert older.column("unrelated", "at")[0] == "timestamp without time zone"
    assert older.value("SELECT count(*) FROM pg_indexes WHERE indexname = 'my_own_index'") == 1
    assert older.value("SELECT analysis ->> 'transcript_summary' FROM interviews WHERE conversation_id = 'conv_a1'") == (
        "summary of conv_a1"
    )
    assert older.value("SELECT metadata FROM interviews WHERE conversation_id = 'conv_a1'") is None
    assert older.value("SELECT metadata FROM interviews WHERE conversation_id = 'conv_a2'") == {"call_duration_secs": 60}


def test_older_links_stay_and_become_facts(older):
    older.migrated()
    found = older.sql(
        "SELECT client_session_id, conversation_id, interview_id::text, claimed_conversation_id, agent_id"
        " FROM interview_sessions ORDER BY client_session_id"
    )
    rows = {row[0]: row[1:] for row in found}
    assert rows["s-linked"] == ("conv_a1", str(uuid.UUID(int=1)), "conv_a1", "agent_1")
    assert rows["s-waiting"] == (None, None, None, "")
    assert rows["s-open"] == (None, None, None, "agent_1")
    assert rows["fallback:conv_b1"] == ("conv_b1", str(uuid.UUID(int=3)), None, "agent_1")
    claimed = older.sql("SELECT conversation_id, claimed_user_id::text FROM interviews ORDER BY 1")
    assert claimed == [("conv_a1", ANA), ("conv_a2", ANA), ("conv_b1", BEN)]


@pytest.mark.parametrize(
    "words,summer,winter",
    [
        ((), "2026-07-01T12:00:00+00:00", "2026-03-01T09:50:00+00:00"),
        (("--assume-timezone", "UTC"), "2026-07-01T12:00:00+00:00", "2026-03-01T09:50:00+00:00"),
        (("--assume-timezone", "Europe/Berlin"), "2026-07-01T10:00:00+00:00", "2026-03-01T08:50:00+00:00"),
        (("--assume-timezone", "America/New_York"), "2026-07-01T16:00:00+00:00", "2026-03-01T14:50:00+00:00"),
    ],
)
def test_times_without_a_zone(older, words, summer, winter):
    older.migrated(*words)
    query = "SELECT started_at FROM interview_sessions WHERE client_session_id = %s"
    assert older.value(query, "s-open").astimezone(UTC).isoformat() == summer
    assert older.value(query, "s-linked").astimezone(UTC).isoformat() == winter
    for table in ("profiles", "interviews", "interview_sessions"):
        assert older.column(table, "created_at")[0] == "timestamp with time zone", table
    assert older.column("interview_sessions", "ended_at")[0] == "timestamp with time zone"
    ended = older.value("SELECT client_ended_at FROM interview_sessions WHERE client_session_id = 's-linked'")
    started = older.value(query, "s-linked")
    assert ended - started == datetime.timedelta(minutes=9), "an end that was known is the client's end now"


def test_an_unknown_timezone_is_refused(older):
    before = older.snapshot()
    done = older.migrate("--assume-timezone", "Mars/Olympus")
    assert done.returncode == 1 and "Mars/Olympus" in done.stderr and "assume-timezone" in done.stderr, told(done)
    assert older.snapshot() == before


def test_a_dry_run_over_older_tables(older):
    before = older.snapshot()
    done = older.migrated("--dry-run", "--assume-timezone", "Europe/Berlin")
    assert "0001" in done.stdout
    assert older.snapshot() == before
    query = "SELECT ended_at::text FROM interview_sessions WHERE client_session_id = 's-linked'"
    assert older.value(query) == "2026-03-01 09:59:00"


def test_older_tables_twice(older):
    older.migrated("--assume-timezone", "Europe/Berlin")
    before = older.snapshot()
    times = older.sql("SELECT * FROM interview_sessions ORDER BY client_session_id")
    assert "up to date" in older.migrated("--assume-timezone", "Asia/Tokyo").stdout
    assert older.snapshot() == before
    assert older.sql("SELECT * FROM interview_sessions ORDER BY client_session_id") == times


def test_a_node_on_older_tables(api, lab, older):
    """What was there is served, and new interviews work; the old ids stay."""
    older.migrated()
    sid, cid, user = f"s-{uuid.uuid4()}", api.cid(), api.user()
    # the lab's Redis holds other tests' users, not these: ids differ
    with lab.node(database_url=older.url) as node:
        for known, view in (
            ("s-linked", ("completed", "conv_a1", str(uuid.UUID(int=1)))),
            ("s-waiting", ("failed", None, None)),
        ):
            answer = api.poll(ANA, known, node=node)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert (body["status"], body["conversationId"], body["interviewId"]) == view, known
        assert api.poll(BEN, "s-linked", node=node).status_code == 404
        old = api.results(ANA, str(uuid.UUID(int=1)), node=node)
        assert old.status_code == 200, old.text
        assert old.json()["interview"]["transcript"][0]["message"] == "Hi"
        assert old.json()["interview"]["summary"] == "summary of conv_a1"
        assert api.results(BEN, str(uuid.UUID(int=1)), node=node).status_code == 404

        assert api.save(user, sid, node=node, ended_by="user").status_code == 200
        assert api.webhook(api.payload(conversation_id=cid, user=user, session=sid), node=node).status_code == 200
        assert api.poll(user, sid, node=node).json()["interviewId"] == model.interview_id(cid)
        # Ana comes back with an old session and with a new one
        assert api.save(ANA, "s-linked", node=node, ended_by="user").status_code == 200
        assert api.poll(ANA, "s-linked", node=node).json()["interviewId"] == str(uuid.UUID(int=1))
        fresh = f"s-{uuid.uuid4()}"
        assert api.save(ANA, fresh, node=node, ended_by="user").status_code == 200
        assert api.webhook(api.payload(user=ANA, session=fresh), node=node).status_code == 200
        assert api.poll(ANA, fresh, node=node).json()["status"] == "completed"
        # the provider sends an old conversation again
        again = api.payload(conversation_id="conv_b1", user=BEN)
        assert api.webhook(again, node=node).status_code == 200
        assert api.results(BEN, str(uuid.UUID(int=3)), node=node).status_code == 200
        assert older.value("SELECT count(*) FROM interviews WHERE conversation_id = 'conv_b1'") == 1
    assert older.sql("SELECT * FROM rejected_facts") == []


def test_older_tables_that_cannot_work_are_refused(database):
    """A column that nobody could fill would make every webhook fail: say so now, and how to mend it."""
    database.sql(OLDER)
    database.sql("ALTER TABLE interviews ADD COLUMN tenant int NOT NULL")
    before = database.snapshot()
    done = database.migrate()
    assert done.returncode == 1 and "tenant" in done.stderr, told(done)
    assert database.snapshot() == before, "a migration is whole or not at all"
    database.sql("ALTER TABLE interviews ALTER COLUMN tenant DROP NOT NULL")
    database.migrated()


def test_profiles_that_nobody_can_make_are_refused(database):
    """Users first seen get a row in profiles."""
    database.sql("CREATE TABLE profiles (id uuid PRIMARY KEY, email text NOT NULL)")
    done = database.migrate()
    assert done.returncode == 1 and "email" in done.stderr and "profiles" in done.stderr, told(done)


# ── refusals ────────────────────────────────────────────────────────────────


def test_other_partitions_are_refused(lab, database):
    database.migrated(partitions=16)
    done = database.migrate(partitions=64)
    assert done.returncode == 1 and "partitions" in done.stderr, told(done)
    assert "16" in done.stderr and "64" in done.stderr, told(done)
    database.migrated(partitions=16)


@pytest.mark.parametrize("away_at_first", [False, True])
def test_a_node_with_other_partitions_ends(lab, database, away_at_first):
    """It would look for every user in the wrong place, and keep facts where no other node looks."""
    database.migrated(partitions=16)
    proxy = Proxy(lab.postgres_server.port)
    node = lab.new_node(database_url=proxy.through(database.url), partitions=64)
    try:
        if away_at_first:
            proxy.refuse()
            node.start(ready=False)
            eventually(lambda: node.sees("redis"), what="the node to have Redis")
            proxy.mend()
            code = node.process.wait(30)
            said = node.log_text()
        else:
            done = run_debrief(
                lab, "serve", options={**node.options, "listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"}
            )
            code, said = done.returncode, done.stderr
        assert code == 1 and "partitions" in said and "16" in said and "64" in said, f"{code}: {said[-2000:]}"
    finally:
        node.asked_to_end = True
        node.kill()
        proxy.close()


def test_one_partition_works(api, lab, database):
    database.migrated(partitions=1)
    user, sid = api.user(), f"s-{uuid.uuid4()}"
    with lab.node(database_url=database.url, partitions=1) as node:
        assert api.save(user, sid, node=node, ended_by="user").status_code == 200
        assert api.webhook(api.payload(user=user), node=node).status_code == 200
        assert api.poll(user, sid, node=node).json()["status"] == "completed"
        assert lab.redis.exists(f"debrief:{{p0}}:user:{user}")


def test_a_newer_schema_is_refused(database):
    database.migrated()
    database.sql("INSERT INTO schema_migrations (version, name) VALUES (9999, '9999_tomorrow')")
    done = database.migrate()
    assert done.returncode == 1 and "9999" in done.stderr, told(done)


def test_a_node_on_a_database_that_was_not_migrated(lab, database):
    node = lab.new_node(database_url=database.url)
    node.start(ready=False)
    try:
        eventually(lambda: "migrate" in node.log_text(), what="the node to say what to do")
        assert not node.answers("/readyz")
    finally:
        node.stop()


def test_without_a_database(lab):
    done = run_debrief(lab, "migrate")
    assert done.returncode == 1 and "database_url" in done.stderr, told(done)
    done = run_debrief(lab, "migrate", options={"database_url": "postgresql://nobody@127.0.0.1:9/none"})
    assert done.returncode == 1 and done.stderr, told(done)
    done = run_debrief(lab, "migrate", options={"database_url": "this is = no connection string ="})
    assert done.returncode == 1 and "database_url" in done.stderr, told(done)
