-- Everything that is known of a session or a conversation, for `debrief explain`.
-- $1 sid, conversation id or interview id, $2 match window ms, $3 claim_unowned, $4 webhook deadline s.
-- One row: {"session", "conversation", "evaluation", "link", "timeline": [{"at", "event", "text", …} …],
--           "candidates": [{"sid" | "conversationId", "distanceMs", "lost"} …], "rejected": […]}; members that are
-- not there are null. No row: nobody knows that id.
WITH asked_conversation AS (
	SELECT i AS whole, i.* FROM interviews i WHERE i.conversation_id = $1
	UNION ALL
	SELECT i AS whole, i.* FROM interviews i
	WHERE i.id = CASE WHEN $1 ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN $1::uuid END
	LIMIT 1
), session AS (
	SELECT s AS whole, s.* FROM interview_sessions s WHERE s.client_session_id = $1
	UNION ALL
	SELECT s AS whole, s.* FROM asked_conversation c JOIN interview_sessions s ON s.conversation_id = c.conversation_id
	LIMIT 1
), conversation AS (
	SELECT * FROM asked_conversation
	UNION ALL
	SELECT i AS whole, i.* FROM session s JOIN interviews i ON i.conversation_id = s.conversation_id
	LIMIT 1
), evaluation AS (
	SELECT e.* FROM conversation c JOIN evaluations e ON e.interview_id = c.id
), owner AS (
	SELECT COALESCE((SELECT s.user_id FROM session s), (SELECT c.user_id FROM conversation c)) AS id
), own AS ( -- the session, if it is a real one
	SELECT * FROM session WHERE left(client_session_id, 9) <> 'fallback:'
), link AS (
	SELECT s.client_session_id AS sid, s.conversation_id AS cid, s.evidence,
		debrief_distance(s.whole, c.whole) AS distance_ms
	FROM own s JOIN conversation c ON c.conversation_id = s.conversation_id
), change AS (
	SELECT l.*, s.client_session_id AS sid, left(s.client_session_id, 9) = 'fallback:' AS is_fallback,
		debrief_distance(s, i) AS distance_ms
	FROM (
		SELECT session_id, conversation_id, change, evidence, changed_at FROM link_changes
		WHERE session_id IN (SELECT id FROM session) OR conversation_id IN (SELECT conversation_id FROM conversation)
		UNION ALL
		SELECT id, conversation_id, 'linked', evidence, linked_at FROM interview_sessions
		WHERE conversation_id IS NOT NULL AND id IN (SELECT id FROM session)
		UNION ALL
		SELECT id, conversation_id, 'linked', evidence, linked_at FROM interview_sessions
		WHERE conversation_id IN (SELECT conversation_id FROM conversation) AND id NOT IN (SELECT id FROM session)
	) l JOIN interview_sessions s ON s.id = l.session_id
	LEFT JOIN interviews i ON i.conversation_id = l.conversation_id
), event (at, rank, event, text, more) AS (
	SELECT s.created_at, 1, 'session_saved', 'the session ' || s.client_session_id || ' is heard of first',
		jsonb_build_object('sid', s.client_session_id, 'userId', s.user_id) FROM own s
	UNION ALL
	SELECT s.started_at, 0, 'session_started', 'the interview starts, says the browser', '{}' FROM own s
	UNION ALL
	SELECT s.client_ended_at, 0, 'session_ended', 'the interview ends, says the browser'
			|| COALESCE(' (' || s.ended_by || ')', ''), jsonb_build_object('endedBy', s.ended_by) FROM own s
	UNION ALL
	SELECT s.claimed_at, 2, 'conversation_claimed', 'the browser claims the conversation ' || s.claimed_conversation_id
			|| CASE WHEN s.claimed_conversation_id ~ '^conv_[A-Za-z0-9]+$' THEN ''
				ELSE ', which is no id of the provider''s: a weak claim' END,
		jsonb_build_object('conversationId', s.claimed_conversation_id) FROM own s WHERE s.claimed_conversation_id IS NOT NULL
	UNION ALL
	SELECT c.started_at, 0, 'call_started', 'the call starts, says the provider', '{}' FROM conversation c
	UNION ALL
	SELECT c.ended_at, 0, 'call_ended', 'the call ends, says the provider', jsonb_build_object('durationSecs', c.duration_secs)
	FROM conversation c
	UNION ALL
	SELECT to_timestamp(c.event_timestamp), 0, 'webhook_made', 'the provider makes the webhook', '{}'
	FROM conversation c WHERE c.event_timestamp > 0
	UNION ALL
	SELECT c.received_at, 3, 'webhook_received', 'the webhook is received'
			|| CASE WHEN c.event_timestamp > 0 THEN format(', %s s after its event',
				round(extract(epoch FROM c.received_at) - c.event_timestamp, 1)) ELSE '' END
			|| CASE WHEN c.ended_at IS NOT NULL THEN format(', %s s after the call''s end',
				round(extract(epoch FROM c.received_at - c.ended_at), 1)) ELSE '' END
			|| COALESCE('; it names the session ' || c.claimed_session_id, '')
			|| COALESCE('; it names the user ' || c.claimed_user_id::text, '')
			|| COALESCE('; the call has failed: ' || c.failure_reason, ''),
		jsonb_build_object('conversationId', c.conversation_id, 'namedSession', c.claimed_session_id,
			'namedUser', c.claimed_user_id, 'failure', c.failure_reason,
			'eventLagMs', CASE WHEN c.event_timestamp > 0 THEN debrief_ms(c.received_at) - c.event_timestamp * 1000 END,
			'endLagMs', debrief_ms(c.received_at) - debrief_ms(c.ended_at))
	FROM conversation c
	UNION ALL
	SELECT l.changed_at, CASE WHEN l.change = 'linked' THEN 5 ELSE 4 END, l.change,
		CASE WHEN l.is_fallback AND l.change = 'linked' THEN 'no session fits: the conversation ' || l.conversation_id
				|| ' is kept with a fallback session'
			WHEN l.change = 'linked' THEN format('linked: session %s and conversation %s, by %s, %s s apart', l.sid,
				l.conversation_id, l.evidence, round(l.distance_ms / 1000.0, 1))
			ELSE format('unlinked: session %s and conversation %s (was by %s)', l.sid, l.conversation_id,
				COALESCE(l.evidence, 'none')) END,
		jsonb_build_object('sid', l.sid, 'conversationId', l.conversation_id, 'evidence', l.evidence, 'distanceMs', l.distance_ms)
	FROM change l
	UNION ALL
	SELECT e.requested_at, 6, 'evaluation_due', 'an evaluation is waited for', '{}' FROM evaluation e
	WHERE e.status = 'pending' OR e.completed_at > e.requested_at
	UNION ALL
	SELECT e.completed_at, 7, 'evaluated', 'the evaluation is ' || e.status || COALESCE(': ' || e.reason, '')
			|| CASE WHEN e.revised_ms > 0 THEN ', by the evaluator outside' ELSE ', from the provider''s analysis' END,
		jsonb_build_object('status', e.status, 'reason', e.reason) FROM evaluation e WHERE e.completed_at IS NOT NULL
	UNION ALL
	SELECT s.client_ended_at + $4::bigint * interval '1 second', 8, 'webhook_deadline', 'no webhook until the deadline: failed',
		'{}' FROM own s
	WHERE s.conversation_id IS NULL AND s.client_ended_at + $4::bigint * interval '1 second' < now()
	UNION ALL
	SELECT r.rejected_at, 9, 'rejected', format('the ledger refuses a %s: %s (%s); see debrief replay', r.kind, r.error, r.sqlstate),
		jsonb_build_object('kind', r.kind, 'sqlstate', r.sqlstate, 'error', r.error) FROM rejected_facts r
	WHERE r.subject IN ($1, (SELECT client_session_id FROM session), (SELECT conversation_id FROM conversation))
), other_session AS ( -- of the user, that might have had this conversation
	SELECT s AS s, c.whole AS c, s.client_session_id AS sid, debrief_distance(s, c.whole) AS distance_ms
	FROM conversation c JOIN interview_sessions s ON s.user_id = (SELECT id FROM owner)
	WHERE left(s.client_session_id, 9) <> 'fallback:' AND s.client_session_id NOT IN (SELECT sid FROM link)
	  AND (s.claimed_conversation_id = c.conversation_id OR s.client_session_id = c.claimed_session_id
		OR debrief_distance(s, c.whole) <= GREATEST(2 * $2::bigint, 600000))
	ORDER BY 4 LIMIT 20
), other_conversation AS (
	SELECT i AS i, i.conversation_id AS cid, debrief_distance(s.whole, i) AS distance_ms
	FROM own s JOIN interviews i ON i.user_id = s.user_id
	WHERE i.conversation_id NOT IN (SELECT cid FROM link)
	  AND (i.conversation_id = s.claimed_conversation_id OR i.claimed_session_id = s.client_session_id
		OR debrief_distance(s.whole, i) <= GREATEST(2 * $2::bigint, 600000))
	ORDER BY 3 LIMIT 20
), candidate AS (
	SELECT o.distance_ms, jsonb_build_object('sid', o.sid, 'distanceMs', o.distance_ms, 'lost',
		debrief_why_not(o.s, o.c, $2::bigint, (SELECT l.evidence FROM link l), (SELECT l.distance_ms FROM link l))) AS doc
	FROM other_session o
	UNION ALL
	SELECT o.distance_ms, jsonb_build_object('conversationId', o.cid, 'distanceMs', o.distance_ms, 'lost',
		debrief_why_not(s.whole, o.i, $2::bigint, (SELECT l.evidence FROM link l), (SELECT l.distance_ms FROM link l)))
	FROM other_conversation o, own s
)
SELECT jsonb_build_object(
	'id', $1,
	'session', (SELECT jsonb_build_object('sid', s.client_session_id, 'userId', s.user_id, 'status', s.status,
		'agentId', s.claimed_agent_id, 'claimedConversationId', s.claimed_conversation_id,
		'conversationId', s.conversation_id, 'interviewId', s.interview_id, 'undecided', s.undecided) FROM session s),
	'conversation', (SELECT jsonb_build_object('conversationId', c.conversation_id, 'interviewId', c.id, 'userId', c.user_id,
		'agentId', c.agent_id, 'status', c.status, 'namedSession', c.claimed_session_id, 'namedUser', c.claimed_user_id,
		'ownerByTheRules', debrief_owner(c.whole, $2::bigint, $3::boolean), 'undecided', c.undecided) FROM conversation c),
	'link', (SELECT jsonb_build_object('sid', l.sid, 'conversationId', l.cid, 'evidence', l.evidence,
		'distanceMs', l.distance_ms) FROM link l),
	'evaluation', (SELECT jsonb_build_object('status', e.status, 'reason', e.reason) FROM evaluation e),
	'timeline', COALESCE((SELECT jsonb_agg(jsonb_build_object('at', debrief_rfc3339(e.at), 'event', e.event, 'text', e.text)
		|| jsonb_strip_nulls(e.more) ORDER BY e.at, e.rank) FROM event e WHERE e.at IS NOT NULL), '[]'),
	'candidates', COALESCE((SELECT jsonb_agg(c.doc ORDER BY c.distance_ms, c.doc) FROM candidate c), '[]'))
WHERE EXISTS (SELECT FROM session) OR EXISTS (SELECT FROM conversation) OR EXISTS (SELECT FROM event)
