-- What /metrics counts (survey.sql), along small indexes: sessions that wait for their webhook,
-- conversations without a session.
CREATE INDEX debrief_sessions_pending ON interview_sessions (client_ended_at)
	WHERE status = 'ended_pending_webhook';
CREATE INDEX debrief_sessions_fallback ON interview_sessions (created_at)
	WHERE left(client_session_id, 9) = 'fallback:';
CREATE INDEX debrief_interviews_unowned ON interviews (received_at) WHERE user_id IS NULL;
