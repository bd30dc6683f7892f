-- What the Express peer keeps: the same content as Debrief's ledger, with the plainest tables
-- that can answer the four endpoints. Documents have the types and the compression of Debrief's.
CREATE TABLE sessions (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	user_id uuid NOT NULL,
	client_session_id text NOT NULL UNIQUE,
	conversation_id text UNIQUE,
	interview_id uuid,
	status text NOT NULL DEFAULT 'started',
	ended_by text,
	started_at timestamptz NOT NULL DEFAULT now(),
	ended_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_user ON sessions (user_id, created_at DESC);

CREATE TABLE interviews (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	conversation_id text NOT NULL UNIQUE,
	user_id uuid,
	agent_id text NOT NULL,
	status text NOT NULL,
	started_at timestamptz,
	duration_secs int,
	transcript json,
	analysis jsonb,
	metadata jsonb,
	payload jsonb,
	evaluation_status text NOT NULL DEFAULT 'pending',
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX interviews_user ON interviews (user_id);
ALTER TABLE interviews
	ALTER COLUMN transcript SET COMPRESSION lz4,
	ALTER COLUMN analysis SET COMPRESSION lz4,
	ALTER COLUMN metadata SET COMPRESSION lz4,
	ALTER COLUMN payload SET COMPRESSION lz4;
