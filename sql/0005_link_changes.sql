-- How links came and went, for `debrief explain`: written by whatever statement changes one, and gone
-- with its session. The links themselves stand in interview_sessions; nothing is ever decided on this.
CREATE TABLE link_changes (
	session_id uuid NOT NULL REFERENCES interview_sessions (id) ON DELETE CASCADE,
	conversation_id text COLLATE "C" NOT NULL,
	change text COLLATE "C" NOT NULL CHECK (change IN ('linked', 'unlinked')),
	evidence text COLLATE "C", -- null: a conversation that is kept without a session
	changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX debrief_link_changes_session ON link_changes (session_id);
CREATE INDEX debrief_link_changes_conversation ON link_changes (conversation_id);

-- Words for debrief_links_made(): the evidence of each link made, `moved` for each that was taken away.
CREATE FUNCTION debrief_note_link() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
	v_words text := COALESCE(current_setting('debrief.links_made', true), '');
BEGIN
	IF TG_OP = 'UPDATE' AND OLD.conversation_id IS DISTINCT FROM NEW.conversation_id
			AND OLD.conversation_id IS NOT NULL THEN
		INSERT INTO link_changes (session_id, conversation_id, change, evidence)
		VALUES (OLD.id, OLD.conversation_id, 'unlinked', OLD.evidence);
		v_words := v_words || 'moved ';
	END IF;
	IF NEW.conversation_id IS NOT NULL THEN
		INSERT INTO link_changes (session_id, conversation_id, change, evidence)
		VALUES (NEW.id, NEW.conversation_id, 'linked', NEW.evidence);
		v_words := v_words || COALESCE(NEW.evidence, 'fallback') || ' ';
	END IF;
	PERFORM set_config('debrief.links_made', v_words, true);
	RETURN NULL;
END
$$;
CREATE TRIGGER debrief_link_made AFTER INSERT ON interview_sessions
	FOR EACH ROW WHEN (NEW.conversation_id IS NOT NULL)
	EXECUTE FUNCTION debrief_note_link();
CREATE TRIGGER debrief_link_changed AFTER UPDATE OF conversation_id, evidence ON interview_sessions
	FOR EACH ROW WHEN ((OLD.conversation_id, OLD.evidence) IS DISTINCT FROM (NEW.conversation_id, NEW.evidence))
	EXECUTE FUNCTION debrief_note_link();

-- What was noted in this transaction since it was asked for last.
CREATE FUNCTION debrief_links_made() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	v_words text := COALESCE(current_setting('debrief.links_made', true), '');
BEGIN
	IF v_words <> '' THEN
		PERFORM set_config('debrief.links_made', '', true);
	END IF;
	RETURN v_words;
END
$$;

CREATE FUNCTION debrief_rfc3339(at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Why these two are not linked, in words; the first rule of lua/link.lua that keeps them apart. The link
-- that one of them has instead: its evidence and distance, null without one.
CREATE FUNCTION debrief_why_not(s interview_sessions, i interviews, p_window_ms bigint, p_evidence text, p_distance_ms bigint)
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	v_distance bigint := debrief_distance(s, i);
	v_other record;
BEGIN
	IF i.user_id IS DISTINCT FROM s.user_id THEN
		RETURN 'the conversation is not this user''s';
	END IF;
	IF s.undecided OR i.undecided THEN
		RETURN 'not decided yet';
	END IF;
	IF i.claimed_session_id = s.client_session_id THEN
		RETURN 'the webhook names this session, and so does a nearer one, or one that the session claims';
	END IF;
	IF i.claimed_session_id IS NOT NULL THEN
		RETURN format('the webhook names another session, %s', i.claimed_session_id);
	END IF;
	IF p_evidence = 'session_id' THEN
		RETURN 'the link that holds is by session_id, which counts more';
	END IF;
	IF s.claimed_conversation_id = i.conversation_id THEN
		RETURN 'another session claims this conversation and is nearer to it, or a webhook names that one';
	END IF;
	IF s.claimed_conversation_id ~ '^conv_[A-Za-z0-9]+$' THEN
		RETURN format('the session claims another conversation, %s', s.claimed_conversation_id);
	END IF;
	IF p_evidence = 'conversation_id' THEN
		RETURN 'the link that holds is by conversation_id, which counts more';
	END IF;
	IF p_window_ms = 0 THEN
		RETURN 'no link by time: match_window_secs is 0';
	END IF;
	IF s.claimed_agent_id IS NOT NULL AND s.claimed_agent_id <> i.agent_id THEN
		RETURN format('another agent: the session''s is %s, the conversation''s is %s', s.claimed_agent_id, i.agent_id);
	END IF;
	IF v_distance > p_window_ms THEN
		RETURN format('%s s apart, more than the match window of %s s', round(v_distance / 1000.0, 1), p_window_ms / 1000);
	END IF;
	SELECT o.conversation_id AS cid, o.evidence, debrief_distance(o, j) AS distance_ms INTO v_other
	FROM interview_sessions o JOIN interviews j ON j.conversation_id = o.conversation_id
	WHERE o.client_session_id = s.client_session_id AND o.conversation_id <> i.conversation_id;
	IF FOUND THEN
		RETURN format('the session is linked to %s by %s, %s s apart', v_other.cid, v_other.evidence,
			round(v_other.distance_ms / 1000.0, 1));
	END IF;
	SELECT o.client_session_id AS sid, o.evidence, debrief_distance(o, i) AS distance_ms INTO v_other
	FROM interview_sessions o
	WHERE o.conversation_id = i.conversation_id AND o.client_session_id <> s.client_session_id
	  AND left(o.client_session_id, 9) <> 'fallback:';
	IF FOUND THEN
		RETURN format('the conversation is linked to %s by %s, %s s apart', v_other.sid, v_other.evidence,
			round(v_other.distance_ms / 1000.0, 1));
	END IF;
	RETURN format('%s s apart, within the match window: debrief replay would link them', round(v_distance / 1000.0, 1));
END
$$;
