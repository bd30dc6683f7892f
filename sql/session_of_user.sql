-- A user's session as a fact; no row if there is none of that sid, or it is another user's.
-- $1 user, $2 sid.
SELECT debrief_session_fact(s) FROM interview_sessions s
WHERE s.client_session_id = $2 AND s.user_id = $1::uuid
