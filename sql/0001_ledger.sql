-- The ledger. Facts (what somebody told us, with the stamp of when we heard it) and
-- links (what follows from them) are different columns; only facts are read back.
--
-- Runs on an empty database and over one that already has the older `profiles`,
-- `interviews` and `interview_sessions`: their rows, ids and further columns stay.
-- Ids compare bytewise, hence COLLATE "C".

CREATE TABLE ledger_settings (
	name text PRIMARY KEY,
	value text NOT NULL
);
INSERT INTO ledger_settings VALUES ('partitions', current_setting('debrief.partitions'));

-- Whole milliseconds since 1970, as facts carry times, and back.
CREATE FUNCTION debrief_ms(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN floor(extract(epoch FROM at) * 1000)::bigint;
CREATE FUNCTION debrief_time(ms bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 'epoch'::timestamptz + ms * interval '1 millisecond';

-- Which of the three tables were here before us: their old links become facts below.
CREATE TEMPORARY TABLE older ON COMMIT DROP AS
	SELECT c.relname::text AS name FROM pg_class c
	WHERE c.relkind IN ('r', 'p') AND c.relname IN ('profiles', 'interviews', 'interview_sessions')
	  AND pg_table_is_visible(c.oid);

CREATE TABLE IF NOT EXISTS profiles (
	id uuid PRIMARY KEY,
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS interviews (
	id uuid PRIMARY KEY
);
CREATE TABLE IF NOT EXISTS interview_sessions (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid()
);

-- Older tables kept times without a zone; ids may be varchar(n), and documents text or json.
DO $$
DECLARE
	c record;
BEGIN
	FOR c IN
		SELECT table_schema, table_name, column_name FROM information_schema.columns
		WHERE (table_schema, table_name) IN (SELECT n.nspname, t.relname FROM older o
			JOIN pg_class t ON t.oid = to_regclass(quote_ident(o.name)) JOIN pg_namespace n ON n.oid = t.relnamespace)
		  AND data_type = 'timestamp without time zone'
	LOOP
		EXECUTE format('ALTER TABLE %I.%I ALTER COLUMN %I TYPE timestamptz USING %I AT TIME ZONE %L',
			c.table_schema, c.table_name, c.column_name, c.column_name,
			current_setting('debrief.assume_timezone'));
	END LOOP;
	FOR c IN
		SELECT table_schema, table_name, column_name FROM information_schema.columns
		WHERE table_name IN ('interviews', 'interview_sessions') AND table_name IN (SELECT name FROM older)
		  AND table_schema = current_schema()
		  AND column_name IN ('client_session_id', 'conversation_id', 'agent_id', 'status', 'ended_by')
		  AND data_type IN ('character varying', 'character', 'text')
	LOOP
		EXECUTE format('ALTER TABLE %I.%I ALTER COLUMN %I TYPE text COLLATE "C"',
			c.table_schema, c.table_name, c.column_name);
	END LOOP;
	FOR c IN
		SELECT table_schema, table_name, column_name FROM information_schema.columns
		WHERE table_name = 'interviews' AND table_name IN (SELECT name FROM older)
		  AND table_schema = current_schema()
		  AND column_name IN ('transcript', 'analysis', 'metadata', 'payload')
		  AND data_type IN ('text', 'character varying', 'json')
	LOOP
		EXECUTE format('ALTER TABLE %I.%I ALTER COLUMN %I DROP DEFAULT, ALTER COLUMN %I TYPE jsonb USING '
			'CASE WHEN %I::text = '''' THEN NULL ELSE %I::jsonb END',
			c.table_schema, c.table_name, c.column_name, c.column_name, c.column_name, c.column_name);
	END LOOP;
END
$$;

ALTER TABLE profiles
	ADD COLUMN IF NOT EXISTS links_revision bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN profiles.links_revision IS
	'revision of the last decision applied; this row is the lock of its user''s links';

ALTER TABLE interviews
	-- facts: the provider's content, whole, of the greatest (is_final, event_timestamp, body_hash)
	ADD COLUMN IF NOT EXISTS conversation_id text COLLATE "C",
	ADD COLUMN IF NOT EXISTS agent_id text COLLATE "C" DEFAULT '',
	ADD COLUMN IF NOT EXISTS status text COLLATE "C",
	ADD COLUMN IF NOT EXISTS is_final boolean NOT NULL DEFAULT false,
	ADD COLUMN IF NOT EXISTS event_timestamp bigint NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS body_hash text COLLATE "C" NOT NULL DEFAULT '',
	ADD COLUMN IF NOT EXISTS claimed_user_id uuid,
	ADD COLUMN IF NOT EXISTS claimed_session_id text COLLATE "C",
	ADD COLUMN IF NOT EXISTS started_at timestamptz,
	ADD COLUMN IF NOT EXISTS ended_at timestamptz,
	ADD COLUMN IF NOT EXISTS duration_secs bigint,
	ADD COLUMN IF NOT EXISTS failure_reason text,
	ADD COLUMN IF NOT EXISTS transcript jsonb,
	ADD COLUMN IF NOT EXISTS analysis jsonb,
	ADD COLUMN IF NOT EXISTS metadata jsonb,
	ADD COLUMN IF NOT EXISTS payload jsonb,
	ADD COLUMN IF NOT EXISTS raw_body bytea,
	-- fact: the earliest receipt
	ADD COLUMN IF NOT EXISTS received_at timestamptz NOT NULL DEFAULT now(),
	-- links
	ADD COLUMN IF NOT EXISTS user_id uuid,
	ADD COLUMN IF NOT EXISTS owner_epoch bigint NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS undecided boolean NOT NULL DEFAULT false,
	ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
	ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE interviews
	ALTER COLUMN user_id DROP NOT NULL,
	ALTER COLUMN agent_id SET DEFAULT '',
	ALTER COLUMN transcript DROP NOT NULL,
	ALTER COLUMN transcript SET COMPRESSION lz4,
	ALTER COLUMN analysis DROP NOT NULL,
	ALTER COLUMN analysis SET COMPRESSION lz4,
	ALTER COLUMN metadata DROP NOT NULL,
	ALTER COLUMN metadata SET COMPRESSION lz4,
	ALTER COLUMN payload SET COMPRESSION lz4,
	ALTER COLUMN raw_body SET COMPRESSION lz4;
COMMENT ON COLUMN interviews.owner_epoch IS
	'grows with each change of owner (lua/conversation_index.lua): an older word on it comes too late';
COMMENT ON COLUMN interviews.raw_body IS 'the bytes as received, only where the documents beside it lost something';

ALTER TABLE interview_sessions
	-- facts, each the earliest heard
	ADD COLUMN IF NOT EXISTS user_id uuid,
	ADD COLUMN IF NOT EXISTS client_session_id text COLLATE "C",
	ADD COLUMN IF NOT EXISTS claimed_agent_id text COLLATE "C",
	ADD COLUMN IF NOT EXISTS claimed_agent_at timestamptz,
	ADD COLUMN IF NOT EXISTS claimed_conversation_id text COLLATE "C",
	ADD COLUMN IF NOT EXISTS claimed_at timestamptz,
	ADD COLUMN IF NOT EXISTS started_at timestamptz,
	ADD COLUMN IF NOT EXISTS client_ended_at timestamptz,
	ADD COLUMN IF NOT EXISTS ended_by text COLLATE "C",
	ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
	-- links, and what follows from them
	ADD COLUMN IF NOT EXISTS conversation_id text COLLATE "C",
	ADD COLUMN IF NOT EXISTS interview_id uuid,
	ADD COLUMN IF NOT EXISTS evidence text COLLATE "C",
	ADD COLUMN IF NOT EXISTS agent_id text COLLATE "C" DEFAULT '',
	ADD COLUMN IF NOT EXISTS status text COLLATE "C" DEFAULT 'started',
	ADD COLUMN IF NOT EXISTS ended_at timestamptz,
	ADD COLUMN IF NOT EXISTS undecided boolean NOT NULL DEFAULT false,
	ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN interview_sessions.client_ended_at IS 'fact: the end as the browser told it';
COMMENT ON COLUMN interview_sessions.ended_at IS 'the end of the linked conversation, else client_ended_at';

-- What older rows say becomes fact: the links they held are kept as claims, their owners as named users.
UPDATE interviews SET
	created_at = COALESCE(created_at, now()),
	agent_id = COALESCE(agent_id, ''),
	claimed_user_id = COALESCE(claimed_user_id, user_id),
	received_at = COALESCE(created_at, received_at),
	status = COALESCE(status, 'done'), is_final = true
WHERE EXISTS (SELECT 1 FROM older WHERE name = 'interviews');
UPDATE interview_sessions SET
	agent_id = COALESCE(agent_id, ''),
	status = COALESCE(status, 'started'),
	claimed_agent_id = NULLIF(agent_id, ''),
	claimed_agent_at = CASE WHEN agent_id <> '' THEN COALESCE(created_at, started_at, client_ended_at, ended_at, now()) END,
	claimed_conversation_id = COALESCE(claimed_conversation_id, conversation_id),
	claimed_at = CASE WHEN conversation_id IS NOT NULL
		THEN COALESCE(created_at, started_at, client_ended_at, ended_at, now()) END,
	client_ended_at = COALESCE(client_ended_at, ended_at),
	created_at = COALESCE(created_at, started_at, client_ended_at, ended_at, now()),
	started_at = COALESCE(started_at, CASE WHEN ended_at IS NULL AND client_ended_at IS NULL THEN created_at END)
WHERE EXISTS (SELECT 1 FROM older WHERE name = 'interview_sessions')
  AND (client_session_id IS NULL OR left(client_session_id, 9) <> 'fallback:');
UPDATE interview_sessions s SET interview_id = i.id
FROM interviews i
WHERE s.interview_id IS NULL AND i.conversation_id = s.conversation_id;
UPDATE interview_sessions SET evidence = 'conversation_id'
WHERE conversation_id IS NOT NULL AND evidence IS NULL AND left(client_session_id, 9) <> 'fallback:';

ALTER TABLE interviews
	ALTER COLUMN agent_id SET NOT NULL;
ALTER TABLE interview_sessions
	ALTER COLUMN agent_id SET DEFAULT '',
	ALTER COLUMN agent_id SET NOT NULL,
	ALTER COLUMN status SET DEFAULT 'started',
	ALTER COLUMN status SET NOT NULL,
	ALTER COLUMN created_at SET DEFAULT now(),
	ALTER COLUMN created_at SET NOT NULL;

INSERT INTO profiles (id)
	SELECT user_id FROM interview_sessions WHERE user_id IS NOT NULL
	UNION SELECT user_id FROM interviews WHERE user_id IS NOT NULL
ON CONFLICT DO NOTHING;

-- The constraints that we rely on, in place of whatever the older tables had on these columns.
DO $$
DECLARE
	c record;
BEGIN
	FOR c IN
		SELECT k.conrelid::regclass AS tab, k.conname FROM pg_constraint k
		JOIN pg_attribute a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]
		WHERE k.contype = 'f' AND (
			(k.conrelid = 'interview_sessions'::regclass AND a.attname IN ('user_id', 'interview_id', 'conversation_id'))
			OR (k.conrelid = 'interviews'::regclass AND a.attname = 'user_id'))
	LOOP
		EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.tab, c.conname);
	END LOOP;
	-- checks of theirs on what we write may not know our words
	FOR c IN
		SELECT k.conrelid::regclass AS tab, k.conname FROM pg_constraint k
		WHERE k.contype = 'c' AND k.conrelid IN ('interview_sessions'::regclass, 'interviews'::regclass)
		  AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
			AND a.attname IN ('status', 'ended_by', 'agent_id', 'client_session_id', 'conversation_id'))
	LOOP
		EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.tab, c.conname);
	END LOOP;
	-- columns of theirs that we can't fill would make every insert fail: say so now
	FOR c IN
		SELECT table_name, column_name FROM information_schema.columns
		WHERE table_schema = current_schema() AND is_nullable = 'NO' AND column_default IS NULL
		  AND is_identity = 'NO' AND is_generated = 'NEVER'
		  AND ((table_name = 'interviews' AND column_name NOT IN ('id', 'conversation_id', 'status'))
		    OR (table_name = 'interview_sessions' AND column_name NOT IN ('user_id', 'client_session_id')))
	LOOP
		IF c.table_name = 'interview_sessions' AND c.column_name = 'id' THEN
			ALTER TABLE interview_sessions ALTER COLUMN id SET DEFAULT gen_random_uuid();
		ELSE
			RAISE EXCEPTION 'column %.% is NOT NULL without a default, and debrief does not know it',
				c.table_name, c.column_name
				USING HINT = format('ALTER TABLE %I ALTER COLUMN %I DROP NOT NULL', c.table_name, c.column_name);
		END IF;
	END LOOP;
END
$$;
ALTER TABLE interviews
	ADD CONSTRAINT interviews_user_fk FOREIGN KEY (user_id) REFERENCES profiles (id) ON DELETE SET NULL;
ALTER TABLE interview_sessions
	ADD CONSTRAINT interview_sessions_user_fk FOREIGN KEY (user_id) REFERENCES profiles (id) ON DELETE CASCADE,
	ADD CONSTRAINT interview_sessions_interview_fk FOREIGN KEY (interview_id) REFERENCES interviews (id)
		ON DELETE SET NULL;

CREATE UNIQUE INDEX debrief_interviews_conversation ON interviews (conversation_id);
CREATE INDEX debrief_interviews_user ON interviews (user_id, (COALESCE(ended_at, received_at)));
CREATE INDEX debrief_interviews_user_start ON interviews (user_id, (COALESCE(started_at, received_at)));
CREATE INDEX debrief_interviews_claimed_session ON interviews (claimed_session_id)
	WHERE claimed_session_id IS NOT NULL;
CREATE INDEX debrief_interviews_undecided ON interviews (updated_at, id) WHERE undecided;

CREATE UNIQUE INDEX debrief_sessions_client_session ON interview_sessions (client_session_id);
CREATE UNIQUE INDEX debrief_sessions_conversation ON interview_sessions (conversation_id);
CREATE INDEX debrief_sessions_user ON interview_sessions (user_id, (COALESCE(client_ended_at, started_at, created_at)));
CREATE INDEX debrief_sessions_claimed ON interview_sessions (claimed_conversation_id)
	WHERE claimed_conversation_id IS NOT NULL;
CREATE INDEX debrief_sessions_status ON interview_sessions (status);
CREATE INDEX debrief_sessions_interview ON interview_sessions (interview_id);
CREATE INDEX debrief_sessions_undecided ON interview_sessions (updated_at, id) WHERE undecided;

CREATE TABLE evaluations (
	interview_id uuid PRIMARY KEY REFERENCES interviews (id) ON DELETE CASCADE,
	status text COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'failed', 'complete')),
	result jsonb,
	reason text,
	-- when an evaluation from outside came; 0: the provider's own
	revised_ms bigint NOT NULL DEFAULT 0,
	requested_at timestamptz NOT NULL DEFAULT now(),
	completed_at timestamptz
);
ALTER TABLE evaluations ALTER COLUMN result SET COMPRESSION lz4;
CREATE INDEX debrief_evaluations_pending ON evaluations (requested_at, interview_id) WHERE status = 'pending';

-- Facts that the database refused for their content: kept as bytes, with the reason.
CREATE TABLE rejected_facts (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL,
	subject text NOT NULL,
	fact bytea NOT NULL,
	sqlstate text NOT NULL,
	error text NOT NULL,
	rejected_at timestamptz NOT NULL DEFAULT now()
);
