-- Keeps an evaluation: complete counts more than failed, failed more than pending, and of
-- two of one status the later.
-- $1 conversation id, $2 status, $3 result, $4 reason, $5 stamp ms (null: now),
-- $6 whether to announce a change on channel debrief_evaluation.
WITH kept AS (
	INSERT INTO evaluations AS e (interview_id, status, result, reason, revised_ms, completed_at)
	SELECT i.id, $2, $3::jsonb, $4, COALESCE($5::bigint, debrief_ms(clock_timestamp())),
		CASE WHEN $2 <> 'pending' THEN now() END
	FROM interviews i WHERE i.conversation_id = $1
	ON CONFLICT (interview_id) DO UPDATE SET
		status = excluded.status, result = excluded.result, reason = excluded.reason,
		revised_ms = excluded.revised_ms, completed_at = excluded.completed_at
	WHERE (array_position('{pending,failed,complete}', excluded.status), excluded.revised_ms)
		> (array_position('{pending,failed,complete}', e.status), e.revised_ms)
	RETURNING e.interview_id, e.status
)
SELECT pg_notify('debrief_evaluation', json_build_object('interviewId', interview_id, 'status', status)::text)
FROM kept WHERE $6::boolean
