-- Keeps an evaluation. The provider's own follows the content that counts; one from outside replaces it,
-- and another from outside, if it counts at least as much (pending < failed < complete) and is later.
-- $1 conversation id, $2 status, $3 result, $4 reason, $5 body hash of the content it came with (null: from
-- outside), $6 whether to announce a change on channel debrief_evaluation, $7 when it was made, ms (null: now).
WITH kept AS (
	INSERT INTO evaluations AS e (interview_id, status, result, reason, revised_ms, completed_at)
	SELECT i.id, $2, $3::jsonb, $4, CASE WHEN $5::text IS NULL THEN debrief_ms(clock_timestamp()) ELSE 0 END,
		CASE WHEN $2 <> 'pending' THEN COALESCE(debrief_time($7::bigint), now()) END
	FROM interviews i WHERE i.conversation_id = $1 AND ($5::text IS NULL OR i.body_hash = $5)
	ON CONFLICT (interview_id) DO UPDATE SET
		status = excluded.status, result = excluded.result, reason = excluded.reason,
		revised_ms = excluded.revised_ms, completed_at = excluded.completed_at
	WHERE CASE WHEN e.revised_ms = 0 AND excluded.revised_ms = 0
		THEN (e.status, e.result, e.reason) IS DISTINCT FROM (excluded.status, excluded.result, excluded.reason)
		ELSE (array_position('{pending,failed,complete}', excluded.status), excluded.revised_ms)
			> (array_position('{pending,failed,complete}', e.status), e.revised_ms) END
	RETURNING e.interview_id, e.status
), to_decide AS (
	-- until Redis has it too
	UPDATE interviews i SET undecided = true FROM kept WHERE i.id = kept.interview_id AND $5::text IS NULL
)
SELECT pg_notify('debrief_evaluation', json_build_object('interviewId', interview_id, 'status', status)::text)
FROM kept WHERE $6::boolean
