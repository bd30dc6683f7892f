-- Writes of many at once, and each of them cheaper. Rewrites `interviews` if it has rows: it may take a while.

-- These two and all that they call are immutable, so that the planner puts them in place.
CREATE OR REPLACE FUNCTION debrief_ms(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN floor(extract(epoch FROM at AT TIME ZONE 'UTC') * 1000)::bigint;
CREATE OR REPLACE FUNCTION debrief_time(ms bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN (timestamp 'epoch' + ms * interval '1 millisecond') AT TIME ZONE 'UTC';

-- Written once and read whole.
ALTER TABLE interviews ALTER COLUMN transcript DROP DEFAULT, ALTER COLUMN transcript TYPE json USING transcript::json;
ALTER TABLE interviews ALTER COLUMN transcript SET COMPRESSION lz4;

-- What is written before it has an owner or a link stays out of the indexes that are about them.
DROP INDEX debrief_interviews_user, debrief_interviews_user_start;
CREATE INDEX debrief_interviews_user ON interviews
	(user_id, (COALESCE(started_at, received_at)), (COALESCE(ended_at, received_at))) WHERE user_id IS NOT NULL;
DROP INDEX debrief_sessions_conversation, debrief_sessions_interview;
CREATE UNIQUE INDEX debrief_sessions_conversation ON interview_sessions (conversation_id)
	WHERE conversation_id IS NOT NULL;
CREATE INDEX debrief_sessions_interview ON interview_sessions (interview_id) WHERE interview_id IS NOT NULL;

-- A link that holds says itself when it was made; link_changes has those that are gone, and how they went.
ALTER TABLE interview_sessions ADD COLUMN linked_at timestamptz;
COMMENT ON COLUMN interview_sessions.linked_at IS 'when this link was made, on this evidence; earlier ones: link_changes';
UPDATE interview_sessions s SET linked_at = made.changed_at
FROM (SELECT DISTINCT ON (session_id) session_id, conversation_id, changed_at FROM link_changes
      WHERE change = 'linked' ORDER BY session_id, changed_at DESC) made
WHERE s.id = made.session_id AND s.conversation_id = made.conversation_id;
DELETE FROM link_changes c USING interview_sessions s
WHERE s.id = c.session_id AND c.change = 'linked' AND c.changed_at = s.linked_at;
DROP TRIGGER debrief_link_made ON interview_sessions;
DROP TRIGGER debrief_link_changed ON interview_sessions;
DROP FUNCTION debrief_note_link(), debrief_links_made();

-- Applies decisions, each the snapshot of the links of one user's hot facts; of a user only one at a time.
--
-- A decision: {"sessions": [{"sid", "cid"?, "evidence"?}, …],
--              "conversations": [{"cid", "hash", "epoch", "own"?}, …], "gone": [{"cid", "epoch"}, …]}
-- `own` is 1 for a conversation that went through the index for this decision: only then is it decided
-- (a session is when sql/keep_session.sql says so). `gone` are conversations that are no longer this user's. Where
-- the ledger knows of a later change of owner than `epoch`, that conversation is passed over.
-- Returns, in order, the revisions in force: a decision's own when it was applied (again), a greater one when a later
-- decision came first and this one must be made anew. And in words what each changed: the evidence of each link made
-- (`fallback`: a conversation that is kept without a session), `moved` for each that was taken away.
DROP FUNCTION debrief_apply_decision(uuid, bigint, jsonb);
CREATE FUNCTION debrief_apply_decisions(p_users uuid[], p_revisions bigint[], p_decisions jsonb[])
RETURNS TABLE (member bigint, revision bigint, words text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_now timestamptz := clock_timestamp();
	v_users uuid[];
	v_revisions bigint[];
	v_words text[] := array_fill(''::text, ARRAY[cardinality(p_users)]);
	w_at bigint[]; w_word text[]; -- words, each with the place of its member
	-- of decisions in force: conversations, with the session that each goes to; those that are gone; sessions
	c_at bigint[]; c_cid text[]; c_hash text[]; c_epoch bigint[]; c_own boolean[]; c_sid text[];
	g_at bigint[]; g_cid text[];
	s_at bigint[]; s_sid text[]; s_cid text[]; s_evidence text[];
	-- links that go, and those that stay on other evidence: the sessions' ids
	t_at bigint[]; t_id uuid[]; t_cid text[]; t_what text[];
BEGIN
	-- the profile's row is the lock of its user's links
	WITH kept AS (
		INSERT INTO profiles AS p (id, links_revision)
		SELECT * FROM unnest(p_users, p_revisions)
		ON CONFLICT (id) DO UPDATE SET links_revision = GREATEST(p.links_revision, excluded.links_revision)
		RETURNING p.id, p.links_revision
	)
	SELECT array_agg(id), array_agg(links_revision) INTO v_users, v_revisions FROM kept;
	IF v_users <> p_users THEN
		RAISE 'profiles were not kept in the order of their decisions';
	END IF;

	SELECT array_agg(m.at), array_agg(c.cid), array_agg(c.hash), array_agg(c.epoch), array_agg(c.own IS NOT NULL)
	INTO c_at, c_cid, c_hash, c_epoch, c_own
	FROM unnest(p_decisions) WITH ORDINALITY AS m (decision, at),
		jsonb_to_recordset(m.decision -> 'conversations') AS c (cid text, hash text, epoch bigint, own int)
		LEFT JOIN interviews i ON i.conversation_id = c.cid
	WHERE v_revisions[m.at] = p_revisions[m.at] AND (i.id IS NULL OR i.owner_epoch <= c.epoch);
	SELECT array_agg(m.at), array_agg(c.cid) INTO g_at, g_cid
	FROM unnest(p_decisions) WITH ORDINALITY AS m (decision, at),
		jsonb_to_recordset(m.decision -> 'gone') AS c (cid text, epoch bigint)
		LEFT JOIN interviews i ON i.conversation_id = c.cid
	WHERE v_revisions[m.at] = p_revisions[m.at] AND (i.id IS NULL OR i.owner_epoch <= c.epoch);

	-- Two decisions on one conversation: one after the other.
	IF cardinality(p_users) > 1
			AND (SELECT count(*) <> count(DISTINCT cid COLLATE "C") FROM unnest(c_cid || g_cid) AS cid) THEN
		RETURN QUERY SELECT m.at, a.revision, a.words
			FROM unnest(p_users, p_revisions, p_decisions) WITH ORDINALITY AS m (id, revision, decision, at),
				debrief_apply_decisions(ARRAY[m.id], ARRAY[m.revision], ARRAY[m.decision]) a;
		RETURN;
	END IF;

	WITH known AS (
		SELECT COALESCE(jsonb_object_agg(cid, at), '{}') AS at_of FROM unnest(c_cid, c_at) AS c (cid, at)
	)
	SELECT array_agg(m.at), array_agg(d.sid), array_agg(CASE WHEN its.own THEN d.cid END),
		array_agg(CASE WHEN its.own THEN d.evidence END)
	INTO s_at, s_sid, s_cid, s_evidence
	FROM unnest(p_decisions) WITH ORDINALITY AS m (decision, at), known,
		jsonb_to_recordset(m.decision -> 'sessions') AS d (sid text, cid text, evidence text),
		LATERAL (SELECT (known.at_of ->> d.cid)::bigint = m.at AS own) its
	WHERE v_revisions[m.at] = p_revisions[m.at];
	WITH linked AS (
		SELECT COALESCE(jsonb_object_agg(cid, sid) FILTER (WHERE cid IS NOT NULL), '{}') AS sid_of
		FROM unnest(s_cid, s_sid) AS l (cid, sid)
	)
	SELECT array_agg(sid_of ->> cid) INTO c_sid FROM linked, unnest(c_cid) AS cid;

	-- Clear every holder of these sids and conversation ids that holds something else, then
	-- set: conversation ids are unique, so in one statement a link could not move.
	SELECT array_agg(at), array_agg(id), array_agg(cid), array_agg(what) INTO t_at, t_id, t_cid, t_what
	FROM (SELECT DISTINCT ON (id) * FROM (
		SELECT c.at, s.id, c.cid, CASE WHEN left(s.client_session_id, 9) = 'fallback:' THEN 'fallback' ELSE 'taken' END AS what
		FROM unnest(c_at, c_cid, c_sid) AS c (at, cid, sid) JOIN interview_sessions s ON s.conversation_id = c.cid
		WHERE CASE WHEN left(s.client_session_id, 9) = 'fallback:'
			THEN s.user_id <> p_users[c.at] OR EXISTS (SELECT FROM interview_sessions r
				WHERE r.client_session_id = c.sid AND r.user_id = p_users[c.at])
			ELSE (s.client_session_id, s.user_id) IS DISTINCT FROM (c.sid, p_users[c.at]) END
		UNION ALL
		SELECT g.at, s.id, g.cid, CASE WHEN left(s.client_session_id, 9) = 'fallback:' THEN 'fallback' ELSE 'taken' END
		FROM unnest(g_at, g_cid) AS g (at, cid) JOIN interview_sessions s ON s.conversation_id = g.cid
		WHERE s.user_id = p_users[g.at]
		UNION ALL
		SELECT l.at, s.id, s.conversation_id, CASE WHEN s.conversation_id = l.cid THEN 'reasoned' ELSE 'taken' END
		FROM unnest(s_at, s_sid, s_cid, s_evidence) AS l (at, sid, cid, evidence)
			JOIN interview_sessions s ON s.client_session_id = l.sid AND s.user_id = p_users[l.at]
		WHERE s.conversation_id IS NOT NULL AND (s.conversation_id, s.evidence) IS DISTINCT FROM (l.cid, l.evidence)
	) all_held ORDER BY id, what DESC) held;
	IF t_id IS NOT NULL THEN
		DELETE FROM interview_sessions s USING unnest(t_id, t_cid, t_what) AS t (id, cid, what)
		WHERE s.id = t.id AND s.conversation_id = t.cid AND t.what = 'fallback';
		WITH cleared AS (
			UPDATE interview_sessions s SET
				conversation_id = NULL, interview_id = NULL, evidence = NULL, linked_at = NULL,
				agent_id = COALESCE(s.claimed_agent_id, ''), ended_at = s.client_ended_at,
				status = CASE WHEN s.client_ended_at IS NULL THEN 'started' ELSE 'ended_pending_webhook' END,
				updated_at = now()
			FROM unnest(t_at, t_id, t_cid, t_what) AS t (at, id, cid, what) JOIN interview_sessions old USING (id)
			WHERE s.id = t.id AND s.conversation_id = t.cid AND t.what = 'taken'
			RETURNING t.at, s.id, t.cid, old.evidence, old.linked_at
		), noted AS (
			INSERT INTO link_changes (session_id, conversation_id, change, evidence, changed_at)
			SELECT id, cid, 'linked', evidence, linked_at FROM cleared WHERE linked_at IS NOT NULL
			UNION ALL
			SELECT id, cid, 'unlinked', evidence, v_now FROM cleared
			UNION ALL
			SELECT s.id, s.conversation_id, 'linked', s.evidence, s.linked_at
			FROM unnest(t_id, t_cid, t_what) AS t (id, cid, what) JOIN interview_sessions s USING (id)
			WHERE s.conversation_id = t.cid AND t.what = 'reasoned' AND s.linked_at IS NOT NULL
		)
		SELECT array_agg(at), array_agg('moved'::text) INTO w_at, w_word FROM cleared;
	END IF;

	IF s_at IS NOT NULL THEN
		WITH made AS (
			UPDATE interview_sessions s SET
				conversation_id = l.cid, interview_id = i.id, evidence = l.evidence,
				linked_at = CASE WHEN l.cid IS NULL THEN NULL
					WHEN (s.conversation_id, s.evidence) IS DISTINCT FROM (l.cid, l.evidence) THEN v_now
					ELSE s.linked_at END,
				agent_id = COALESCE(NULLIF(i.agent_id, ''), s.claimed_agent_id, ''),
				ended_at = CASE WHEN l.cid IS NULL THEN s.client_ended_at
				                ELSE COALESCE(i.ended_at, s.client_ended_at, i.received_at) END,
				status = CASE WHEN i.failure_reason IS NOT NULL THEN 'failed'
				              WHEN l.cid IS NOT NULL THEN 'completed'
				              WHEN s.client_ended_at IS NOT NULL THEN 'ended_pending_webhook'
				              ELSE 'started' END,
				updated_at = now()
			FROM unnest(s_at, s_sid, s_cid, s_evidence) AS l (at, sid, cid, evidence)
				LEFT JOIN interviews i ON i.conversation_id = l.cid
			WHERE s.client_session_id = l.sid AND s.user_id = p_users[l.at]
			  AND ((s.conversation_id, s.interview_id, s.evidence) IS DISTINCT FROM (l.cid, i.id, l.evidence)
			       OR l.cid IS NOT NULL AND s.ended_at IS DISTINCT FROM COALESCE(i.ended_at, s.client_ended_at, i.received_at)
			       OR (s.status = 'failed') IS DISTINCT FROM (i.failure_reason IS NOT NULL))
			RETURNING l.at, s.evidence, s.linked_at
		)
		SELECT w_at || array_agg(at), w_word || array_agg(evidence) INTO w_at, w_word FROM made WHERE linked_at = v_now;
	END IF;

	IF c_at IS NOT NULL THEN
		UPDATE interviews i SET user_id = p_users[c.at], owner_epoch = c.epoch,
			-- content that came after this decision was made stays undecided
			undecided = i.undecided AND (NOT c.own OR i.body_hash <> c.hash), updated_at = now()
		FROM unnest(c_at, c_cid, c_hash, c_epoch, c_own) AS c (at, cid, hash, epoch, own)
		WHERE i.conversation_id = c.cid AND i.owner_epoch <= c.epoch
		  AND (i.user_id IS DISTINCT FROM p_users[c.at] OR i.undecided AND c.own OR i.owner_epoch < c.epoch);
	END IF;
	IF g_at IS NOT NULL THEN
		UPDATE interviews i SET user_id = NULL, updated_at = now() FROM unnest(g_at, g_cid) AS g (at, cid)
		WHERE i.conversation_id = g.cid AND i.user_id = p_users[g.at];
	END IF;

	-- a conversation without a session is kept with a fallback session
	IF c_at IS NOT NULL THEN
		WITH kept AS (
			INSERT INTO interview_sessions
				(user_id, client_session_id, conversation_id, interview_id, agent_id, status, started_at, ended_at, linked_at)
			SELECT p_users[c.at], 'fallback:' || i.conversation_id, i.conversation_id, i.id, i.agent_id,
				CASE WHEN i.failure_reason IS NULL THEN 'completed' ELSE 'failed' END,
				COALESCE(i.started_at, i.received_at), COALESCE(i.ended_at, i.received_at), v_now
			FROM unnest(c_at, c_cid) AS c (at, cid) JOIN interviews i ON i.conversation_id = c.cid
			WHERE NOT EXISTS (SELECT FROM interview_sessions s WHERE s.conversation_id = i.conversation_id)
			ON CONFLICT (client_session_id) DO UPDATE SET
				user_id = excluded.user_id, conversation_id = excluded.conversation_id, interview_id = excluded.interview_id,
				updated_at = now()
			RETURNING conversation_id, linked_at
		)
		SELECT w_at || array_agg(c_at[array_position(c_cid, conversation_id)]), w_word || array_agg('fallback'::text)
		INTO w_at, w_word FROM kept WHERE linked_at = v_now;
	END IF;

	FOR n IN 1 .. COALESCE(cardinality(w_at), 0) LOOP
		v_words[w_at[n]] := v_words[w_at[n]] || w_word[n] || ' ';
	END LOOP;
	RETURN QUERY SELECT m.at, m.revision, m.words
		FROM unnest(v_revisions, v_words) WITH ORDINALITY AS m (revision, words, at);
END
$$;
