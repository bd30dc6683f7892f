-- Whose links may be others by today's rules: those who own one of these conversations, or would.
-- $1 least receipt ms, $2 conversation id or null, $3 user or null, $4 match window ms, $5 claim_unowned.
SELECT DISTINCT owner.id::text
FROM interviews i, LATERAL (VALUES (i.user_id), (debrief_owner(i, $4::bigint, $5::boolean))) AS owner (id)
WHERE i.conversation_id IS NOT NULL AND i.received_at >= debrief_time($1::bigint)
  AND ($2::text IS NULL OR i.conversation_id = $2)
  AND ($3::uuid IS NULL OR i.user_id = $3::uuid OR owner.id = $3::uuid)
  AND owner.id IS NOT NULL
ORDER BY 1
