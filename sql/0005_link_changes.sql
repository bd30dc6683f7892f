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
