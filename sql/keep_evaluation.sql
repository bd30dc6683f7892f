-- merges, one a $1
-- Keeps an evaluation. The provider's own follows the content that counts; one from outside replaces it,
-- and another from outside, if it counts at least as much (pending < failed < complete) and is later; one that says
-- the same again changes nothing.
-- $1 conversation id, $2 status, $3 result, $4 reason, $5 body hash of the content it came with (null: from
-- outside), $6 whether to announce a change on channel debrief_evaluation, $7 when it was made, ms (null: now).
WITH kept AS (
	INSERT INTO evaluations AS e (interview_id, status, result, reason, revised_ms, completed_at)
	SELECT i.id, g.status, g.result::jsonb, g.reason, CASE WHEN g.hash IS NULL THEN debrief_ms(clock_timestamp()) ELSE 0 END,
		CASE WHEN g.status <> 'pending' THEN COALESCE(debrief_time(g.made_ms::bigint), now()) END
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $7::text[])
			AS g (cid, status, result, reason, hash, made_ms)
		JOIN interviews i ON i.conversation_id = g.cid AND (g.hash IS NULL OR i.body_hash = g.hash)
	ON CONFLICT (interview_id) DO UPDATE SET
		status = excluded.status, result = excluded.result, reason = excluded.reason,
		revised_ms = excluded.revised_ms, completed_at = excluded.completed_at
	WHERE CASE WHEN (e.revised_ms = 0) = (excluded.revised_ms = 0)
			AND (e.status, e.result, e.reason) IS NOT DISTINCT FROM (excluded.status, excluded.result, excluded.reason)
		THEN false
		WHEN e.revised_ms = 0 AND excluded.revised_ms = 0 THEN true
		ELSE (array_position('{pending,failed,complete}', excluded.status), excluded.revised_ms)
			> (array_position('{pending,failed,complete}', e.status), e.revised_ms) END
	RETURNING e.interview_id, e.status, e.revised_ms
), to_decide AS (
	-- until Redis has it too
	UPDATE interviews i SET undecided = true FROM kept WHERE i.id = kept.interview_id AND kept.revised_ms > 0
)
SELECT array_position($1::text[], i.conversation_id),
	pg_notify('debrief_evaluation', json_build_object('interviewId', i.id, 'status', kept.status)::text)
FROM kept JOIN interviews i ON i.id = kept.interview_id
WHERE 'true' = ANY ($6::text[]) AND ($6::text[])[array_position($1::text[], i.conversation_id)]::boolean
